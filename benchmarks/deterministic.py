"""What runtime.yaml: deterministic costs: steps of fine-tuning on made-up frames, with and without it in turn.

python -m benchmarks.deterministic [--rounds 6] [--steps 3]
"""

import argparse
import statistics
import time

import torch

from pipeline.networks.model import BevModel
from pipeline.networks.synthetic import make_batch
from pipeline.params import load_params, load_runtime
from pipeline.preflight.training_step import sweep_points, train
from pipeline.training.device import forbid_chance, place

CASES = (("L", "detection"), ("LC", "map"))
BATCH = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3, help="of a measurement")
    arguments = parser.parse_args()
    params = load_params()
    device = place(load_runtime(), seed=0)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} thread(s)"
    print(f"a step of {BATCH} frames on {name}, median of {arguments.rounds}; seconds of CPU, of the clock in brackets")
    for modality, task in CASES:
        model = BevModel(params.networks, params.frames, modality, task).to(device).train()
        inputs = make_batch(params.frames, sweep_points(params), images=modality == "LC", batch=BATCH, device=device)
        seconds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        train(model, inputs, params, task, steps=6)  # warms up
        for _ in range(arguments.rounds):
            for deterministic, taken in seconds.items():
                forbid_chance(deterministic)
                cpu, clock = time.process_time(), time.perf_counter()
                train(model, inputs, params, task, arguments.steps)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                now = time.process_time() - cpu, time.perf_counter() - clock
                taken.append((now[0] / arguments.steps, now[1] / arguments.steps))
        off, on = ([statistics.median(values) for values in zip(*seconds[mode], strict=True)] for mode in (False, True))
        print(
            f"{modality} {task}: {off[0]:.3f} ({off[1]:.3f}) s without, {on[0]:.3f} ({on[1]:.3f}) s with: "
            f"{on[0] / off[0] - 1:+.1%}"
        )


if __name__ == "__main__":
    main()
