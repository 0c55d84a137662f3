"""Names of places on the page, so that every number can link to what stands behind it."""

import re


def anchor(*parts: object) -> str:
    """A name of a place, from words: letters, digits, `.`, `+` and `-`; safe in an attribute and behind a #."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", "-".join(map(str, parts))).strip("-")


def arm_anchor(arm: str) -> str:
    """The block that tells how the row of an arm was made."""
    return anchor("arm", arm)


def trial_anchor(arm: str, task: str, fraction: float) -> str:
    """The first of the cells that a mean over seeds was taken of."""
    return anchor("cell", arm, task, fraction)


def artifact_anchor(path: str) -> str:
    """The row of an artifact in the table below the graph."""
    return anchor("artifact", path)
