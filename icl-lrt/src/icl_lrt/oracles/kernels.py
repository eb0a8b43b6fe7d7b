"""Kernel smoothers: Nadaraya-Watson estimates of the label, with the published kernel and with fair ones.

f(x_q) = sum_i w_i s_i,   w = softmax_i(score(x_q, x_i)),   s = 2 y - 1.

The published test of "not a fixed kernel smoother" uses `dot_product` on inputs that are not centred. The other two are
ours: they can express the tasks' decision regions, and have a bandwidth h, in the unit of x or of |x|^2.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from icl_lrt.oracles.bayes import signs

Score = Callable[[Tensor, Tensor, float], Tensor]
"""(x (batch, n, d), query (batch, m, d), bandwidth) -> (batch, m, n)."""


def dot_product(
    x: Float[Tensor, "batch n d"], query: Float[Tensor, "batch m d"], scale: float = math.sqrt(32)
) -> Float64[Tensor, "batch m n"]:
    """x_q.x_i / scale; published with the square root of the network's head dimension, 128 / 4 = 32."""
    return query.double() @ x.double().mT / scale


def rbf(
    x: Float[Tensor, "batch n d"], query: Float[Tensor, "batch m d"], bandwidth: float
) -> Float64[Tensor, "batch m n"]:
    """-|x_q - x_i|^2 / (2 h^2), for the shifted mean task."""
    return -torch.cdist(query.double(), x.double()).square() / (2 * bandwidth**2)


def norm_kernel(
    x: Float[Tensor, "batch n d"], query: Float[Tensor, "batch m d"], bandwidth: float
) -> Float64[Tensor, "batch m n"]:
    """-(|x_q|^2 - |x_i|^2)^2 / (2 h^2), for the variance task."""
    energy, query_energy = (points.double().square().sum(-1) for points in (x, query))
    return -(query_energy[:, :, None] - energy[:, None]).square() / (2 * bandwidth**2)


def nadaraya_watson(score: Float[Tensor, "batch m n"], y: Float[Tensor, "batch n"]) -> Float64[Tensor, "batch m"]:
    """f(x_q), in [-1, 1]; 0 without context."""
    return (torch.softmax(score.double(), -1) @ signs(y)[..., None])[..., 0]


def choose_bandwidth(
    score: Score, x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"], candidates: Sequence[float]
) -> float:
    """The candidate of the least mean (s_i - f_{-i}(x_i))^2 over all points of these contexts of n >= 2, where f_{-i}
    leaves point i out. It sees no query: these may be the contexts that the kernel is then judged on.
    """
    n = x.shape[1]
    if n < 2:
        raise ValueError(f"contexts of {n} points leave none to predict from: give at least 2")
    itself = torch.eye(n, dtype=torch.bool, device=x.device)

    def error(bandwidth: float) -> float:
        others = score(x, x, bandwidth).masked_fill(itself, -torch.inf)
        return float((signs(y) - nadaraya_watson(others, y)).square().mean())

    return min(candidates, key=error)
