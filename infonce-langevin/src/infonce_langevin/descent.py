"""Descent without noise: where the minima of an energy are, and how many starts end in one that is not global."""

import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.energies import Energy, gradient
from infonce_langevin.spheres import project_step


@torch.no_grad()
def descend(
    energy: Energy, z: Float[Tensor, "n d chains"], steps: int, step: float | None = None
) -> Float[Tensor, "n d chains"]:
    """z <- normalise(z - step grad U), `steps` times.

    By default the step is 1 / smoothness, at which no energy rises; in the limit tau = 0 it is divided by k + 1 in
    units of a hundredth of the steps, since descent with equal steps would go on jumping across kinks.
    """
    largest = 1 / energy.smoothness(len(z)) if step is None else step
    for k in range(steps):
        shrunk = largest / (1 + 100 * k / steps) if energy.limit else largest
        z = project_step(z, -shrunk * gradient(energy, z))
    return z
