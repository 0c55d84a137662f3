"""A checkpoint that `dvc import` took from another commit: the audit follows it there. Real dvc, git and stages."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.artifacts.audit import audit, chain
from pipeline.artifacts.crate import export
from pipeline.artifacts.imported import read_import
from pipeline.artifacts.view import Revision, Workspace, open_target
from pipeline.errors import UserError
from tests.tiny_project import PRC, TinyProject

HOME = "data/imported/other"
IMPORTED = f"{HOME}/prc"
START = "data/checkpoints/start/prc-L"


@pytest.fixture(scope="module")
def template(tiny_template: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyProject, str]:
    """The project with an arm that starts from an import of its first commit, under other params for the regions."""
    root = tmp_path_factory.mktemp("imported") / "project"
    project = TinyProject(Path(shutil.copytree(tiny_template.root, root)))
    commit = project.run("git", "rev-parse", "HEAD").strip()
    Path(root, HOME).mkdir(parents=True)
    project.dvc("import", ".", PRC, "--rev", "main", "-o", IMPORTED)
    project.calico("configure", "regions.eps=0.6", f"arms.prc-L.lidar={IMPORTED}")
    project.dvc("repro", "--quiet", "start@prc-L")
    project.commit("another world")
    return project, commit


@pytest.fixture
def commit(template: tuple[TinyProject, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of it as the working directory; the commit that the import came from."""
    monkeypatch.chdir(shutil.copytree(template[0].root, tmp_path / "project"))
    return template[1]


def test_the_chain_goes_on_in_the_commit_that_it_came_from(commit: str) -> None:
    link = audit(START, deep=True)
    links = chain(link)
    assert link.ok, {path: one.problems for path, one in links.items() if one.problems}
    assert links[IMPORTED].origin == f"{PRC}@{commit[:7]}"
    beyond = {path for path, one in links.items() if one.commit}
    assert beyond == {
        f"{path}@{commit[:7]}"
        for path in (PRC, "data/regions", "data/index", "data/raw/embedded", "data/raw/embedded/v1.0-embedded")
    }
    assert not audit("data/regions").ok  # here eps is another
    at_head = chain(audit(START, Revision("HEAD")))
    assert at_head.keys() == links.keys()
    assert all(one.ok for one in at_head.values())


def test_damage_and_false_origins_are_named(commit: str) -> None:
    record = Path(f"{IMPORTED}.dvc")
    written = record.read_text()
    weights = Path(IMPORTED, "weights.safetensors")
    content = weights.read_bytes()
    weights.unlink()  # it may be a link into DVC's cache
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    problems = " ".join(audit(IMPORTED).problems)
    assert "file changed: weights.safetensors" in problems
    assert "other/prc.dvc records other bytes" in problems
    weights.write_bytes(content)
    for old, new, said in (
        (commit, "0" * 40, "cannot be audited"),
        (f"path: {PRC}", "path: data/regions", "not the one that was read"),
    ):
        record.write_text(written.replace(old, new))
        found = [problem for one in chain(audit(IMPORTED)).values() for problem in one.problems]
        assert any(said in problem for problem in found), (said, found)
    record.unlink()
    assert "dvc.lock names no such output" in audit(IMPORTED).problems


def test_another_repository_is_named_and_not_followed(commit: str) -> None:
    record = Path(f"{IMPORTED}.dvc")
    record.write_text(record.read_text().replace("url: .", "url: https://example.org/calico"))
    link = audit(IMPORTED)
    assert link.ok and not link.inputs
    assert any("in https://example.org/calico" in note for note in link.notes)


@pytest.mark.parametrize(("old", "new"), [("rev_lock", "rev"), ("path: data", "path: ../data"), ("deps:", "deps: [")])
def test_a_record_without_an_origin_is_refused(old: str, new: str, commit: str) -> None:
    record = Path(f"{IMPORTED}.dvc")
    record.write_text(record.read_text().replace(old, new))
    with pytest.raises(UserError, match="dvc import"):
        read_import(Workspace(), IMPORTED)


def test_a_crate_ends_at_the_import(commit: str, tmp_path: Path) -> None:
    export(open_target(START), tmp_path / "crate")
    entities = {
        one["@id"]: one for one in json.loads((tmp_path / "crate/ro-crate-metadata.json").read_text())["@graph"]
    }
    assert f"imported from {PRC}@{commit[:7]}" in entities[f"{IMPORTED}/"]["description"]
    assert [name for name in entities if name.startswith("#run-")] == ["#run-start@prc-L"]
    assert Path(tmp_path, "crate", IMPORTED, "weights.safetensors").exists()
