"""The audit on a whole project: an edit of anything upstream is found and named, in the workspace and at a revision."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.artifacts.audit import Link, audit
from pipeline.artifacts.lock import parse_yaml
from pipeline.artifacts.view import Revision, open_target
from pipeline.errors import UserError
from tests.tiny_project import CELL, PRC, TinyProject

RESULTS = "data/results/prc-L"


def problems(link: Link) -> dict[str, list[str]]:
    """Problems by the path of the link."""
    found = {link.path: list(link.problems)} if link.problems else {}
    for source in link.inputs:
        for path, more in problems(source).items():
            known = found.setdefault(path, [])
            known += [problem for problem in more if problem not in known]
    return found


def paths(link: Link) -> set[str]:
    return {link.path}.union(*(paths(source) for source in link.inputs))


def replace(file: str, old: str, new: str) -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new, 1))


def flip(file: str) -> None:
    content = bytearray(Path(file).read_bytes())
    content[len(content) // 2] ^= 1
    Path(file).unlink()  # it may be a link into DVC's cache
    Path(file).write_bytes(bytes(content))


def test_a_number_of_the_results_leads_to_the_raw_frames(tiny_project: TinyProject) -> None:
    link = audit(f"{RESULTS}/metrics.json", deep=True)
    assert problems(link) == {}
    assert link.notes == []
    assert paths(link) == {
        RESULTS, CELL, "data/checkpoints/start/prc-L", "conf/weights/random.yaml", PRC, "data/regions", "data/labels",
        "data/index", "data/raw/embedded/v1.0-embedded", "data/raw/embedded",
    }  # fmt: skip
    assert link.stage == "evaluate@prc-L"


@pytest.mark.parametrize(
    ("file", "deep"),
    [
        (f"{PRC}/weights.safetensors", False),
        (f"{CELL}/weights.safetensors", False),
        ("data/checkpoints/start/prc-L/card.json", False),
        ("data/labels/boxes.feather", False),
        ("data/index/frames*", False),
        ("data/regions/manifest.json", False),
        ("data/regions/ids.zarr/c/1/0", True),
        ("data/raw/embedded/v1.0-embedded/sample.json", False),
        ("data/raw/embedded/samples/LIDAR_TOP/*0*", True),
    ],
)
def test_one_flipped_byte_upstream_is_named(file: str, deep: bool, tiny_project: TinyProject) -> None:
    path = next(iter(sorted(Path().glob(file)))).as_posix()
    flip(path)
    found = problems(audit(RESULTS, deep=deep))
    homes = [home for home in found if path.startswith(f"{home}/")]
    told = " ".join(problem for home in homes for problem in found[home])
    assert Path(path).name in told or (path.endswith("card.json") and "seal" in told + str(found))
    if deep:
        assert audit(RESULTS).ok  # this is what --deep is for


@pytest.mark.parametrize(
    ("key", "old", "new", "home"),
    [
        ("regions.eps", "  eps: 0.75", "  eps: 0.8", "data/regions"),
        ("finetune.map_steps", "map_steps: 2", "map_steps: 3", CELL),
        ("simulate.seed", "seed: 7", "seed: 8", "data/raw/embedded"),
        ("frames.sweeps", "sweeps: 0", "sweeps: 1", PRC),
        ("prepare.map_resolution", "map_resolution: 1.0", "map_resolution: 0.5", "data/index"),
    ],
)
def test_an_edited_param_is_named_where_it_counts(
    key: str, old: str, new: str, home: str, tiny_project: TinyProject
) -> None:
    replace("params.yaml", old, new)
    link = audit(RESULTS)
    found = problems(link)
    assert any(f"params.yaml changed since: {key} " in problem for problem in found[home])
    assert "params.yaml" in str(link.notes)  # not committed


def test_an_edited_source_file_is_named_where_dvc_watches_it(tiny_project: TinyProject) -> None:
    replace("pipeline/regions/filters.py", '"""', '"""x')
    replace("pipeline/regions/__init__.py", '"""', '"""x')
    found = problems(audit(RESULTS))
    assert found == {"data/regions": ["code changed since: pipeline/regions/filters.py"]}
    link = audit("data/regions")
    assert any("does not watch changed since: pipeline/regions/__init__.py" in note for note in link.notes)


def test_a_swapped_checkpoint_is_named_by_who_read_it(tiny_project: TinyProject) -> None:
    """Another run's checkpoint, whole in itself; the forger edits dvc.lock to fit as well."""
    shutil.rmtree(PRC)
    shutil.copytree("data/checkpoints/finetune/scratch-L/map-1.0-0", PRC)
    found = problems(audit(RESULTS))[PRC]
    assert any("not the one that was read" in problem for problem in found)
    assert any("dvc.lock records" in problem for problem in found)
    assert any("a command that is not that of" in problem for problem in found)


def entry(stage: str, path: str, key: str) -> Callable[[str], str]:
    """Edits one value of a path below a stage of dvc.lock."""

    def edit(text: str) -> str:
        start = text.index(f"\n  {stage}:\n")
        place = text.index(f"{key}: ", text.index(f"path: {path}\n", start)) + len(f"{key}: ")
        return text[:place] + {"0": "1"}.get(text[place], "0") + text[place + 1 :]

    return edit


@pytest.mark.parametrize(
    ("stage", "path", "key", "home", "said"),
    [
        ("regions", "data/regions", "md5", "data/regions", "other bytes of data/regions"),
        ("regions", "data/regions", "size", "data/regions", "bytes of data/regions"),
        ("regions", "data/index", "md5", "data/regions", "read another data/index than prepare wrote"),
        ("prepare", "data/raw/embedded/v1.0-embedded", "md5", "data/index", "of data/raw/embedded/v1.0-embedded"),
        ("pretrain_lidar@prc", "pipeline/objectives/prc.py", "md5", PRC, "of pipeline/objectives/prc.py"),
        ("simulate@embedded", "data/raw/embedded", "nfiles", "data/raw/embedded", "files of data/raw/embedded"),
        ("evaluate@prc-L", "data/checkpoints/finetune/prc-L", "md5", RESULTS, "of data/checkpoints/finetune/prc-L"),
    ],
)
def test_an_edited_lock_is_named(
    stage: str, path: str, key: str, home: str, said: str, tiny_project: TinyProject
) -> None:
    lock = Path("dvc.lock")
    lock.write_text(entry(stage, path, key)(lock.read_text()))
    found = problems(audit(RESULTS, deep=True))
    assert any("dvc.lock" in problem and said in problem for problem in found[home]), found


@pytest.mark.parametrize(
    ("stage", "old", "new", "home", "said"),
    [
        ("regions", "eps: 0.75", "eps: 0.8", "data/regions", "records regions.eps 0.8, the card 0.75"),
        (
            "regions",
            "outs:\n    - path: data/regions",
            "outs:\n    - path: data/other",
            "data/regions",
            "no such output",
        ),
        ("finetune@prc-L-map-1.0-0", "map_steps: 2", "map_steps: 3", CELL, "changed since: finetune.map_steps 3 -> 2"),
        ("pretrain_lidar@prc", "lidar prc", "lidar plrc", PRC, "a command that is not that of"),
        ("pretrain_lidar@prc", "objectives/prc.py", "objectives/rad.py", PRC, "lacks a dependency"),
    ],
)
def test_an_edited_record_of_the_lock_is_named(
    stage: str, old: str, new: str, home: str, said: str, tiny_project: TinyProject
) -> None:
    text = Path("dvc.lock").read_text()
    start = text.index(f"\n  {stage}:\n")
    assert old in text[start:]
    Path("dvc.lock").write_text(text[:start] + text[start:].replace(old, new, 1))
    found = problems(audit(RESULTS))
    assert any(said in problem for problem in found[home]), found


def test_a_revision_is_audited_without_a_checkout(tiny_project: TinyProject) -> None:
    """All outputs are gone and params.yaml is edited: git and DVC's cache have it all; damage in the cache is seen."""
    weights = Path(PRC, "weights.safetensors").read_bytes()
    shutil.rmtree("data")
    replace("params.yaml", "  eps: 0.75", "  eps: 0.8")
    target = open_target(f"{RESULTS}@HEAD")
    link = audit(target.path, target.view, deep=True)
    assert problems(link) == {}
    assert len(paths(link)) == 10
    assert not Path("data").exists()
    digest = hashlib.md5(weights).hexdigest()
    flip(f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}")
    assert "file changed: weights.safetensors" in problems(audit(RESULTS, Revision("HEAD")))[PRC]
    Path(f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}").unlink()
    assert "not at hand" in problems(audit(RESULTS, Revision("HEAD")))[PRC][0]


def test_no_such_revision(tiny_project: TinyProject) -> None:
    with pytest.raises(UserError, match="revision cannot be read"):
        open_target("data/regions@nowhere")
    with pytest.raises(UserError, match="no such artifact"):
        audit("data/nothing", Revision("HEAD"))


def test_a_revision_whose_listing_is_gone(tiny_project: TinyProject) -> None:
    """As in a fresh clone that fetched nothing: DVC knows the folder and not what is in it."""
    locked = parse_yaml(Path("dvc.lock").read_bytes())["stages"]["evaluate@prc-L"]["outs"][0]["md5"]
    Path(f".dvc/cache/files/md5/{locked[:2]}/{locked[2:]}").unlink()
    with pytest.raises(UserError, match="no such artifact") as refused:
        audit(RESULTS, Revision("HEAD"))
    assert "dvc fetch" in refused.value.remedy
