"""What a projection head does to the geometry of its backbone's features, for any pair of modules.

    geometry = head_geometry(backbone, head, x, augment)
    print(geometry)

The head makes z-space a Riemannian space: with J the Jacobian of z -> h(z) / ||h(z)||, the pull-back metric G = J'J
says how far the head's output moves for a step in z. If the head ignored an augmentation, as the paper has it, steps v
along it would have v'Gv near 0; an isotropic G has v'Gv / ||v||^2 = tr G / d. The rest are statistics of orbits, in z
and in h (`orbits`).

**What the head is given.** The authors measure orbits of h(z / ||z||), of a head that was trained on z: its input
shrunk, the head returns little but its biases and batch-norm shifts, which looks like compression. This protocol is
`head_input="unit"`; go by `"raw"`. The two agree for a head of bias-free linear maps and ReLU.

**Seen from where.** Published statistics are of unit vectors, seen from the origin. z, the mean of what ReLUs let
through, lies far from it (`offset` near 1), so that orbits look small in z whatever the head does: z minus its mean, an
isometry, would "spread" them several times. `spread.total`, raw class distances and what is called centred are of no
offset and no scale: go by those.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.func import functional_call, jacfwd, jacrev, vmap

from proj_heads.data import to_float
from proj_heads.features import device_of, evaluating, extract
from proj_heads.hessian import require_per_sample
from proj_heads.orbits import (
    ClassOrbit,
    Plane,
    VarianceRatio,
    anchor_cosine,
    arc_length_curvature,
    class_orbit_ratio,
    discrete_curvature,
    effective_rank,
    orbit_spread,
    participation_ratio,
    path_length,
    pca_orbits,
    rescaled,
    to_unit,
    trajectory_rank,
    turning,
    variance_ratio,
)

HeadInput = Literal["raw", "unit"]
Values = Sequence[float | int]
"""Degrees, factors, ...: one for each step of an orbit."""

Augment = Callable[[Tensor, list[float]], Tensor]
"""(images, values) -> (values, n, channels, height, width), as `lambda x, values: orbit(x, "rotation", values)`."""

_CHUNK = 2**24
"""Numbers in the Jacobians that are held at once (128 MB)."""


def pullback_metric(head: nn.Module, z: Float[Tensor, "n d"], unit: bool = True) -> Float[Tensor, "n d d"]:
    """G = J'J at each z, in float64 and evaluation mode.

    J (k, d) is the Jacobian of z -> h(z) / ||h(z)||, or of h itself with unit=False. Official heads of VICReg and
    Barlow Twins (2048-8192-8192-8192) take 20 s for each z on a CPU core.
    """
    _require_vectors(z, "z")
    _require_head(head)
    numbers = [*head.named_parameters(), *head.named_buffers()]
    precise = {name: value.detach().double() if value.is_floating_point() else value for name, value in numbers}

    def output(one: Float[Tensor, " d"]) -> Float[Tensor, " k"]:
        h = functional_call(head, precise, (one[None],))[0]
        return to_unit(h) if unit else h

    z = z.detach().double().to(device_of(head))
    with evaluating(head), torch.no_grad():
        d, k = z.shape[1], len(output(z[0]))
        jacobian = vmap((jacfwd if d <= k else jacrev)(output))
        parts = [jacobian(part) for part in z.split(max(1, _CHUNK // (d * k)))]
        return torch.cat([part.mT @ part for part in parts])


def metric_spectrum(metric: Float[Tensor, "n d d"]) -> Float[Tensor, "n d"]:
    """Eigenvalues of G, the largest first; what rounding makes negative is 0."""
    return torch.linalg.eigvalsh(metric).flip(-1).clamp_min(0)


def anisotropy(metric: Float[Tensor, "n d d"], direction: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """(v'Gv / ||v||^2) / (tr G / d): 1 on average over directions v, 0 where the head ignores v. NaN for v = 0."""
    v = direction.to(metric)
    form = torch.einsum("ni,nij,nj->n", v, metric, v) / (v**2).sum(1)
    return form / (metric.diagonal(dim1=1, dim2=2).mean(1))


def semantic_differences(z: Float[Tensor, "n d"], labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n d"]:
    """z of another image minus z of each: of the next image, or of the next one of another class."""
    if labels is None:
        return z.roll(-1, 0) - z
    index = torch.arange(len(z), device=z.device)
    ahead = (index - index[:, None]) % len(z)  # of i, how far ahead j is
    labels = labels.to(z.device)
    other = torch.where(labels == labels[:, None], len(z), ahead).argmin(1)
    return z[other] - z


def orbit_features(
    backbone: nn.Module, x: Shaped[Tensor, "n ..."], augment: Augment, values: Values, batch_size: int = 500
) -> Float[Tensor, "steps n d"]:
    """The backbone's output for every image at every value, one value at a time."""
    x = to_float(x).to(device_of(backbone))
    orbit = []
    for value in values:
        moved = augment(x, [float(value)])
        if moved.shape[:2] != (1, len(x)):
            raise ValueError(
                f"augment gave shape {tuple(moved.shape)} for 1 value and {len(x)} images; make it return (values, "
                "images, channels, height, width)"
            )
        orbit.append(_require_vectors(extract(backbone, moved[0], batch_size), "the backbone's output"))
    return torch.stack(orbit)


class Spread(NamedTuple):
    """Spread of each orbit on the scales of `orbits`, or its ratio."""

    raw: Float[Tensor, " n"] | float
    total: Float[Tensor, " n"] | float
    unit: Float[Tensor, " n"] | float
    centred: Float[Tensor, " n"] | float


@dataclass(frozen=True)
class Space:
    """Orbits in one space, z or h; a number per image, see the functions of `orbits`."""

    spread: Spread
    curvature: Float[Tensor, " n"]
    """Published, of unit vectors."""
    centred_curvature: Float[Tensor, " n"]
    """The same seen from the mean of all points."""
    arc_curvature: Float[Tensor, " n"]
    """Per arc length, of unit vectors."""
    length: Float[Tensor, " n"]
    """Of the path, in unit vectors."""
    turning: Float[Tensor, " n"]
    """How much the path of unit vectors bends."""
    rank: Float[Tensor, " n"]
    """Effective rank of the path."""
    cosine: Float[Tensor, " n"]
    """To the output for the untransformed image."""
    centred_cosine: Float[Tensor, " n"]
    """The same seen from the mean of all points."""
    classes: ClassOrbit | None
    """Published, of unit vectors; None without labels."""
    raw_classes: ClassOrbit | None
    """Of the vectors as they are, which no offset changes."""
    offset: float
    """Norm of the mean of all unit vectors: 1 where all of them point the same way, 0 where they have no direction in
    common. Where it is near 1, what is measured of unit vectors is measured of the offset."""
    plane: Plane
    """The first two principal axes of all orbits, unit vectors."""


@dataclass(frozen=True)
class HeadGeometry:
    """The result of `head_geometry`: per-image numbers, and as properties what is reported of them."""

    d: int
    k: int
    head_input: HeadInput
    spectrum: Float[Tensor, "m d"]
    """Eigenvalues of the pull-back metric at some of the images, the largest first."""
    augmentation: Float[Tensor, " m"]
    """`anisotropy` along the tangent of the augmentation."""
    semantic: Float[Tensor, " m"]
    """`anisotropy` along the difference to another image."""
    variance: VarianceRatio
    """Spread of each path in z over that in h."""
    z: Space
    h: Space

    @property
    def metric_rank(self) -> float:
        """Effective rank of G, mean over images; at most min(d, k - 1)."""
        return float(effective_rank(self.spectrum).mean())

    @property
    def metric_participation(self) -> float:
        return float(participation_ratio(self.spectrum).mean())

    @property
    def augmentation_anisotropy(self) -> float:
        """Median over images."""
        return float(self.augmentation.nanquantile(0.5))

    @property
    def semantic_anisotropy(self) -> float:
        """Median over images."""
        return float(self.semantic.nanquantile(0.5))

    @property
    def compression(self) -> Spread:
        """Mean spread in z over mean spread in h: > 1 where the head contracts orbits."""
        return Spread(*(float(z.mean() / h.mean()) for z, h in zip(self.z.spread, self.h.spread, strict=True)))

    @property
    def curvature_ratio(self) -> float:
        """Mean published curvature in h over that in z; it grows with `length_ratio`."""
        return float(self.h.curvature.mean() / self.z.curvature.mean())

    @property
    def centred_curvature_ratio(self) -> float:
        """The same seen from the means of z and of h."""
        return float(self.h.centred_curvature.mean() / self.z.centred_curvature.mean())

    @property
    def arc_curvature_ratio(self) -> float:
        """The same per arc length; images whose outputs do not move at all are left out."""
        return float(self.h.arc_curvature.nanmean() / self.z.arc_curvature.nanmean())

    @property
    def length_ratio(self) -> float:
        return float(self.h.length.mean() / self.z.length.mean())

    @property
    def turning_ratio(self) -> float:
        """Mean turning in h over that in z: curvature as such, of no length and no scale."""
        return float(self.h.turning.mean() / self.z.turning.mean())

    @property
    def cosine_gain(self) -> float:
        return float((self.h.cosine - self.z.cosine).mean())

    @property
    def centred_cosine_gain(self) -> float:
        return float((self.h.centred_cosine - self.z.centred_cosine).mean())

    @property
    def class_gain(self) -> float | None:
        """class / orbit ratio in h over that in z."""
        if self.z.classes is None or self.h.classes is None:
            return None
        return self.h.classes.ratio / self.z.classes.ratio

    @property
    def raw_class_gain(self) -> float | None:
        """The same of the vectors as they are."""
        if self.z.raw_classes is None or self.h.raw_classes is None:
            return None
        return self.h.raw_classes.ratio / self.z.raw_classes.ratio

    def __str__(self) -> str:
        fed = "z / ||z|| (published protocol)" if self.head_input == "unit" else "z"
        rows = [
            ("orbit spread, raw", self.z.spread.raw.mean(), self.h.spread.raw.mean()),
            ("orbit spread / total variance", self.z.spread.total.mean(), self.h.spread.total.mean()),
            ("orbit spread, unit vectors", self.z.spread.unit.mean(), self.h.spread.unit.mean()),
            ("offset: norm of their mean", self.z.offset, self.h.offset),
            ("curvature, second differences", self.z.curvature.mean(), self.h.curvature.mean()),
            ("curvature per arc length", self.z.arc_curvature.nanmean(), self.h.arc_curvature.nanmean()),
            ("length of a path", self.z.length.mean(), self.h.length.mean()),
            ("turning of a path", self.z.turning.mean(), self.h.turning.mean()),
            ("effective rank of a path", self.z.rank.nanmean(), self.h.rank.nanmean()),
            ("cosine to the image itself", self.z.cosine.mean(), self.h.cosine.mean()),
        ]
        if self.z.classes and self.h.classes:
            rows.append(("class / orbit distance", self.z.classes.ratio, self.h.classes.ratio))
        return "\n".join(
            [
                f"Head geometry: d = {self.d} -> k = {self.k}, {len(self.z.curvature)} images, the head is given {fed}",
                f"metric G of h / ||h||: effective rank {self.metric_rank:.1f}, participation ratio "
                f"{self.metric_participation:.1f} of {self.d}",
                f"v'Gv (1 = isotropic): augmentation {self.augmentation_anisotropy:.3g}, "
                f"semantic {self.semantic_anisotropy:.3g}",
                f"{'':<32}{'z':>11}{'h':>11}{'h / z':>11}",
                *(f"{name:<32}{float(z):>11.4g}{float(h):>11.4g}{float(h / z):>11.4g}" for name, z, h in rows),
            ]
        )


def head_geometry(
    backbone: nn.Module,
    head: nn.Module,
    x: Shaped[Tensor, "n ..."],
    augment: Augment,
    head_input: HeadInput = "raw",
    labels: Int[Tensor, " n"] | None = None,
    orbit: Values = tuple(range(0, 360, 30)),
    path: Values = tuple(range(0, 46, 5)),
    tangent: float | int = 3.0,
    metric_images: int = 64,
    batch_size: int = 500,
) -> HeadGeometry:
    """Everything above for images x (n, channels, height, width), uint8 or in [0, 1].

    augment: see `Augment`. The defaults are the published rotations, in degrees: `orbit` is what spread, class ratio
        and picture are of (a whole turn), `path` what curvature, rank, cosine and variance ratio are of (small steps
        in order), and the tangent of the augmentation is f(+`tangent`) - f(-`tangent`).
    labels: classes, for the class / orbit ratio and for semantic differences between classes.
    metric_images: G is worked out for the first so many images; it is what takes the time where d and k are large.
    """
    _require_module(backbone, "backbone")
    _require_head(head)
    if head_input not in get_args(HeadInput):
        raise ValueError(f"unknown head_input {head_input!r}: choose from {', '.join(get_args(HeadInput))}")
    if len(x) < 2 or metric_images < 1:
        raise ValueError(
            f"{len(x)} image(s), metric_images = {metric_images}; give at least 2 images, 1 for the metric"
        )
    if labels is not None and len(labels.unique()) < 2:
        raise ValueError("all images are of one class; give images of at least 2, or leave labels out")

    def features(values: Values) -> tuple[Float[Tensor, "steps n d"], Float[Tensor, "steps n k"]]:
        z = orbit_features(backbone, x, augment, values, batch_size)
        return z, given(z).unflatten(0, z.shape[:2])

    def feed(z: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape d"]:
        return to_unit(z) if head_input == "unit" else z

    def given(z: Float[Tensor, "*shape d"]) -> Float[Tensor, "m k"]:
        h = extract(head, feed(z).flatten(0, -2), batch_size)
        return _require_vectors(h, "the head's output")

    anchor = _require_vectors(extract(backbone, x, batch_size), "the backbone's output")
    orbits, paths, anchors = features(orbit), features(path), (anchor, given(anchor))
    spaces = [_space(*parts, labels) for parts in zip(orbits, paths, anchors, strict=True)]

    z = feed(anchor)
    before, after = feed(orbit_features(backbone, x[:metric_images], augment, (-tangent, tangent), batch_size))
    directions = after - before, semantic_differences(z, labels)
    measured = []
    for rows in torch.arange(min(metric_images, len(x))).split(max(1, _CHUNK // z.shape[1] ** 2)):
        metric = pullback_metric(head, z[rows])
        measured.append((metric_spectrum(metric), *(anisotropy(metric, v[rows]) for v in directions)))
    spectrum, augmentation, semantic = (torch.cat(parts) for parts in zip(*measured, strict=True))
    d, k = z.shape[1], anchors[1].shape[1]
    return HeadGeometry(d, k, head_input, spectrum, augmentation, semantic, variance_ratio(*paths), *spaces)


def _space(orbit: Tensor, path: Tensor, anchor: Tensor, labels: Tensor | None) -> Space:
    return Space(
        spread=Spread(*(orbit_spread(orbit, scale) for scale in Spread._fields)),
        curvature=discrete_curvature(path),
        centred_curvature=discrete_curvature(path, "centred"),
        arc_curvature=arc_length_curvature(path),
        length=path_length(path),
        turning=turning(path),
        rank=trajectory_rank(path),
        cosine=anchor_cosine(path, anchor),
        centred_cosine=anchor_cosine(path, anchor, "centred"),
        classes=None if labels is None else class_orbit_ratio(orbit, labels.to(orbit.device)),
        raw_classes=None if labels is None else class_orbit_ratio(orbit, labels.to(orbit.device), "raw"),
        offset=float(rescaled(orbit, "unit").mean((0, 1)).norm()),
        plane=pca_orbits(orbit),
    )


def _require_vectors(x: Tensor, what: str) -> Tensor:
    if x.ndim != 2:
        raise ValueError(f"{what} has shape {tuple(x.shape)}; make it (images, features), with nn.Flatten for instance")
    if not x.isfinite().all():
        raise ValueError(f"{what} has NaN or infinite entries: look for them in the images and the weights")
    return x


def _require_head(head: nn.Module) -> None:
    _require_module(head, "head")
    with evaluating(head):
        require_per_sample(head)


def _require_module(network: nn.Module, name: str) -> None:
    if not isinstance(network, nn.Module):
        raise ValueError(f"the {name} is a {type(network).__name__}: make it an nn.Module")
