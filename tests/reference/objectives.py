"""Slow, obvious NumPy twins of the objectives: double loops over the printed equations."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def plrc_one_way(p: Array, q: Array, region: NDArray[np.int64], temperature: float) -> float:
    """-1/N Σ_{i∈S} 1/|P(i)| Σ_{j∈P(i)} log softmax, anchors in p."""
    rich = [i for i in range(len(p)) if region[i] >= 0]
    total = 0.0
    for i in rich:
        denominator = sum(np.exp(p[i] @ q[k] / temperature) for k in range(len(q)))
        positives = [j for j in rich if region[j] == region[i]]
        total += np.mean([np.log(np.exp(p[i] @ q[j] / temperature) / denominator) for j in positives])
    return -total / len(rich) if rich else 0.0


def rapc_one_way(p: Array, q: Array, region: NDArray[np.int64], temperature: float) -> float:
    """-1/(N+M) Σ_i log softmax of the own point against the points of other regions."""
    total = 0.0
    for i in range(len(p)):
        own = np.exp(p[i] @ q[i] / temperature)
        negatives = sum(
            np.exp(p[i] @ q[k] / temperature)
            for k in range(len(q))
            if k != i and not (region[k] == region[i] and region[i] >= 0)
        )
        total += np.log(own / (own + negatives))
    return -total / len(p)


def plrc(p: Array, q: Array, region: NDArray[np.int64], temperature: float) -> float:
    return (plrc_one_way(p, q, region, temperature) + plrc_one_way(q, p, region, temperature)) / 2


def rapc(p: Array, q: Array, region: NDArray[np.int64], temperature: float) -> float:
    return (rapc_one_way(p, q, region, temperature) + rapc_one_way(q, p, region, temperature)) / 2


def rad(c: Array, teacher: Array, region: NDArray[np.int64], frame: NDArray[np.int64], temperature: float) -> float:
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
