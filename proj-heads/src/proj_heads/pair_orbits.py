"""What the authors measure of pretrained models (E5): orbits of one augmentation, before and after the head."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from proj_heads.data import to_float
from proj_heads.features import device_of, extract
from proj_heads.orbits import (
    anchor_cosine,
    discrete_curvature,
    orbit_spread,
    trajectory_rank,
    turning,
    variance_ratio,
)


class OrbitStatistics(NamedTuple):
    """Numbers of one augmentation, over all images; see the functions of `orbits`, and `geometry` for "centred"."""

    variance_per_dimension: float
    """Published "collapse ratio": variance along an orbit, mean over dimensions, z over h; median over images."""
    variance_raw: float
    """The same of whole vectors."""
    variance_unit: float
    """The same of unit vectors."""
    variance_share: float
    """Share of the total variance that is within orbits, z over h: above 1 where the head contracts them."""
    raw_curvature_ratio: float
    """Published curvature of raw vectors, h over z."""
    curvature_ratio: float
    """Of unit vectors."""
    centred_curvature_ratio: float
    """Of unit vectors about the mean."""
    turning_ratio: float
    """Bending, whatever the length and scale, h over z."""
    cosine_gain: float
    """Cosine to the untransformed image's output, h minus z (published)."""
    centred_cosine_gain: float
    """The same about the mean."""
    rank_z: float
    """Effective rank of a path."""
    rank_h: float


def orbit_statistics(
    backbone: nn.Module,
    head: nn.Module,
    x: Shaped[Tensor, "n channels height width"],
    moved: Float[Tensor, "steps n channels height width"],
) -> OrbitStatistics:
    """Images x (uint8 or in [0, 1]) and their orbits, `orbit(x, "blur", values)` for instance, for any pair of modules:

    headed = load_headed("resnet50_fullckpt.pth", "vicreg")
    print(orbit_statistics(headed.backbone, headed.head, x, orbit(x, "rotation", [0, 5, 10, 15])))
    """
    x, moved = (to_float(images).to(device_of(backbone)) for images in (x, moved))
    anchor = extract(backbone, x)
    anchors = anchor, extract(head, anchor)
    z = extract(backbone, moved.flatten(0, 1)).unflatten(0, moved.shape[:2])
    h = extract(head, z.flatten(0, 1)).unflatten(0, moved.shape[:2])
    variance, unit = variance_ratio(z, h), orbit_spread(z) / orbit_spread(h)

    def over(statistic, scale: str) -> float:
        return float(statistic(h, scale).mean() / statistic(z, scale).mean())

    def gain(scale: str) -> float:
        of_z, of_h = (anchor_cosine(points, at, scale) for points, at in zip((z, h), anchors, strict=True))
        return float((of_h - of_z).mean())

    return OrbitStatistics(
        *(_median(ratio) for ratio in (variance.per_dimension, variance.total, unit)),
        1 / over(orbit_spread, "total"),
        *(over(discrete_curvature, scale) for scale in ("raw", "unit", "centred")),
        over(turning, "unit"),
        gain("unit"),
        gain("centred"),
        float(trajectory_rank(z).nanmean()),
        float(trajectory_rank(h).nanmean()),
    )


def _median(values: Float[Tensor, " n"]) -> float:
    """Of an even number of images the mean of the two in the middle (torch's own is the lower one)."""
    return float(torch.quantile(values, 0.5))
