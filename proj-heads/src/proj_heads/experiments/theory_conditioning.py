"""Parts of the experiment `theory` on sections 3 and 5: whitening, curvature, approximation, invariance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from proj_heads import conditioning
from proj_heads.experiments.theory import Config
from proj_heads.experiments.theory_hessian import Draws
from proj_heads.heads import build_head
from proj_heads.hessian import effective_hessian
from proj_heads.losses import SquaredError


def whitening(cell: Config) -> list[dict]:
    """Per rank r: the errors of theorem 3.1's head on its subspace and off it, and on it for another loss Hessian
    of the same kind.
    """
    draws, records = Draws(cell), []
    for r in cell.rank:
        first, second = (
            frame @ torch.diag(torch.logspace(-1, 1, r, dtype=torch.float64)) @ frame.T
            for frame in (draws.orthonormal(f"{name} {r}", cell.k, r) for name in ("here", "elsewhere"))
        )
        basis = draws.orthonormal(f"basis {r}", cell.d, r)
        head = conditioning.whitening_head(first, basis)
        here, elsewhere = (conditioning.isotropy_error(hessian, head, basis) for hessian in (first, second))
        records.append({"rank": r, "on": here.on, "off": here.off, "elsewhere": elsewhere.on})
    return records


def _softmax(u: Tensor) -> Tensor:
    return torch.log1p(u.exp().sum())


POTENTIALS: dict[str, tuple[Callable[[Tensor], Tensor], int, float | None]] = {
    "gaussian": (lambda u: -(u[0] ** 2) / (4 * u[1]) - 0.5 * torch.log(-2 * u[1]), 2, -0.5),
    "softmax": (_softmax, 3, 0.25),
    "softmax and quadratic": (lambda u: _softmax(u[:2]) + u[2] ** 2 / 2, 3, None),
    "separable": (lambda u: u.cosh().sum(), 3, 0.0),
    "quadratic": (lambda u: u @ torch.diag(torch.arange(1.0, 4.0, dtype=u.dtype)) @ u / 2, 3, 0.0),
}
"""Name -> (L, dimension, sectional curvature where it is constant)."""


def curvature(cell: Config) -> list[dict]:
    """Per potential: sectional curvatures at random points and planes against the known one; the floor that a constant
    invertible head leaves for two random points, and how near random heads come to it (>= 1 if it is a floor); the
    isotropy error, over those points, of a constant head of rank one where the loss is quadratic along its range.
    """
    draws, records = Draws(cell), []
    for name in cell.potential:
        potential, size, known = POTENTIALS[name]
        points, x, y = (draws.normal(f"{name} {part}", 8, size) for part in ("points", "x", "y"))
        if name == "gaussian":
            points = torch.stack([points[:, 0], -points[:, 1].exp()], 1)
        sectional = torch.func.vmap(partial(conditioning.sectional_curvature, potential))(points, x, y)
        riemann = torch.func.vmap(partial(conditioning.hessian_metric_riemann, potential))(points)
        first, second = (torch.func.hessian(potential)(u) for u in points[:2])
        floor = float(conditioning.constant_head_floor(first, second))

        best = conditioning.best_constant_head(first, second)
        moves = draws.normal(f"{name} heads", 10 * cell.samples, size, size)
        near = best @ (torch.eye(size, dtype=torch.float64) + 0.1 * moves)
        record = {
            "potential": name,
            "curvature": float(sectional.mean()),
            "curvature_deviation": float((sectional - (sectional.mean() if known is None else known)).abs().max()),
            "riemann": float(riemann.abs().max()),
            "floor": floor,
            "attained": float(_worst_condition(best, first, second)) / floor,
            "tried": float(_worst_condition(near, first, second).min()) / floor,
        }
        if name == "softmax and quadratic":
            axis = torch.eye(3, dtype=torch.float64)[:, 2:]
            errors = [(axis.T @ torch.func.hessian(potential)(axis @ u[:1]) @ axis - 1).abs().max() for u in points]
            record["rank_one_error"] = float(max(errors))
        records.append(record)
    return records


def _worst_condition(heads: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The larger condition number of W'H_1 W and W'H_2 W for each head W."""
    return torch.stack([torch.linalg.cond(heads.mT @ hessian @ heads) for hessian in (first, second)]).amax(0)


def path(cell: Config) -> list[dict]:
    """Per width: ||G - I|| and the condition number of G at random times on a path of length 1 through the softmax
    metric, worst case, for a head fitted to the path at other times; and the condition number that any constant head
    leaves for the two ends.
    """
    draws, records = Draws(cell), []
    start = draws.normal("start", 2) - 1
    steps = conditioning.isotropic_path(_softmax, start, 1.0, 50)
    ends = [torch.func.hessian(_softmax)(steps.outputs[end]) for end in (0, -1)]
    times = torch.rand(cell.samples, 1, generator=draws.stream("times"), dtype=torch.float64)
    z, eye = nn.functional.pad(times, (0, 1)), torch.eye(2, dtype=torch.float64)
    for width in cell.path_width:
        head = conditioning.fit_path(steps, width, draws.stream("head", width))
        metric = effective_hessian(head, z, lambda h: torch.log1p(h.exp().sum(1))).metric
        records.append({
            "path_width": width,
            "error": float(torch.linalg.matrix_norm(metric - eye, 2).max()),
            "condition": float(torch.linalg.cond(metric).max()),
            "constant_floor": float(conditioning.constant_head_floor(*ends)),
        })  # fmt: skip
    return records


def bound(cell: Config) -> list[dict]:
    """Per kind of loss Hessian, over random draws with d = 2, k = 3: the largest ||G_phi - G*|| in units of proposition
    3.4's bound; the smallest error that can take positivity from G, in units of three thresholds (least over draws with
    G* > 0): a threshold holds where this is >= 1.
    """
    draws, records, n = Draws(cell), [], 10 * cell.samples
    for kind in cell.definite:
        hessian = _loss_hessians(draws.normal(kind, n, 3, 3), kind)
        target, error = (draws.normal(f"{kind} {name}", n, 3, 2) for name in ("target", "error"))
        error = error * 10 ** (2 * torch.rand(n, 1, 1, generator=draws.stream(kind, "size"), dtype=torch.float64) - 2)
        moved = (target + error).mT @ hessian @ (target + error) - target.mT @ hessian @ target
        norms = zip(*(_norm2(part).tolist() for part in (error, target, hessian)), strict=True)
        allowed = torch.tensor([conditioning.conditioning_error_bound(*sizes) for sizes in norms])

        lowest = torch.linalg.eigvalsh(target.mT @ hessian @ target)[:, 0]
        positive = lowest > 1e-6
        sizes = zip(*(part.tolist() for part in (lowest, _norm2(target), _norm2(hessian))), strict=True)
        thresholds = [conditioning.conditioning_thresholds(*size) for size in sizes if size[0] > 1e-6]
        breaking = _breaking_errors(hessian[positive], target[positive])
        least = (breaking[:, None] / torch.tensor(thresholds, dtype=torch.float64)).amin(0)
        records.append({
            "definite": kind,
            "checked": n,
            "ratio": float((_norm2(moved) / allowed).max()),
            "positive": int(positive.sum()),
            "over_paper": float(least[0]),
            "over_bound": float(least[1]),
            "over_semidefinite": float(least[2]),
        })  # fmt: skip
    return records


def _loss_hessians(roots: Tensor, kind: str) -> Tensor:
    """R R' for each root R; indefinite: with the smallest eigenvalue made negative."""
    hessians = roots @ roots.mT
    if kind == "semidefinite":
        return hessians
    values, vectors = torch.linalg.eigh(hessians)
    values = torch.cat([-values[:, :1] - 0.1, values[:, 1:]], 1)
    return vectors * values[:, None] @ vectors.mT


def _norm2(matrices: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(matrices, 2)


def _breaking_errors(hessians: Tensor, targets: Tensor, directions: int = 200) -> Tensor:
    """min over unit v of the distance of J* v from {y: y'H y <= 0}, for each (H, J*) and v on a grid of half a circle:
    an error of that norm and rank one takes G's positivity, none below it does.

    The nearest such y to x is (I + mu H)^{-1} x with y'H y = 0 and 0 < mu < 1 / |lambda_min| (unless x is
    orthogonal to the lowest eigenvector: random draws are not); it is zero where H > 0.
    """
    angle = torch.arange(directions, dtype=torch.float64) * torch.pi / directions
    values, vectors = torch.linalg.eigh(hessians)
    x = torch.stack([angle.cos(), angle.sin()], 1) @ targets.mT @ vectors  # (draws, directions, k), in H's eigenbasis
    definite = values[:, :1] > 0
    values = values[:, None]
    low = torch.zeros_like(x[..., :1])
    high = (1 / values[..., :1].abs()).expand_as(low)
    for _ in range(45):  # bisection: y'H y falls as mu grows
        middle = (low + high) / 2
        positive = (values * (x / (1 + middle * values)) ** 2).sum(2, keepdim=True) > 0
        low, high = torch.where(positive, middle, low), torch.where(positive, high, middle)
    nearest = torch.where(definite[..., None], 0.0, x / (1 + low * values))
    return (x - nearest).norm(dim=2).amin(1)


class _Invariant(nn.Module):
    """A head of |z_{1:2}|^2 and z_3, ..., z_d: it does not see rotations of the first two coordinates."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(torch.cat([z[:, :2].square().sum(1, keepdim=True), z[:, 2:]], 1))


def _turn(z: Tensor, t: Tensor) -> Tensor:
    x, y = z[:, 0], z[:, 1]
    return torch.cat([torch.stack([x * t.cos() - y * t.sin(), x * t.sin() + y * t.cos()], 1), z[:, 2:]], 1)


def invariance(cell: Config) -> list[dict]:
    """Per head made invariant to a rotation: v'G v along the orbit and across it, in units of an average direction
    (largest and median over samples); |v'M v| / ||v||^2 in the same units (median), which does not vanish, and the
    error of its value -(dL/dz)'(acceleration).
    """
    draws, records = Draws(cell), []
    z, across = draws.normal("z", cell.samples, cell.d), draws.normal("across", cell.samples, cell.d)
    loss = SquaredError(draws.normal("target", cell.samples, cell.k))
    orbit = conditioning.orbit_derivatives(_turn, z)
    for activation in cell.activation:
        head = _Invariant(
            build_head(cell.d - 1, cell.width, cell.k, activation, 2, False, draws.stream("head")).double()
        )
        found = effective_hessian(head, z, loss)
        slope = torch.func.grad(lambda x, head=head: loss.value(head(x)).sum())(z).detach()
        along = torch.einsum("bi,bij,bj->b", orbit.tangent, found.interaction, orbit.tangent)
        average = found.metric.diagonal(dim1=1, dim2=2).mean(1) * orbit.tangent.square().sum(1)
        records.append({
            "activation": activation,
            "along": float(conditioning.metric_along(found.metric, orbit.tangent).abs().max()),
            "across": float(np.median(conditioning.metric_along(found.metric, across))),
            "interaction_along": float(np.median(along.abs() / average)),
            "interaction_error": float(((along + (slope * orbit.acceleration).sum(1)).abs() / average).max()),
        })  # fmt: skip
    return records


def fisher(cell: Config) -> list[dict]:
    """Per position of a two-dimensional V (in the range of A or orthogonal to it): ranks of I_z and I_h for a random
    head with kernel V, against theorem 5.3's bound and against rank I_z - dim(range A with V).
    """
    draws, records = Draws(cell), []
    d, p = cell.d, cell.d // 2
    frame = draws.orthonormal("frame", d, d)
    design = frame[:, :p] @ draws.normal("design", p, p)  # range A: the first p columns of the frame
    for position in cell.position:
        hidden = [0, 1] if position == "inside" else [d - 2, d - 1]
        kept = frame[:, [axis for axis in range(d) if axis not in hidden]]
        head = draws.normal(f"head {position}", cell.k, d - 2) @ kept.T
        rank_z = conditioning.fisher_rank(conditioning.fisher_information(design))
        rank_h = conditioning.fisher_rank(conditioning.fisher_information(design, head))
        records.append({
            "position": position,
            "rank_z": rank_z,
            "rank_h": rank_h,
            "bound": rank_z - 2,
            "exact": rank_z - (2 if position == "inside" else 0),
            "holds": rank_h <= rank_z - 2,
        })  # fmt: skip
    return records
