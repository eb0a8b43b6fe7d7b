"""The paper's training loss in one differentiable function, as the reference for everything that trains faster.

    L = (1 / (B n)) sum ||x - xhat||^2  +  (lambda1 / B) sum_b sum_j omega_j h_bj  +  (lambda2 / B) sum_b sum_j h_bj^2
    h = relu((x - b_d) W_e + b_e),   or the k largest of it,      xhat = h W_d + b_d

The authors take the *mean* over the n inputs and the *sum* over latents; SAELens sums over both, so its coefficients
are n lambda.
"""

import itertools
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
    """The largest jump of a training loss that is found on a random segment in parameter space (each tensor moves by
    10 % of its norm), in float64 and relative to the loss: "fully differentiable", made measurable (ours).

    A loss that selects latents (TopK) or has a threshold (JumpReLU) jumps where the selection changes. See `jump` for
    the search: it can miss a jump that is small beside the curvature of the loss, and finds none where there is none.
    """
    start = {name: p.double() for name, p in parameters.items()}
    step = {}
    for name, p in start.items():
        direction = torch.randn(p.shape, generator=generator, dtype=p.dtype, device=p.device)
        step[name] = direction * (0.1 * p.norm() / direction.norm())

    def value(t: float) -> float:
        return loss_at({name: p + t * step[name] for name, p in start.items()}).item()

    return jump(value) / abs(value(0.0))


def jump(f: Callable[[float], float], pieces: int = 64, suspects: int = 8, halvings: int = 20) -> float:
    """The largest |f(t+) - f(t-)| found on [0, 1].

    Of `pieces` equal pieces, the `suspects` whose change differs most from that of their neighbours are halved
    `halvings` times, always keeping the half with the larger change after the neighbours' trend is taken off. What is
    left of a piece is 7e7 times shorter than the segment: a continuous f has almost no change there, across kinks, too.
    """
    values = [f(i / pieces) for i in range(pieces + 1)]
    change = [after - before for before, after in itertools.pairwise(values)]
    trend = [(change[max(i - 1, 0)] + change[min(i + 1, pieces - 1)]) / 2 for i in range(pieces)]
    largest = 0.0
    for i in sorted(range(pieces), key=lambda i: abs(change[i] - trend[i]), reverse=True)[:suspects]:
        (a, b), (at_a, at_b), expected = (i / pieces, (i + 1) / pieces), values[i : i + 2], trend[i]
        for _ in range(halvings):
            middle, expected = (a + b) / 2, expected / 2
            at_middle = f(middle)
            if abs(at_middle - at_a - expected) > abs(at_b - at_middle - expected):
                b, at_b = middle, at_middle
            else:
                a, at_a = middle, at_middle
        largest = max(largest, abs(at_b - at_a))
    return largest
