"""Every figure of the report, under the heading that it stands below."""

from pathlib import Path

from pipeline.evaluation.record import name_cell
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Params
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures.arm_styles import arm_styles
from pipeline.reporting.figures.gallery import (
    choose_camera_arm,
    choose_frames,
    draw_detection_figures,
    draw_embedding_figures,
    draw_map_figures,
    draw_overlay_figures,
    draw_projection_figures,
    draw_region_figures,
)
from pipeline.reporting.figures.low_label import draw_low_label
from pipeline.reporting.figures.probes import draw_probes
from pipeline.reporting.figures.robustness import draw_robustness
from pipeline.reporting.figures.training_curves import draw_finetunings, draw_pretrainings
from pipeline.reporting.findings import CHECKPOINTS, INDEX, LABELS, REGIONS, RESULTS, Findings
from pipeline.reporting.page.report import Group


def fine_tuned(params: Params) -> dict[str, dict[str, list[Path]]]:
    """Trial -> arm -> the fine-tuned checkpoints of all seeds."""
    own, root = params.finetune, CHECKPOINTS / "finetune"
    return {
        trial: {arm: [root / arm / f"{trial}-{seed}" for seed in own.seeds] for arm in own.arms} for trial in own.trials
    }


def draw_figures(params: Params, found: Findings, out: Path) -> list[Group]:
    """All figures; of frames, a few of validation, by the models of the largest label fraction and the first seed."""
    index = FrameIndex.open(INDEX, Path(params.dataset.root))
    positions = choose_frames(index, params.dataset.val_split, params.report.figures)
    own, tuned = params.finetune, fine_tuned(params)
    styles = arm_styles(own.arms)
    cells = {
        task: {arm: RESULTS / arm / name_cell(task, max(fractions), own.seeds[0]) for arm in own.arms}
        for task in ("detection", "map")
        if (fractions := own.fractions(task))
    }
    labels, reach = Labels.open(LABELS), params.networks.grid.reach
    groups = [
        ("Low-label curves", draw_low_label(found.values, styles, out)),
        ("Robustness", draw_robustness(found.robust, styles, out)),
        ("Training curves", draw_pretrainings(found.pretrained, out) + draw_finetunings(tuned, styles, out)),
        ("Probes", draw_probes(found.probed, out)),
        draw_embedding_figures(params, index, positions[:1], labels, found.pretrained, out),
        draw_projection_figures(index, positions, labels, out),
        draw_region_figures(index, positions, RegionStore.open(REGIONS, params.regions), params.regions, out),
    ]
    if "detection" in cells:
        groups.append(draw_detection_figures(index, positions, labels, cells["detection"], reach, out))
        if arm := choose_camera_arm(found.values, [arm for arm in own.arms if "C" in params.arms[arm].modality]):
            groups.append(draw_overlay_figures(index, positions, labels, arm, cells["detection"][arm], out))
    if "map" in cells:
        groups.append(draw_map_figures(index, positions, cells["map"], params.networks.heads.map_reach, out))
    return [(title, pictures) for title, pictures in groups if pictures]
