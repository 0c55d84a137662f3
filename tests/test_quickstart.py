"""docs/quickstart.md says the truth: its commands run, in order, on a whole project."""

import pytest

from tests.markdown import ROOT, Page
from tests.tiny_project import TinyProject

PAGE = Page(ROOT / "docs" / "quickstart.md")
START = ("git clone", "cd calico", "make repro", "source .venv", "dvc status")  # the project has not run all stages
ARM = {"data/results/calico": "data/results/prc-L"}  # the project has no cameras
# Run in tests/contracts/test_dvc_hygiene.py, tests/test_auditing_doc.py and tests of `calico view`.
ELSEWHERE = (
    "dvc exp show",
    "dvc metrics diff",
    "calico ls",
    "calico lineage",
    "calico audit data/results/calico --json",
)
RED = "calico audit data/checkpoints/pretrain_lidar/prc"


def run(project: TinyProject, words: list[str]) -> str:
    line = " ".join(words)
    if words[0] == "calico":
        # Exit code 1 says that what was compared or audited differs, as the page does.
        return project.calico(*(ARM.get(word, word) for word in words[1:]), good=words[1] != "diff" and line != RED)
    if words[0] == "dvc":  # a checkout of all asks for what never ran
        return project.dvc(*words[1:], *(["regions", "region_quality"] if line == "dvc checkout" else []))
    return project.run(*words)


@pytest.fixture
def said(tiny_project: TinyProject) -> dict[str, str]:
    """What every command of the page prints, in the order of the page."""
    lines = [w for w in PAGE.commands() if not " ".join(w).startswith(START + ELSEWHERE) and "--json" not in w]
    assert len(lines) >= 7
    return {" ".join(words): run(tiny_project, words) for words in lines}


def test_the_story_holds(said: dict[str, str]) -> None:
    assert "every link fits" in said["calico audit data/results/calico"]
    first, again = (said[f"dvc exp run -n {name} -S regions.eps=0.6 region_quality"] for name in ("narrow", "again"))
    assert "Running stage 'regions'" in first and "Running stage 'prepare'" not in first
    assert "Stage 'regions' is cached - skipping run" in again and "Running stage" not in again
    why = said["calico diff HEAD narrow"]
    assert "regions.eps" in why and "they differ for one reason" in why
    assert "params.yaml changed since: regions.eps 0.75 -> 0.6" in said[RED]
    assert "every link fits" in said["calico audit data/regions@narrow"]


def test_what_the_page_shows_is_said_by_the_programs() -> None:
    """Phrases of its own in the outputs stand in the sources."""
    sources = "".join(path.read_text() for path in (ROOT / "pipeline").rglob("*.py"))
    shown = "\n".join(block.text for block in PAGE.code("text"))
    told = ("every link fits", "not the one that was read: ", "something does not fit", "they differ for one reason")
    assert [words for words in told if words not in shown or words not in sources] == []
