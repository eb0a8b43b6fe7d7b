"""Extreme eigenvalues of Hessians that are too large to be formed, with certificates."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads.hessian import Loss, as_loss, in_float64, require_per_sample


class Extremes(NamedTuple):
    """The two ends of a spectrum with their certificates."""

    lowest: float
    highest: float
    lowest_residual: float
    """||H v - lambda v|| for the unit vector v found: some eigenvalue is this near."""
    highest_residual: float
    products: int
    """Products H v that it took."""


def hessian_product(
    head: nn.Module, z: Float[Tensor, "batch d"], loss: Loss
) -> Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]]:
    """v -> H v for the Hessian of the batch-mean loss by z, n = batch d entries, float64, for any head.

    The graph of the gradient is built once; a product is one backward pass through it.
    """
    require_per_sample(head)
    with torch.enable_grad():
        z = z.detach().double().requires_grad_()
        (slope,) = torch.autograd.grad(as_loss(loss).value(in_float64(head)(z)).mean(), z, create_graph=True)

    def product(v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        if not slope.requires_grad:  # the loss is linear in z
            return torch.zeros_like(v)
        (out,) = torch.autograd.grad(slope, z, v.view_as(z), retain_graph=True)
        return out.reshape(-1)

    return product


def extreme_eigenvalues(
    matvec: Callable[[Tensor], Tensor],
    n: int,
    generator: torch.Generator,
    tolerance: float = 1e-10,
    max_iterations: int = 1_000,
    device: torch.device | str = "cpu",
) -> Extremes:
    """Both ends of the spectrum of a symmetric operator v (n,) -> H v (n,), float64, by Lanczos (ARPACK).

    Lanczos converges to both ends at once, so nothing is shifted by a guess: power iteration on H and then on H -
    lambda I, as published, answers lambda_max when the eigenvalue of largest size is the negative one. The operator is
    scaled first: ARPACK's own stopping rule is absolute below 1e-11. `tolerance` is relative to ||H||.

    Raises ValueError when it does not converge in `max_iterations` restarts.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    if n < 1:
        raise ValueError(f"n = {n}; choose the operator's size, >= 1")
    count = 0

    def apply(v: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return matvec(torch.as_tensor(v, dtype=torch.float64, device=device).reshape(-1)).cpu().numpy()

    start = torch.randn(n, generator=generator, dtype=torch.float64, device=generator.device).cpu().numpy()
    scale = np.linalg.norm(apply(start)) / np.linalg.norm(start)
    if scale == 0:  # almost surely H = 0
        return Extremes(0.0, 0.0, 0.0, 0.0, count)
    if n <= 20:  # ARPACK needs room for its basis
        values, vectors = np.linalg.eigh(np.stack([apply(row) for row in np.eye(n)]) / scale)
    else:
        operator = LinearOperator((n, n), lambda v: apply(v) / scale, dtype=np.float64)
        try:
            values, vectors = eigsh(operator, 2, which="BE", v0=start, tol=tolerance, maxiter=max_iterations)
        except ArpackNoConvergence as error:
            raise ValueError(
                f"Lanczos did not reach tolerance = {tolerance:g} in {max_iterations} restarts: raise either"
            ) from error
    ends = [(scale * values[end], vectors[:, end]) for end in (0, -1)]
    residuals = [float(np.linalg.norm(apply(vector) - value * vector)) for value, vector in ends]
    return Extremes(float(ends[0][0]), float(ends[1][0]), *residuals, count)
