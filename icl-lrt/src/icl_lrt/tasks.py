"""The two classification tasks, drawn afresh for every episode (paper): Gaussian classes whose optimal rule is known.

Labels of the context and of the queries are independent fair coins, so classes are not balanced. The queries of one
episode share its parameters. Published episodes have n = 32 points in d = 16 dimensions and one query.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from icl_lrt.oracles.bayes import bayes_shifted_mean, bayes_variance
from icl_lrt.oracles.integrals import legendre


class Episodes(NamedTuple):
    """A batch of contexts with queries."""

    x: Float[Tensor, "batch n d"]
    """Context points."""
    y: Float[Tensor, "batch n"]
    """Their labels, 0 or 1."""
    query: Float[Tensor, "batch m d"]
    label: Float[Tensor, "batch m"]
    """Labels of the queries, 0 or 1."""
    llr: Float64[Tensor, "batch m"]
    """Log-likelihood ratio ln p(query | 1) / p(query | 0) with the true parameters: the oracle's score."""


@dataclass(frozen=True)
class ShiftedMean:
    """Task A: x | y ~ N(s mu + k, I), s = 2 y - 1, mu uniform on the unit sphere, k ~ N(0, sigma_k^2 I).

    The log-likelihood ratio is linear, 2 mu.(x - k). k says nothing about labels; a larger `sigma_k` than in training
    (9 in the paper) asks whether a network knows that.
    """

    name: ClassVar[str] = "shifted_mean"

    d: int = 16
    """Dimension of the inputs."""
    sigma_k: float = 3.0
    """Standard deviation of the nuisance shift k in each coordinate; 0 for none."""

    def __post_init__(self):
        _require_dimension(self.d)
        if not 0 <= self.sigma_k < math.inf:
            raise ValueError(f"sigma_k = {self.sigma_k}: choose a finite number >= 0")

    def sample(self, episodes: int, context: int, queries: int, generator: torch.Generator) -> Episodes:
        """Episodes of `context` points and `queries` queries, float32 on the generator's device."""
        _require_sizes(episodes, context, queries)
        options = {"generator": generator, "device": generator.device}
        mu = F.normalize(torch.randn(episodes, 1, self.d, **options), dim=-1)
        k = self.sigma_k * torch.randn(episodes, 1, self.d, **options)
        labels = (torch.rand(episodes, context + queries, **options) < 0.5).float()
        noise = torch.randn(episodes, context + queries, self.d, **options)
        points = noise + (2 * labels - 1)[..., None] * mu + k
        query = points[:, context:]
        llr = 2 * ((query.double() - k.double()) * mu.double()).sum(-1)
        return Episodes(points[:, :context], labels[:, :context], query, labels[:, context:], llr)

    def oracle_accuracy(self) -> float:
        """Phi(|mu|) = Phi(1) = 0.8413, for any sigma_k."""
        return 0.5 * (1 + math.erf(math.sqrt(0.5)))

    def log_odds(
        self, x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"], query: Float[Tensor, "batch m d"]
    ) -> Float64[Tensor, "batch m"]:
        """Scores of the exact Bayes predictive with this prior."""
        return bayes_shifted_mean(x, y, query, self.sigma_k)


@dataclass(frozen=True)
class Variance:
    """Task B: x | y ~ N(0, sigma_y^2 I), with sigma_0 and sigma_1 uniform on [low, high].

    The log-likelihood ratio is quadratic, d ln(sigma_0 / sigma_1) + |x|^2 (sigma_0^-2 - sigma_1^-2) / 2. The two
    deviations may be close: part of the episodes are guessing.
    """

    name: ClassVar[str] = "variance"

    d: int = 16
    """Dimension of the inputs."""
    low: float = 0.5
    """Least standard deviation of a class."""
    high: float = 3.0
    """Largest standard deviation of a class."""

    def __post_init__(self):
        _require_dimension(self.d)
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(f"low = {self.low}, high = {self.high}: choose 0 < low < high")

    def sample(self, episodes: int, context: int, queries: int, generator: torch.Generator) -> Episodes:
        """Episodes of `context` points and `queries` queries, float32 on the generator's device."""
        _require_sizes(episodes, context, queries)
        options = {"generator": generator, "device": generator.device}
        sigma = self.low + (self.high - self.low) * torch.rand(episodes, 2, **options)
        labels = (torch.rand(episodes, context + queries, **options) < 0.5).float()
        noise = torch.randn(episodes, context + queries, self.d, **options)
        points = noise * sigma.gather(1, labels.long())[..., None]
        query = points[:, context:]
        zero, one = sigma.double()[:, None].unbind(-1)
        llr = self.d * (zero / one).log() + query.double().square().sum(-1) * (zero**-2 - one**-2) / 2
        return Episodes(points[:, :context], labels[:, :context], query, labels[:, context:], llr)

    def oracle_accuracy(self) -> float:
        """Mean over pairs of deviations a < b of [F(T / a^2) + 1 - F(T / b^2)] / 2, with F of chi^2_d and
        T = 2 d ln(b / a) / (a^-2 - b^-2), the squared norm of equal likelihoods. 0.83985 for the paper's task.

        By Gauss-Legendre over b, and over a from low to b: there is a kink at a = b.
        """
        points, weights = (torch.tensor(array) for array in legendre(100))
        b = self.low + (self.high - self.low) * points[:, None]
        a = self.low + (b - self.low) * points
        half_t, shape = self.d * (b / a).log() / (a**-2 - b**-2), torch.tensor(self.d / 2, dtype=torch.float64)
        twice = torch.special.gammainc(shape, half_t / a**2) + torch.special.gammaincc(shape, half_t / b**2)
        density = (b - self.low) / (self.high - self.low)  # of (point_b, point_a), with both orders of the pair: x 2
        return float((twice * density * weights[:, None] * weights).sum())

    def log_odds(
        self, x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"], query: Float[Tensor, "batch m d"]
    ) -> Float64[Tensor, "batch m"]:
        """Scores of the exact Bayes predictive with this prior."""
        return bayes_variance(x, y, query, self.low, self.high)


Task = ShiftedMean | Variance


def flip_labels(y: Float[Tensor, "batch n"], p: float, generator: torch.Generator) -> Float[Tensor, "batch n"]:
    """Context labels, each flipped with probability p; the generator must be on their device."""
    if not 0 <= p <= 1:
        raise ValueError(f"p = {p}: choose a probability from 0 to 1")
    return torch.where(torch.rand(y.shape, generator=generator, device=generator.device) < p, 1 - y, y)


def _require_dimension(d: int) -> None:
    if d < 1:
        raise ValueError(f"d = {d}: choose at least 1 dimension")


def _require_sizes(episodes: int, context: int, queries: int) -> None:
    if episodes < 1 or context < 0 or queries < 1:
        raise ValueError(
            f"episodes = {episodes}, context = {context}, queries = {queries}: choose at least 1 episode and 1 query,"
            " and no negative context"
        )
