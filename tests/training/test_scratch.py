"""The scratch folder of a run: nothing that could give another result arrives at the same one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.params import Schedule
from pipeline.training.scratch import scratch_folder

SCHEDULE = Schedule(epochs=None, steps=9, batch=4, lr=0.02, weight_decay=0.01, clip=10.0, warmup=0.3)


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """In a project with a stage of two files and an index made from the tables of a dataset."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"stages/train.py": "import pipeline.part\n", "pipeline/part.py": "A = 1\n"}.items():
        Path(name).parent.mkdir()
        Path(name).write_text(text)
    Path("index").mkdir()
    write_card("index", tables="0a")
    return [Path("index")]


def write_card(folder: str, **content: str) -> None:
    (Path(folder) / "card.json").write_text(json.dumps(content))


def test_what_decides_a_result_decides_the_folder(inputs: list[Path]) -> None:
    params = {"schedule": SCHEDULE, "seed": 0, "method": "prc"}
    folders = [scratch_folder("train", params, inputs)]
    assert scratch_folder("train", dict(params), list(inputs)) == folders[0]  # the same again: it is continued

    folders.append(scratch_folder("train", params | {"schedule": replace(SCHEDULE, lr=0.03)}, inputs))
    folders.append(scratch_folder("train", params | {"seed": 1}, inputs))
    folders.append(scratch_folder("train", params | {"method": "rapc"}, inputs))
    folders.append(scratch_folder("train", params, [*inputs, Path("stages")]))
    write_card("index", tables="0b")  # the dataset has other content; its index says so
    folders.append(scratch_folder("train", params, inputs))
    Path("pipeline/part.py").write_text("A = 2\n")
    folders.append(scratch_folder("train", params, inputs))
    assert len(set(folders)) == len(folders) == 7


def test_code_that_the_stage_does_not_import_counts_for_nothing(inputs: list[Path]) -> None:
    before = scratch_folder("train", {}, inputs)
    Path("pipeline/other.py").write_text("B = 1\n")
    assert scratch_folder("train", {}, inputs) == before
