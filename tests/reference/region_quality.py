"""Slow, obvious twin of the quality of regions."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.region_quality import Quality
from pipeline.evaluation.region_truth import Truth


def count_frame(points: Any, ids: Any, counts: Mapping[str, int], truth: Truth) -> Quality:
    """What `measure_frame` says, point by point and region by region."""
    regions = {
        int(region): [row for row in range(len(ids)) if ids[row] == region] for region in set(ids) if region >= 0
    }
    places = [math.hypot(float(x), float(y)) for x, y in points[:, :2]]
    bins = [_bin(place) if math.isfinite(place) else None for place in places]
    found: dict[str, Any] = {
        "frames": 1,
        "counts": Counter(counts),
        "frame_sizes": Counter([len(regions)]),
        "sizes": Counter(len(bin(len(rows))) - 3 for rows in regions.values()),  # highest bit
        "region_bins": Counter(_bin(math.hypot(*_mean(points, rows))) for rows in regions.values()),
        "point_bins": Counter(number for number in bins if number is not None),
        "rich_bins": Counter(number for number, region in zip(bins, ids, strict=True) if region >= 0),
        "objects": Counter(),
    }
    found |= dict.fromkeys(("bystanders", "pieced", "pieces", "overlap", "union"), 0)
    held = Counter[int]()
    for thing in truth.objects:
        inside = [int(row) for row in thing.members]
        if len(inside) < 5:
            found["bystanders"] += 1
            continue
        outcome = judge(ids[inside])
        found["objects"][thing.category, _bin(thing.distance), outcome] += 1
        if outcome in ("recalled", "split"):
            parts = [len(set(inside) & set(rows)) for rows in regions.values()]
            found["pieced"] += 1
            found["pieces"] += sum(part >= 3 and 10 * part >= len(inside) for part in parts)
        if outcome == "recalled":
            region, rows = max(regions.items(), key=lambda item: len(set(inside) & set(item[1])))
            held[region] += 1
            found["overlap"] += len(set(inside) & set(rows))
            found["union"] += len(set(inside) | set(rows))
    found |= {"holding": len(held), "merging": sum(number >= 2 for number in held.values())}
    if truth.classes is not None:
        found["labelled_frames"] = 1
        pure, labelled, shares = _purity(regions, truth.classes, truth.classes)
        found |= {"pure": pure, "labelled": labelled, "purity_regions": len(shares)}
        found["purity_steps"] = sum(round(share * 10_000) for share in shares)
        if truth.instances is not None:
            found["instance_pure"], found["instance_labelled"], _ = _purity(regions, truth.instances, truth.classes)
        if truth.ground is not None:
            kinds = Counter(
                (bool(ids[row] == -2), bool(truth.ground[of_it]))
                for row, of_it in enumerate(truth.classes)
                if of_it != 0
            )
            found |= {"ground_hits": kinds[True, True], "ground_false": kinds[True, False]}
            found["ground_missed"] = kinds[False, True]
    return Quality(**found)


def judge(ids: Any) -> str:
    """What became of an object whose points have these ids."""
    values = [int(value) for value in ids]
    if any(2 * values.count(region) > len(values) for region in set(values) if region >= 0):
        return "recalled"
    fates = ["split" if value >= 0 else {-3: "rejected", -2: "ground", -1: "noise"}[value] for value in values]
    return max(("rejected", "ground", "noise", "split"), key=fates.count)  # the first of equally many


def _purity(regions: dict[int, list[int]], values: Any, classes: Any) -> tuple[int, int, list[float]]:
    pure, labelled, shares = 0, 0, []
    for rows in regions.values():
        known = [int(values[row]) for row in rows if classes[row] != 0]
        if known:
            most = Counter(known).most_common(1)[0][1]
            pure, labelled = pure + most, labelled + len(known)
            shares.append(most / len(known))
    return pure, labelled, shares


def _mean(points: Any, rows: list[int]) -> tuple[float, float]:
    return (
        sum(float(points[row, 0]) for row in rows) / len(rows),
        sum(float(points[row, 1]) for row in rows) / len(rows),
    )


def _bin(metres: float) -> int:
    return min(int(metres / 10), 10)
