"""Frames: index, points, images, maps, labels, splits, augmentation and batches."""
