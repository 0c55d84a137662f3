"""The sections of the report, in their order: what was found, put where a reader looks for it."""

from collections.abc import Sequence

from pipeline.reporting.findings import Findings
from pipeline.reporting.page.report import Group, Section
from pipeline.reporting.tables.paper import ROBUSTNESS
from pipeline.reporting.tables.table import Table

# Heading of a group of figures -> the section that it stands in. Others get a section of their own.
PLACES = {
    "Probes": "Pre-training",
    "Training curves": "Pre-training",
    "Embeddings": "Pre-training",
    "Detections in the images": "Cameras",
    "Projection": "Cameras",
    "Map segmentation": "Maps",
}
NO_SCORES = "The split that was scored has no labels: there are submissions in data/results, and no numbers."
LINEAGE = (
    "The chain of artifacts behind this page, inputs above. Green: made without any label. Blue: labels came in here "
    "or before; their number is that of labelled frames which the stage itself read. Red: not the artifact that its "
    "reader saw. A box leads to its row below or to the block of its arm. An arrow is left out where a longer way "
    "leads there."
)
REPRODUCE = (
    "Every row of the tables, with its single seeds. The commands are those of this workspace; they do nothing where "
    "nothing is stale. `dvc repro --force STAGE` runs one again all the same, `dvc repro report` makes this page."
)


def arrange(found: Findings, figures: Sequence[Group]) -> list[Section]:
    """The sections that hold something; figures stand in the section of their heading."""
    folded = [*_some(found.comparison), *found.results, *found.classes]
    robust = found.robustness + found.attacks
    sections = [
        Section("Overview", tables=[found.overview]),
        Section("Results", "" if found.headline else NO_SCORES, _some(found.headline, found.paper), folded),
        Section("Label ledger", tables=_some(found.labels)),
        Section("Low-label curves"),
        Section("Robustness", ROBUSTNESS if robust else "", robust[:1] + found.attacks, found.robustness[1:]),
        Section("Pre-training", tables=found.pretraining),
        Section("Regions", tables=_some(found.regions)),
        Section("Detections"),
        Section("Cameras"),
        Section("Maps"),
        Section("Lineage", LINEAGE, tables=[found.artifacts], drawing=found.lineage),
        Section("How to reproduce each row", REPRODUCE, blocks=found.blocks),
    ]
    known = {section.title: section for section in sections}
    strange = []
    for heading, pictures in figures:
        section = known.get(PLACES.get(heading, heading))
        if section is None:
            section = known[heading] = Section(heading)
            strange.append(section)
        section.groups.append((heading, pictures))
    return [section for section in [*sections[:-2], *strange, *sections[-2:]] if section or section.text]


def _some(*tables: Table | None) -> list[Table]:
    return [table for table in tables if table]
