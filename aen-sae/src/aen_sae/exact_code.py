"""The exact coding map of a dictionary: what an ideal encoder would answer (paper's theory; constants derived by us).

    h*(x) = argmin_{h >= 0}  J(h),      J(h) = 1/2 ||x - h D||^2 + a1 sum_j omega_j h_j + (a2/2) ||h||^2

The *half-square* form is used throughout this file, with a1 = `l1` and a2 = `l2`; `half_square` converts from the
paper's losses. The rows of D are the atoms: `dictionary` is (d, n) with rows of unit norm, as `W_dec` of an SAE in
SAELens. For an SAE with a decoder bias give x - b_dec. Results have the dtype of the input; float64 reaches residuals
near 1e-14, float32 near 1e-6.

For a2 > 0 the map is single-valued and globally Lipschitz, ||h*(x) - h*(x')|| <= ||x - x'|| / (2 sqrt(a2)): subtract
the optimality conditions of x and x' to get ||dh D||^2 + a2 ||dh||^2 <= <dx, dh D>, and maximise over ||dh D||.
"""

import math
import warnings
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHECK_EVERY = 20
"""Iterations between two looks at the residuals: the only points where the host waits for the device."""


class CodingMap(NamedTuple):
    """Result of `coding_map`, one entry per sample."""

    codes: Float[Tensor, "*batch d"]
    """h*(x), >= 0; exact zeros off the support."""
    kkt_residual: Float[Tensor, "*batch"]
    """Certificate: `kkt_residual` of the codes; zero exactly at the optimum."""
    iterations: Int[Tensor, "*batch"]
    """FISTA iterations that the sample took, a multiple of `CHECK_EVERY` (or max_iterations)."""
    converged: Bool[Tensor, "*batch"]
    """kkt_residual <= tol."""


class AmortisationGap(NamedTuple):
    """How far an encoder's codes are from the best codes for the same decoder."""

    achieved: Float[Tensor, "*batch"]
    """J(encoder(x)) per sample."""
    optimal: Float[Tensor, "*batch"]
    """J(h*(x)) per sample."""
    distance: Float[Tensor, ""]
    """||encoder(x) - h*(x)|| / ||h*(x)||, norms over all samples together."""

    @property
    def total(self) -> Float[Tensor, ""]:
        """Mean over samples of J(encoder(x)) - J(h*(x)), >= 0 up to the solver's tolerance."""
        return (self.achieved - self.optimal).mean()

    @property
    def relative(self) -> Float[Tensor, ""]:
        """The total gap in units of the mean optimal objective."""
        return self.total / self.optimal.mean()


def half_square(lambda1: float, lambda2: float, n: int) -> tuple[float, float]:
    """(a1, a2) for the paper's penalties, which stand beside a squared error that is a *mean* over the n inputs.

    (1/n)||x - xhat||^2 + lambda1 ||h||_1 + lambda2 ||h||^2 is 2/n times the half-square form with a1 = n lambda1 / 2,
    a2 = n lambda2.
    """
    return n * lambda1 / 2, n * lambda2


def objective(
    x: Float[Tensor, "*batch n"],
    codes: Float[Tensor, "*batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
) -> Float[Tensor, "*batch"]:
    """J(codes) per sample, half-square form."""
    penalty = codes.sum(-1) if weights is None else codes @ weights
    return 0.5 * (x - codes @ dictionary).square().sum(-1) + l1 * penalty + 0.5 * l2 * codes.square().sum(-1)


@torch.no_grad()
def kkt_residual(
    x: Float[Tensor, "*batch n"],
    codes: Float[Tensor, "*batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Distance from optimality, max_j |min(h_j, g_j)| / max_j |D_j . x|, with g the gradient of J.

    Zero exactly where h_j >= 0, g_j >= 0 and h_j g_j = 0 for all j. The denominator (an a1 above which every code is
    zero) makes it a pure number. With r = min(h, g): ||h - h*|| <= (1 + ||D||^2 + a2) / a2 * ||r|| for a2 > 0.
    """
    signal = x @ dictionary.T  # (batch, d)
    gradient = (codes @ dictionary) @ dictionary.T + l2 * codes - _reward(signal, l1, weights)
    return _relative_residual(codes, gradient, signal.abs().amax(-1))


@torch.no_grad()
def coding_map(
    x: Float[Tensor, "*batch n"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
    *,
    tol: float = 1e-5,
    max_iterations: int = 10_000,
) -> CodingMap:
    """Solve for h*(x) by FISTA with adaptive restart (O'Donoghue & Candes 2015), each sample for itself.

        h <- max(0, y - grad J(y) / L),   y <- h + momentum * (h - h_old),   L = ||D||^2 + a2

    A sample stops at the first check where its `kkt_residual` is <= `tol`; the others go on in a smaller batch. One
    that does not get there within `max_iterations` is returned as it is, `converged` False, with a RuntimeWarning.

    Raises ValueError for shapes that do not fit, negative penalties or non-finite samples.
    """
    _check(x, dictionary, l1, l2, weights)
    d, n = dictionary.shape
    flat = x.reshape(-1, n)
    signal = flat @ dictionary.T  # (batch, d)
    ceiling = signal.abs().amax(-1)
    step = 1 / (torch.linalg.eigvalsh(dictionary.T @ dictionary)[-1].item() + l2)

    codes = torch.zeros_like(signal)
    residual = torch.full_like(ceiling, torch.inf)
    iterations = torch.zeros(len(flat), dtype=torch.long, device=x.device)

    # the rows still at work: `rows` are their places in the batch
    rows = torch.arange(len(flat), device=x.device)
    reward, h, y = _reward(signal, l1, weights), codes, codes
    t = torch.ones_like(ceiling).unsqueeze(1)  # FISTA's momentum counter, (rows, 1)
    done = 0
    while len(rows) and done < max_iterations:
        for _ in range(min(CHECK_EVERY, max_iterations - done)):
            # prox step relu(y - step * gradient), with gradient = y D D^T + a2 y - reward
            start = torch.add(step * reward, y, alpha=1 - step * l2)
            h_new = torch.addmm(start, y @ dictionary, dictionary.T, alpha=-step).relu_()
            move = h_new - h
            uphill = ((y - h_new) * move).sum(-1, keepdim=True) > 0  # the momentum points away from the descent step
            t = torch.where(uphill, 1.0, t)
            t_new = (1 + torch.sqrt(1 + 4 * t * t)) / 2
            h, y, t = h_new, torch.addcmul(h_new, (t - 1) / t_new, move), t_new
            done += 1
        gradient = (h @ dictionary) @ dictionary.T + l2 * h - reward
        codes[rows], iterations[rows] = h, done
        residual[rows] = current = _relative_residual(h, gradient, ceiling[rows])
        left = ~(current <= tol)
        rows, reward, h, y, t = rows[left], reward[left], h[left], y[left], t[left]

    if len(rows):
        warnings.warn(
            f"coding_map: {len(rows)} of {len(flat)} samples have a KKT residual above tol = {tol:g} (worst "
            f"{residual.max():.2g}) after {max_iterations} iterations: raise max_iterations, raise tol, or give "
            f"float64 tensors (now {x.dtype})",
            RuntimeWarning,
            stacklevel=3,
        )
    batch = x.shape[:-1]
    return CodingMap(
        codes.reshape(*batch, d), residual.reshape(batch), iterations.reshape(batch), (residual <= tol).reshape(batch)
    )


@torch.no_grad()
def amortisation_gap(
    x: Float[Tensor, "*batch n"],
    codes: Float[Tensor, "*batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
    *,
    tol: float = 1e-5,
    max_iterations: int = 10_000,
) -> AmortisationGap:
    """J(codes) - J(h*(x)) for the codes of any trained encoder, on its own decoder and penalties.

    Negative codes have no finite objective under h >= 0 and raise a ValueError.
    """
    if (codes < 0).any():
        raise ValueError("codes must be >= 0: give the codes after the ReLU, not the pre-activations")
    best = coding_map(x, dictionary, l1, l2, weights, tol=tol, max_iterations=max_iterations).codes
    achieved, optimal = (objective(x, h, dictionary, l1, l2, weights) for h in (codes, best))
    return AmortisationGap(achieved, optimal, (codes - best).norm() / best.norm())


def lipschitz_bound(l2: float) -> float:
    """Global Lipschitz constant of h* for every dictionary, 1 / (2 sqrt(a2)); infinite for a2 = 0. Codes per input."""
    return 1 / (2 * math.sqrt(l2)) if l2 > 0 else math.inf


def local_lipschitz(
    dictionary: Float[Tensor, "d n"], active: Bool[Tensor, "*batch d"], l2: float
) -> Float[Tensor, "*batch"]:
    """Norm of the Jacobian of h* on the active set A: max_i s_i / (s_i^2 + a2), s_i the singular values of D_A.

    Between two inputs the quotient ||dh|| / ||dx|| is at most the maximum of this over the segment. It does not depend
    on the l1 penalty or its weights; it is 0 for an empty set. For a2 = 0 it is 1 / s_min, which for pairwise cosines
    rho is (1 - rho)^(-1/2).
    """
    _, present, atoms = active_atoms(dictionary, active.reshape(-1, active.shape[-1]))
    return _sensitivity(torch.linalg.svdvals(atoms), present, l2).amax(-1).reshape(active.shape[:-1])


def most_sensitive_direction(
    dictionary: Float[Tensor, "d n"], active: Bool[Tensor, "batch d"], l2: float
) -> Float[Tensor, "batch n"]:
    """Unit direction of the input in which h* moves fastest: the singular vector behind `local_lipschitz`."""
    _, present, atoms = active_atoms(dictionary, active)
    _, s, directions = torch.linalg.svd(atoms, full_matrices=False)  # directions: (batch, r, n)
    return directions[torch.arange(len(s)), _sensitivity(s, present, l2).argmax(-1)]


def active_atoms(
    dictionary: Float[Tensor, "d n"], active: Bool[Tensor, "batch d"]
) -> tuple[Int[Tensor, "batch a"], Bool[Tensor, "batch a"], Float[Tensor, "batch a n"]]:
    """(indices, present, atoms): each sample's active atoms, padded with zero atoms to the largest set, a >= 1."""
    size = max(1, int(active.sum(-1).max())) if len(active) else 1
    indices = active.byte().argsort(dim=-1, descending=True, stable=True)[:, :size]
    present = active.gather(-1, indices)
    return indices, present, dictionary[indices] * present.unsqueeze(-1)


def _sensitivity(s: Float[Tensor, "batch r"], present: Bool[Tensor, "batch a"], l2: float) -> Float[Tensor, "batch r"]:
    """s / (s^2 + a2) of the first min(|A|, n) singular values (sorted, largest first); 0 for those of the padding."""
    real = torch.arange(s.shape[-1], device=s.device) < present.sum(-1, keepdim=True)
    return torch.where(real, s / (s.square() + l2), 0.0)


def _reward(signal: Tensor, l1: float, weights: Tensor | None) -> Tensor:
    """D_j . x - a1 omega_j, minus the gradient of J at h = 0."""
    return signal - l1 * (1.0 if weights is None else weights)


def _relative_residual(h: Tensor, gradient: Tensor, ceiling: Tensor) -> Tensor:
    """A sample that is orthogonal to every atom (ceiling 0) has the exact solution 0, hence the clamp."""
    return torch.minimum(h, gradient).abs().amax(-1) / ceiling.clamp_min(torch.finfo(ceiling.dtype).tiny)


def _check(x: Tensor, dictionary: Tensor, l1: float, l2: float, weights: Tensor | None) -> None:
    d, n = dictionary.shape
    if x.shape[-1] != n:
        raise ValueError(f"samples of size {x.shape[-1]} for atoms of size {n}: atoms are rows, dictionary is (d, n)")
    if weights is not None and weights.shape != (d,):
        raise ValueError(f"weights of shape {tuple(weights.shape)} for {d} atoms: give one per atom, shape ({d},)")
    if not (l1 >= 0 and l2 >= 0):
        raise ValueError(f"l1 = {l1}, l2 = {l2}: penalties must be >= 0")
    if not torch.isfinite(x).all():
        raise ValueError("samples contain nan or inf: remove them first")
