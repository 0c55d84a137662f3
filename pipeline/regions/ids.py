"""The negative region ids."""

NOISE = -1  # DBSCAN noise
GROUND = -2
REJECTED = -3  # in a cluster that a filter dropped
PADDING = -32767  # storage only: past the last point of a frame, or a frame that could not be read
ABSENT = -32768  # storage only: never written; zarr reads it where a shard's file is missing
