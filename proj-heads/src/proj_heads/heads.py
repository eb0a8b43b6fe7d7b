"""Projection heads: stacks of bias-free linear maps, elementwise activations and batch norms (the authors' heads).

    h = [BN] W_D s([BN] W_{D-1} ... s([BN] W_1 z))        D = depth; widths d -> width -> ... -> width -> k

`linear` is the stack without activations and, as in the authors' code, never has batch norms. A predictor (SimSiam) is
such a stack, too. lightly's own heads are used where they are the published ones (`pretraining`).
"""

from collections.abc import Callable
from typing import NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads.recipe import Activation

MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "swish": nn.SiLU}
"""torch's module of each activation; `linear` has none."""


class Elementwise(NamedTuple):
    """An activation's first two derivatives, elementwise and almost everywhere."""

    first: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]
    second: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]


def _swish_first(x):
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def _swish_second(x):
    s = torch.sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


def _normal_density(x):
    return torch.exp(-(x**2) / 2) / (2 * torch.pi) ** 0.5


DERIVATIVES: dict[type[nn.Module], Elementwise] = {
    nn.Identity: Elementwise(torch.ones_like, torch.zeros_like),
    nn.ReLU: Elementwise(lambda x: (x > 0).to(x.dtype), torch.zeros_like),
    nn.GELU: Elementwise(
        lambda x: torch.special.ndtr(x) + x * _normal_density(x), lambda x: _normal_density(x) * (2 - x**2)
    ),
    nn.SiLU: Elementwise(_swish_first, _swish_second),
}
"""Swish: s(1 + x(1 - s)) and s(1 - s)(2 + x(1 - 2s)) with s the sigmoid; GELU: Phi + x phi and phi (2 - x^2)."""


def build_head(
    d: int,
    width: int,
    k: int,
    activation: Activation = "swish",
    depth: int = 2,
    norm: bool = True,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A head z (batch, d) -> h (batch, k) of `depth` linear maps, initialised as PyTorch does: U(+-1/sqrt(fan in)).

    `norm` puts a batch norm after every linear map (never for `linear`), the last one included, as the authors do.
    """
    if activation not in get_args(Activation):
        raise ValueError(f"unknown activation {activation!r}: choose from {', '.join(get_args(Activation))}")
    if min(d, width, k, depth) < 1:
        raise ValueError(f"d = {d}, width = {width}, k = {k}, depth = {depth}: choose numbers >= 1")
    widths, layers = [d, *[width] * (depth - 1), k], []
    for number, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        if number and activation != "linear":
            layers.append(MODULES[activation]())
        layers.append(nn.utils.skip_init(nn.Linear, before, after, bias=False))  # the global stream is not drawn from
        with torch.no_grad():
            layers[-1].weight.uniform_(-(before**-0.5), before**-0.5, generator=generator)
        if norm and activation != "linear":
            layers.append(nn.BatchNorm1d(after))
    return nn.Sequential(*layers)


@torch.no_grad()
def pseudo_collapse_(head: nn.Module, alpha: float = 0.1) -> nn.Module:
    """Multiply every linear map by alpha, the authors' "collapsed" initialisation (appendix; alpha = 0.1).

    It collapses nothing by itself: without biases and batch norm the normalised output of a linear or ReLU head does
    not change at all (it is homogeneous), and a smooth head is moved into its linear regime. Only the effective step
    grows, by 1 / alpha^2 per map of scale-free weights.
    """
    for module in head.modules():
        if isinstance(module, nn.Linear):
            module.weight *= alpha
    return head
