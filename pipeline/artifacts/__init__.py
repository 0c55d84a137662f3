"""Artifacts: atomic publishing, cards (lineage), checkpoint files and the audit of a chain of cards."""
