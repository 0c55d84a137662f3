"""DVC stage: tries the fine-tuned models of one arm under every condition of one family of disturbances.

Clean scores are those of `evaluate`; conditions that change no sensor that the arm has are published as not applicable,
without a model. What tries the others is imported where it is needed.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.record import parse_cell, read_metrics
from pipeline.frames.index import FrameIndex
from pipeline.params import Params, load_params, load_runtime
from pipeline.robustness.conditions import conditions_of
from pipeline.robustness.record import MEASURED, write_stress
from pipeline.throughput import measured
from pipeline.training.launch import on_every_device, rank
from pipeline.training.scratch import scratch_folder
from pipeline.work import stress_work
