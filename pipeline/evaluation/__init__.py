"""Scores of a fine-tuned model: detection through the nuScenes devkit, map segmentation by counting cells."""
