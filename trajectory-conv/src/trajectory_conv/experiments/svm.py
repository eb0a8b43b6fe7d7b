"""Does the active face set the rate of projected gradient for the SVM dual? (claim C3 for a box-constrained problem)

Nothing is published for it: the paper names the SVM as an example, this is our reconstruction. One cell is one seed
with a few kernels: synthetic classification data, and 200 rows of breast cancer. Expect 3 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive, require_seed
from trajectory_conv.experiments.instances import thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

TASKS = {
    "linear_soft": ("synthetic", None, 0.05),
    "linear_hard": ("synthetic", None, 1.0),
    "rbf_wide": ("synthetic", 0.1, 1.0),
    "rbf_narrow": ("synthetic", 0.5, 1.0),
    "cancer_rbf": ("cancer", 0.05, 1.0),
}
"""Name -> data, gamma of the RBF kernel (None: linear), C. `linear_hard` is the honest failure: L / mu_F is 10^4 to
10^5.
"""


@dataclass(frozen=True)
class Config:
    tasks: tuple[str, ...] = tuple(TASKS)
    """Names in `TASKS`."""
    rows: int = 120
    """Samples of the synthetic data (10 features, 5 informative)."""
    cancer_rows: int = 200
    """Samples of breast cancer, drawn by the seed."""
    iterations: int = 60_000
    """Projected-gradient steps from zero, at most."""
    curve: int = 200
    """Points of the recorded curves."""
    seed: int = 0

    def __post_init__(self):
        require_positive(self, "rows", "cancer_rows", "iterations", "curve")
        require_seed(self)
        if not self.tasks:
            raise ValueError("tasks is empty; choose at least one")
        if unknown := [name for name in self.tasks if name not in TASKS]:
            raise ValueError(f"unknown task {unknown[0]!r}; choose from {', '.join(TASKS)}")
        if min(self.rows, self.cancer_rows) < 3:
            raise ValueError(f"rows = {self.rows}, cancer_rows = {self.cancer_rows}; choose 3 or more")
        if self.cancer_rows > 569:
            raise ValueError(f"cancer_rows = {self.cancer_rows}; breast cancer has 569 rows")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per task."""
    return [{"tasks": task, **_study(cell, task)} for task in cell.tasks]


def _study(cell: Config, task: str) -> dict:
    from sklearn.metrics.pairwise import rbf_kernel

    from trajectory_conv.certificate import duality_gap
    from trajectory_conv.geometry import (
        face_geometry,
        fitted_rate,
        identification,
        local_rate,
        margin,
        trajectory_certificate,
    )
    from trajectory_conv.problems import svm_dual
    from trajectory_conv.solvers import find_optimum, solve

    source, gamma, c = TASKS[task]
    x, labels = _data(cell, source)
    problem = svm_dual(x @ x.T if gamma is None else rbf_kernel(x, gamma=gamma), labels, c)
    solution = find_optimum(problem)
    stop = 1e-13 * float(problem.lipschitz) * np.linalg.norm(solution.x)
    trace = solve(problem, cell.iterations, "ista", solution.x, stop=stop)
    face, found = face_geometry(problem, solution.x), identification(problem, trace)
    certificate = trajectory_certificate(problem, trace)
    resolved = trace.gap > 1e-13
    if not resolved[1:].any():
        raise UserError(f"task {task}: no step is left to judge; choose more iterations or rows")
    rate = fitted_rate(trace, found.face) if found.face is not None else None
    kept = thinned(len(trace.gap), cell.curve)
    return {
        "free": face.size,
        "at_c": int((solution.x == c).sum()),
        "mu": face.mu,
        "lipschitz": float(problem.lipschitz),
        "rank_deficient": face.rank_deficient,
        "margin": margin(problem, solution.x),
        "duality_gap": duality_gap(solution.x, problem),
        "first": found.first,
        "identified": found.face,
        "bound_ratio": float((trace.gap[1:][resolved[1:]] / certificate.bound[1:][resolved[1:]]).max()),
        "measured_rate": rate,
        "predicted_rate": local_rate(face, float(problem.lipschitz)).iterate,
        "rate_ratio": (1 - rate) * float(problem.lipschitz) / face.mu if rate is not None else None,
        "step": kept,
        "gap": trace.gap[kept],
        "bound": certificate.bound[kept],
        "error": trace.error[kept],
    }


def _data(cell: Config, source: str):
    """Standardised features and labels -1, 1."""
    from sklearn.datasets import load_breast_cancer, make_classification

    if source == "cancer":
        x, labels = load_breast_cancer(return_X_y=True)
        rows = np.random.default_rng((cell.seed, 7)).permutation(len(x))[: cell.cancer_rows]
        x, labels = x[rows], labels[rows]
    else:
        x, labels = make_classification(
            n_samples=cell.rows, n_features=10, n_informative=5, class_sep=1.0, random_state=cell.seed
        )
    return (x - x.mean(0)) / x.std(0), 2.0 * labels - 1


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(tasks=("linear_soft", "rbf_wide"), rows=60, iterations=5_000, curve=40)],
    "default": [Config(seed=seed) for seed in range(8)],
    "paper": [Config(seed=seed, iterations=200_000) for seed in range(30)],
}


def figures(results: Results) -> dict[str, Figure]:
    """Gap and certificate per task, measured against predicted rate."""
    from trajectory_conv.experiments.svm_figures import draw

    return draw(results)
