"""Products of unit spheres: the manifold M = (S^(d-1))^n on which embeddings live.

A state is n rows of d numbers for each of many chains, (n, d, chains) with the chains last: every operation is then a
loop over contiguous memory, whatever n and d are.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

_UNIT_TOLERANCE = 1e-3
"""Ours: how far from 1 the norm of a row may be; float32 rounding is far below it."""


Rows = list[tuple[Tensor, ...]]
"""A state number by number: rows[i][a] holds coordinate a of row i, one entry per chain.

For few rows and coordinates and many chains: eager torch is little slower for it, and torch.compile makes one loop over
the chains of it.
"""


def split(z: Float[Tensor, "n d chains"]) -> Rows:
    return [row.unbind(0) for row in z.unbind(0)]


def join(rows: Rows) -> Float[Tensor, "n d chains"]:
    return torch.stack([numbers for row in rows for numbers in row]).unflatten(0, (len(rows), -1))


def weighted_sum(weights: Iterable[Tensor | float], values: Iterable[Tensor]) -> Float[Tensor, " chains"]:
    """sum_k weights_k values_k."""
    (first, value), *more = zip(weights, values, strict=True)
    total = first * value
    for weight, value in more:
        fused = isinstance(weight, Tensor)
        total = torch.addcmul(total, weight, value) if fused else torch.add(total, value, alpha=weight)
    return total


def project_rows(z: Rows, w: Rows) -> Rows:
    """normalise(z + (I - z z^T) w) row by row, the published move."""
    moved = []
    for row, step in zip(z, w, strict=True):
        kept = 1 - weighted_sum(row, step)
        moved.append(_normalised([torch.addcmul(b, kept, a) for a, b in zip(row, step, strict=True)]))
    return moved


def exponential_rows(z: Rows, w: Rows) -> Rows:
    """Along the geodesic: cos|v| z + sin|v| v / |v| with v = (I - z z^T) w.

    On the circle this is exactly the angle plus a step.
    """
    moved = []
    for row, step in zip(z, w, strict=True):
        radial = weighted_sum(row, step)
        v = [torch.addcmul(b, radial, a, value=-1) for a, b in zip(row, step, strict=True)]
        length = weighted_sum(v, v).sqrt()
        cosine, sine = length.cos(), torch.sinc(length / torch.pi)
        moved.append(_normalised([torch.addcmul(cosine * a, sine, b) for a, b in zip(row, v, strict=True)]))
    return moved


def _normalised(row: Sequence[Tensor]) -> tuple[Tensor, ...]:
    scale = weighted_sum(row, row).rsqrt()
    return tuple(numbers * scale for numbers in row)


def project_step(z: Float[Tensor, "n d chains"], w: Float[Tensor, "n d chains"]) -> Float[Tensor, "n d chains"]:
    """`project_rows` of states."""
    return join(project_rows(split(z), split(w)))


def exponential_step(z: Float[Tensor, "n d chains"], w: Float[Tensor, "n d chains"]) -> Float[Tensor, "n d chains"]:
    """`exponential_rows` of states."""
    return join(exponential_rows(split(z), split(w)))


def tangent(z: Float[Tensor, "n d chains"], v: Float[Tensor, "n d chains"]) -> Float[Tensor, "n d chains"]:
    """(I - z z^T) v for every row: the part of v along the sphere."""
    return torch.addcmul(v, (z * v).sum(1, keepdim=True), z, value=-1)


def normalised(z: Float[Tensor, "n d chains"]) -> Float[Tensor, "n d chains"]:
    """Every row divided by its norm."""
    return z * z.square().sum(1, keepdim=True).rsqrt()


def uniform(
    n: int, d: int, chains: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n d chains"]:
    """States with the uniform law on M."""
    return normalised(torch.randn(n, d, chains, generator=generator, device=generator.device, dtype=dtype))


def on_circle(angles: Float[Tensor, "n chains"]) -> Float[Tensor, "n 2 chains"]:
    """Points of the unit circle at these angles."""
    return torch.stack([angles.cos(), angles.sin()], 1)


def check_states(z: Tensor, pairs: bool) -> None:
    """Raise ValueError where `z` is no batch of states, with an even number of rows where they are `pairs`."""
    if z.ndim != 3:
        raise ValueError(f"embeddings of shape {tuple(z.shape)}: give (n, d, chains), the chains last")
    if pairs and (len(z) % 2 or len(z) < 4):
        raise ValueError(f"{len(z)} embeddings: give an even number, 4 or more: rows 2 i and 2 i + 1 are a pair")
    if not ((z.norm(dim=1) - 1).abs() <= _UNIT_TOLERANCE).all():
        raise ValueError("embeddings must have norm 1: divide each row by its norm")
