"""Statistics of orbits: what a network makes of each image under a range of transformations.

An orbit is points r_1 ... r_T in R^dim; `points` (steps, n, dim) holds one for each of n images. Every statistic is one
number per image unless it says otherwise. `scale` says what it is of:

    "raw"    the points as they are;
    "total"  divided by the square root of the total variance of all points of all orbits, so that spaces of different
             width and scale can be compared;
    "unit"   each point divided by its norm (published): of no scale, but led by where the origin is. Orbits of vectors
             that all point about the same way, as the outputs of a ReLU do, look small;
    "centred" the same after the mean of all points of all orbits is subtracted: of no scale and no offset (ours).
"""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

Scale = Literal["raw", "total", "unit", "centred"]


def to_unit(x: Float[Tensor, "*shape dim"]) -> Float[Tensor, "*shape dim"]:
    """x / ||x||; zero stays zero."""
    return x / x.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)


def rescaled(points: Float[Tensor, "steps n dim"], scale: Scale) -> Float[Tensor, "steps n dim"]:
    """The points in float64 on a scale of the module's docstring."""
    if scale not in get_args(Scale):
        raise ValueError(f"unknown scale {scale!r}: choose from {', '.join(get_args(Scale))}")
    if points.ndim != 3:
        raise ValueError(f"orbits of shape {tuple(points.shape)}; give points (steps, images, dimensions)")
    points = points.double()
    if scale in ("unit", "centred"):
        return to_unit(points - points.mean((0, 1)) if scale == "centred" else points)
    return points if scale == "raw" else points / points.flatten(0, 1).var(0, correction=0).sum().sqrt()


def effective_rank(spectrum: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """exp of the entropy of eigenvalues >= 0 divided by their sum: 1 for one direction, d for d equal ones."""
    share = spectrum.clamp_min(0) / spectrum.clamp_min(0).sum(-1, keepdim=True)
    return torch.special.entr(share).sum(-1).exp()


def participation_ratio(spectrum: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """(sum lambda)^2 / sum lambda^2, of eigenvalues >= 0: 1 to d as well, but led by the large ones."""
    spectrum = spectrum.clamp_min(0)
    return spectrum.sum(-1) ** 2 / (spectrum**2).sum(-1)


def orbit_spread(points: Float[Tensor, "steps n dim"], scale: Scale = "unit") -> Float[Tensor, " n"]:
    """Mean squared distance of an orbit's points to their mean.

    It is the sum of the coordinates' variances (divided by T, not T - 1), and half the mean squared distance over all
    ordered pairs of points.
    """
    return rescaled(points, scale).var(0, correction=0).sum(-1)


class VarianceRatio(NamedTuple):
    """Spread of each image's orbit in z over that in h."""

    total: Float[Tensor, " n"]
    """Of the sums over coordinates: > 1 where the head contracts."""
    per_dimension: Float[Tensor, " n"]
    """Of the means over coordinates (published): total * k / d, so a wide head looks contracting."""


def variance_ratio(z: Float[Tensor, "steps n d"], h: Float[Tensor, "steps n k"]) -> VarianceRatio:
    """The authors' "collapse ratio" of pretrained models, per dimension, and what it is of whole vectors."""
    total = orbit_spread(z, "raw") / orbit_spread(h, "raw")
    return VarianceRatio(total, total * (h.shape[-1] / z.shape[-1]))


def discrete_curvature(points: Float[Tensor, "steps n dim"], scale: Scale = "unit") -> Float[Tensor, " n"]:
    """kappa = mean over interior points of ||r_{i+1} - 2 r_i + r_{i-1}||, the published curvature.

    It is not divided by the step: half the step gives a quarter of it, and it grows with the length of the curve.
    """
    r = _path(points, scale)
    return (r[2:] - 2 * r[1:-1] + r[:-2]).norm(dim=-1).mean(0)


def path_length(points: Float[Tensor, "steps n dim"], scale: Scale = "unit") -> Float[Tensor, " n"]:
    """Sum of the steps' lengths."""
    return rescaled(points, scale).diff(dim=0).norm(dim=-1).sum(0)


def turning(points: Float[Tensor, "steps n dim"], scale: Scale = "unit") -> Float[Tensor, " n"]:
    """sum_i ||T_i - T_{i-1}||, T_i the unit vector along step i: how much a curve bends, whatever its length and speed.

    0 on a straight line, about the angle in radians on a smooth curve (2 sin of half the angle at each point), 1.4 per
    point if each step is orthogonal to the last. Steps of length 0 are passed over.
    """
    edges = _path(points, scale).diff(dim=0)
    bend, tangent = edges.new_zeros(edges.shape[1]), torch.zeros_like(edges[0])
    for edge in edges:
        moves = edge.any(-1, keepdim=True)
        now = torch.where(moves, to_unit(edge), tangent)
        bend += torch.where(tangent.any(-1), (now - tangent).norm(dim=-1), 0.0)  # no bend at the first tangent
        tangent = now
    return bend


def arc_length_curvature(points: Float[Tensor, "steps n dim"], scale: Scale = "unit") -> Float[Tensor, " n"]:
    """Mean of ||dT/ds|| along the curve, s the arc length and T the unit tangent; 1 / length, whatever the speed.

    `turning` over the length between the middles of the first and the last step. Exactly 1 / R on a circle of radius R
    in equal steps, 0 on a straight line, NaN if no point moves.
    """
    lengths = _path(points, scale).diff(dim=0).norm(dim=-1)
    return turning(points, scale) / ((lengths[1:] + lengths[:-1]) / 2).sum(0)


def _path(points: Float[Tensor, "steps n dim"], scale: Scale) -> Float[Tensor, "steps n dim"]:
    if len(points) < 3:
        raise ValueError(f"{len(points)} steps have no curvature; give 3 or more values")
    return rescaled(points, scale)


def trajectory_rank(points: Float[Tensor, "steps n dim"]) -> Float[Tensor, " n"]:
    """Effective rank of each orbit: exp of the entropy of the normalised squared singular values, mean subtracted."""
    centred = (points.double() - points.double().mean(0)).transpose(0, 1)  # (n, steps, dim)
    return effective_rank(torch.linalg.eigvalsh(centred @ centred.mT))  # the steps x steps Gram matrices


def anchor_cosine(
    points: Float[Tensor, "steps n dim"], anchor: Float[Tensor, "n dim"], scale: Literal["unit", "centred"] = "unit"
) -> Float[Tensor, " n"]:
    """Mean cosine between an orbit's points and the output for the untransformed image; seen from the origin
    (published), or from the mean of all points ("centred").
    """
    origin = points.double().mean((0, 1)) if scale == "centred" else 0.0
    return (rescaled(points, scale) * to_unit(anchor.double() - origin)).sum(-1).mean(0)


class ClassOrbit(NamedTuple):
    """Distances between classes against those within orbits."""

    ratio: float
    """D_inter / D_intra; large where augmentation matters little and the class much, NaN where no point moves."""
    inter: float
    """Mean distance between the centres of two classes (mean of all their points)."""
    intra: float
    """Mean distance between two points of an orbit."""


def class_orbit_ratio(
    points: Float[Tensor, "steps n dim"], labels: Int[Tensor, " n"], scale: Scale = "unit"
) -> ClassOrbit:
    """The published class / orbit ratio of all images together."""
    points = rescaled(points, scale)
    if labels.shape != points.shape[1:2]:
        raise ValueError(f"labels of shape {tuple(labels.shape)} for {points.shape[1]} images; give one for each")
    if len(points) < 2 or len(labels.unique()) < 2:
        raise ValueError(f"{len(points)} step(s) of {len(labels.unique())} class(es); give at least 2 of each")
    centres = torch.stack([points[:, labels == label].mean((0, 1)) for label in labels.unique()])
    inter, intra = _mean_distance(centres[None]), _mean_distance(points.transpose(0, 1))
    return ClassOrbit(inter / intra if intra else float("nan"), inter, intra)


def _mean_distance(sets: Float[Tensor, "sets points dim"]) -> float:
    """Over pairs of different points of a set, and over sets of equal size."""
    distances = torch.cdist(sets, sets, compute_mode="donot_use_mm_for_euclid_dist")
    count = sets.shape[1]
    return float(distances.sum((1, 2)).mean() / (count * (count - 1)))


class Plane(NamedTuple):
    """All points of all orbits on their first principal axes."""

    coordinates: Float[Tensor, "steps n axes"]
    share: Float[Tensor, " axes"]
    """Of the total variance, along each axis."""


def pca_orbits(points: Float[Tensor, "steps n dim"], axes: int = 2, scale: Scale = "unit") -> Plane:
    """Coordinates for a picture. An axis points to where its largest entry is positive, so that runs look alike."""
    points = rescaled(points, scale)
    if min(points.shape[0] * points.shape[1], points.shape[2]) < axes:
        raise ValueError(f"points of shape {tuple(points.shape)} have no {axes} axes; give more or ask for fewer")
    centred = points.flatten(0, 1) - points.mean((0, 1))
    _, values, directions = torch.linalg.svd(centred, full_matrices=False)
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * largest.sign()
    coordinates = (centred @ directions[:axes].T).unflatten(0, points.shape[:2])
    return Plane(coordinates, values[:axes] ** 2 / (values**2).sum())
