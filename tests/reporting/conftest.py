"""A small project in which every stage before `report` seems to have run, made once for all tests of the room."""

import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from pipeline.reporting.findings import Findings
from pipeline.reporting.page.report import Report
from tests.reporting.small_report import small_report, write_artifacts


@pytest.fixture(scope="session")
def report_template(region_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests must not write into it: they take `report_project`."""
    project = Path(shutil.copytree(region_template, tmp_path_factory.mktemp("report") / "project"))
    with chdir(project):
        write_artifacts()
    return project


@pytest.fixture
def report_project(report_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    project = Path(shutil.copytree(report_template, tmp_path / "project"))
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="session")
def small(report_template: Path) -> tuple[Findings, Report]:
    """What is found in it, and the report."""
    with chdir(report_template):
        return small_report()
