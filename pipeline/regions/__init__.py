"""Semantic pooling: which points of a key-frame sweep belong together. Reads no label and no later package of ours.

A region id is one int16 per key-frame point: `>= 0` a region (semantic-rich), negative none (semantic-less).
"""
