"""Robustness: what goes wrong with sensors, and how much of a score it costs."""
