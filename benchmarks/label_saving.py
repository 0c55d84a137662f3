"""Does pre-training save labels, against a scratch model that was tuned?

    dvc repro regions                                                    # the world that the study runs on
    python -m benchmarks.label_saving benchmarks/label_saving.yaml --out FOLDER --workers 2
    python -m benchmarks.label_saving benchmarks/label_saving.yaml --out FOLDER --table docs/results

A study is a file of `pretrain` (name -> changes of params.yaml; `random` is the network without pre-training) and
`cells`: grids over start, labelled scenes, learning rate, steps, factor on the rate of pre-trained tensors, and seed.
Every cell fine-tunes the LiDAR detector and is scored by the devkit on two splits of the validation scenes: `tune`
(every third scene), by which settings are chosen, and `test` (the others), which is reported. A cell's labelled scenes
are every k-th one from an offset that its seed gives, the same in every arm; so differences are paired by seed.

Finished cells stay in FOLDER as JSON, and a run makes only what is missing; it may be killed at any time.
"""

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from pipeline.artifacts.checkpoint import load_weights, save_weights
from pipeline.evaluation.detection import build_submission
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.predict import predict_boxes
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.networks.model import BevModel
from pipeline.params import Params, Runtime
from pipeline.regions.store import RegionStore
from pipeline.strict_yaml import build_model, read_yaml
from pipeline.training.device import place
from pipeline.training.finetune import finetune
from pipeline.training.loop import Run
from pipeline.training.pretrain_lidar import pretrain_lidar

SCRATCH = "random"  # the start without pre-training
RUNTIME = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=120.0)


@dataclass(frozen=True)
class Cell:
    """One fine-tuning: where it starts, what it may see, how it trains."""

    start: str  # a name under `pretrain`, or "random"
    scenes: int  # with labels
    lr: float
    steps: int
    factor: float  # on the learning rate of pre-trained tensors
    seed: int

    @property
    def name(self) -> str:
        """Also the name of its file."""
        return f"{self.start}-{self.scenes}-{self.lr:g}-{self.steps}-{self.factor:g}-{self.seed}"


@dataclass(frozen=True)
class Pretraining:
    """One pre-training: changes of params.yaml under a name, and a seed."""

    start: str
    seed: int

    @property
    def name(self) -> str:
        """Also the name of its folder."""
        return f"pretrained-{self.start}-{self.seed}"


def read_study(path: Path) -> tuple[dict[str, dict[str, Any]], list[Cell]]:
    """(changes by name of a pre-training, cells without repetition) of a study file."""
    study = yaml.safe_load(path.read_text())
    fields = [field.name for field in dataclasses.fields(Cell)]
    cells: dict[Cell, None] = {}
    for grid in study["cells"]:
        axes = [grid[name] if isinstance(grid[name], list) else [grid[name]] for name in fields]
        cells |= dict.fromkeys(Cell(*values) for values in itertools.product(*axes))
    return study["pretrain"], list(cells)


def changed(params: object, changes: Mapping[str, Any]) -> Params:
    """params.yaml with some values replaced by dotted key."""
    values = json.loads(json.dumps(params))
    for key, value in changes.items():
        *path, last = key.split(".")
        place_of = values
        for part in path:
            place_of = place_of[part]
        place_of[last] = value
    return build_model(Params, values, "params.yaml")


class Study:
    """What the cells share: the world, its splits and the folder of results."""

    def __init__(self, path: Path, out: Path) -> None:
        self.pretrain, self.cells = read_study(path)
        self.out = out
        self.base = read_yaml(Path("params.yaml"))
        self.params = changed(self.base, {})

    def tasks(self) -> list[Pretraining | Cell]:
        """Everything that is missing, in the order of the file; a pre-training goes before what needs it."""
        wanted: dict[Pretraining | Cell, None] = {}
        for cell in self.cells:
            if cell.start != SCRATCH:
                wanted[Pretraining(cell.start, cell.seed)] = None
            wanted[cell] = None
        return [task for task in wanted if not self.result_of(task).exists()]

    def open_tasks(self) -> Iterator[Pretraining | Cell]:
        """Of `tasks`, those that no other process holds and that wait for no pre-training."""
        for task in self.tasks():
            waits = isinstance(task, Cell) and task.start != SCRATCH
            if waits and not self.result_of(Pretraining(task.start, task.seed)).exists():
                continue
            if not _held(self.out / f"{task.name}.claim"):
                yield task

    def result_of(self, task: Pretraining | Cell) -> Path:
        return self.out / (f"{task.name}.json" if isinstance(task, Cell) else task.name)

    def make(self, task: Pretraining | Cell) -> None:
        """Makes one result, unless another process holds it."""
        claim = self.out / f"{task.name}.claim"
        if self.result_of(task).exists() or not _claimed(claim):
            return
        began = time.monotonic()
        scratch = self.out / "scratch" / task.name
        if isinstance(task, Cell):
            result = dataclasses.asdict(task) | self.score(task, self.finetune(task, scratch))
            draft = claim.with_suffix(".draft")
            draft.write_text(json.dumps(result | {"seconds": round(time.monotonic() - began)}, indent=1) + "\n")
        else:
            draft = scratch / "published"
            weights = self.pretrained(task, scratch)
            draft.mkdir(parents=True)
            save_weights(draft, weights)
        draft.rename(self.result_of(task))
        shutil.rmtree(scratch, ignore_errors=True)
        claim.unlink()
        print(f"{task.name}: {time.monotonic() - began:.0f} s", flush=True)

    def pretrained(self, task: Pretraining, scratch: Path) -> dict[str, Tensor]:
        changes = dict(self.pretrain[task.start])
        params = changed(self.base, changes)
        index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
        regions = RegionStore.open(Path("data/regions"), params.regions)
        own = params.pretrain_lidar
        loader = FrameLoader(index, params.frames, params.networks.grid, regions=regions, augmentation=own.augmentation)
        run = Run(task.name, index.split(params.dataset.pretrain_split), own.schedule, task.seed, scratch)
        return pretrain_lidar(loader, run, params.networks, own, RUNTIME)[0]

    def finetune(self, cell: Cell, scratch: Path) -> dict[str, Tensor]:
        params = self.params
        index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
        labels = Labels.open(Path("data/labels"))
        scenes = index.split_scenes(params.dataset.train_split)
        stride = len(scenes) // cell.scenes
        labelled = set(sorted(scenes)[cell.seed * 7 % stride :: stride][: cell.scenes])
        positions = [i for i in index.split(params.dataset.train_split) if index.scenes[i] in labelled]
        loader = FrameLoader(
            index, params.frames, params.networks.grid, labels=labels, augmentation=params.finetune.augmentation
        )
        start = {}
        if cell.start != SCRATCH:
            weights = load_weights(self.result_of(Pretraining(cell.start, cell.seed)))
            start = {name: value for name, value in weights.items() if name.startswith("lidar.")}
        schedule = dataclasses.replace(params.finetune.schedule, epochs=None, steps=cell.steps, lr=cell.lr)
        run = Run(cell.name, positions, schedule, cell.seed, scratch)
        return finetune(
            loader, run, start, params.networks, params.frames, "L", "detection", RUNTIME, pretrained_lr=cell.factor
        )[0]

    def score(self, cell: Cell, weights: dict[str, Tensor]) -> dict[str, Any]:
        params = self.params
        device = place(RUNTIME, 0)
        model = BevModel(params.networks, params.frames, "L", "detection")
        model.load_state_dict(weights)
        index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
        loader = FrameLoader(index, params.frames, params.networks.grid)
        scores = {}
        for split in ("study_tune", "study_test"):
            dataset = dataclasses.replace(params.dataset, val_split=split)
            scratch = self.out / "scratch" / f"{cell.name}-{split}"
            scorer = DevkitScorer(dataset, params.evaluate, scratch)
            positions = [i for i, scene in enumerate(index.scenes) if scene in study_splits(index, params)[split]]
            boxes = predict_boxes({"cell": model.eval()}, loader, positions, 4, device)["cell"]
            found = scorer.score(build_submission([index[i] for i in positions], boxes, camera=False))
            scores[split.removeprefix("study_")] = {name: found[name] for name in ("mAP", "NDS", "AP")}
            shutil.rmtree(scratch)
        return scores


def study_splits(index: FrameIndex, params: Params) -> dict[str, list[str]]:
    """The validation scenes, every third for tuning and the others for the report."""
    scenes = sorted(index.split_scenes(params.dataset.val_split))
    return {
        "study_tune": scenes[::3],
        "study_test": [scene for number, scene in enumerate(scenes) if number % 3],
    }


def name_splits(params: Params) -> None:
    """Adds the study's splits to splits.json of the simulated world, where the devkit looks for names."""
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    path = Path(params.dataset.root, params.dataset.version, "splits.json")
    known = json.loads(path.read_bytes())
    if (wanted := known | study_splits(index, params)) != known:
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(wanted))
        draft.replace(path)


def _claimed(claim: Path) -> bool:
    """Takes a task for this process; False where a living process has it."""
    try:
        with claim.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        holder = claim.read_text()
        if not holder or Path("/proc", holder).exists():
            return False
        claim.write_text(str(os.getpid()))
    return True


def work(path: Path, out: Path) -> None:
    """Makes what is missing; reads the study anew before every task, so that it may grow while it runs."""
    place(RUNTIME, 0)
    while (study := Study(path, out)).tasks():
        task = next(study.open_tasks(), None)
        if task:
            study.make(task)
        else:
            time.sleep(2)


def _held(claim: Path) -> bool:
    try:
        return Path("/proc", claim.read_text() or "0").exists()
    except FileNotFoundError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished cells")
    parser.add_argument("--workers", type=int, default=1, help="processes, one CPU thread each")
    parsed = parser.parse_args()
    parsed.out.mkdir(parents=True, exist_ok=True)
    name_splits(Study(parsed.study, parsed.out).params)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(parsed.study, parsed.out)) for _ in range(parsed.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
