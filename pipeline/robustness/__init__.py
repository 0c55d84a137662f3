"""What a model is put through after training: corruptions of its sensors, as `Disturbance`s of frames, and attacks.

- `lidar_weather`, `lidar_sensor`: the eight LiDAR corruptions of Robo3D, functions of one sweep.
- `lidar_corruptions`: their names. `road`: the plane that some of them strike or spare.
- `camera_weather`, `camera_sensor`: the eight camera corruptions of RoboBEV, functions of one image.
- `corruption`: each of these sixteen, or both sensors at once, as a `Disturbance`.
- `rig`: cameras that were knocked or are late.
- `objects`: moving objects that the LiDAR loses or sees twice.
- `traces`, `spoofing`, `spoofing_rate`: points of a vehicle that is not there, and how often it is believed.
- `pgd`, `pgd_scores`: gradient ascent on points and pixels, and what is left of the predictions.
- `conditions`: type and severity, by family. `bench`: an arm's models and their scores. `stress`: runs conditions.
- `record`: what the stage `stress` publishes. `summary`: mCE, mRR and RCE from it. `interval`: Wilson's, of a rate.
"""
