"""Names that params, heads and labels share."""

# The devkit's DETECTION_NAMES, in its order: a head's class k is the k-th of them.
DETECTION_CLASSES = (
    "car", "truck", "bus", "trailer", "construction_vehicle",
    "pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier",
)  # fmt: skip
