"""Principal components as colours: signs, ranges and shares by hand; the checkpoints are tested with their stages."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.reporting.figures.embedding import EmbeddingMap, explained, paint, principal_components
from pipeline.reporting.figures.embedding_figure import draw_embeddings

SIZE, CHANNELS = 20, 5


def rows() -> NDArray[np.float32]:
    """Three directions of falling variance and a little of the other two."""
    spread = np.array([3.0, 0.2, 2.0, 0.1, 1.0], np.float32)
    random = np.random.default_rng(0).normal(size=(SIZE * SIZE, CHANNELS))
    return np.asarray(random * spread + 7, np.float32)


ALL = np.ones(SIZE * SIZE, np.bool_)


def test_components_are_the_directions_of_largest_variance_with_positive_signs() -> None:
    found = principal_components(rows(), ALL)
    assert np.abs(found.directions).argmax(axis=0).tolist() == [0, 2, 4]
    assert (found.directions[[0, 2, 4], [0, 1, 2]] > 0.9).all()
    turned = principal_components(14 - rows(), ALL)  # mirrored at their mean: the same directions, not their negatives
    assert np.allclose(np.abs(found.directions), np.abs(turned.directions), atol=1e-3)
    assert (turned.directions[[0, 2, 4], [0, 1, 2]] > 0.9).all()
    values = np.var(rows(), axis=0)
    assert explained(rows(), found) == pytest.approx(values[[0, 2, 4]].sum() / values.sum(), abs=0.02)


def test_colours_follow_the_components() -> None:
    data = rows()
    image = paint(data, principal_components(data, ALL))
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.float32
    assert image.min() == 0 and image.max() == 1
    red = image.reshape(-1, 3)[:, 0]
    assert np.corrcoef(red, data[:, 0])[0, 1] > 0.95
    assert image[3, 4, 0] == red[3 * SIZE + 4]


def test_empty_cells_shape_nothing() -> None:
    data, held = rows(), np.arange(SIZE * SIZE) < 200
    data[~held] = 1000
    found = principal_components(data, held)
    assert np.allclose(found.mean, data[:200].mean(axis=0))
    assert (found.high < 10).all()


def test_a_frame_with_hardly_a_point_still_has_colours() -> None:
    data = rows()
    for count in (1, 2):
        held = np.arange(SIZE * SIZE) < count
        image = paint(data, principal_components(data, held))
        assert np.isfinite(image).all() and np.isfinite(explained(data[held], principal_components(data, held)))


def test_the_figure_shows_the_maps_with_y_upwards() -> None:
    colours = np.zeros((SIZE, SIZE, 3), np.float32)
    colours[-1] = 1  # the last row has the largest y
    figure = draw_embeddings(
        np.zeros((1, 3), np.float32), np.zeros((0, 9), np.float32), [EmbeddingMap("net", colours, 0.5)], 8.0
    )
    _, shown = figure.axes
    assert shown.get_title() == "net\n50 % of the variance shown"
    (image,) = shown.images
    assert image.origin == "lower" and tuple(image.get_extent()) == (-8, 8, -8, 8)
    assert np.array_equal(np.asarray(image.get_array()), colours)


def test_an_untrained_network_stands_beside_the_trained_one() -> None:
    maps = [EmbeddingMap(f"net {number}", np.zeros((SIZE, SIZE, 3), np.float32), 0.5) for number in range(6)]
    figure = draw_embeddings(np.zeros((1, 3), np.float32), np.zeros((0, 9), np.float32), maps, 8.0)
    places = {axis.get_title().split("\n")[0]: axis.get_position() for axis in figure.axes if axis.axison}
    assert len(places) == 1 + len(maps)
    for number in range(0, 6, 2):
        one, two = places[f"net {number}"], places[f"net {number + 1}"]
        assert one.y0 == pytest.approx(two.y0) and one.x1 < two.x0
