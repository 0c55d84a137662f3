"""What a value has to fulfil; the strict loader turns a ValueError into an error that names the key."""


def require(valid: bool, problem: str) -> None:
    """Raises ValueError(problem) unless `valid`."""
    if not valid:
        raise ValueError(problem)


def positive(group: object, *names: str) -> None:
    """Every named attribute is above 0."""
    for name in names:
        require(getattr(group, name) > 0, f"{name} must be above 0, not {getattr(group, name)}")


def ascending(bounds: list[float], name: str) -> None:
    """Two bounds above 0, the lower one first."""
    require(len(bounds) == 2 and 0 < bounds[0] <= bounds[1], f"{name} is [lowest, highest] above 0, not {bounds}")


def fractions(shares: list[float]) -> None:
    """Every share is above 0 and at most 1."""
    require(all(0 < share <= 1 for share in shares), f"fractions must lie in (0, 1], not {shares}")
