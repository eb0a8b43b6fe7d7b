"""Metrics of sparse codes that mean what their names say.

Codes are h (samples, d), reconstructions xhat (samples, n), dictionaries have atoms as rows (d, n). All functions work
on one SAE at a time and return tensors or floats; nothing is averaged over runs here. In the spiked model every atom
and every sample shares the direction v, so quantities that ignore this ("self-coherence", EV, ||xhat|| / ||x||) say
little about recovery: the *centred* forms first remove v.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

ALIVE = 1e-12
"""A latent is active where h > 1e-12 (authors' code)."""
RECOVERED = 0.9
"""Centred cosine from which a matched latent counts as having recovered its atom (our choice, customary in the field).
"""


def dead_fraction(codes: Float[Tensor, "samples d"]) -> float:
    """Share of latents that never exceed 1e-12 on these samples."""
    return (codes.amax(0) <= ALIVE).float().mean().item()


def l0(codes: Float[Tensor, "samples d"]) -> float:
    """Mean number of active latents per sample."""
    return (codes > ALIVE).sum(-1).float().mean().item()


def remove_direction(a: Float[Tensor, "rows n"], v: Float[Tensor, " n"]) -> Float[Tensor, "rows n"]:
    """Rows without their component along the unit vector v."""
    return a - (a @ v).unsqueeze(1) * v


def explained_variance(
    x: Float[Tensor, "samples n"], xhat: Float[Tensor, "samples n"], orthogonal_to: Float[Tensor, " n"] | None = None
) -> float:
    """EV = 1 - sum_dim var(x - xhat) / sum_dim var(x); optionally in the space orthogonal to a unit vector.

    1 for xhat = x, 0 for a constant xhat, below 0 when worse than that (not clipped). With rho = 0.9 a single latent
    that codes v alone reaches EV ~ 0.4; orthogonal to v it scores 0.
    """
    if orthogonal_to is not None:
        x, xhat = remove_direction(x, orthogonal_to), remove_direction(xhat, orthogonal_to)
    return (1 - (x - xhat).var(0, correction=0).sum() / x.var(0, correction=0).sum()).item()


def norm_ratio(x: Float[Tensor, "samples n"], xhat: Float[Tensor, "samples n"]) -> float:
    """mean ||xhat||_1 / mean ||x||_1: the published "feature shrinkage ratio", dominated by the common mean."""
    return (xhat.abs().sum(-1).mean() / x.abs().sum(-1).mean()).item()


@dataclass(frozen=True)
class Matching:
    """One-to-one assignment of latents to true atoms (Hungarian algorithm on the cosines)."""

    latent: Int[Tensor, " d_true"]
    """Latent assigned to each true atom."""
    cosine: Float[Tensor, " d_true"]
    """Cosine of each pair."""
    best: Float[Tensor, " d_true"]
    """Largest cosine of each true atom with any latent (not one-to-one)."""
    length: Float[Tensor, " d_true"]
    """||latent's atom|| / ||true atom|| of each pair, after removing the spike."""


def match(
    learned: Float[Tensor, "d n"], atoms: Float[Tensor, "d_true n"], spike: Float[Tensor, " n"] | None = None
) -> Matching:
    """Match latents to atoms by cosine, after removing `spike` from both. Needs d >= d_true."""
    from scipy.optimize import linear_sum_assignment

    if spike is not None:
        learned, atoms = remove_direction(learned, spike), remove_direction(atoms, spike)
    cosines = F.normalize(atoms, dim=1) @ F.normalize(learned, dim=1).T  # (d_true, d)
    rows, columns = linear_sum_assignment(cosines.cpu().numpy(), maximize=True)
    atom, latent = (torch.as_tensor(index, device=cosines.device) for index in (rows, columns))
    length = learned[latent].norm(dim=1) / atoms.norm(dim=1)
    return Matching(latent, cosines[atom, latent], cosines.amax(1), length)


class SupportScores(NamedTuple):
    """Per-sample agreement of a support with the true one."""

    precision: Float[Tensor, " samples"]
    """True among found; 1 where nothing was found."""
    recall: Float[Tensor, " samples"]
    """Found among true; 1 where nothing was to be found."""
    f1: Float[Tensor, " samples"]
    """Harmonic mean, 2 |found & true| / (|found| + |true|); 1 where both are empty."""


def support_scores(found: Bool[Tensor, "samples d"], true: Bool[Tensor, "samples d"]) -> SupportScores:
    """Precision, recall and F1 of every sample's support."""
    hits, n_found, n_true = ((mask.sum(-1)).double() for mask in (found & true, found, true))

    def ratio(part: Tensor, whole: Tensor) -> Tensor:
        return torch.where(whole > 0, part / whole.clamp_min(1), 1.0)

    return SupportScores(ratio(hits, n_found), ratio(hits, n_true), ratio(2 * hits, n_found + n_true))


def recovery(
    codes: Float[Tensor, "samples d"],
    learned: Float[Tensor, "d n"],
    true_codes: Float[Tensor, "samples d_true"],
    atoms: Float[Tensor, "d_true n"],
    spike: Float[Tensor, " n"] | None = None,
) -> dict[str, float]:
    """How much of the teacher the SAE found: dictionary, supports and amplitudes.

    mmcs                mean over true atoms of the largest (centred) cosine with a latent
    mcc                 mean cosine of the one-to-one matching
    recovered           share of true atoms whose matched latent has cosine >= 0.9
    precision, recall, f1   of each sample's support under the matching, averaged; unmatched latents are false positives
    contribution_ratio  share of the code's squared mass that sits on truly active matched latents (our definition)
    amplitude_ratio     h_j ||d_j|| / (h*_j ||D_j||) where both are active, with the norms of the (centred) atoms; slope
                        through the origin, mean over recovered atoms; 1 means no shrinkage, NaN nothing recovered.
                        Without the norms a latent that leaves v to b_dec would look shrunk.
    """
    matching = match(learned, atoms, spike)
    matched = codes[:, matching.latent]  # (samples, d_true)
    found, true = matched > ALIVE, true_codes > 0
    both = found & true
    unmatched = torch.ones(codes.shape[1], dtype=torch.bool, device=codes.device)
    unmatched[matching.latent] = False
    spurious = codes[:, unmatched] > ALIVE  # (samples, d - d_true): no atom stands behind them
    scores = support_scores(torch.cat([found, spurious], 1), torch.cat([true, torch.zeros_like(spurious)], 1))

    product, energy = (matched * true_codes * both).sum(0), (true_codes.square() * both).sum(0)
    seen = (matching.cosine >= RECOVERED) & (energy > 0)
    slope = matching.length * product / energy
    amplitude = slope[seen].mean().item() if seen.any() else float("nan")
    return {
        "mmcs": matching.best.mean().item(),
        "mcc": matching.cosine.mean().item(),
        "recovered": (matching.cosine >= RECOVERED).float().mean().item(),
        **{name: score.mean().item() for name, score in scores._asdict().items()},
        "contribution_ratio": ((matched.square() * both).sum() / codes.square().sum().clamp_min(ALIVE)).item(),
        "amplitude_ratio": amplitude,
    }
