"""Joint contrast of LiDAR with LiDAR and camera with LiDAR, both trained from the start (after SimIPU).

Theirs (Li et al., AAAI 2022, arXiv 2112.04680): an intra-modal contrast between two views of a cloud, the points that
each view keeps matched by position (Hungarian algorithm), and an inter-modal contrast between the features of points
and of the pixels that they project to; the two encoders train together. Ours: the same two contrasts, trained together;
points keep their identity through our augmentations, so nothing has to be matched; both features are read from BEV maps
at the point, the camera's after lift-splat; both losses are averaged over their two directions and weigh the same.
"""

from torch import Tensor

from pipeline.objectives.point_info_nce import point_info_nce


def simipu(p: Tensor, q: Tensor, c: Tensor, *, temperature: float, gather: bool = False) -> dict[str, Tensor]:
    """PointInfoNCE(p, q) + PointInfoNCE(c, p).

    Args:
        p: LiDAR, view 1, float32 [P, D], rows of length 1.
        q: LiDAR, the same points in view 2.
        c: camera, the same points in view 1.
        temperature: τ.
        gather: whether the points of all processes are negatives, see `pipeline.objectives.pool`.

    Returns:
        Scalars `loss`, `intra` (LiDAR with LiDAR) and `inter` (camera with LiDAR). All 0 without any point.
    """
    intra = point_info_nce(p, q, temperature=temperature, gather=gather)
    inter = point_info_nce(c, p, temperature=temperature, gather=gather)
    return {"loss": intra + inter, "intra": intra, "inter": inter}
