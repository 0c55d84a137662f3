"""Meshes of the ten detection classes; x forward, y left, standing on z = 0, bounding box centred on the origin."""

from collections.abc import Callable

import numpy as np

from pipeline.simulation.materials import Material as M
from pipeline.simulation.shapes import Colour, Mesh, ball, block, cone, join, tube

Rng = np.random.Generator

_PAINTS: list[Colour] = [
    (0.85, 0.85, 0.86), (0.10, 0.10, 0.11), (0.45, 0.46, 0.48), (0.62, 0.63, 0.65), (0.60, 0.08, 0.08),
    (0.10, 0.20, 0.48), (0.18, 0.30, 0.22), (0.55, 0.46, 0.33), (0.85, 0.55, 0.08),
]  # fmt: skip
_BLACK: Colour = (0.07, 0.07, 0.08)
_PANE: Colour = (0.12, 0.15, 0.18)
_ORANGE: Colour = (0.95, 0.36, 0.08)
_YELLOW: Colour = (0.90, 0.66, 0.10)
_WHITE: Colour = (0.90, 0.90, 0.90)


def _paint(rng: Rng) -> Colour:
    return _PAINTS[int(rng.integers(len(_PAINTS)))]


def _cloth(rng: Rng) -> Colour:
    red, green, blue = rng.uniform(0.05, 0.75, 3)
    return float(red), float(green), float(blue)


def _wheels(length: float, width: float, radius: float, axles: tuple[float, ...]) -> list[Mesh]:
    return [
        tube(radius, 0.24, (share * length, side * (width / 2 - 0.13), radius), M.RUBBER, _BLACK, axis=1)
        for share in axles
        for side in (-1, 1)
    ]


def _lights(length: float, width: float, height: float) -> list[Mesh]:
    parts = []
    for side in (-1, 1):
        y = side * width * 0.36
        parts.append(block((0.06, 0.3, 0.14), (length / 2 - 0.04, y, height), M.REFLECTOR, (0.95, 0.93, 0.85)))
        parts.append(block((0.06, 0.3, 0.16), (-length / 2 + 0.04, y, height), M.REFLECTOR, (0.70, 0.05, 0.05)))
    return parts


def car(rng: Rng) -> Mesh:
    """Saloon, hatchback, SUV or van."""
    kind = int(rng.choice(4, p=[0.35, 0.3, 0.25, 0.1]))
    length = float(rng.uniform(*[(4.4, 4.95), (3.7, 4.3), (4.4, 4.9), (4.6, 5.2)][kind]))
    width = float(rng.uniform(1.72, 1.98))
    height = float(rng.uniform(*[(1.38, 1.5), (1.42, 1.58), (1.62, 1.85), (1.85, 2.15)][kind]))
    waist = height * (0.62 if kind < 3 else 0.55)
    cabin, back = [(0.56, -0.06), (0.66, -0.12), (0.68, -0.10), (0.80, -0.08)][kind]
    colour = _paint(rng)
    at = back * length
    parts = [
        block((length, width, waist - 0.22), (0, 0, 0.22), M.BODY, colour, top=(0.96, 0.95)),
        block((cabin * length, width * 0.93, height - waist - 0.04), (at, 0, waist), M.GLASS, _PANE, (0.74, 0.82)),
        block((cabin * length * 0.76, width * 0.78, 0.04), (at, 0, height - 0.04), M.BODY, colour),
        *_wheels(length, width, 0.32, (-0.30, 0.31)),
        *_lights(length, width, waist * 0.66),
    ]
    return join(parts).centred()


def truck(rng: Rng) -> Mesh:
    """Cab in front of a closed box or an open bed; sometimes a pick-up."""
    colour = _paint(rng)
    if rng.random() < 0.3:
        length, width, height = float(rng.uniform(5.2, 5.9)), 1.95, float(rng.uniform(1.8, 2.0))
        parts = [
            block((length, width, 0.55), (0, 0, 0.4), M.BODY, colour),
            block((length * 0.36, width * 0.95, height - 0.95), (length * 0.1, 0, 0.95), M.GLASS, _PANE, (0.8, 0.85)),
            block((length * 0.28, width * 0.8, 0.05), (length * 0.1, 0, height - 0.05), M.BODY, colour),
            block((length * 0.4, 0.08, 0.3), (-length * 0.29, width / 2 - 0.05, 0.95), M.BODY, colour),
            block((length * 0.4, 0.08, 0.3), (-length * 0.29, 0.05 - width / 2, 0.95), M.BODY, colour),
        ]
        return join([*parts, *_wheels(length, width, 0.40, (-0.3, 0.32)), *_lights(length, width, 0.7)]).centred()
    length, width, height = float(rng.uniform(6.5, 9.5)), float(rng.uniform(2.2, 2.5)), float(rng.uniform(2.7, 3.5))
    front = length / 2
    parts = [
        block((1.7, width, 1.0), (front - 0.85, 0, 0.5), M.BODY, colour),
        block((1.6, width, height * 0.78 - 1.5), (front - 0.9, 0, 1.5), M.GLASS, _PANE, (0.85, 0.92), shift=-0.1),
        block((length - 2, width * 0.5, 0.3), (-0.9, 0, 0.6), M.METAL, _BLACK),
    ]
    if rng.random() < 0.7:
        parts.append(block((length - 2, width, height - 0.9), (-0.95, 0, 0.9), M.BODY, _paint(rng)))
    else:
        parts.append(block((length - 2, width, 0.2), (-0.95, 0, 0.9), M.METAL, (0.35, 0.3, 0.25)))
        parts.append(block((0.15, width, height - 0.9), (front - 2.1, 0, 0.9), M.METAL, (0.4, 0.4, 0.4)))
        parts.append(block((length * 0.4, width * 0.7, 0.9), (-length * 0.2, 0, 1.1), M.CONCRETE, (0.5, 0.42, 0.33)))
    return join([*parts, *_wheels(length, width, 0.48, (-0.36, -0.24, 0.36)), *_lights(length, width, 0.8)]).centred()


def bus(rng: Rng) -> Mesh:
    """A city bus: one long body with a band of windows."""
    length, width, height = float(rng.uniform(10.0, 12.3)), 2.75, float(rng.uniform(3.1, 3.6))
    colour = _paint(rng)
    parts = [
        block((length, width, 1.0), (0, 0, 0.3), M.BODY, colour),
        block((length * 0.995, width * 0.98, 1.1), (0, 0, 1.3), M.GLASS, _PANE),
        block((length, width, height - 2.4), (0, 0, 2.4), M.BODY, _WHITE if rng.random() < 0.5 else colour),
    ]
    posts = np.linspace(-0.45, 0.45, 7) * length
    parts += [block((0.18, width, 1.1), (float(x), 0, 1.3), M.BODY, colour) for x in posts]
    return join([*parts, *_wheels(length, width, 0.5, (-0.27, 0.33)), *_lights(length, width, 0.7)]).centred()


def trailer(rng: Rng) -> Mesh:
    """A long closed box or a flat bed with load, on rear axles, with a landing leg and no cab."""
    length, width, height = float(rng.uniform(9.0, 12.5)), float(rng.uniform(2.3, 2.6)), float(rng.uniform(3.3, 4.0))
    parts = [
        block((length, width * 0.5, 0.3), (0, 0, 0.95), M.METAL, (0.2, 0.2, 0.22)),
        block((0.2, width * 0.6, 0.95), (length * 0.28, 0, 0), M.METAL, (0.3, 0.3, 0.3)),
    ]
    if rng.random() < 0.6:
        parts.append(block((length, width, height - 1.25), (0, 0, 1.25), M.BODY, _paint(rng)))
    else:
        parts.append(block((length, width, 0.15), (0, 0, 1.25), M.METAL, (0.4, 0.33, 0.25)))
        for x in (-0.3, 0.02, 0.3):
            load = (length * 0.24, width * 0.8, float(rng.uniform(0.6, height - 1.5)))
            parts.append(block(load, (x * length, 0, 1.4), M.CONCRETE, _cloth(rng)))
    return join([*parts, *_wheels(length, width, 0.48, (-0.42, -0.31, -0.2))]).centred()


def construction_vehicle(rng: Rng) -> Mesh:
    """An excavator: tracks, turned house, boom, arm and bucket; or a wheel loader."""
    reach = float(rng.uniform(0.85, 1.1))
    if rng.random() < 0.6:
        parts = [block((3.4, 0.55, 0.8), (0, side * 0.95, 0), M.METAL, _BLACK, top=(0.85, 1)) for side in (-1, 1)]
        parts += [
            block((2.9, 2.3, 0.9), (-0.4, 0, 0.9), M.BODY, _YELLOW),
            block((1.3, 1.0, 1.1), (0.3, 0.6, 1.8), M.GLASS, _PANE, top=(0.9, 0.9)),
            block((0.5, 0.4, 2.2), (1.0, -0.3, 1.3), M.BODY, _YELLOW, shift=1.3 * reach),
            block((0.45, 0.35, 2.1), (3.6 * reach, -0.3, 1.3), M.BODY, _YELLOW, shift=-1.3 * reach),
            block((0.9, 1.0, 0.8), (3.7 * reach, -0.3, 0.5), M.METAL, (0.25, 0.25, 0.25), top=(0.6, 1)),
        ]
    else:
        parts = [
            block((3.2, 1.6, 1.1), (-0.9, 0, 0.7), M.BODY, _YELLOW),
            block((1.3, 1.4, 1.4), (-0.3, 0, 1.8), M.GLASS, _PANE, top=(0.85, 0.85)),
            block((2.0, 0.5, 0.4), (1.6, 0, 0.9), M.BODY, _YELLOW, shift=0.6),
            block((0.9, 2.6, 0.9), (3.0 * reach, 0, 0.25), M.METAL, (0.25, 0.25, 0.25), top=(0.6, 1)),
            *[tube(0.72, 0.5, (x, y, 0.72), M.RUBBER, _BLACK, 1) for x in (-1.8, 1.0) for y in (-0.95, 0.95)],
        ]
    return join(parts).centred()


def _person(rng: Rng, height: float, stride: float, at: tuple[float, float, float] = (0, 0, 0)) -> list[Mesh]:
    x, y, z = at
    coat, trousers = _cloth(rng), _cloth(rng)
    leg, torso = 0.47 * height, 0.36 * height
    broad = float(rng.uniform(0.40, 0.52))
    parts = [
        block((0.16, 0.15, leg), (x + side * stride, y + side * 0.1, z), M.CLOTH, trousers, shift=-side * stride)
        for side in (-1, 1)
    ]
    parts.append(block((0.26, broad, torso), (x, y, z + leg), M.CLOTH, coat, top=(0.9, 1.08)))
    for side in (-1, 1):
        arm = (x - side * stride * 0.8, y + side * (broad / 2 + 0.05), z + leg)
        parts.append(block((0.11, 0.10, torso), arm, M.CLOTH, coat, shift=side * stride * 0.8))
    parts.append(ball((0.11, 0.10, 0.13), (x, y, z + height - 0.13), M.CLOTH, (0.70, 0.52, 0.42)))
    return parts


def pedestrian(rng: Rng) -> Mesh:
    """An adult or a child, mid-stride or standing, perhaps with a bag."""
    height = float(rng.uniform(1.55, 1.9)) if rng.random() < 0.85 else float(rng.uniform(1.05, 1.45))
    parts = _person(rng, height, float(rng.uniform(0.0, 0.26)))
    if rng.random() < 0.3:
        parts.append(block((0.2, 0.34, 0.42), (-0.22, 0, 0.55 * height), M.CLOTH, _cloth(rng)))
    return join(parts).centred()


def _two_wheels(length: float, radius: float, thick: float) -> list[Mesh]:
    return [
        tube(radius, thick, (side * (length / 2 - radius), 0, radius), M.RUBBER, _BLACK, axis=1) for side in (-1, 1)
    ]


def bicycle(rng: Rng, rider: bool) -> Mesh:
    """Two thin wheels, a frame and a handlebar, with or without a rider."""
    length, frame = float(rng.uniform(1.6, 1.8)), _cloth(rng)
    parts = [
        *_two_wheels(length, 0.34, 0.05),
        block((0.95, 0.06, 0.35), (0, 0, 0.4), M.METAL, frame, top=(0.7, 1)),
        block((0.08, 0.5, 0.08), (0.42, 0, 0.95), M.METAL, frame),
        block((0.06, 0.05, 0.6), (0.45, 0, 0.4), M.METAL, frame),
        block((0.25, 0.14, 0.08), (-0.3, 0, 0.82), M.PLASTIC, _BLACK),
    ]
    if rider:
        parts += _person(rng, float(rng.uniform(1.4, 1.55)), 0.18, (-0.15, 0, 0.28))
    return join(parts).centred()


def motorcycle(rng: Rng, rider: bool) -> Mesh:
    """Fat wheels, tank, engine and fairing, with or without a rider."""
    length, paint = float(rng.uniform(1.95, 2.3)), _paint(rng)
    parts = [
        *_two_wheels(length, 0.31, 0.16),
        block((1.0, 0.36, 0.45), (0, 0, 0.28), M.METAL, (0.2, 0.2, 0.2)),
        block((0.6, 0.40, 0.3), (0.15, 0, 0.70), M.BODY, paint, top=(0.7, 0.8)),
        block((0.7, 0.30, 0.14), (-0.45, 0, 0.72), M.PLASTIC, _BLACK),
        block((0.35, 0.45, 0.55), (0.62, 0, 0.55), M.BODY, paint, top=(0.4, 0.8), shift=-0.1),
        block((0.10, 0.76, 0.08), (0.5, 0, 1.02), M.METAL, _BLACK),
    ]
    if rider:
        parts += _person(rng, float(rng.uniform(1.35, 1.45)), 0.22, (-0.2, 0, 0.3))
    return join(parts).centred()


def traffic_cone(rng: Rng) -> Mesh:
    """A cone with a white band on a square foot, or a slim delineator post."""
    height = float(rng.uniform(0.65, 1.05))
    radius = height * float(rng.uniform(0.2, 0.26))
    foot = block((2.3 * radius, 2.3 * radius, 0.05), (0, 0, 0), M.PLASTIC, _ORANGE)
    band = tube(radius * 0.62, height * 0.16, (0, 0, height * 0.45), M.REFLECTOR, _WHITE)
    return join([foot, cone(radius, height, (0, 0, 0.03), M.PLASTIC, _ORANGE), band]).centred()


def barrier(rng: Rng) -> Mesh:
    """A water-filled plastic or concrete element across the direction of its x axis, or a board on feet."""
    width, height = float(rng.uniform(1.7, 2.4)), float(rng.uniform(0.85, 1.1))
    if rng.random() < 0.6:
        colour = _ORANGE if rng.random() < 0.5 else ((0.92, 0.92, 0.9) if rng.random() < 0.5 else (0.62, 0.60, 0.57))
        parts = [
            block((0.55, width, 0.3), (0, 0, 0), M.PLASTIC, colour, top=(0.6, 1)),
            block((0.33, width, height - 0.3), (0, 0, 0.3), M.PLASTIC, colour, top=(0.5, 0.98)),
        ]
    else:
        parts = [block((0.5, 0.08, 0.08), (0, side * width * 0.42, 0), M.METAL, _BLACK) for side in (-1, 1)]
        parts += [block((0.06, 0.06, height), (0, side * width * 0.42, 0), M.METAL, _BLACK) for side in (-1, 1)]
        for low, colour in ((0.45, _WHITE), (0.75, _ORANGE)):
            parts.append(block((0.07, width, 0.24), (0, 0, low * height), M.REFLECTOR, colour))
    return join(parts).centred()


# detection class: (nuScenes category, panoptic index)
CATEGORIES: dict[str, tuple[str, int]] = {
    "car": ("vehicle.car", 17),
    "truck": ("vehicle.truck", 23),
    "bus": ("vehicle.bus.rigid", 16),
    "trailer": ("vehicle.trailer", 22),
    "construction_vehicle": ("vehicle.construction", 18),
    "pedestrian": ("human.pedestrian.adult", 2),
    "motorcycle": ("vehicle.motorcycle", 21),
    "bicycle": ("vehicle.bicycle", 14),
    "traffic_cone": ("movable_object.trafficcone", 12),
    "barrier": ("movable_object.barrier", 9),
}
_BUILDERS: dict[str, Callable[[Rng], Mesh]] = {
    "car": car, "truck": truck, "bus": bus, "trailer": trailer, "construction_vehicle": construction_vehicle,
    "pedestrian": pedestrian, "traffic_cone": traffic_cone, "barrier": barrier,
}  # fmt: skip


def make_object(name: str, rng: Rng, rider: bool = False) -> Mesh:
    """A random object of detection class `name`; `rider` matters for motorcycle and bicycle."""
    if name == "bicycle":
        return bicycle(rng, rider)
    if name == "motorcycle":
        return motorcycle(rng, rider)
    return _BUILDERS[name](rng)
