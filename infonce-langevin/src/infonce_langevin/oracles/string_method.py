"""Barriers of smooth energies that no grid can hold: the string method with a climbing image.

Images z_0 ... z_m along a path from a trap to a lower minimum go downhill and are spread again at equal distances,
until they lie along a path of least energy (E, Ren and Vanden-Eijnden). The highest one then climbs: its force along
the path is turned round,

    z <- z - h ( g - 2 (g . t) t )

with g the gradient and t the tangent, so it comes to rest at the saddle (Henkelman, Uberuaga and Jonsson).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.energies import Energy, gradient
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import normalised, project_step, tangent


class Barrier(NamedTuple):
    """The lowest way out that was found: an upper bound of the depth where other ways were missed."""

    depth: float
    """U(saddle) - U(trap)."""
    saddle: Float[Tensor, "n d 1"]
    residual: float
    """Largest entry of the gradient at the saddle: near 0 if it is one."""
    path: Float[Tensor, " images"]
    """U along the string."""


@torch.no_grad()
def string_barrier(
    energy: Energy,
    trap: Float[Tensor, "n d 1"],
    minimum: Float[Tensor, "n d 1"],
    seed: int,
    images: int = 40,
    strings: int = 8,
    relaxing: int = 2000,
    climbing: int = 2000,
) -> Barrier:
    """From `trap` to the lower `minimum`, both at rest, over the lowest of `strings` paths with different beginnings.

    The paths begin straight, with a random bend. Only for tau > 0: at a kink nothing comes to rest.
    """
    if energy.limit:
        raise ValueError("the string method needs a smooth energy: choose tau > 0, or use critical_depth on a grid")
    n, d, _ = trap.shape
    step = 0.5 / energy.smoothness(n)
    share = torch.linspace(0, 1, images, dtype=trap.dtype)
    bend = torch.randn(n, d, strings, 1, generator=generator(seed, "strings"), dtype=trap.dtype)
    line = (1 - share) * trap[..., None] + share * minimum[..., None] + 2 * share * (1 - share) * bend
    z = normalised(line.flatten(2)).unflatten(2, (strings, images))
    for _ in range(relaxing):
        moved = project_step(z.flatten(2), -step * gradient(energy, z.flatten(2))).unflatten(2, (strings, images))
        z = _spread(torch.cat([trap[..., None].expand(-1, -1, strings, 1), moved[..., 1:]], 3))
    u = energy.value(z.flatten(2)).view(strings, images)
    best = int(u.amax(1).argmin())
    top = int(u[best].argmax().clamp(1, images - 2))
    at, along = z[:, :, best, top : top + 1], z[:, :, best, top + 1 : top + 2] - z[:, :, best, top - 1 : top]
    for _ in range(climbing):
        along = tangent(at, along)
        along = along / along.norm()
        g = gradient(energy, at)
        at = project_step(at, -step * (g - 2 * (g * along).sum() * along))
    depth = float(energy.value(at) - energy.value(trap))
    return Barrier(depth, at, float(gradient(energy, at).abs().max()), u[best])


def _spread(z: Float[Tensor, "n d strings images"]) -> Float[Tensor, "n d strings images"]:
    """The same curves with their images at equal distances."""
    images = z.shape[3]
    pieces = z.diff(dim=3).square().sum((0, 1)).sqrt()  # (strings, images - 1)
    length = torch.cat([torch.zeros_like(pieces[:, :1]), pieces.cumsum(1)], 1)
    target = length[:, -1:] * torch.linspace(0, 1, images, dtype=z.dtype)
    right = torch.searchsorted(length, target).clamp(1, images - 1)
    low, high = length.gather(1, right - 1), length.gather(1, right)
    share = ((target - low) / (high - low).clamp_min(torch.finfo(z.dtype).tiny)).clamp(0, 1)
    index = right.expand(*z.shape[:2], *right.shape)
    mixed = z.gather(3, index - 1) * (1 - share) + z.gather(3, index) * share
    return normalised(mixed.flatten(2)).unflatten(2, z.shape[2:])
