"""Segments the same frames under several params and measures each: what the grid and the benchmark share."""

from collections.abc import Sequence

from pipeline.engine import run_units
from pipeline.errors import UserError
from pipeline.evaluation.region_quality import Quality, add_up, measure_frame
from pipeline.evaluation.region_truth import Case
from pipeline.params import Regions, Runtime
from pipeline.regions.segmentation import segment

FRAMES_PER_UNIT = 4  # small, so that the progress bar moves


def compare_cells(
    cells: Sequence[Regions], cases: Sequence[Case], runtime: Runtime, title: str = "regions"
) -> list[Quality]:
    """The quality of every one of `cells` over all frames; each frame and its truth are read once.

    Raises:
        UserError: a frame or its truth cannot be read or segmented.
    """
    firsts = range(0, len(cases), FRAMES_PER_UNIT)
    units = [(tuple(cells), tuple(cases[first : first + FRAMES_PER_UNIT])) for first in firsts]
    parts = run_units(measure_cells, units, title=title, runtime=runtime)
    return [add_up(of_cell) for of_cell in zip(*parts, strict=True)] if parts else [Quality() for _ in cells]


def measure_cells(cells: tuple[Regions, ...], cases: tuple[Case, ...]) -> list[Quality]:
    """One unit: the quality of every cell over a few frames."""
    found = [Quality() for _ in cells]
    for case in cases:
        points = case.read_points()
        truth = case.read_truth(points)
        for number, params in enumerate(cells):
            try:
                result = segment(points, params)
            except ValueError as error:
                raise UserError(
                    f"the sweep cannot be segmented: {error}",
                    where=str(case.path),
                    remedy="mend or leave out this file",
                ) from None
            found[number] += measure_frame(points, result.ids, result.counts, truth)
    return found
