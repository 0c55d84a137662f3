"""DVC stage: how good the regions are, against annotated boxes and, where there are some, labelled points.

Nothing that trains depends on it: labels are read here only to judge.
"""

from pathlib import Path

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.record import spread
from pipeline.evaluation.region_audit import audit_store, write_quality
from pipeline.evaluation.region_scores import headline
from pipeline.evaluation.region_truth import Case, collect_cases
from pipeline.frames.index import FrameIndex
from pipeline.params import Params, Runtime, load_params, load_runtime
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures.picture import save_figure
from pipeline.reporting.figures.region_objects import draw_objects
from pipeline.reporting.figures.regions import draw_regions
from pipeline.throughput import measured
from pipeline.work import region_quality_work

INDEX, REGIONS, OUT = Path("data/index"), Path("data/regions"), Path("data/region_quality")


def main() -> None:
    """Publishes data/region_quality: metrics.json, tables for `dvc plots` and figures of a few frames."""
    params, runtime = load_params(), load_runtime()
    with measured(region_quality_work(params, runtime), OUT, processes=runtime.workers) as work:
        work.units = judge(params, runtime)


def judge(params: Params, runtime: Runtime) -> int:
    """Judges and publishes; returns the number of frames."""
    own, root = params.region_quality, Path(params.dataset.root)
    index = FrameIndex.open(INDEX, root)
    store = RegionStore.open(REGIONS.absolute(), params.regions)
    positions = [position for position in range(len(index)) if position not in store.bad_frames]
    cases = collect_cases(index, params.dataset, own.point_labels, positions)
    quality = audit_store(store, cases, positions, runtime)
    with publish(OUT) as draft:
        write_quality(draft, quality, len(index) - len(positions))
        for position, case in spread(list(zip(positions, cases, strict=True)), own.figures):
            draw_frame(store, position, case, draft, index[position].token[:8])
        write_card(
            draft,
            kind="region quality",
            stage="region_quality",
            params={"dataset.version": params.dataset.version, "regions": params.regions, "region_quality": own},
            inputs=[INDEX, REGIONS, root / params.dataset.version],
            labelled=[index[position].token for position in positions],
            metrics=headline(quality),
        )
    shown = {name: "-" if value is None else f"{value:.4g}" for name, value in headline(quality).items()}
    print("region quality: " + ", ".join(f"{name} {value}" for name, value in shown.items()))
    return len(positions)


def draw_frame(store: RegionStore, position: int, case: Case, out: Path, name: str) -> None:
    """Two figures of a frame: its regions, and its annotated objects as recalled or missed."""
    points = case.read_points()
    ids = store.read(position, len(points))
    save_figure(draw_regions(points, ids), out / f"regions-{name}.png")
    save_figure(draw_objects(points, ids, case.boxes), out / f"objects-{name}.png")


if __name__ == "__main__":
    with user_errors():
        main()
