"""How long does the paired bootstrap take at the size of nuScenes' validation split?

    python -m benchmarks.bootstrap --boxes 300000

Made-up predictions: 150 scenes, 6,019 samples, ten classes of equally many boxes, 140,000 true boxes. One cell; a table
of results has one for every arm, fraction and seed.
"""

import argparse
import time

import numpy as np

from pipeline.evaluation.bootstrap import scene_weights
from pipeline.evaluation.evidence import DetectionEvidence
from pipeline.evaluation.matching import match_centres
from pipeline.evaluation.resampling import scores
from pipeline.params.classes import DETECTION_CLASSES

SCENES, SAMPLES, TRUE = 150, 6019, 14_000  # true boxes of a class
THRESHOLDS = np.array([0.5, 1.0, 2.0, 4.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=300_000, help="predictions of a class")
    parser.add_argument("--resamples", type=int, default=1000)
    own = parser.parse_args()
    generator = np.random.default_rng(0)
    scene_of = np.sort(generator.integers(SCENES, size=SAMPLES)).astype(np.int32)
    hits, scenes, truth, seconds = [], [], [], 0.0
    for _ in DETECTION_CLASSES:
        true_sample = np.sort(generator.integers(SAMPLES, size=TRUE))
        true_centre = generator.uniform(-50, 50, (TRUE, 2))
        guessed = generator.integers(TRUE, size=own.boxes)
        sample, centre = true_sample[guessed], true_centre[guessed] + generator.normal(0, 2, (own.boxes, 2))
        ends = np.searchsorted(true_sample, np.arange(SAMPLES + 1))
        match_centres(sample[:1], centre[:1], ends, true_centre, THRESHOLDS)  # compiles
        start = time.process_time()
        hits.append(match_centres(sample, centre, ends, true_centre, THRESHOLDS))
        seconds += time.process_time() - start
        scenes.append(scene_of[sample])
        truth.append(np.bincount(scene_of[true_sample], minlength=SCENES))
    names, starts = tuple(f"scene-{n:04}" for n in range(SCENES)), np.arange(len(DETECTION_CLASSES) + 1) * own.boxes
    found = np.concatenate(hits)
    evidence = DetectionEvidence(
        names,
        THRESHOLDS,
        np.array(truth),
        starts,
        np.concatenate(scenes),
        np.zeros(len(found), np.float32),
        found,
        0.1,
        0.1,
    )
    scores(evidence, scene_weights(SCENES, 1, generator))
    start = time.process_time()
    drawn = scores(evidence, scene_weights(SCENES, own.resamples, generator))["mAP_present"]
    print(f"| matching of {len(found):,} boxes | {seconds:.1f} s of CPU |")
    print(f"| {own.resamples:,} resamples of one cell | {time.process_time() - start:.1f} s of CPU |")
    print(f"mAP {drawn[0]:.3f}, deviation over resamples {drawn[1:].std():.4f}")


if __name__ == "__main__":
    main()
