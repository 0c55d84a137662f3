"""Params of attacks on fine-tuned models."""

from dataclasses import dataclass

from pipeline.params.checks import positive, require


@dataclass(frozen=True)
class Spoofing:
    """A vehicle made of laser pulses, in front of the car (Sun et al., USENIX Security 2020)."""

    counts: list[int]  # points spoofed, one attack each
    trace_frames: int  # training frames that are searched for traces, spread over the split
    occluded: float  # a trace is of a vehicle that lost at least this share of its rays to what stands before it
    near: float  # metres ahead of the LiDAR; no spoofed point is nearer
    far: float  # metres; no spoofed point is farther
    window: float  # degrees of azimuth that the attacker's laser can reach
    azimuth_step: float  # degrees between neighbouring rays of a ring
    elevation_step: float  # degrees between neighbouring rings
    score: float  # a vehicle box counts from this score on
    radius: float  # metres from the spoofed vehicle's centre to the box's, at most

    def __post_init__(self) -> None:
        positive(self, "trace_frames", "near", "window", "azimuth_step", "elevation_step", "radius")
        require(all(count > 0 for count in self.counts), f"counts must be above 0, not {self.counts}")
        require(0 <= self.occluded < 1, f"occluded must lie in [0, 1), not {self.occluded}")
        require(self.near < self.far, f"near ({self.near}) must be below far ({self.far})")
        require(0 < self.score <= 1, f"score must lie in (0, 1], not {self.score}")


@dataclass(frozen=True)
class Pgd:
    """Projected gradient ascent on the training loss with full knowledge of the model (Madry et al., ICLR 2018)."""

    points: list[int]  # millimetres that each LiDAR point may be moved by, one attack each
    pixels: list[int]  # of 255: what each colour of a pixel may be changed by, one attack each
    steps: int  # gradient steps
    step: float  # length of a step as a share of the budget

    def __post_init__(self) -> None:
        positive(self, "steps", "step")
        require(all(budget > 0 for budget in self.points), f"points must be above 0, not {self.points}")
        require(all(0 < budget <= 255 for budget in self.pixels), f"pixels must lie in 1 to 255, not {self.pixels}")
