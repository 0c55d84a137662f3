"""The exported crate against what its profile demands, and against the project that it describes."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rocrate.rocrate import ROCrate

from pipeline.artifacts.audit import audit, chain
from pipeline.artifacts.crate import PROFILES, export
from pipeline.artifacts.view import open_target
from pipeline.errors import UserError
from tests.tiny_project import CELL, PRC, TinyProject

RESULTS = "data/results/prc-L"
Entity = dict[str, Any]


def refs(value: Any) -> list[str]:
    """Identifiers that a property points at."""
    return [item["@id"] for item in (value if isinstance(value, list) else [value] if value else [])]


def graph(folder: Path) -> dict[str, Entity]:
    content = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert "https://w3id.org/ro/terms/workflow-run/context" in content["@context"]
    return {entity["@id"]: entity for entity in content["@graph"]}


def types(entity: Entity) -> set[str]:
    kinds = entity["@type"]
    return {kinds} if isinstance(kinds, str) else set(kinds)


def of_type(entities: dict[str, Entity], kind: str) -> list[Entity]:
    return [entity for entity in entities.values() if kind in types(entity)]


def all_refs(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(all_refs, value))
    return {value["@id"]} if isinstance(value, dict) and set(value) == {"@id"} else set()


def test_a_crate_of_results_follows_the_profile(tiny_project: TinyProject, tmp_path: Path) -> None:
    folder = tmp_path / "crate"
    links = chain(audit(RESULTS))
    count = export(open_target(RESULTS), folder)
    entities = graph(folder)
    root, workflow = entities["./"], entities["dvc.yaml"]

    # RO-Crate: nothing dangles, every file is there with its bytes and part of the root.
    pointed = set().union(*(all_refs(value) for entity in entities.values() for value in entity.values()))
    assert {ref for ref in pointed if not ref.startswith("https://w3id.org/ro/crate/")} <= entities.keys()
    files = [entity for entity in of_type(entities, "File") if entity["@id"] != "lineage.html"]
    assert len(files) + 1 == count > 30
    for entity in files:
        content = (folder / entity["@id"]).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert int(entity["contentSize"]) == len(content)
        assert entity["@id"] in refs(root["hasPart"])
    for name in ("name", "description", "license", "datePublished"):
        assert root[name]

    # Process, Workflow and Provenance Run Crate 0.6.
    assert set(PROFILES) <= set(refs(root["conformsTo"]))
    assert all("CreativeWork" in types(entities[uri]) for uri in PROFILES)
    assert refs(root["mainEntity"]) == ["dvc.yaml"]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"} <= types(workflow)
    assert "ComputerLanguage" in types(entities[refs(workflow["programmingLanguage"])[0]])
    runs = of_type(entities, "CreateAction")
    assert set(refs(root["mentions"])) == {run["@id"] for run in runs}
    for run in runs:
        assert run["name"] and refs(run["result"]) and len(refs(run["instrument"])) == 1
        for ref in [*refs(run.get("object")), *refs(run["result"])]:
            assert types(entities[ref]) & {"File", "Dataset", "PropertyValue"}
    steps, controls = of_type(entities, "HowToStep"), of_type(entities, "ControlAction")
    assert set(refs(workflow["step"])) == {step["@id"] for step in steps}
    assert {ref for step in steps for ref in refs(step["workExample"])} == set(refs(workflow["hasPart"]))
    assert {ref for one in controls for ref in refs(one["instrument"])} == {step["@id"] for step in steps}
    assert {ref for one in controls for ref in refs(one["object"])} == {run["@id"] for run in runs} - {"#run"}
    engine = of_type(entities, "OrganizeAction")[0]
    assert refs(engine["result"]) == ["#run"]
    assert set(refs(engine["object"])) == {one["@id"] for one in controls}
    assert refs(entities["#run"]["instrument"]) == ["dvc.yaml"]

    # The lineage: every artifact with its identity, every edge of the audit, the params and seeds of a run.
    for path, link in links.items():
        found = next(entity for entity in entities.values() if entity.get("name") == path)
        assert found.get("identifier") == f"sha256:{link.identity}" or found["sha256"] == link.identity
    run = next(run for run in runs if f"{PRC}/" in refs(run["result"]))
    assert {"data/index/", "data/regions/"} <= set(refs(run["object"]))
    values = {entities[ref]["name"]: entities[ref].get("value") for ref in refs(run["object"])}
    assert values["pretrain_lidar.temperature"] == "0.1"
    assert values["seeds"] == "[0]"
    assert run["description"] == "python -m stages.pretrain_lidar prc"
    assert f"{CELL}/weights.safetensors" in entities
    assert "data/labels/card.json" in entities and "data/labels/boxes.feather" not in entities
    assert ROCrate(folder).mainEntity.id == "dvc.yaml"  # the library reads its own crate


def test_with_data_the_crate_is_a_project_that_can_be_audited(
    tiny_project: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(open_target(f"{CELL}@HEAD"), tmp_path / "crate", data=True)
    monkeypatch.chdir(tmp_path / "crate")
    link = audit(CELL, deep=True)
    assert link.ok, [(one.path, one.problems) for one in chain(link).values()]
    assert "data/raw/embedded" in chain(link)


def test_a_broken_lineage_is_not_exported_and_no_half_crate_stays(tiny_project: TinyProject, tmp_path: Path) -> None:
    card = Path("data/labels/card.json")
    card.write_text(card.read_text().replace("prepare", "prepair", 1))
    with pytest.raises(UserError, match="does not fit") as caught:
        export(open_target(RESULTS), tmp_path / "crate")
    assert "calico audit" in caught.value.remedy
    assert not (tmp_path / "crate").exists()
    shutil.copytree("conf", tmp_path / "crate")
    with pytest.raises(UserError, match="the folder exists"):
        export(open_target(RESULTS), tmp_path / "crate")
