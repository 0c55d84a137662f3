"""docs/quickstart.md says the truth: what no other test runs of it runs here, in order, on a whole project."""

import pytest

from tests.markdown import ROOT, Page
from tests.tiny_project import TinyProject

PAGE = Page(ROOT / "docs" / "quickstart.md")
START = ("git clone", "cd calico", "make repro", "source .venv", "dvc status")  # the project has not run all stages
# Run in tests/contracts/test_dvc_hygiene.py, tests/test_auditing_doc.py and tests of `calico view`.
ELSEWHERE = (
    "dvc exp show",
    "dvc metrics diff",
    "dvc exp run -n again",
    "calico ls",
    "calico lineage",
    "calico view",
    "calico audit data/results",
)
RED = "calico audit data/checkpoints/pretrain_lidar/prc"


def run(project: TinyProject, words: list[str]) -> str:
    line = " ".join(words)
    if words[0] == "calico":
        # Exit code 1 says that what was compared or audited differs, as the page does.
        return project.calico(*words[1:], good=words[1] != "diff" and line != RED)
    if words[0] == "dvc":  # a checkout of all asks for what never ran
        return project.dvc(*words[1:], *(["regions", "region_quality"] if line == "dvc checkout" else []))
    return project.run(*words)


@pytest.fixture
def said(tiny_project: TinyProject) -> dict[str, str]:
    """What every command of the page prints, in the order of the page."""
    lines = [w for w in PAGE.commands() if not " ".join(w).startswith(START + ELSEWHERE)]
    assert len(lines) >= 6
    return {" ".join(words): run(tiny_project, words) for words in lines}


def test_the_story_holds(said: dict[str, str]) -> None:
    ran = said["dvc exp run -n narrow -S regions.eps=0.6 region_quality"]
    assert "Running stage 'regions'" in ran and "Running stage 'prepare'" not in ran
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
