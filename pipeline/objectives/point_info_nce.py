"""PointInfoNCE, the baseline without regions: PointContrast's loss (Xie et al., ECCV 2020, arXiv 2007.10985).

Theirs: a point's positive is the same point in another view of the scene, all other sampled points are negatives,
τ = 0.07. Ours: the two views are augmentations of one sweep instead of two registered scans, features are read from the
BEV map, both directions are averaged, and τ is a parameter.
"""

from torch import Tensor

from pipeline.objectives.info_nce import info_nce_both_ways


def point_info_nce(p: Tensor, q: Tensor, *, temperature: float, gather: bool = False) -> Tensor:
    """-1/P Σ_i log exp(p_i·q_i/τ) / Σ_k exp(p_i·q_k/τ), averaged over both directions.

    Args:
        p: float32 [P, D], view 1, rows of length 1.
        q: float32 [P, D], the same points in view 2, rows of length 1.
        temperature: τ.
        gather: whether the points of all processes are negatives, see `pipeline.objectives.pool`.

    Returns:
        A scalar; 0, still carrying a gradient, without any point.
    """
    return info_nce_both_ways(p, q, p.new_ones(len(p)), temperature=temperature, gather=gather)
