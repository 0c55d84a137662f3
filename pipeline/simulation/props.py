"""Meshes of what stands around and is not annotated: buildings, trees, poles, and clutter that resembles objects."""

from collections.abc import Callable

import numpy as np

from pipeline.simulation.materials import SEMANTIC_MANMADE, SEMANTIC_OTHER, SEMANTIC_VEGETATION
from pipeline.simulation.materials import Material as M
from pipeline.simulation.shapes import Colour, Mesh, ball, block, cone, join, tube

Rng = np.random.Generator
_GREY: Colour = (0.45, 0.46, 0.47)
_WALLS: list[Colour] = [(0.62, 0.52, 0.44), (0.66, 0.64, 0.60), (0.48, 0.34, 0.28), (0.60, 0.62, 0.66)]


def _shade(rng: Rng, base: Colour, spread: float = 0.12) -> Colour:
    red, green, blue = np.clip(np.asarray(base) * (1 + rng.uniform(-spread, spread)), 0, 1)
    return float(red), float(green), float(blue)


def building(rng: Rng, length: float, width: float) -> Mesh:
    """A house of `length` x `width` with a set-back top floor or a pitched roof."""
    wall = _shade(rng, _WALLS[int(rng.integers(len(_WALLS)))])
    height = float(rng.uniform(4, 20))
    parts = [
        block((length, width, height), (0, 0, -1), M.FACADE, wall),
        block((length + 0.5, width + 0.5, 0.35), (0, 0, height - 1), M.CONCRETE, _shade(rng, _GREY)),
    ]
    if height < 9:
        roof = _shade(rng, (0.42, 0.22, 0.17))
        parts.append(block((length + 0.6, width + 0.6, 2.6), (0, 0, height - 0.7), M.CONCRETE, roof, top=(0.9, 0.1)))
    return join(parts)


def tree(rng: Rng) -> Mesh:
    """A trunk under two or three rough crowns; sometimes a conifer."""
    height = float(rng.uniform(4.5, 9))
    green = _shade(rng, (0.20, 0.34, 0.12), 0.35)
    trunk = tube(float(rng.uniform(0.12, 0.25)), height * 0.55, (0, 0, height * 0.27), M.BARK, (0.28, 0.21, 0.15))
    if rng.random() < 0.2:
        return join([trunk, cone(height * 0.22, height * 0.85, (0, 0, height * 0.2), M.FOLIAGE, green)])
    crowns = []
    for _ in range(int(rng.integers(2, 4))):
        wide = height * float(rng.uniform(0.18, 0.28))
        at = (float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5)), height * float(rng.uniform(0.6, 0.85)))
        crowns.append(ball((wide, wide, wide * 0.85), at, M.FOLIAGE, green, rng))
    return join([trunk, *crowns])


def lamp(rng: Rng) -> Mesh:
    """A street lamp whose arm points along x."""
    height = float(rng.uniform(6, 8.5))
    return join(
        [
            tube(0.09, height, (0, 0, height / 2), M.METAL, _GREY),
            block((1.6, 0.12, 0.12), (0.7, 0, height), M.METAL, _GREY),
            block((0.6, 0.25, 0.1), (1.4, 0, height - 0.1), M.PLASTIC, (0.8, 0.8, 0.75)),
        ]
    )


def sign(rng: Rng) -> Mesh:
    """A round or rectangular traffic sign facing -x."""
    colour: Colour = [(0.75, 0.08, 0.08), (0.08, 0.20, 0.60), (0.90, 0.90, 0.90)][int(rng.integers(3))]
    height = float(rng.uniform(2.0, 2.8))
    plate = (
        tube(0.32, 0.04, (-0.05, 0, height), M.REFLECTOR, colour, axis=0)
        if rng.random() < 0.6
        else block((0.04, 0.6, 0.8), (-0.05, 0, height - 0.4), M.REFLECTOR, colour)
    )
    return join([tube(0.04, height, (0, 0, height / 2), M.METAL, _GREY), plate])


def traffic_light(rng: Rng) -> Mesh:
    """A pole with a three-lamp head facing -x."""
    parts = [
        tube(0.07, 3.4, (0, 0, 1.7), M.METAL, (0.25, 0.26, 0.27)),
        block((0.25, 0.35, 0.95), (-0.1, 0, 2.5), M.PLASTIC, (0.06, 0.06, 0.06)),
    ]
    lit = int(rng.integers(3))
    lamps: list[Colour] = [(0.1, 0.8, 0.3), (0.95, 0.7, 0.1), (0.9, 0.1, 0.1)]
    for i, colour in enumerate(lamps):
        shown = colour if i == lit else (0.12, 0.10, 0.08)
        parts.append(tube(0.1, 0.06, (-0.24, 0, 2.65 + 0.3 * i), M.PLASTIC, shown, axis=0))
    return join(parts)


def bush(rng: Rng) -> Mesh:
    """Low and wide, or a column about as tall as a person."""
    tall = rng.random() < 0.45
    radius = float(rng.uniform(0.28, 0.4)) if tall else float(rng.uniform(0.5, 1.1))
    height = float(rng.uniform(1.3, 1.9)) if tall else float(rng.uniform(0.6, 1.2))
    green = _shade(rng, (0.22, 0.36, 0.14), 0.3)
    return ball((radius, radius, height / 2), (0, 0, height / 2), M.FOLIAGE, green, rng)


def hedge(rng: Rng) -> Mesh:
    """A clipped hedge as long as a car, or longer."""
    size = (float(rng.uniform(2.5, 6)), float(rng.uniform(0.7, 1.3)), float(rng.uniform(0.8, 1.5)))
    return block(size, (0, 0, 0), M.FOLIAGE, _shade(rng, (0.20, 0.34, 0.13), 0.3), top=(0.97, 0.85))


def wall(rng: Rng) -> Mesh:
    """A short free-standing wall, about as long as a row of barriers."""
    size = (float(rng.uniform(0.2, 0.4)), float(rng.uniform(1.5, 5)), float(rng.uniform(0.6, 1.2)))
    return block(size, (0, 0, 0), M.CONCRETE, _shade(rng, (0.55, 0.52, 0.48)))


def crate(rng: Rng) -> Mesh:
    """A box, a skip or a container: sizes from a bin's to a van's."""
    grow = float(rng.choice([0.8, 1.2, 2.2, 4.2]))
    size = (grow, float(rng.uniform(0.5, 1.0)) * min(grow, 1.8), float(rng.uniform(0.5, 0.8)) * min(grow, 2.2))
    colour: Colour = (float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.1, 0.5)))
    return block(size, (0, 0, 0), M.METAL, colour, top=(1.0, 1.0) if grow < 2 else (1.06, 1.1))


def bin_(rng: Rng) -> Mesh:
    """A litter bin or a post box."""
    height = float(rng.uniform(0.8, 1.3))
    colour = _shade(rng, [(0.15, 0.32, 0.18), (0.25, 0.27, 0.30), (0.62, 0.10, 0.08)][int(rng.integers(3))])
    return tube(float(rng.uniform(0.22, 0.38)), height, (0, 0, height / 2), M.PLASTIC, colour)


def hydrant(rng: Rng) -> Mesh:
    """About as large as a traffic cone."""
    colour = _shade(rng, (0.75, 0.18, 0.10))
    return join(
        [
            tube(0.14, 0.65, (0, 0, 0.33), M.METAL, colour),
            ball((0.16, 0.16, 0.12), (0, 0, 0.66), M.METAL, colour),
            tube(0.07, 0.45, (0, 0, 0.45), M.METAL, colour, axis=1),
        ]
    )


def bollard(rng: Rng) -> Mesh:
    """A slim post, cone-high."""
    height, radius = float(rng.uniform(0.6, 1.05)), float(rng.uniform(0.07, 0.14))
    return tube(radius, height, (0, 0, height / 2), M.CONCRETE, _shade(rng, _GREY, 0.5))


def statue(rng: Rng) -> Mesh:
    """A figure on a low plinth: nearly a pedestrian, of stone."""
    tone = _shade(rng, (0.50, 0.50, 0.46))
    height = float(rng.uniform(1.5, 1.9))
    return join(
        [
            block((0.7, 0.7, 0.35), (0, 0, 0), M.CONCRETE, tone),
            block((0.36, 0.5, height * 0.8), (0, 0, 0.35), M.CONCRETE, tone, top=(0.8, 0.9)),
            ball((0.13, 0.13, 0.16), (0, 0, 0.3 + height * 0.9), M.CONCRETE, tone),
        ]
    )


def kiosk(rng: Rng) -> Mesh:
    """A stall or bus shelter, van-sized."""
    size = (float(rng.uniform(2.5, 4.5)), float(rng.uniform(1.6, 2.2)), float(rng.uniform(2.2, 2.7)))
    colour: Colour = (float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.2, 0.6)))
    top = block((size[0] + 0.5, size[1] + 0.6, 0.15), (0, 0, size[2]), M.METAL, _GREY)
    return join([block(size, (0, 0, 0), M.PLASTIC, colour), top])


def rack(rng: Rng) -> Mesh:
    """A row of hoops to lock bicycles to."""
    count = int(rng.integers(2, 5))
    parts = []
    for i in range(count):
        parts += [tube(0.03, 0.8, (side, i * 0.8, 0.4), M.METAL, _GREY) for side in (-0.35, 0.35)]
        parts.append(tube(0.03, 0.7, (0, i * 0.8, 0.8), M.METAL, _GREY, axis=0))
    return join(parts).centred()


# kind: (builder, panoptic index, share among the clutter of a pavement)
CLUTTER: dict[str, tuple[Callable[[Rng], Mesh], int, float]] = {
    "bush": (bush, SEMANTIC_VEGETATION, 0.20),
    "hedge": (hedge, SEMANTIC_VEGETATION, 0.09),
    "wall": (wall, SEMANTIC_MANMADE, 0.08),
    "crate": (crate, SEMANTIC_OTHER, 0.14),
    "bin": (bin_, SEMANTIC_OTHER, 0.12),
    "hydrant": (hydrant, SEMANTIC_OTHER, 0.08),
    "bollard": (bollard, SEMANTIC_OTHER, 0.12),
    "statue": (statue, SEMANTIC_OTHER, 0.06),
    "kiosk": (kiosk, SEMANTIC_MANMADE, 0.04),
    "rack": (rack, SEMANTIC_OTHER, 0.07),
}
