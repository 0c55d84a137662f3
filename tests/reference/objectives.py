"""Slow, obvious NumPy twins of the objectives: double loops over the printed equations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ids = NDArray[np.int64]


def plrc_one_way(p: Array, q: Array, region: Ids, temperature: float) -> float:
    """-1/N Σ_{i∈S} 1/|P(i)| Σ_{j∈P(i)} log softmax, anchors in p."""
    rich = [i for i in range(len(p)) if region[i] >= 0]
    total = 0.0
    for i in rich:
        denominator = sum(np.exp(p[i] @ q[k] / temperature) for k in range(len(q)))
        positives = [j for j in rich if region[j] == region[i]]
        total += np.mean([np.log(np.exp(p[i] @ q[j] / temperature) / denominator) for j in positives])
    return -total / len(rich) if rich else 0.0


def rapc_one_way(
    p: Array,
    q: Array,
    region: Ids,
    temperature: float,
    *,
    anchors: str = "all",
    same_region_negatives: str = "masked",
    weights: str = "uniform",
) -> float:
    """-1/(N+M) Σ_i log softmax of the own point against the points of other regions, or with the switches thrown."""
    total = votes = 0.0
    for i in range(len(p)):
        if anchors == "rich" and region[i] < 0:
            continue
        own = np.exp(p[i] @ q[i] / temperature)
        negatives = 0.0
        for k in range(len(q)):
            same = region[k] == region[i] and region[i] >= 0
            if k != i and not (same and same_region_negatives == "masked"):
                negatives += np.exp(p[i] @ q[k] / temperature)
        vote = 1 / np.sum(region == region[i]) if weights == "region" and region[i] >= 0 else 1.0
        total += vote * np.log(own / (own + negatives))
        votes += vote
    return -total / votes if votes else 0.0


def plrc(p: Array, q: Array, region: Ids, temperature: float) -> float:
    return (plrc_one_way(p, q, region, temperature) + plrc_one_way(q, p, region, temperature)) / 2


def rapc(p: Array, q: Array, region: Ids, temperature: float, **switches: str) -> float:
    ways = (rapc_one_way(p, q, region, temperature, **switches), rapc_one_way(q, p, region, temperature, **switches))
    return sum(ways) / 2


def rad(c: Array, teacher: Array, region: Ids, frame: Ids, temperature: float) -> float:
    """Mean over frames of -1/K Σ_s 1/N_s Σ_i log softmax."""
    frames = []
    for f in sorted(set(frame[region >= 0].tolist())):
        of_region = []
        for s in sorted(set(region[(frame == f) & (region >= 0)].tolist())):
            members = [i for i in range(len(c)) if region[i] == s]
            logs = []
            for i in members:
                denominator = sum(np.exp(c[i] @ teacher[k] / temperature) for k in range(len(c)))
                logs.append(np.log(np.exp(c[i] @ teacher[i] / temperature) / denominator))
            of_region.append(np.mean(logs))
        frames.append(np.mean(of_region))
    return -float(np.mean(frames)) if frames else 0.0


def rad_unweighted(c: Array, teacher: Array, region: Ids, temperature: float) -> float:
    """-1/N Σ_{i∈S} log softmax."""
    logs = []
    for i in range(len(c)):
        if region[i] >= 0:
            denominator = sum(np.exp(c[i] @ teacher[k] / temperature) for k in range(len(c)))
            logs.append(np.log(np.exp(c[i] @ teacher[i] / temperature) / denominator))
    return -float(np.mean(logs)) if logs else 0.0


def point_info_nce(p: Array, q: Array, temperature: float) -> float:
    """-1/P Σ_i log softmax of the own point, averaged over both directions."""
    logs = []
    for one, two in ((p, q), (q, p)):
        for i in range(len(one)):
            denominator = sum(np.exp(one[i] @ two[k] / temperature) for k in range(len(two)))
            logs.append(np.log(np.exp(one[i] @ two[i] / temperature) / denominator))
    return -float(np.mean(logs)) if logs else 0.0


def balls(positions: Array, frame: Ids, centres: int, radius: float) -> list[list[int]]:
    """Members of each ball: centres farthest from those before, the first point of a frame first."""
    found = []
    for f in sorted(set(frame.tolist())):
        own = [i for i in range(len(positions)) if frame[i] == f]
        chosen = [own[0]]
        while len(chosen) < min(centres, len(own)):
            nearest = [min(np.linalg.norm(positions[i] - positions[c]) for c in chosen) for i in own]
            chosen.append(own[int(np.argmax(nearest))])
        found += [[i for i in own if np.linalg.norm(positions[i] - positions[c]) <= radius] for c in chosen]
    return found


def proposal_contrast(p: Array, q: Array, members: Sequence[Sequence[int]], temperature: float) -> float:
    """Point InfoNCE between the normalised mean features of the balls."""

    def features(view: Array) -> Array:
        means = [np.mean([view[i] for i in ball], axis=0) for ball in members]
        return np.array([mean / np.linalg.norm(mean) for mean in means])

    return point_info_nce(features(p), features(q), temperature) if members else 0.0


def bev_distill(student: Array, teacher: Array, cells: NDArray[np.bool_]) -> float:
    """Mean squared difference over the channels of the chosen cells of [B, C, S, S] maps."""
    frames, channels, size, _ = student.shape
    errors = []
    for b in range(frames):
        for row in range(size):
            for column in range(size):
                if cells[b, row, column]:
                    errors += [(student[b, c, row, column] - teacher[b, c, row, column]) ** 2 for c in range(channels)]
    return float(np.mean(errors)) if errors else 0.0
