"""The paper's training loss in one differentiable function, as the reference for everything that trains faster.

    L = (1 / (B n)) sum ||x - xhat||^2  +  (lambda1 / B) sum_b sum_j omega_j h_bj  +  (lambda2 / B) sum_b sum_j h_bj^2
    h = relu((x - b_d) W_e + b_e),   or the k largest of it,      xhat = h W_d + b_d

The authors take the *mean* over the n inputs and the *sum* over latents; SAELens sums over both, so its coefficients
are n lambda.
"""

import itertools
import statistics
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from aen_sae.stacked import keep_largest


def loss(
    parameters: Mapping[str, Tensor],
    x: Float[Tensor, "batch n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"],
    k: int | None = None,
) -> Float[Tensor, ""]:
    """L for one SAE. parameters: W_enc (n, d), b_enc (d,), W_dec (d, n), b_dec (n,); weights: omega, held constant; k:
    active latents of TopK.
    """
    pre = (x - parameters["b_dec"]) @ parameters["W_enc"] + parameters["b_enc"]
    h = pre.relu() if k is None else keep_largest(pre.unsqueeze(0), [k]).squeeze(0)
    error = x - h @ parameters["W_dec"] - parameters["b_dec"]
    return error.square().mean() + l1 * (weights * h).sum(-1).mean() + l2 * h.square().sum(-1).mean()


@torch.no_grad()
def loss_jump(
    parameters: Mapping[str, Tensor], loss_at: Callable[[Mapping[str, Tensor]], Tensor], generator: torch.Generator
) -> float:
    """The largest jump of a training loss on a random segment in parameter space (each tensor moves by 10 % of its
    norm), in float64 and relative to the loss: the statement "fully differentiable", made measurable (ours).

    Of 64 pieces of the segment the one across which the loss, less its trend, changes most is halved 20 times, always
    keeping the half with the larger change. What is left is 7e7 times shorter than the segment: a continuous loss
    changes by less than 1e-6 of itself there, also across the kinks of a ReLU. A loss that selects latents (TopK) or
    has a threshold (JumpReLU) jumps where the selection changes, however short the piece.
    """
    start = {name: p.double() for name, p in parameters.items()}
    step = {}
    for name, p in start.items():
        direction = torch.randn(p.shape, generator=generator, dtype=p.dtype, device=p.device)
        step[name] = direction * (0.1 * p.norm() / direction.norm())

    def value(t: float) -> float:
        return loss_at({name: p + t * step[name] for name, p in start.items()}).item()

    values = [value(i / 64) for i in range(65)]
    slope = 64 * statistics.median(after - before for before, after in itertools.pairwise(values))
    largest = max(range(64), key=lambda i: abs(values[i + 1] - values[i] - slope / 64))
    (a, b), (at_a, at_b) = (largest / 64, (largest + 1) / 64), values[largest : largest + 2]
    for _ in range(20):
        middle = (a + b) / 2
        at_middle, trend = value(middle), slope * (b - a) / 2
        if abs(at_middle - at_a - trend) > abs(at_b - at_middle - trend):
            b, at_b = middle, at_middle
        else:
            a, at_a = middle, at_middle
    return abs(at_b - at_a) / abs(values[0])
