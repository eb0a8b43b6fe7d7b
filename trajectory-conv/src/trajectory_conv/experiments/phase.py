"""Elastic net: where is the support recovered, and how should a penalty budget be split? (claim C12)

One cell is one seed of the authors' 35 x 30 grid of (lambda_1, lambda_2) (their elastic_net_phase); the first replays
their data. Recovery is decided by the primal-dual witness in closed form, and in `paper` also by 10,000 ISTA steps, as
the authors do. Expect 2 s per cell on one core by the witness, a minute by ISTA.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive, require_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results


@dataclass(frozen=True)
class Config:
    n: int = 300
    """Samples."""
    d: int = 500
    """Features, Gaussian."""
    s: int = 5
    """Size of the true support; amplitudes U[3, 5] with random signs."""
    noise: float = 0.05
    """Standard deviation of the noise."""
    lam1_points: int = 35
    """lambda_1 values, evenly from xi / 2 to `lam1_max`."""
    lam1_max: float = 4.5
    """Largest lambda_1."""
    lam2_points: int = 30
    """lambda_2 values, geometrically from 10^-3 to 10^1.5."""
    iterations: int = 0
    """ISTA steps per grid point, to decide recovery by {j: |b_j| > 1e-6}; 0: by the witness alone."""
    budgets: int = 500
    """Points of the split paths, Lambda from 1.1 xi to 7.5."""
    stream: Literal["replay", "keys"] = "keys"
    """`replay`: NumPy's legacy stream in the authors' order. `keys`: jax.random."""
    seed: int = 0

    def __post_init__(self):
        require_positive(self, "n", "d", "s", "noise", "lam1_points", "lam1_max", "lam2_points", "budgets")
        if not 0 < self.s < self.d:
            raise ValueError(f"s = {self.s} of d = {self.d} features; choose 1 <= s < d")
        require_seed(self)
        if self.iterations < 0:
            raise ValueError(f"iterations = {self.iterations}; choose a number >= 0")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: the recovery map, the map of H_2 at the true support, and the split paths."""
    from trajectory_conv.balance import constrained_split, coupled_split, statistical_threshold, unconstrained_split

    matrix, b, y, noise = _data(cell)
    support = b != 0
    gram, linear = matrix.T @ matrix / cell.n, matrix.T @ y / cell.n
    active, cross = gram[np.ix_(support, support)], gram[np.ix_(~support, support)]
    floor = np.abs(matrix[:, ~support].T @ noise).max() / cell.n
    if 1.1 * floor >= 7.5:
        raise UserError(
            f"noise = {cell.noise}: the noise floor {floor:.3g} exceeds all budgets; choose less noise or a larger n"
        )
    cross_norm = np.linalg.norm(cross, 2)
    lam1 = np.linspace(0.5 * floor, cell.lam1_max, cell.lam1_points)
    lam2 = np.logspace(-3, 1.5, cell.lam2_points)
    recovered, h2 = _maps(active, cross, linear[support], linear[~support], np.sign(b[support]), lam1, lam2)
    threshold = statistical_threshold(lam2, active, cross, b[support], floor)
    ceiling = np.abs(b[support]).min()
    rule = (threshold[:, None] <= lam1) & (lam1 < ceiling)
    budgets = np.linspace(1.1 * floor, 7.5, cell.budgets)
    curve = np.logspace(-2, 1.5, 500)
    record = {
        "floor": floor,
        "cross_norm": cross_norm,
        "ceiling": ceiling,
        "recovered_share": recovered.mean(),
        "h2_min": h2.min(),
        "h2_max": h2.max(),
        "rule_agrees": 100 * (rule == recovered).mean(),
        "rule_false_positive": 100 * (rule & ~recovered).mean(),
        "rule_false_negative": 100 * (~rule & recovered).mean(),
        "lam1": lam1,
        "lam2": lam2,
        "recovered": recovered,
        "h2": h2,
        "threshold_lam2": curve,
        "threshold": statistical_threshold(curve, active, cross, b[support], floor),
        "budgets": budgets,
    }
    paths = {
        "naive": [unconstrained_split(budget, cross_norm) for budget in budgets],
        "constrained": [constrained_split(budget, cross_norm, floor) for budget in budgets],
        "coupled": [coupled_split(budget, cross_norm, active, cross, b[support], floor) for budget in budgets],
    }
    blocks = (active, cross, linear[support], linear[~support], np.sign(b[support]))
    return [record | _along_paths(blocks, budgets, paths) | _by_ista(cell, matrix, y, support, lam1, lam2, recovered)]


def _along_paths(blocks, budgets, paths) -> dict:
    """How often each path recovers the support where some split of the budget does, and its H_2 over the best
    split's.
    """
    shares = np.linspace(0.01, 0.99, 50)  # lambda_1 / Lambda
    every, h2 = _points(*blocks, np.outer(budgets, shares).ravel(), np.outer(budgets, 1 - shares).ravel())
    attainable = every.reshape(len(budgets), -1).any(axis=1)
    least = h2.reshape(len(budgets), -1).min(axis=1)
    record = {"attainable": 100 * attainable.mean()}
    for name, path in paths.items():
        path = np.array(path)
        on_path, h2 = _points(*blocks, path, np.maximum(budgets - path, 1e-12))
        record |= {
            f"path_{name}": path,
            f"recovered_{name}": 100 * on_path[attainable].mean() if attainable.any() else None,
            f"excess_{name}": float(np.median(h2 / least)),
        }
    return record


def _data(cell: Config):
    """Design, target with signs kept and amplitudes U[3, 5], y and its noise, in the authors' order of draws."""
    from trajectory_conv.designs import DESIGNS, KeyDraws, ReplayDraws, target
    from trajectory_conv.seeds import key

    draws = ReplayDraws(cell.seed) if cell.stream == "replay" else KeyDraws(key(cell.seed, "phase"))
    matrix = DESIGNS["gaussian"](draws, cell.n, cell.d)
    b = target(draws, cell.d, cell.s)
    support = np.flatnonzero(b)
    b[support] *= draws.uniform(3.0, 5.0, cell.s)
    noise = cell.noise * draws.normal(cell.n)
    return matrix, b, matrix @ b + noise, noise


def _maps(active, cross, linear, linear_off, signs, lam1, lam2):
    """(recovered, H_2) on the grid, (lam2, lam1)."""
    grid1, grid2 = np.meshgrid(lam1, lam2)
    recovered, h2 = _points(active, cross, linear, linear_off, signs, grid1.ravel(), grid2.ravel())
    return recovered.reshape(grid1.shape), h2.reshape(grid1.shape)


def _points(active, cross, linear, linear_off, signs, lam1, lam2):
    """(recovered, H_2) at pairs of penalties, as one batch."""
    import jax

    from trajectory_conv.balance import primal_dual_witness
    from trajectory_conv.hoffman import affine_hoffman_2

    def one(penalties):
        witness = primal_dual_witness(active, cross, linear, linear_off, signs, *penalties)
        return witness.recovered, affine_hoffman_2(active, cross_gram, *penalties)

    cross_gram = cross.T @ cross
    recovered, h2 = jax.jit(lambda pairs: jax.lax.map(one, pairs, batch_size=64))((lam1, lam2))
    return np.asarray(recovered), np.asarray(h2)


def _by_ista(cell: Config, matrix, y, support, lam1, lam2, recovered) -> dict:
    """The authors' decision, the support of the last iterate with threshold 1e-6, against the witness."""
    from trajectory_conv.problems import elastic_net
    from trajectory_conv.solvers import solve

    if not cell.iterations:
        return {}
    found = np.zeros_like(recovered)
    for row, l2 in enumerate(lam2):
        for column, l1 in enumerate(lam1):
            x = solve(elastic_net(matrix, y, l1, l2), cell.iterations, "ista").x
            found[row, column] = np.array_equal(np.abs(x) > 1e-6, support)
    return {"ista_mismatches": int((found != recovered).sum()), "ista_share": found.mean()}


_GRID = Config()

PRESETS: dict[str, list[Config]] = {
    "smoke": [
        replace(_GRID, n=60, d=100, s=3, lam1_points=7, lam2_points=6, budgets=20, iterations=iterations, stream=stream)
        for stream, iterations in (("replay", 2_000), ("keys", 0))
    ],
    "default": [replace(_GRID, stream="replay"), *(replace(_GRID, seed=seed) for seed in range(8))],
    "paper": [
        replace(_GRID, stream="replay", iterations=10_000),
        *(replace(_GRID, seed=seed) for seed in range(30)),
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Recovery and H_2 over the grid, with the split paths."""
    from trajectory_conv.experiments.phase_figures import draw

    return draw(results)
