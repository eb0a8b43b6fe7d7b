"""LASSO instances of the authors' runs: designs in order from one replayed stream, or each from keys of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive, require_seed


@dataclass(frozen=True)
class Instances:
    """Base of the configs that draw designs."""

    designs: tuple[str, ...] = ("gaussian",)
    """Names in `designs.DESIGNS`, drawn in this order."""
    n: int = 300
    """Samples (rows of A)."""
    d: int = 600
    """Features (columns of A)."""
    s: int = 15
    """Non-zeros of the target, +-1."""
    lam: float = 0.2
    """l1 penalty lambda of ||Ab - y||^2 / (2n) + lambda ||b||_1."""
    stream: Literal["replay", "keys"] = "keys"
    """`replay`: NumPy's legacy stream in the authors' order. `keys`: jax.random, a key per design."""
    seed: int = 0

    def __post_init__(self):
        from trajectory_conv.designs import DESIGNS

        require_positive(self, "n", "d", "s", "lam")
        if not self.designs:
            raise ValueError("designs is empty; choose at least one")
        if unknown := [name for name in self.designs if name not in DESIGNS]:
            raise ValueError(f"unknown design {unknown[0]!r}; choose from {', '.join(DESIGNS)}")
        if not 0 < self.s <= self.d:
            raise ValueError(f"s = {self.s} non-zeros do not fit into d = {self.d} features; choose 1 <= s <= d")
        if self.stream not in ("replay", "keys"):
            raise ValueError(f"unknown stream {self.stream!r}; choose replay or keys")
        require_seed(self)


class Instance(NamedTuple):
    """A design and its data."""

    design: str
    matrix: np.ndarray
    """A (n, d)."""
    target: np.ndarray
    """b (d,)."""
    y: np.ndarray
    """Ab + noise (n,)."""


def instances(cell: Instances, noise: float = 0.0, reference_solve: bool = False) -> Iterator[Instance]:
    """The instances of a cell, in order.

    noise: standard deviation. reference_solve: whether the authors solved for F* between two designs, which took a word
    from their stream.
    """
    from trajectory_conv.designs import KeyDraws, ReplayDraws, target
    from trajectory_conv.seeds import key

    replay = ReplayDraws(cell.seed)
    for name in cell.designs:
        source = replay if cell.stream == "replay" else KeyDraws(key(cell.seed, "instance", name))
        matrix = draw_design(name, source, cell.n, cell.d)
        b = target(source, cell.d, cell.s)
        y = matrix @ b
        if noise > 0:
            y = y + noise * source.normal(cell.n)
        if cell.stream == "replay" and reference_solve:
            replay.skip_word()
        yield Instance(name, matrix, b, y)


def draw_design(name: str, source, n: int, d: int) -> np.ndarray:
    """A design; UserError where it does not exist at this size (orthogonal columns, n < d, ...)."""
    from trajectory_conv.designs import DESIGNS

    try:
        return DESIGNS[name](source, n, d)
    except ValueError as error:
        raise UserError(f"design {name} with n = {n}, d = {d}: {error}") from error


def thinned(steps: int, points: int = 300) -> np.ndarray:
    """Step numbers for a curve: all of the first ones, then evenly spaced on a logarithmic axis."""
    spaced = np.geomspace(1, max(steps - 1, 1), points).round().astype(int)
    return np.unique(np.r_[0, np.minimum(spaced, steps - 1)])
