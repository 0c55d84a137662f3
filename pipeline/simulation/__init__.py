"""The embedded world: a procedural driving world, ray cast by one LiDAR and six cameras, written as nuScenes v1.0."""
