"""The sums of `Quality` as shares: the numbers of metrics.json and the rows of the tables beside it."""

from collections import Counter
from typing import Any

from pipeline.evaluation.region_quality import (
    BIN_METRES,
    LAST_BIN,
    OUTCOMES,
    PURITY_STEPS,
    RECALLED,
    Quality,
)
from pipeline.regions.counts import REASONS

GROUPS = ("car", "pedestrian", "barrier", "other")
Rows = list[dict[str, Any]]


def object_group(category: str) -> str:
    """One of `GROUPS` for a category of nuScenes, e.g. vehicle.car."""
    if category.startswith("vehicle") and "car" in category.split("."):
        return "car"
    return next((group for group in ("pedestrian", "barrier") if group in category), "other")


def headline(quality: Quality) -> dict[str, Any]:
    """The numbers that presets are compared by; None where nothing tells them."""
    groups = recall_by_group(quality)
    return {
        "frames": quality.frames,
        "recall": groups["all"]["recall"],
        **{f"recall_{group}": groups[group]["recall"] for group in GROUPS},
        "purity": share(quality.pure, quality.labelled),
        "regions_a_frame": share(quality.counts["kept"], quality.frames),
        "share_rich": share(quality.counts["rich"], quality.counts["points"]),
    }


def metrics(quality: Quality) -> dict[str, Any]:
    """All numbers, nested; the group `headline` sorts first.

    *purity* pools the labelled points of all regions, *mean_over_regions* weighs every region the same, *instance*
    asks for class and object. *over_segmentation* is the mean number of pieces of an object, *under_segmentation* the
    share of regions that hold more than half of each of two or more objects, *overlap* the intersection over union of
    recalled objects and their regions, in points. Of the missed objects, *missed* says what most of their points are.
    """
    groups, counts = recall_by_group(quality), quality.counts
    return {
        "headline": headline(quality),
        "labelled_ground": {
            "precision": share(quality.ground_hits, quality.ground_hits + quality.ground_false),
            "recall": share(quality.ground_hits, quality.ground_hits + quality.ground_missed),
            "iou": share(quality.ground_hits, quality.ground_hits + quality.ground_false + quality.ground_missed),
        },
        "missed": {outcome: groups["all"][outcome] for outcome in OUTCOMES if outcome != RECALLED},
        "objects": {name: row["objects"] for name, row in groups.items()} | {"too_few_points": quality.bystanders},
        "points": {
            kind: share(counts[kind], counts["points"]) for kind in ("rich", "ground", "noise", "rejected")
        },
        "purity": {
            "pooled": share(quality.pure, quality.labelled),
            "mean_over_regions": share(quality.purity_steps, quality.purity_regions * PURITY_STEPS),
            "instance": share(quality.instance_pure, quality.instance_labelled),
            "labelled_frames": quality.labelled_frames,
        },
        "recalled": {name: row["recalled"] for name, row in groups.items()},
        "regions": {
            "kept": counts["kept"],
            "clusters": counts["clusters"],
            **{f"rejected_{reason}": counts[reason] for reason in REASONS},
        },
        "segmentation": {
            "over_segmentation": share(quality.pieces, quality.pieced),
            "under_segmentation": share(quality.merging, counts["kept"]),
            "merging_of_holding": share(quality.merging, quality.holding),
            "overlap": share(quality.overlap, quality.union),
        },
    }  # fmt: skip


def recall_by_group(quality: Quality) -> dict[str, dict[str, Any]]:
    """`all` and every one of `GROUPS`: objects, recall and how many came out how (`OUTCOMES`)."""
    sums: dict[str, Counter[str]] = {name: Counter() for name in ("all", *GROUPS)}
    for (category, _, outcome), number in quality.objects.items():
        sums["all"][outcome] += number
        sums[object_group(category)][outcome] += number
    return {name: _outcome_row(of_it) for name, of_it in sums.items()}


def recall_rows(quality: Quality) -> Rows:
    """A row for all objects, each group and each category: class, objects, recall, outcomes."""
    sums: dict[str, Counter[str]] = {}
    for (category, _, outcome), number in sorted(quality.objects.items()):
        sums.setdefault(category, Counter())[outcome] += number
    groups = {f"({name})" if name != "all" else name: row for name, row in recall_by_group(quality).items()}
    categories = {name: _outcome_row(of_it) for name, of_it in sums.items()}
    return [{"class": name, **row} for name, row in (groups | categories).items() if row["objects"]]


def recall_distance_rows(quality: Quality) -> Rows:
    """A row for every distance bin with objects: lower bound in metres, then recall of all and of each group."""
    bins = sorted({number for _, number, _ in quality.objects})
    rows = []
    for number in bins:
        here = Quality(objects=Counter({key: n for key, n in quality.objects.items() if key[1] == number}))
        groups = recall_by_group(here)
        recalls = {name: row["recall"] for name, row in groups.items()}
        rows.append({"distance": number * BIN_METRES, "objects": groups["all"]["objects"], **recalls})
    return rows


def frame_rows(quality: Quality) -> Rows:
    """Frames by their number of regions, from the fewest to the most."""
    if not quality.frame_sizes:
        return []
    numbers = range(min(quality.frame_sizes), max(quality.frame_sizes) + 1)
    return [{"regions": number, "frames": quality.frame_sizes[number]} for number in numbers]


def size_rows(quality: Quality) -> Rows:
    """Regions by size: lower bound in points (a power of two), its range as text, how many a frame."""
    last = max(quality.sizes, default=-1)
    return [
        {
            "points": 2**power,
            "range": f"{2**power}-{2 ** (power + 1) - 1}",
            "regions": quality.sizes[power],
            "a_frame": share(quality.sizes[power], quality.frames),
        }
        for power in range(last + 1)
    ]


def distance_rows(quality: Quality) -> Rows:
    """By distance bin: lower bound in metres, regions, points, share of them in regions; the last bin is open."""
    last = max(quality.point_bins, default=-1)
    return [
        {
            "distance": number * BIN_METRES,
            "range": f"{number * BIN_METRES}-{(number + 1) * BIN_METRES}" if number < LAST_BIN else "beyond",
            "regions": quality.region_bins[number],
            "points": quality.point_bins[number],
            "share_rich": share(quality.rich_bins[number], quality.point_bins[number]),
        }
        for number in range(last + 1)
    ]


def reason_rows(quality: Quality) -> Rows:
    """Why clusters are no regions: reason, clusters, share of all clusters; a cluster may have several reasons."""
    clusters = quality.counts["clusters"]
    return [
        {"reason": reason, "clusters": quality.counts[reason], "share": share(quality.counts[reason], clusters)}
        for reason in REASONS
    ]


def share(part: int, whole: int) -> float | None:
    """part / whole; None of nothing."""
    return part / whole if whole else None


def _outcome_row(outcomes: Counter[str]) -> dict[str, Any]:
    total = outcomes.total()
    counted = {outcome: outcomes[outcome] for outcome in OUTCOMES}
    return {"objects": total, "recall": share(outcomes[RECALLED], total), **counted}
