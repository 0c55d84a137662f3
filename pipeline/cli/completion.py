"""What the shell offers behind Tab: arms, artifacts, corruptions. Reads file names and params.yaml, imports no room."""

from pathlib import Path

DEPTH = 4  # of folders below a room: checkpoints/finetune/ARM/CELL


def complete_arm(incomplete: str) -> list[str]:
    """Arms of params.yaml; none where it cannot be read."""
    import yaml

    try:
        arms = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["finetune"]["arms"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return []
    return [str(arm) for arm in arms if str(arm).startswith(incomplete)]


def complete_artifact(incomplete: str) -> list[str]:
    """Folders of data/ (raw data apart, which may be huge) and reports/ that hold a card."""
    rooms = [folder for folder in Path("data").glob("*/") if folder.name != "raw"]
    cards = [
        card
        for room in [*rooms, Path("reports")]
        for depth in range(DEPTH)
        for card in room.glob("*/" * depth + "card.json")
    ]
    return sorted(card.parent.as_posix() for card in cards if card.parent.as_posix().startswith(incomplete))


def complete_corruption(incomplete: str) -> list[str]:
    """TYPE:SEVERITY of every corruption."""
    from pipeline.robustness.corruption import SEVERITIES
    from pipeline.viewing.conditions import FAMILY

    return [f"{name}:{level}" for name in FAMILY for level in SEVERITIES if f"{name}:{level}".startswith(incomplete)]
