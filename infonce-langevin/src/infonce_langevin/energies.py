"""Contrastive energies of n = 2 P embeddings, their gradients, Hessians and exact minima.

Rows 2 i and 2 i + 1 are a positive pair; i' is the partner of row i and s_ij = z_i . z_j. All energies are means over
the n anchors in units of the similarity, that is losses multiplied by tau:

    infonce(tau)   U = mean_i [ -s_ii' + tau log sum_(k != i) exp(s_ik / tau) ];     U / tau is NT-Xent
    dcl(tau)       the same with the sum over k != i, i': the positive is not in it
    hard           U = mean_i [ -s_ii' + max_(k != i, i') s_ik ], the limit tau -> 0 of dcl: what the author simulates
    hard_incl      the limit of infonce, as the paper writes it: U = 0 wherever a partner is the nearest neighbour,
                   total collapse included, so it is no landscape to anneal on

With the softmax weights W_ik of anchor i (one-hot in the limit, equal shares where several are largest)

    dU / dz_i = (1 / n) [ sum_k (W_ik + W_ki) z_k - 2 z_i' ]
"""

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.spheres import Rows, join, split, tangent, weighted_sum


@runtime_checkable
class Energy(Protocol):
    """A function U on states (n, d, chains)."""

    def value(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, " chains"]:
        """U."""

    def value_and_slope(
        self, z: Float[Tensor, "n d chains"]
    ) -> tuple[Float[Tensor, " chains"], Float[Tensor, "n d chains"]]:
        """U and dU / dz in the space around the spheres."""

    def in_rows(self, z: Rows) -> tuple[Float[Tensor, " chains"], Rows]:
        """The same, number by number."""

    @property
    def limit(self) -> bool:
        """Whether tau = 0: the energy has kinks."""

    def at(self, tau: float | Float[Tensor, " chains"]) -> "Energy":
        """The same energy at another loss temperature; a limit stays the limit."""

    def smoothness(self, n: int) -> float:
        """An upper bound of the Hessian's largest eigenvalue: descent with steps up to 2 / smoothness never rises."""


class _InRows:
    """What follows from `in_rows`."""

    def value(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, " chains"]:
        return self.in_rows(split(z))[0]

    def value_and_slope(
        self, z: Float[Tensor, "n d chains"]
    ) -> tuple[Float[Tensor, " chains"], Float[Tensor, "n d chains"]]:
        u, slope = self.in_rows(split(z))
        return u, join(slope)

    @property
    def limit(self) -> bool:
        return not isinstance(self.tau, Tensor) and self.tau == 0


def gradient(energy: Energy, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "n d chains"]:
    """The Riemannian gradient: the slope without its part along z_i, row by row."""
    return tangent(z, energy.value_and_slope(z)[1])


@dataclass(frozen=True)
class Contrastive(_InRows):
    """The four energies of the module's docstring; `infonce`, `dcl`, `hard` and `hard_incl` make them."""

    tau: float | Float[Tensor, " chains"]
    """Temperature inside the loss, > 0; 0 is the limit."""
    positive: bool
    """Whether the positive is in the sum."""

    def __post_init__(self):
        if not isinstance(self.tau, Tensor) and not 0 <= self.tau < math.inf:
            raise ValueError(f"tau = {self.tau}: choose a finite temperature > 0, or `hard` for the limit 0")

    def at(self, tau: float | Float[Tensor, " chains"]) -> "Contrastive":
        return self if self.limit else replace(self, tau=tau)

    def in_rows(self, z: Rows) -> tuple[Float[Tensor, " chains"], Rows]:
        n = len(z)
        s = {(i, k): weighted_sum(z[i], z[k]) for i, k in combinations(range(n), 2)}
        s |= {(k, i): value for (i, k), value in s.items()}
        total, weights = torch.zeros_like(z[0][0]), dict.fromkeys(s, 0.0)
        for i in range(n):
            terms = [k for k in range(n) if k != i and (self.positive or k != i ^ 1)]
            free, shares = _largest([s[i, k] for k in terms], self.tau)
            total = total + free - s[i, i ^ 1]
            weights |= {(i, k): share for k, share in zip(terms, shares, strict=True)}
        pull = {}
        for i, k in combinations(range(n), 2):
            both = weights[i, k] + weights[k, i]
            pull[i, k] = pull[k, i] = both / n - 2 / n if k == i ^ 1 else both / n
        slope = []
        for i in range(n):
            others = [k for k in range(n) if k != i]
            columns = zip(*(z[k] for k in others), strict=True)
            slope.append(tuple(weighted_sum([pull[i, k] for k in others], column) for column in columns))
        return total / n, slope

    def hessian(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "chains nd nd"]:
        """Second derivatives of Z -> U(Z / |Z|), rows normalised one by one, in the space around the spheres.

        With the slope g and the second derivatives C of U itself, and for each row P_i = I - z_i z_i^T,

            H_ij = P_i C_ij P_j - [i = j] ( z_i g_i^T + g_i z_i^T + (g_i . z_i)(I - 3 z_i z_i^T) )

        where C_ij = (W_ij + W_ji - 2 [j = i']) I / n, and (1 / n tau) sum_a Cov_(k ~ W_a)[d s_ak] in addition if
        tau > 0.
        """
        n, d, _ = z.shape
        z = z.permute(2, 0, 1)  # (chains, n, d)
        rows, every = (torch.eye(size, dtype=z.dtype, device=z.device) for size in (n, n * d))
        partner = rows[torch.arange(n, device=z.device) ^ 1]
        s = (z @ z.mT).masked_fill((rows if self.positive else rows + partner).bool(), -torch.inf)
        if self.limit:
            ties = (s == s.amax(2, keepdim=True)).to(z.dtype)
            weights = ties / ties.sum(2, keepdim=True)
        else:
            weights = (s / self.tau).softmax(2)
        bilinear = (weights + weights.mT - 2 * partner) / n
        g = bilinear @ z
        second = torch.einsum("bij,kl->bikjl", bilinear, every[:d, :d]).flatten(3).flatten(1, 2)
        if not self.limit:
            second = second + _covariance(z, weights) / (n * self.tau)
        zs, gs = ((of[..., None] * rows[:, None]).flatten(1, 2) for of in (z, g))  # (chains, n d, n), a column per row
        along = every - zs @ zs.mT  # P_i on the diagonal
        radial = (g * z).sum(2)[:, None]
        bent = zs @ gs.mT
        bent = bent + bent.mT - 3 * (zs * radial) @ zs.mT + every * radial.repeat_interleave(d, 2)
        return along @ second @ along - bent

    def minimum(self, n: int, d: int) -> float:
        """The least value of U (ours): pairs on the points of a regular simplex, K = n / 2 <= d + 1 of them.

            infonce   tau log(1 + 2 (K - 1) exp(-q / tau)),     q = 1 + 1 / (K - 1)
            dcl       tau log(2 (K - 1)) - q                    hard   -q,    hard_incl   0

        By Jensen a mean of log-sum-exps is least where all arguments are equal, and |sum z|^2 >= 0 bounds their mean.
        """
        pairs = n // 2
        if not 2 <= pairs <= d + 1:
            raise ValueError(f"{pairs} pairs in R^{d}: the minimum is known for 2 to {d + 1} pairs")
        q, count = 1 + 1 / (pairs - 1), 2 * (pairs - 1)
        if self.limit:
            return 0.0 if self.positive else -q
        if self.positive:
            return self.tau * math.log1p(count * math.exp(-q / self.tau))
        return self.tau * math.log(count) - q

    def smoothness(self, n: int) -> float:
        """2 + 4 / n + 2 / tau (ours): second derivatives of s_ij along a geodesic are at most 2 (|h_i|^2 + |h_j|^2),
        and variances of their first ones at most the second moment. Between kinks, in the limit, without the last term.
        """
        return 2 + 4 / n + (0.0 if self.limit else 2 / self.tau)


def infonce(tau: float) -> Contrastive:
    """U / tau is NT-Xent, the loss of SimCLR."""
    return Contrastive(_positive(tau), positive=True)


def dcl(tau: float) -> Contrastive:
    """Decoupled contrastive loss: the positive is not in the sum."""
    return Contrastive(_positive(tau), positive=False)


hard = Contrastive(0.0, positive=False)
hard_incl = Contrastive(0.0, positive=True)


def _positive(tau: float) -> float:
    if not 0 < tau < math.inf:
        raise ValueError(f"tau = {tau}: choose a finite temperature > 0, or `hard` for the limit 0")
    return tau


@dataclass(frozen=True)
class FrozenAnchor(_InRows):
    """One free embedding, its positive and its negatives held fixed (ours): a landscape with a trap that one can draw.

    U = -z . p + tau log sum_k exp(z . n_k / tau), at tau = 0 with the largest z . n_k. By default on the circle, the
    positive at 0 and the negatives at +-90 degrees; at the angle phi from the positive

        tau = 0   U = -cos phi + |sin phi|: least at 0, a trap at 180 degrees behind saddles at +-135: depth sqrt 2 - 1
        tau > 0   U = -cos phi + tau log(2 cosh(sin phi / tau))
    """

    tau: float | Float[Tensor, " chains"] = 0.0
    positive: tuple[float, ...] = (1.0, 0.0)
    negatives: tuple[tuple[float, ...], ...] = ((0.0, 1.0), (0.0, -1.0))

    def at(self, tau: float | Float[Tensor, " chains"]) -> "FrozenAnchor":
        return self if self.limit else replace(self, tau=tau)

    def in_rows(self, z: Rows) -> tuple[Float[Tensor, " chains"], Rows]:
        (free_row,) = z
        largest, weights = _largest([weighted_sum(negative, free_row) for negative in self.negatives], self.tau)
        columns = zip(self.positive, zip(*self.negatives, strict=True), strict=True)
        slope = tuple(weighted_sum(column, weights) - p for p, column in columns)
        return largest - weighted_sum(self.positive, free_row), [slope]

    def smoothness(self, n: int) -> float:
        """As for `Contrastive`: |p| + 1 + 1 / tau for unit vectors."""
        return 2.0 + (0.0 if self.limit else 1 / self.tau)


# ---- what the energies are made of


def _largest(s: list[Tensor], tau: float | Tensor) -> tuple[Float[Tensor, " chains"], list[Tensor]]:
    """tau log sum_k exp(s_k / tau) and the softmax weights; the largest s_k and equal weights for ties at tau = 0."""
    most = s[0]
    for value in s[1:]:
        most = torch.maximum(most, value)
    limit = not isinstance(tau, Tensor) and tau == 0
    powers = [(value == most).to(most.dtype) if limit else ((value - most) / tau).exp() for value in s]
    total = sum(powers[1:], powers[0])
    return most if limit else most + tau * total.log(), [power / total for power in powers]


def _covariance(z: Float[Tensor, "b n d"], weights: Float[Tensor, "b n n"]) -> Float[Tensor, "b nd nd"]:
    """sum_a Cov_(k ~ W_a)[d s_ak / dZ]; the derivative has z_k in row a and z_a in row k."""
    rows = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    slopes = torch.einsum("ai,bkp->bakip", rows, z) + torch.einsum("ki,bap->bakip", rows, z)
    slopes = slopes.flatten(3)  # (b, a, k, n d)
    mean = torch.einsum("bak,bakx->bax", weights, slopes)
    return torch.einsum("bak,bakx,baky->bxy", weights, slopes, slopes) - mean.mT @ mean
