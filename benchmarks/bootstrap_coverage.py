"""How often does the paired bootstrap cover a known difference, and how often does it find what is not there?

    python -m benchmarks.bootstrap_coverage

Made-up studies of 40 scenes: hard scenes and lucky seeds do the same to both arms; each has a small noise of its own.
"""

import argparse

import numpy as np

from pipeline.evaluation.bootstrap import Comparison, compare, scene_weights

SCENES, RESAMPLES, SHIFT = 40, 300, 0.2
OF_SEED = (0.05, 0.2)  # deviation that a seed's noise has of its own; a scene's is 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    studies = range(parser.parse_args().studies)
    print("| seeds | deviation of a seed | covered | p < 0.05 without a difference |\n|--:|--:|--:|--:|")
    for of_seed in OF_SEED:
        for seeds in (2, 3, 5, 10):
            generator = np.random.default_rng(0)
            shifted = [study(generator, seeds, of_seed, SHIFT) for _ in studies]
            same = [study(generator, seeds, of_seed, 0.0) for _ in studies]
            covered = np.mean([found.low <= SHIFT <= found.high for found in shifted])
            print(f"| {seeds} | {of_seed:g} | {covered:.2f} | {np.mean([found.p < 0.05 for found in same]):.2f} |")


def study(generator: np.random.Generator, seeds: int, of_seed: float, shift: float) -> Comparison:
    """One study, compared."""
    shape = (seeds, SCENES)
    common = generator.normal(0, 1.0, (1, SCENES)) + generator.normal(0, 1.0, (seeds, 1))
    own = generator.normal(0, 0.1, (1, SCENES)) + generator.normal(0, of_seed, (seeds, 1))
    weights = scene_weights(SCENES, RESAMPLES, generator)
    reference, arm = (
        (common + extra + generator.normal(0, 0.1, shape)) @ weights.T / weights.sum(axis=1)
        for extra in (0.0, own + shift)
    )
    return compare(arm, reference, SCENES, generator)


if __name__ == "__main__":
    main()
