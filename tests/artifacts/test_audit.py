"""The audit: green on an honest chain, red after any tampering and where code or params moved on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.artifacts.audit import Link, audit
from pipeline.artifacts.card import CARD, dump_json, seal, write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import UserError

PARAMS: dict[str, Any] = {"dataset": {"root": "data/raw"}, "regions": {"eps": 0.75}}


def set_params(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))


def make(name: str, *inputs: str, text: str = "x", params: dict[str, Any] = PARAMS) -> None:
    with publish(Path(name)) as draft:
        (draft / "deep").mkdir()
        (draft / "a.bin").write_text(text)
        (draft / "deep" / "b.bin").write_text(name)
        sources = [Path(source) for source in inputs]
        write_card(draft, kind="toy", stage="make", params=params, inputs=sources)


@pytest.fixture(autouse=True)
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tables -> index -> regions -> checkpoint, where the checkpoint reads the index as well."""
    monkeypatch.chdir(tmp_path)
    set_params(PARAMS)
    Path("stages").mkdir()
    Path("stages/make.py").write_text("import lib\n")
    Path("lib.py").write_text("")
    tables = Path("data/raw/v1.0-toy")
    tables.mkdir(parents=True)
    (tables / "scene.json").write_text("[]")
    sensor = Path("data/raw/samples/x.bin")
    sensor.parent.mkdir()
    sensor.write_bytes(b"sensor")
    checksums = {"samples/x.bin": hashlib.sha256(b"sensor").hexdigest()}
    (tables / "checksums.json").write_text(json.dumps(checksums))
    make("data/index", "data/raw/v1.0-toy")
    make("data/regions", "data/index")
    make("data/checkpoint", "data/regions", "data/index")


def problems(link: Link) -> list[str]:
    return [*link.problems, *(problem for source in link.inputs for problem in problems(source))]


def run() -> Link:
    return audit(Path("data/checkpoint"), deep=True)


def test_an_honest_chain_is_green_down_to_the_tables() -> None:
    link = run()
    assert link.ok
    assert problems(link) == []
    assert link.notes == ["there is no dvc.lock: not compared with it"]
    assert [source.path for source in link.inputs] == ["data/index", "data/regions"]
    assert link.inputs[1].inputs[0].inputs[0].path == "data/raw/v1.0-toy"


FILES = [f"data/{name}/{file}" for name in ("index", "regions", "checkpoint") for file in ("a.bin", "deep/b.bin", CARD)]


@pytest.mark.parametrize("name", [*FILES, "data/raw/v1.0-toy/scene.json", "data/raw/samples/x.bin"])
def test_one_flipped_bit_anywhere_is_red(name: str) -> None:
    path = Path(name)
    good = path.read_bytes()
    for position in {0, len(good) // 2, len(good) - 1}:
        bad = bytearray(good)
        bad[position] ^= 1
        path.write_bytes(bytes(bad))
        assert not run().ok
    path.write_bytes(good)
    assert run().ok


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_red(name: str) -> None:
    Path(name).unlink()
    assert not run().ok


def test_an_added_file_is_red() -> None:
    Path("data/regions/deep/new.bin").write_text("")
    assert problems(run()) == ["file not on the card: deep/new.bin"]


def test_a_swapped_input_is_red_though_it_is_whole_itself() -> None:
    make("data/index", "data/raw/v1.0-toy", text="other")
    assert audit(Path("data/index")).ok
    found = problems(run())
    assert len(found) == 2  # the checkpoint read it, and so did the regions
    assert all("not the one that was read" in problem for problem in found)


def test_a_vanished_input_is_red() -> None:
    for path in sorted(Path("data/index").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    Path("data/index").rmdir()
    assert any("does not exist" in problem for problem in problems(run()))


def rewrite(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Edits a card as a careful forger would: with a new seal."""
    path = Path(name, CARD)
    card = json.loads(path.read_bytes())
    change(card)
    card["seal"] = seal(card)
    path.write_bytes(dump_json(card))


def test_an_edited_card_is_red_also_with_a_forged_seal() -> None:
    rewrite("data/regions", lambda card: card["params"]["regions"].update(eps=0.5))
    assert any("not the one that was read" in problem for problem in problems(run()))


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "a/../../b", "~/x", "", "outside:../x"])
def test_absolute_and_traversing_names_on_a_card_are_never_followed(name: str) -> None:
    rewrite("data/checkpoint", lambda card: card["inputs"].append({"path": name, "identity": "0" * 64}))
    link = run()
    assert all(source.path != name for source in link.inputs) or link.inputs[-1].notes
    rewrite("data/checkpoint", lambda card: card["files"].update({name: "0" * 64}))
    assert not run().ok


def test_a_card_that_names_itself_ends_in_red() -> None:
    rewrite("data/checkpoint", lambda card: card["inputs"].append({"path": "data/checkpoint", "identity": "0" * 64}))
    assert "the artifact is its own input" in problems(run())


def test_code_and_params_that_changed_since_are_red() -> None:
    Path("lib.py").write_text("changed = 1\n")
    set_params({"regions": {"eps": 0.5}})
    link = run()
    assert link.problems == ["code changed since: lib.py", "params.yaml changed since: regions.eps 0.75 -> 0.5"]


def test_raw_files_and_shards_are_counted_and_hashed_when_deep() -> None:
    Path("data/raw/samples/x.bin").write_bytes(b"SENSOR")
    assert audit("data/index").ok
    assert problems(audit("data/index", deep=True)) == ["file changed: samples/x.bin"]
    Path("data/raw/samples/x.bin").unlink()
    assert problems(audit("data/index")) == ["file missing: samples/x.bin"]


def test_a_file_leads_to_its_artifact() -> None:
    assert audit("data/index/deep/b.bin").path == "data/index"
    Path("data/index/new").write_text("")
    assert audit("data/index/new").problems == ["file not on the card: new"]


def test_a_folder_of_artifacts_is_audited_one_by_one() -> None:
    link = audit("data")
    assert [source.path for source in link.inputs] == ["data/checkpoint", "data/index", "data/regions"]
    assert link.ok


def test_what_is_wrong_with_sensor_files_is_asked_of_the_index_only_when_deep() -> None:
    def missing() -> list[str]:
        return ["sensor file missing: x"]

    with publish(Path("data/other")) as draft:
        write_card(draft, kind="index", stage="make", params={}, inputs=[])
    assert audit("data/other", sensor_files=missing).ok
    assert audit("data/other", deep=True, sensor_files=missing).problems == ["sensor file missing: x"]


def test_a_card_without_code_is_red() -> None:
    Path("stages/make.py").unlink()
    make("data/checkpoint", "data/regions")
    assert any("records no code" in problem for problem in problems(run()))


def test_a_data_set_outside_the_project_is_found_by_params_or_said_to_be_unchecked(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("nuscenes")
    (outside / "v1.0-mini").mkdir()
    (outside / "v1.0-mini/scene.json").write_text("[]")
    params = {"dataset": {"root": str(outside)}}
    make("data/index", str(outside / "v1.0-mini"), params=params)
    set_params(params)
    assert audit(Path("data/index")).ok
    (outside / "v1.0-mini/scene.json").write_text("[1]")
    assert not audit(Path("data/index")).ok
    Path("params.yaml").unlink()
    unknown = audit(Path("data/index"))
    assert unknown.ok
    assert unknown.inputs[0].notes == ["outside the project: not checked"]


def test_a_folder_of_artifacts_as_input_is_followed_into_each() -> None:
    make("data/runs/a-1", "data/regions")
    make("data/runs/b-1", "data/regions")
    make("data/result", "data/runs")
    link = audit(Path("data/result"))
    assert link.ok
    assert [source.path for source in link.inputs[0].inputs] == ["data/runs/a-1", "data/runs/b-1"]
    Path("data/regions/a.bin").write_text("y")
    assert not audit(Path("data/result")).ok


def test_no_artifact_and_no_card() -> None:
    with pytest.raises(UserError, match="no such artifact"):
        audit(Path("data/none"))
    with pytest.raises(UserError, match="outside the project"):
        audit(Path(".."))
    assert audit(Path("data/raw")).problems == ["the artifact has no card"]
