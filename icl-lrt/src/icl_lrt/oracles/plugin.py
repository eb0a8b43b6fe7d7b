"""Plug-in likelihood ratios: estimates of the parameters taken for the parameters (ours); over-confident at small n."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from icl_lrt.oracles.bayes import class_energies


def lda(
    x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"], query: Float[Tensor, "batch m d"], unit: bool = False
) -> Float64[Tensor, "batch m"]:
    """Shifted mean task: 2 mu.(x_q - k) with mu = (m_1 - m_0) / 2 and k = (m_1 + m_0) / 2, m_j the classes' means.

    unit: with mu / |mu|, since |mu| = 1 is known; the decisions are the same. A class without points has mean 0.
    """
    x, members = x.double(), torch.stack([1 - y.double(), y.double()], 1)
    zero, one = (members @ x / members.sum(-1, keepdim=True).clamp(min=1)).unbind(1)
    direction = (one - zero) / 2
    if unit:
        direction = torch.nn.functional.normalize(direction, dim=-1)
    return 2 * ((query.double() - ((one + zero) / 2)[:, None]) @ direction[..., None])[..., 0]


def plugin_variance(
    x: Float[Tensor, "batch n d"],
    y: Float[Tensor, "batch n"],
    query: Float[Tensor, "batch m d"],
    clip: tuple[float, float] | None = None,
) -> Float64[Tensor, "batch m"]:
    """Variance task: d ln(sigma_0 / sigma_1) + |x_q|^2 (sigma_0^-2 - sigma_1^-2) / 2 with sigma_j^2 = Q_j / (n_j d).

    clip: the range that sigma_j is brought back to, such as the prior's. A class without points has the other's sigma,
    so all scores are 0.
    """
    count, total = class_energies(x, y)
    variance = total / (count * x.shape[-1]).clamp(min=1)
    variance = torch.where(count > 0, variance, variance.flip(1))
    variance = torch.where(variance > 0, variance, 1.0)  # a context without points
    if clip is not None:
        variance = variance.clamp(clip[0] ** 2, clip[1] ** 2)
    (log_zero, log_one), (zero, one) = variance.log().unbind(1), variance.reciprocal().unbind(1)
    energy = query.double().square().sum(-1)
    return x.shape[-1] * (log_zero - log_one)[:, None] / 2 + energy * (zero - one)[:, None] / 2
