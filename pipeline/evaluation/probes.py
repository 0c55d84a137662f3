"""What frozen features tell: classes by a linear probe and by nearest neighbours, and retrieval between two sensors."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

Features = NDArray[np.float32]
Classes = NDArray[np.int64]
NEIGHBOURS = 10
ITERATIONS = 200  # of the linear probe; scores no longer move after about a hundred


@dataclass(frozen=True)
class ProbeSet:
    """Features whose classes are known.

    Attributes:
        features: float32 [N, D].
        classes: int64 [N].
    """

    features: Features
    classes: Classes

    def only(self, classes: Classes) -> "ProbeSet":
        """The rows of the given classes."""
        kept = np.isin(self.classes, classes)
        return ProbeSet(self.features[kept], self.classes[kept])


@dataclass(frozen=True)
class Score:
    """How well classes are told apart.

    Attributes:
        balanced: mean over the classes of the share found.
        accuracy: share of all rows.
        chance: `balanced` of a guess, 1 / classes.
        majority: `accuracy` of always naming the most frequent class of the training rows.
    """

    balanced: float
    accuracy: float
    chance: float
    majority: float


def linear_probe(train: ProbeSet, test: ProbeSet) -> Score | None:
    """Logistic regression on standardised features, every class weighing the same; deterministic.

    Args:
        train: rows to fit.
        test: rows to score; those of classes that `train` lacks are left out, and the other way round.

    Returns:
        None where fewer than two classes are in both.
    """
    return _score(LogisticRegression(C=0.1, max_iter=ITERATIONS, class_weight="balanced"), train, test)


def neighbour_probe(train: ProbeSet, test: ProbeSet, neighbours: int = NEIGHBOURS) -> Score | None:
    """The class of most of the `neighbours` nearest training rows, standardised features; see `linear_probe`."""
    count = min(neighbours, len(train.classes))
    return _score(KNeighborsClassifier(count, algorithm="brute"), train, test) if count else None


def retrieval(queries: Features, keys: Features, groups: Classes) -> tuple[float, float]:
    """How often the key most like a query is of the query's group; row i of both is the same point.

    Args:
        queries: float32 [N, D], rows of length 1, e.g. of a camera.
        keys: float32 [N, D], rows of length 1, e.g. of a LiDAR.
        groups: int64 [N], e.g. the region of each point; all different to ask for the very point.

    Returns:
        The accuracy at rank 1, and that of a key drawn at random; both 0 without any row.
    """
    if len(groups) == 0:
        return 0.0, 0.0
    nearest = (queries @ keys.T).argmax(1)
    _, sizes = np.unique(groups, return_counts=True)
    return float((groups[nearest] == groups).mean()), float(((sizes / len(groups)) ** 2).sum())


def join(sets: Sequence[ProbeSet]) -> ProbeSet:
    """The rows of all of them, in order."""
    return ProbeSet(np.concatenate([s.features for s in sets]), np.concatenate([s.classes for s in sets]))


def _score(model: LogisticRegression | KNeighborsClassifier, train: ProbeSet, test: ProbeSet) -> Score | None:
    common = np.intersect1d(train.classes, test.classes)
    if len(common) < 2:
        return None
    train, test = train.only(common), test.only(common)
    mean, deviation = train.features.mean(0), train.features.std(0)
    scale = np.where(deviation > 0, deviation, 1)
    # With one thread, sums do not depend on the machine, and many small steps do not wait for each other's cores.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is the definition of the probe
        model.fit((train.features - mean) / scale, train.classes)
        found = model.predict((test.features - mean) / scale)
    names, counts = np.unique(train.classes, return_counts=True)
    return Score(
        balanced=float(balanced_accuracy_score(test.classes, found)),
        accuracy=float((found == test.classes).mean()),
        chance=1 / len(common),
        majority=float((test.classes == names[counts.argmax()]).mean()),
    )
