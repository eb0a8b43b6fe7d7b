"""The paper's training loss in one differentiable function, as the reference for everything that trains faster.

    L = (1 / (B n)) sum ||x - xhat||^2  +  (lambda1 / B) sum_b sum_j omega_j h_bj  +  (lambda2 / B) sum_b sum_j h_bj^2
    h = relu((x - b_d) W_e + b_e),   xhat = h W_d + b_d

The authors take the *mean* over the n inputs and the *sum* over latents; SAELens sums over both, so its coefficients
are n lambda.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor


def loss(
    parameters: Mapping[str, Tensor], x: Float[Tensor, "batch n"], l1: float, l2: float, weights: Float[Tensor, " d"]
) -> Float[Tensor, ""]:
    """L for one SAE. parameters: W_enc (n, d), b_enc (d,), W_dec (d, n), b_dec (n,); weights: omega, held constant."""
    h = ((x - parameters["b_dec"]) @ parameters["W_enc"] + parameters["b_enc"]).relu()
    error = x - h @ parameters["W_dec"] - parameters["b_dec"]
    return error.square().mean() + l1 * (weights * h).sum(-1).mean() + l2 * h.square().sum(-1).mean()


def gradient_error(
    parameters: Mapping[str, Tensor],
    x: Float[Tensor, "batch n"],
    l1: float,
    l2: float,
    weights: Float[Tensor, " d"],
    generator: torch.Generator,
    step: float = 1e-6,
) -> float:
    """Relative error of the gradient's directional derivative against a central difference, in float64, along one
    random direction.

    Small values show that the loss is differentiable where the SAE is: no selection, threshold or resampling in its
    way.
    """
    at = {name: p.double().requires_grad_() for name, p in parameters.items()}
    x, weights = x.double(), weights.double()
    gradients = torch.autograd.grad(loss(at, x, l1, l2, weights), list(at.values()))
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype, device=p.device) for p in at.values()]
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))

    def moved(sign: float) -> Tensor:
        shifted = {name: p.detach() + sign * step * d for (name, p), d in zip(at.items(), direction, strict=True)}
        return loss(shifted, x, l1, l2, weights)

    difference = (moved(1.0) - moved(-1.0)) / (2 * step)
    return ((difference - slope).abs() / slope.abs().clamp_min(1e-12)).item()
