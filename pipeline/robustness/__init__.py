"""What a model is put through after training: corruptions of its sensors, as `Disturbance`s of the frames it reads.

- `lidar_weather`, `lidar_sensor`: the eight LiDAR corruptions of Robo3D, functions of one sweep.
- `lidar_corruptions`: their names.
- `objects`: moving objects that the LiDAR loses or sees twice.
"""
