"""Which params and runtime settings decide what a unit of each stage's work costs: the keys of throughput notes.

A unit is a frame that passes through once: one of `simulate`, `prepare`, `regions` and `region_quality`, one of a batch
of a training, one that one model predicts in `evaluate` or under one condition of `stress`.
"""

from pipeline.params import Params, Runtime, Schedule
from pipeline.throughput import work_key


def simulate_work(params: Params, runtime: Runtime) -> str:
    """Ray casting and rendering: everything but the number of scenes."""
    own = params.simulate
    sizes = (own.lidar.beams, own.azimuth_steps, own.image_width, own.image_height)
    return work_key("simulate", {"sizes": sizes, "workers": runtime.workers})


def prepare_work(params: Params) -> str:
    """Tables, and map rasters of this resolution."""
    return work_key("prepare", {"map_resolution": params.prepare.map_resolution})


def regions_work(params: Params, runtime: Runtime) -> str:
    """Ground, clusters, filters."""
    return work_key("regions", {"regions": params.regions, "workers": runtime.workers})


def region_quality_work(params: Params, runtime: Runtime) -> str:
    """Counts of points in boxes."""
    return work_key("region_quality", {"labels": params.region_quality.point_labels, "workers": runtime.workers})


def pretrain_lidar_work(params: Params, runtime: Runtime) -> str:
    """A frame of a PRC step: two views."""
    own = params.pretrain_lidar
    return work_key("pretrain_lidar", _training(params, runtime, own.schedule) | {"points": (own.rich, own.less)})


def distill_camera_work(params: Params, runtime: Runtime) -> str:
    """A frame of a RAD step: teacher and student."""
    own = params.distill_camera
    return work_key("distill_camera", _training(params, runtime, own.schedule) | {"points": (own.rich, own.less)})


def finetune_work(params: Params, runtime: Runtime, modality: str, task: str) -> str:
    """A frame of a fine-tuning step."""
    schedule = params.finetune.schedule_of(task)
    return work_key("finetune", _training(params, runtime, schedule) | {"modality": modality, "task": task})


def evaluate_work(params: Params, runtime: Runtime, modality: str) -> str:
    """A frame through one model, its share of loading and scoring included."""
    return work_key("evaluate", _networks(params, runtime, params.evaluate.batch) | {"modality": modality})


def stress_work(params: Params, runtime: Runtime, modality: str, family: str) -> str:
    """A frame through one model under one condition, its share of loading, disturbing and scoring included."""
    steps = params.stress.pgd.steps if family == "pgd" else None
    processes = (runtime.workers, runtime.devices)
    decisive = {"modality": modality, "family": family, "steps": steps, "processes": processes}
    return work_key("stress", _networks(params, runtime, params.evaluate.batch) | decisive)


def _networks(params: Params, runtime: Runtime, batch: int) -> dict[str, object]:
    machine = (runtime.device, runtime.threads, runtime.loader_threads, runtime.compile)
    return {"networks": params.networks, "frames": params.frames, "batch": batch, "machine": machine}


def _training(params: Params, runtime: Runtime, schedule: Schedule) -> dict[str, object]:
    passes = (schedule.micro_batch, schedule.gather, schedule.precision, runtime.devices, runtime.nodes)
    return _networks(params, runtime, schedule.batch) | {"passes": passes}
