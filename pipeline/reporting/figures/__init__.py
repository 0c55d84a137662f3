"""Figures with a PNG and an SVG each (`picture`), arms in the same colours everywhere (`arm_styles`)."""
