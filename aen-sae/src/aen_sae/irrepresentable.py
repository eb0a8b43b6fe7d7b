"""When does the coding map find the right atoms? The generalised irrepresentable condition and what follows from it.

Let A be a set of active atoms and x an input (half-square form of `coding_map`, rows of D are atoms). The candidate

    h_A = (G_AA + a2 I)^-1 (D_A x - a1 omega_A),    G = D D^T

is h*(x) if and only if  h_j >= 0 on A  and  D_j . (x - h_A D_A) <= a1 omega_j off A. For a noiseless x = h_A^true D_A
the second part reads

    G_jA (G_AA + a2 I)^-1 (omega_A + (a2/a1) h_A^true) <= omega_j      for all j outside A,

which for omega = 1 and a2 = 0 is the non-negative irrepresentable condition of the lasso. With a2 > 0 alone it usually
gets *harder*; a large omega_j off the support restores it: the reason for joining the two penalties (paper, support
recovery; form derived by us).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aen_sae.exact_code import active_atoms


def support_margin(
    x: Float[Tensor, "batch n"],
    active: Bool[Tensor, "batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
) -> Float[Tensor, "batch d"]:
    """How safely `active` is the support of h*(x), per latent, in the unit of x.

    On A: the candidate amplitude h_j. Off A: the slack a1 omega_j - D_j . (x - h_A D_A). The support of h*(x) is
    exactly A if and only if all entries are > 0 on A and >= 0 off it; x may carry noise. For a2 = 0 the active atoms
    must be linearly independent.
    """
    omega = torch.ones_like(dictionary[:, 0]) if weights is None else weights
    indices, present, atoms = active_atoms(dictionary, active)
    reward = present * ((atoms @ x.unsqueeze(-1)).squeeze(-1) - l1 * omega[indices])
    h = _solve_active(atoms, present, l2, reward)  # (batch, a)
    slack = l1 * omega - (x - (h.unsqueeze(1) @ atoms).squeeze(1)) @ dictionary.T
    return torch.where(active, torch.zeros_like(slack).scatter(-1, indices, h), slack)


def exact_codes(
    x: Float[Tensor, "batch n"],
    codes: Float[Tensor, "batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
) -> tuple[Float[Tensor, "batch d"], Bool[Tensor, " batch"]]:
    """(codes, certified): an iterative solver's codes made exact to rounding by the closed form on their support.

    A sample is certified when `support_margin` confirms its support; the others keep the codes they came with.
    """
    active = codes > 0
    margin = support_margin(x, active, dictionary, l1, l2, weights)
    certified = (margin >= 0).all(-1)
    return torch.where(active & certified.unsqueeze(-1), margin, codes), certified


def irrepresentable_lhs(
    codes: Float[Tensor, "batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
) -> Float[Tensor, "batch d"]:
    """G_jA (G_AA + a2 I)^-1 (omega_A + (a2/a1) h_A) for every latent j, with A the support of the true `codes` h.

    Recovery of a noiseless sample needs it <= omega_j for all j off A (its values on A have no such meaning). l1 > 0. A
    pure number.
    """
    omega = torch.ones_like(dictionary[:, 0]) if weights is None else weights
    indices, present, atoms = active_atoms(dictionary, codes > 0)
    pull = present * (omega[indices] + (l2 / l1) * codes.gather(-1, indices))
    u = _solve_active(atoms, present, l2, pull)  # (batch, a)
    return (u.unsqueeze(1) @ atoms).squeeze(1) @ dictionary.T


def equicoherent_lhs(
    rho: float, k: int, total: Float[Tensor, "*batch"], l1: float, l2: float
) -> Float[Tensor, "*batch"]:
    """`irrepresentable_lhs` in closed form: all pairwise cosines rho, omega_A = 1, k atoms with sum_A h = `total`.

    rho (k + (a2/a1) total) / (1 - rho + k rho + a2)
    """
    return rho * (k + (l2 / l1) * total) / (1 - rho + k * rho + l2)


def equicoherent_candidate(
    rho: float, codes: Float[Tensor, "*batch k"], l1: float, l2: float
) -> Float[Tensor, "*batch k"]:
    """The candidate h_A in closed form for the same dictionary and weights, with `codes` the true amplitudes on A.

    h_A minus its shrinkage (G_AA + a2 I)^-1 (a1 1 + a2 h_A), where G_AA + a2 I = (1 - rho + a2) I + rho 1 1^T is
    inverted explicitly.
    """
    k, total = codes.shape[-1], codes.sum(-1, keepdim=True)
    diagonal = 1 - rho + l2
    shared = rho * (k * l1 + l2 * total) / (diagonal + k * rho)  # rho times the summed shrinkage
    return codes - (l1 + l2 * codes - shared) / diagonal


def equicoherent_dictionary(d: int, rho: float, dtype: torch.dtype = torch.float64) -> Float[Tensor, "d d"]:
    """d unit atoms in R^d with all pairwise cosines rho in [0, 1): the symmetric root of (1 - rho) I + rho 1 1^T."""
    if not 0 <= rho < 1:
        raise ValueError(f"rho = {rho} is not in [0, 1): d atoms with equal cosine rho exist there")
    small, large = (1 - rho) ** 0.5, (1 - rho + d * rho) ** 0.5  # singular values off and along the shared direction
    return small * torch.eye(d, dtype=dtype) + (large - small) / d * torch.ones(d, d, dtype=dtype)


class GlobalSupport(NamedTuple):
    """Agreement of the latents in use with the atoms in use, S = {j : E h_j > 0}."""

    false_share: Float[Tensor, ""]
    """Share of all activations that fall on latents outside S; 0 when there are none."""
    false_positives: int
    """Latents outside S that fire more often than `rate`."""
    lost: int
    """Latents of S that never fire."""


def global_support(codes: Float[Tensor, "batch d"], used: Bool[Tensor, " d"], rate: float = 0.01) -> GlobalSupport:
    """Compare the latents that fire in `codes` with the global support `used`. `rate` = 1 % is our choice."""
    fires = (codes > 0).double().mean(0)  # (d,)
    false_share = fires[~used].sum() / fires.sum().clamp_min(1 / len(codes))
    return GlobalSupport(false_share, int((fires[~used] > rate).sum()), int((fires[used] == 0).sum()))


class Forecast(NamedTuple):
    """What the condition says about each latent without solving for a single code."""

    missed: Float[Tensor, " d"]
    """Share of the samples with j active in which its candidate amplitude is < 0; nan for one that is never active."""
    spurious: Float[Tensor, " d"]
    """Share of the samples with j inactive in which its slack is < 0; nan for a latent that is always active."""


def starvation_forecast(
    x: Float[Tensor, "batch n"],
    active: Bool[Tensor, "batch d"],
    dictionary: Float[Tensor, "d n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"] | None = None,
) -> Forecast:
    """Which latents will starve (missed = 1: never on when needed) and which will fire without cause.

    Both are read off the signs of `support_margin`. Exact per sample while all the other latents are right; where
    several fail at once it is a first-order forecast, no more: latents that fire without cause take amplitude from the
    needed ones.
    """
    wrong = support_margin(x, active, dictionary, l1, l2, weights) < 0
    missed = (wrong & active).sum(0) / active.sum(0)
    spurious = (wrong & ~active).sum(0) / (~active).sum(0)
    return Forecast(missed, spurious)


def _solve_active(
    atoms: Float[Tensor, "batch a n"], present: Bool[Tensor, "batch a"], l2: float, right: Float[Tensor, "batch a"]
) -> Float[Tensor, "batch a"]:
    """(G_AA + a2 I)^-1 right, with ones on the diagonal of the padding so that it stays out of the way."""
    on = present.to(atoms.dtype)
    system = atoms @ atoms.mT + torch.diag_embed(l2 * on + (1 - on))
    return torch.linalg.solve(system, right)
