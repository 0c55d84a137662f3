"""DVC stage: what a distilled camera branch has learned, step by step. Labels judge only; no training reads it."""

import sys
from pathlib import Path

from pipeline.artifacts.card import write_card
from pipeline.artifacts.checkpoint import load_snapshots, load_weights
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.probe_camera import probe_camera
from pipeline.evaluation.probe_frames import ProbeSource
from pipeline.evaluation.probe_record import headline, write_probes
from pipeline.frames.index import FrameIndex
from pipeline.params import load_params, load_runtime
from pipeline.regions.store import RegionStore
from pipeline.training.device import device_class, place

INDEX, REGIONS = Path("data/index"), Path("data/regions")


def main(method: str) -> None:
    """Publishes data/probes/distill_camera/<method>: probe.csv, metrics.json."""
    params, runtime = load_params(), load_runtime()
    own, root = params.distill_camera, Path(params.dataset.root)
    checkpoint = Path("data/checkpoints/distill_camera", method)
    teacher = Path("data/checkpoints/pretrain_lidar", own.teacher)
    index = FrameIndex.open(INDEX, root)
    source = ProbeSource.open(index, RegionStore.open(REGIONS.absolute(), params.regions), params, cameras=True)
    device = place(runtime, own.seed)
    scores = probe_camera(load_snapshots(checkpoint), load_weights(teacher), source, params.networks, own, device)
    with publish(Path("data/probes/distill_camera", method)) as draft:
        write_probes(draft, scores)
        write_card(
            draft,
            kind="probe",
            stage="probe_camera",
            params={
                "dataset.version": params.dataset.version,
                "dataset.train_split": params.dataset.train_split,
                "dataset.val_split": params.dataset.val_split,
                "frames": params.frames,
                "networks": params.networks,
                "distill_camera": own,
                "probe": params.probe,
                "region_quality.point_labels": params.region_quality.point_labels,
            },
            inputs=[INDEX, REGIONS, checkpoint, teacher, root / params.dataset.version],
            seeds=[own.seed],
            labelled=[index[position].token for position in source.train + source.test],
            metrics=headline(scores),
            device=device_class(runtime),
        )


if __name__ == "__main__":
    with user_errors():
        main(sys.argv[1])
