"""Training, from one loop outwards.

The loop: `loop` reads top to bottom; `sharing` cuts a step into forward passes, `schedule` is optimiser and learning
rate, `running_statistics` joins batch norms, `fabric`, `device`, `launch` and `compilation` say where it runs.

The trainings: `pretrain_lidar`, `distill_camera`, `pretrain_jointly` (a baseline), `finetune`; `ahead` runs cells of
the last beside each other.

Stopping and going on: `resume` is the state, `scratch` its folder, `interrupt` and `agreement` end it between steps,
`disk` tells of a full one, `publishing` makes the checkpoint.

Faults: `guards` finds what is not finite, `fault` keeps it, `replay` repeats it, `point_check` looks at frames before.

Watching: `observer` is told of every step and passes it on to `progress`, `live` (curves), `snapshots` and `pace`;
`history` is what is published.
"""
