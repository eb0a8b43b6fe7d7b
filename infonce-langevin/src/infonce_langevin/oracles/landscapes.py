"""Energies on a grid of angles, as graphs, and their critical depth.

A node is a point of the grid; edges join neighbours. For four points on the circle the grid is that of their angles
relative to the first one: turning all of them together changes no energy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from infonce_langevin.energies import Energy
from infonce_langevin.spheres import on_circle

_CHUNK = 1 << 18
"""Nodes whose energy is evaluated at once."""


@dataclass(frozen=True)
class Landscape:
    """U on `size` ** dimensions nodes of a periodic grid, in C order."""

    size: int
    angles: Float[np.ndarray, "m dims"]
    energy: Float[np.ndarray, " m"]
    directions: Int[np.ndarray, "k dims"]
    """Brownian motion is a sum of independent motions along these steps of the grid, in units of `spacing`."""

    @property
    def spacing(self) -> float:
        return 2 * np.pi / self.size

    def moved(self, step: Int[np.ndarray, " dims"]) -> Int[np.ndarray, " m"]:
        """The node that lies `step` further, for each node."""
        shape = (self.size,) * self.angles.shape[1]
        nodes = np.arange(len(self.energy)).reshape(shape)
        return np.roll(nodes, tuple(-step), tuple(range(len(shape)))).ravel()

    def node(self, angles: Float[np.ndarray, " dims"]) -> int:
        """The node nearest to these angles."""
        index = np.rint(np.asarray(angles) / self.spacing).astype(int) % self.size
        return int(np.ravel_multi_index(tuple(index), (self.size,) * self.angles.shape[1]))


def circle(energy: Energy, size: int) -> Landscape:
    """One free point on the circle. Multiples of 8 have nodes at 0, 180 and +-135 degrees."""
    return _landscape(energy, size, np.ones((1, 1), int), fixed=0)


def torus(energy: Energy, size: int, n: int = 4) -> Landscape:
    """n free points on the circle, by the angles of all but the first relative to it.

    Motion of the first point is motion of all relative angles together, which is one more direction.
    """
    directions = np.concatenate([np.eye(n - 1, dtype=int), np.ones((1, n - 1), int)])
    return _landscape(energy, size, directions, fixed=1)


def _landscape(energy: Energy, size: int, directions: Int[np.ndarray, "k dims"], fixed: int) -> Landscape:
    if size < 8:
        raise ValueError(f"a grid of {size} points a turn: choose 8 or more")
    dims = directions.shape[1]
    angles = np.stack(np.meshgrid(*[2 * np.pi / size * np.arange(size)] * dims, indexing="ij"), -1).reshape(-1, dims)
    values = []
    for chunk in torch.from_numpy(angles).split(_CHUNK):
        free = torch.cat([torch.zeros(len(chunk), fixed, dtype=chunk.dtype), chunk], 1)
        values.append(energy.value(on_circle(free.T)))
    return Landscape(size, angles, torch.cat(values).numpy(), directions)


class Depth(NamedTuple):
    """Barriers of a landscape."""

    depth: float
    """d* (Hajek): the highest that one has to climb from a local minimum outside the global ones to a lower point."""
    barrier: float
    """m (Holley, Kusuoka and Stroock): the same with the ways between global minima included."""
    trap: int
    """The node that is the deepest trap; -1 where there is none."""
    saddle: float
    """Energy at which the trap can be left; NaN where there is none."""

    @property
    def critical_rate(self) -> float:
        """c* = 1 / d* of beta = c ln t; infinite where there is no trap."""
        return 1 / self.depth if self.depth > 0 else np.inf


def critical_depth(landscape: Landscape, tolerance: float = 1e-9) -> Depth:
    """Exact on the grid, between nodes that touch: 3^dims - 1 neighbours each.

    Nodes flow to their lowest neighbour until they rest, which cuts the grid into basins; the merge tree of the basins,
    joined at their lowest passes, has the depths (elder rule). Minima within `tolerance` of the least are global.
    """
    u = landscape.energy
    dims = landscape.angles.shape[1]
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * dims, indexing="ij"), -1).reshape(-1, dims)
    half = steps[len(steps) // 2 + 1 :]  # one of each pair of opposite steps
    lowest = np.arange(len(u))
    for step in np.concatenate([half, -half]):
        there = landscape.moved(step)
        lowest = np.where(u[there] < u[lowest], there, lowest)
    while not np.array_equal(onwards := lowest[lowest], lowest):
        lowest = onwards
    minima, basin = np.unique(lowest, return_inverse=True)
    low, passes = u[minima], _passes(landscape, basin, half)
    eldest, trap, depth, saddle, barrier = list(range(len(minima))), -1, 0.0, np.nan, 0.0
    for height, a, b in passes:
        a, b = _root(eldest, a), _root(eldest, b)
        if a == b:
            continue
        a, b = (a, b) if low[a] <= low[b] else (b, a)
        eldest[b] = a
        climb = height - low[b]
        barrier = max(barrier, climb)
        if low[b] > low.min() + tolerance and climb > max(depth, tolerance):
            trap, depth, saddle = int(minima[b]), float(climb), float(height)
    return Depth(depth, float(barrier), trap, saddle)


def _passes(
    landscape: Landscape, basin: Int[np.ndarray, " m"], steps: Int[np.ndarray, "k dims"]
) -> list[tuple[float, int, int]]:
    """(height, basin, basin) of the lowest pass between any two basins that touch, lowest first."""
    u, count = landscape.energy, basin.max() + 1
    keys, heights = [], []
    for step in steps:
        there = landscape.moved(step)
        border = np.flatnonzero(basin != basin[there])
        a, b = basin[border], basin[there[border]]
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        heights.append(np.maximum(u[border], u[there[border]]))
    key, height = np.concatenate(keys), np.concatenate(heights)
    order = np.lexsort((height, key))
    key, height = key[order], height[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    a, b = np.divmod(key[first], count)
    return sorted(zip(height[first].tolist(), a.tolist(), b.tolist(), strict=True))


def _root(eldest: list[int], i: int) -> int:
    while eldest[i] != i:
        eldest[i] = i = eldest[eldest[i]]
    return i
