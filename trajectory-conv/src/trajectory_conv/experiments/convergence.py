"""Which designs let ISTA converge fast? (claims C5, C6)

rip     LASSO with noise on nine designs, five of which the authors count as RIP (their rip_vs_nonrip)
spiked  LASSO, elastic net and their adaptive variants, no noise, as the spiked design becomes more correlated (their
        spiked_convergence)

One cell is one seed with all its designs; the first of each part replays the authors' data. Gaps are to a certified
optimum; the authors' F* of `spiked` is the 30,000th objective, which is quoted beside it. Expect 1 s (rip) and 10 s
(spiked) per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from trajectory_conv.experiments.checked import require_positive
from trajectory_conv.experiments.instances import Instances, instances, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

RIP = ("gaussian", "partial_dct", "rademacher", "uniform", "sparse_binary")
NON_RIP = ("spiked_0.9", "ar1_0.9", "power_law", "low_rank")
SPIKED = tuple(f"spiked_{rho:g}" for rho in (0.0, 0.05, 0.1, 0.3, 0.5, 0.9, 0.95))
SOLVERS = ("lasso", "elastic_net", "adaptive_lasso", "adaptive_elastic_net")
LEVELS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-15)
"""Gaps whose first iteration is recorded, as `steps_1e-02` and so on; they are exact sums, no differences of F."""


@dataclass(frozen=True)
class Config(Instances):
    part: Literal["rip", "spiked"] = "rip"
    """Which study, see the head of the module."""
    solver: tuple[str, ...] = ("lasso",)
    """Penalties, of `SOLVERS`."""
    lam2: float = 0.05
    """l2 penalty of the elastic nets, (lambda_2 / 2) ||b||^2."""
    noise: float = 0.05
    """rip: standard deviation of the noise."""
    iterations: int = 10_000
    """ISTA steps from zero."""
    curve: int = 300
    """Points of the recorded curves."""

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "lam2", "iterations", "curve")
        if not self.solver:
            raise ValueError(f"solver is empty; choose at least one of {', '.join(SOLVERS)}")
        if unknown := [name for name in self.solver if name not in SOLVERS]:
            raise ValueError(f"unknown solver {unknown[0]!r}; choose from {', '.join(SOLVERS)}")
        if self.part not in ("rip", "spiked"):
            raise ValueError(f"unknown part {self.part!r}; choose rip or spiked")
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"noise = {self.noise}; choose a standard deviation >= 0")


def run(cell: Config, scratch: Path) -> list[dict]:
    """ISTA on every design (and, for `spiked`, every penalty). One record each."""
    records = []
    for instance in instances(cell, cell.noise if cell.part == "rip" else 0.0, reference_solve=cell.part == "rip"):
        records += [
            {"designs": instance.design, "solver": solver, **_study(_problem(cell, solver, instance), cell)}
            for solver in cell.solver
        ]
    return records


def _problem(cell: Config, solver: str, instance):
    from trajectory_conv.problems import adaptive_weights, elastic_net, ridge

    a, y = instance.matrix, instance.y
    weights = None
    if solver.startswith("adaptive"):
        weights = adaptive_weights(ridge(a, y) if solver == "adaptive_lasso" else _pilot(a, y))
    return elastic_net(a, y, cell.lam, cell.lam2 if solver.endswith("elastic_net") else 0.0, weights)


def _pilot(matrix, y):
    """The authors' initial coefficients of the adaptive elastic net, scikit-learn's at its default tolerance.

    That matters: the weights of coordinates that a tighter solve would set to zero move F* by up to 5e-4 (rho = .9).
    """
    from sklearn.linear_model import ElasticNet

    return ElasticNet(alpha=0.1, l1_ratio=0.5, fit_intercept=False).fit(matrix, y).coef_


def _study(problem, cell: Config) -> dict:
    """How fast ISTA is, beside the constants that should decide it."""
    from trajectory_conv.geometry import face_geometry, identification, steps_to
    from trajectory_conv.solvers import find_optimum, solve

    solution = find_optimum(problem)
    trace = solve(problem, cell.iterations, "ista", solution.x)
    face, found = face_geometry(problem, solution.x), identification(problem, trace)
    f_star = float(problem.value(solution.x))
    kept = thinned(cell.iterations, cell.curve)
    return {
        "f_star": f_star,
        "kkt_violation": solution.violation,
        "last_objective": f_star + float(trace.gap[-1]),
        "gap_start": float(trace.gap[0]),
        "gap_end": float(trace.gap[-1]),
        **{f"steps_{level:.0e}": steps_to(trace.gap, level) for level in LEVELS},
        "identified": found.permanent,
        "active": face.size,
        "mu": face.mu,
        "lipschitz": float(problem.lipschitz),
        "condition": float(problem.lipschitz) / face.mu,
        "step": kept,
        "gap": trace.gap[kept],
    }


_RIP = Config(designs=RIP + NON_RIP)
_SPIKED = Config(part="spiked", designs=SPIKED, solver=SOLVERS, iterations=30_000)


def _seeds(count: int, cell: Config) -> list[Config]:
    """The authors' data and `count` seeds of our own, whose curves are not recorded point by point."""
    return [replace(cell, stream="replay"), *(replace(cell, seed=seed, curve=60) for seed in range(count))]


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        replace(cell, n=60, d=120, s=3, iterations=500, stream=stream, curve=40)
        for cell in (
            replace(_RIP, designs=("gaussian", "partial_dct", "ar1_0.9")),
            replace(_SPIKED, designs=("spiked_0", "spiked_0.5")),
        )
        for stream in ("replay", "keys")
    ],
    "default": _seeds(8, _RIP) + _seeds(8, _SPIKED),
    "paper": _seeds(30, _RIP) + _seeds(30, _SPIKED),
}


def figures(results: Results) -> dict[str, Figure]:
    """Gaps against iterations: by design, and by correlation for each penalty."""
    from trajectory_conv.experiments.convergence_figures import draw

    return draw(results)
