"""Do the implications between the restricted conditions hold, with our constants? (claims C1, C2)

pointwise   PL from quadratic growth, PL from the error bound, D >= ||R||^2 and the one-step contraction, at random
            points of LASSO problems
invariant   quadratic growth and error bound from PL, on trajectories (sets that the iteration does not leave)
descent     gradient descent started in the span of the leading eigenvectors of an ill-conditioned quadratic: the
            restricted PL constant sets the rate, the global one is useless
scalar      x^2 + 3 sin^2 x, not convex: PL holds, and better on smaller intervals; gradient descent contracts as
            promised
null_space  for d > n there is no global error bound: moving along null(A), dist / ||R|| grows without limit

One cell is one part and one seed. Expect 2 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive, require_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Part = Literal["pointwise", "invariant", "descent", "scalar", "null_space"]
PARTS = get_args(Part)
IMPLICATIONS = (
    "pl_from_growth", "pl_from_error_bound", "decrease", "contraction", "growth_from_pl", "error_bound_from_pl",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    part: Part = "pointwise"
    """Which question, see the head of the module."""
    n: int = 40
    """Samples."""
    d: int = 60
    """Features; descent: dimension."""
    s: int = 4
    """Non-zeros of the target."""
    lam: float = 0.1
    """l1 penalty."""
    points: int = 2_000
    """pointwise: random points per scale; invariant and descent: iterations. At least 2."""
    scale: tuple[float, ...] = (1e-2, 1e-1, 1.0, 10.0)
    """pointwise: distances from the optimum at which points are drawn."""
    implication: tuple[str, ...] = IMPLICATIONS
    """pointwise, invariant: the implications that are recorded."""
    leading: tuple[int, ...] = (5, 10, 20, 30)
    """descent: numbers of leading eigenvectors that the start lies in, of eigenvalues 1 to 10^-6 in d steps."""
    radius: tuple[float, ...] = (0.1, 0.5, 1.0, 1.5, 2.0, 5.0)
    """scalar: intervals |x| <= r."""
    distance: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    """null_space: lengths of the move along a unit vector of null(A)."""
    seed: int = 0

    def __post_init__(self):
        require_positive(self, "n", "d", "s", "lam", "points", "leading", "radius", "distance", "scale")
        require_seed(self)
        if unknown := set(self.implication) - set(IMPLICATIONS):
            raise ValueError(f"unknown implication {min(unknown)!r}; choose from {', '.join(IMPLICATIONS)}")
        if self.part not in PARTS:
            raise ValueError(f"unknown part {self.part!r}; choose from {', '.join(PARTS)}")
        if self.points < 2:
            raise ValueError(f"points = {self.points}: there is no step to judge; choose at least 2")
        if self.s > self.d or max(self.leading) > self.d:
            raise ValueError(f"s = {self.s}, leading = {self.leading}; choose numbers up to d = {self.d}")
        if self.part == "null_space" and self.d <= self.n:
            raise ValueError(f"d = {self.d} <= n = {self.n}: null(A) is trivial; choose d > n")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Slacks and constants of the cell's part; see the functions below for their records."""
    parts = {
        "pointwise": _pointwise,
        "invariant": _invariant,
        "descent": _descent,
        "scalar": _scalar,
        "null_space": _null_space,
    }
    return parts[cell.part](cell)


def _pointwise(cell: Config) -> list[dict]:
    """Per scale: the least slack of each implication, relative to L, over dense and sparse moves from x*."""
    import jax

    from trajectory_conv.geometry import ROUNDING, pl_from_error_bound, pl_from_growth
    from trajectory_conv.solvers import measure

    problem, optimum, draws = _problem(cell)
    lipschitz = float(problem.lipschitz)
    records = []
    for scale in cell.scale:
        moves = draws.normal(cell.points, cell.d)
        moves[::2] *= draws.uniform(0.0, 1.0, len(moves[::2]), cell.d) < 0.1  # every other one sparse
        moves *= scale / np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), 1e-300)
        points = optimum + moves
        here = measure(problem, points, optimum)
        there = measure(problem, jax.vmap(problem.step)(points), optimum)
        kept = np.asarray(here.gap) > ROUNDING
        if not kept.any():
            raise UserError(f"scale = {scale:g}: no point has a gap above {ROUNDING:g}; choose a larger scale")
        gap, error, residual, decrease, after = (
            np.asarray(values)[kept] for values in (here.gap, here.error, here.residual, here.decrease, there.gap)
        )
        pl, growth, bound = decrease / (2 * gap), 2 * gap / error**2, residual / error
        slack = {
            "pl_from_growth": pl - pl_from_growth(growth, lipschitz),
            "pl_from_error_bound": pl - pl_from_error_bound(bound, lipschitz),
            "decrease": (decrease - residual**2) / (2 * gap),
            "contraction": ((1 - np.minimum(pl / lipschitz, 1)) * gap - after) / gap * lipschitz,
        }
        records += [
            {"scale": scale, "implication": name, "checked": len(gap), "slack": float(values.min() / lipschitz)}
            for name, values in slack.items()
            if name in cell.implication
        ]
    return records


def _invariant(cell: Config) -> list[dict]:
    """Constants measured on an ISTA trajectory from a random start, over those that its PL constant implies."""
    from trajectory_conv.geometry import error_bound_from_pl, growth_from_pl, restricted_constants
    from trajectory_conv.solvers import solve

    problem, optimum, draws = _problem(cell)
    trace = solve(problem, cell.points, "ista", optimum, start=optimum + draws.normal(cell.d))
    found, lipschitz = restricted_constants(trace), float(problem.lipschitz)
    records = [
        {"implication": "growth_from_pl", "ratio": found.growth / growth_from_pl(found.pl)},
        {"implication": "error_bound_from_pl", "ratio": found.error_bound / error_bound_from_pl(found.pl, lipschitz)},
    ]
    return [record for record in records if record["implication"] in cell.implication]


def _descent(cell: Config) -> list[dict]:
    """Largest contraction of f - f* per step against (1 - mu_k)^2; no regulariser, L = 1."""
    import jax.numpy as jnp

    from trajectory_conv.problems import Problem, Quadratic
    from trajectory_conv.prox import WeightedL1
    from trajectory_conv.solvers import solve

    draws = _draws(cell)
    basis = np.linalg.qr(draws.normal(cell.d, cell.d))[0]
    values = np.geomspace(1, 1e-6, cell.d)
    hessian = jnp.asarray(basis * values @ basis.T)
    problem = Problem(
        Quadratic(hessian, jnp.zeros(cell.d), jnp.asarray(0.0)), WeightedL1(jnp.zeros(cell.d)), jnp.asarray(1.0)
    )
    records = []
    for k in cell.leading:
        start = basis[:, :k] @ draws.signs(k)
        trace = solve(problem, cell.points, "ista", np.zeros(cell.d), start, compress=False)
        gap = trace.gap[trace.gap > 1e-12 * trace.gap[0]]  # below, rounding has leaked into the slow directions
        records.append({
            "leading": k,
            "mu": values[k - 1],
            "measured": float((gap[1:] / gap[:-1]).max(initial=0.0)),  # 0: over after one step
            "predicted": (1 - values[k - 1]) ** 2,
            "certified": 1 - values[k - 1],
            "global": 1 - values[-1],
        })  # fmt: skip
    return records


def _scalar(cell: Config) -> list[dict]:
    """f(x) = x^2 + 3 sin^2 x, L = 8, f* = 0: the PL constant on |x| <= r, and gradient descent from the ends."""
    lipschitz = 8.0

    def f(x):
        return x**2 + 3 * np.sin(x) ** 2

    def slope(x):
        return 2 * x + 3 * np.sin(2 * x)

    records = []
    for radius in cell.radius:
        grid = np.linspace(1e-4, radius, 200_001)
        pl = float((slope(grid) ** 2 / (2 * f(grid))).min())
        x, worst, stayed = np.linspace(-radius, radius, 2_001), 0.0, True
        for _ in range(200):
            moved = x - slope(x) / lipschitz
            seen = f(x) > 1e-12
            worst = max(worst, float((f(moved[seen]) / f(x[seen])).max(initial=0.0)))
            stayed &= bool((np.abs(moved) <= np.abs(x) + 1e-12).all())
            x = moved
        records.append(
            {"radius": radius, "pl": pl, "measured": worst, "certified": 1 - pl / lipschitz, "stayed": stayed}
        )
    return records


def _null_space(cell: Config) -> list[dict]:
    """dist / ||R|| at x* + t z with A z = 0."""
    from trajectory_conv.solvers import measure

    problem, optimum, draws = _problem(cell)
    values, vectors = np.linalg.eigh(np.asarray(problem.smooth.hessian))
    null = vectors[:, values < 1e-10 * values[-1]]
    direction = null @ draws.normal(null.shape[1])
    direction /= np.linalg.norm(direction)
    found = measure(problem, optimum + np.outer(cell.distance, direction), optimum)
    return [
        {"distance": distance, "ratio": float(error / residual)}
        for distance, error, residual in zip(cell.distance, found.error, found.residual, strict=True)
    ]


def _problem(cell: Config):
    """(problem, optimum, draws): a Gaussian LASSO with noise."""
    from trajectory_conv.designs import gaussian, target
    from trajectory_conv.problems import lasso
    from trajectory_conv.solvers import find_optimum

    draws = _draws(cell)
    matrix = gaussian(draws, cell.n, cell.d)
    y = matrix @ target(draws, cell.d, cell.s) + 0.1 * draws.normal(cell.n)
    problem = lasso(matrix, y, cell.lam)
    return problem, find_optimum(problem).x, draws


def _draws(cell: Config):
    from trajectory_conv.designs import KeyDraws
    from trajectory_conv.seeds import key

    return KeyDraws(key(cell.seed, "theory", cell.part))


def _seeds(count: int, *cells: Config) -> list[Config]:
    return [replace(cell, seed=seed) for cell in cells for seed in range(count)]


_RANDOM = [Config(part=part) for part in ("pointwise", "invariant", "null_space")] + [
    Config(part="descent", points=20_000)  # so many until the slowest direction is alone
]

PRESETS: dict[str, list[Config]] = {
    "smoke": [*_seeds(1, *(replace(cell, points=500) for cell in _RANDOM)), Config(part="scalar")],
    "default": [*_seeds(8, *_RANDOM), Config(part="scalar")],
    "paper": [*_seeds(30, *_RANDOM), Config(part="scalar")],
}


def figures(results: Results) -> dict[str, Figure]:
    """Restricted constants and rates of gradient descent, the scalar example, the missing global error bound."""
    from trajectory_conv.experiments.theory_figures import draw

    return draw(results)
