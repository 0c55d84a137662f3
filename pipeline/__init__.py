"""CALICO: label-free camera-LiDAR pre-training for bird's-eye-view perception, as a DVC pipeline."""
