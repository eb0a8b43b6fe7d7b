"""Does dropping features of high cross-leverage help? (claim C13)

The authors' cross_leverage_diagnostic: solve, compute h_j, drop inactive features with h_j > tau, solve again. Two of
its results are identities, whatever the data: deleting coordinates that are zero at the optimum keeps the optimum, and
H_2 can only fall when rows are deleted. What is left to learn is the number of iterations, here beside a control that
drops as many inactive features at random. The authors' H_2 uses lambda = alpha n although the fit uses alpha; both are
given. Their ARCENE columns are scaled by sqrt(n) twice, which makes h_j n times too large; the share of the features
that this would drop is given, too.

One cell is one data set, one alpha and one seed; those of breast_cancer draw 150 of the same 569 rows, so they overlap.
ARCENE and Golub are read from a file of yours (`--data arcene --file arcene.arff`). Expect 2 s per cell on one core,
more for the large files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive, require_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Data = Literal["synthetic", "breast_cancer", "arcene", "golub"]
EPS = 1e-8
"""Gap that ISTA steps are counted to (ours)."""


@dataclass(frozen=True)
class Config:
    data: Data = "synthetic"
    """synthetic: the authors' make_regression. breast_cancer: scikit-learn's, with quadratic features. arcene, golub:
    from `file`.
    """
    file: Path | None = None
    """Path of ARCENE (.arff or .csv) or of golub.RData."""
    alpha: float = 0.1
    """l1 penalty of the fit, on the 1/(2n) loss."""
    tau: tuple[float, ...] = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    """Thresholds: inactive features with h_j > tau are dropped."""
    rows: int = 150
    """breast_cancer: samples, drawn by the seed."""
    iterations: int = 60_000
    """ISTA steps at most."""
    seed: int = 0
    """Rows of breast_cancer, and the features that the control drops."""

    def __post_init__(self):
        require_positive(self, "alpha", "rows", "iterations")
        require_seed(self)
        if self.data not in get_args(Data):
            raise ValueError(f"unknown data {self.data!r}; choose from {', '.join(get_args(Data))}")
        if self.data in ("arcene", "golub") and self.file is None:
            raise ValueError(f"data = {self.data} is not shipped; give the path of your copy as file (--file)")
        if not self.tau or not all(0 < tau < 1 for tau in self.tau):
            raise ValueError(f"tau = {self.tau}; choose thresholds in (0, 1)")
        if not 2 < self.rows <= 569:
            raise ValueError(f"rows = {self.rows}; breast_cancer has 569, choose 3 to 569")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record for the full problem (tau = 1) and one per threshold."""
    from trajectory_conv.leverage import cross_leverage, pruned
    from trajectory_conv.problems import lasso
    from trajectory_conv.solvers import find_optimum

    data = _load(cell)
    full = find_optimum(lasso(data.x, data.y, cell.alpha)).x
    support = full != 0
    if not support.any():
        raise UserError(f"alpha = {cell.alpha}: the solution is zero; choose a smaller alpha")
    if support.all():
        raise UserError(f"alpha = {cell.alpha}: no feature is inactive; choose a larger alpha")
    leverage = cross_leverage(data.x, support)
    inactive = np.flatnonzero(~support)
    order = _rng(cell).permutation(inactive)
    records = []
    for tau in (1.0, *cell.tau):
        kept = pruned(leverage, support, tau) if tau < 1 else np.ones(len(support), dtype=bool)
        control = np.ones(len(support), dtype=bool)
        control[order[: (~kept).sum()]] = False
        studied = _study(cell, data, full, kept)
        at_random = _study(cell, data, full, control)
        records.append({
            "tau": tau,
            "dropped": int((~kept).sum()),
            "dropped_share": 100 * (~kept).sum() / len(inactive),
            "dropped_share_published": 100 * (len(data.y) * leverage[inactive] > tau).mean(),
            **studied,
            **{f"random_{name}": at_random[name] for name in ("steps", "lipschitz", "h2")},
        })  # fmt: skip
    shape = {"samples": data.x.shape[0], "features": data.x.shape[1]}
    records[0] |= {
        "leverage": leverage[~support],
        "leverage_mean": leverage[~support].mean(),
        "leverage_max": leverage[~support].max(),
    }
    return [record | shape for record in records]


def _study(cell: Config, data, full, kept) -> dict:
    """The problem on the kept columns: its optimum against the full one, H_2, and how long methods take."""
    from sklearn.linear_model import Lasso

    from trajectory_conv.geometry import face_geometry, steps_to
    from trajectory_conv.hoffman import affine_hoffman_2
    from trajectory_conv.problems import lasso
    from trajectory_conv.solvers import find_optimum, solve

    n = len(data.y)
    x = np.where(kept, data.x, 0.0)  # a zero column is as good as none, and all shapes stay: one compiled program
    problem = lasso(x, data.y, cell.alpha)
    optimum = find_optimum(problem, start=full).x
    support = optimum != 0
    columns = x.T @ x[:, support] / n
    active, cross_gram = columns[support], columns[~support].T @ columns[~support]
    stop = 1e-2 * EPS
    trace = solve(problem, cell.iterations, "ista", optimum, stop=stop)
    face = face_geometry(problem, optimum)
    descent = Lasso(alpha=cell.alpha, fit_intercept=False, tol=1e-4, max_iter=5_000).fit(data.x[:, kept], data.y)
    return {
        "active": int(support.sum()),
        "h2": float(affine_hoffman_2(active, cross_gram, cell.alpha, 0.0)) if not face.rank_deficient else None,
        "h2_published_units": float(affine_hoffman_2(active, cross_gram, cell.alpha * n, 0.0)),
        "rank_deficient": face.rank_deficient,
        "mu": face.mu,
        "lipschitz": float(problem.lipschitz),
        "difference": float(np.abs(optimum - full).max()),
        "jaccard": float((support & (full != 0)).sum() / max((support | (full != 0)).sum(), 1)),
        "steps": steps_to(trace.gap, EPS),
        "epochs": int(descent.n_iter_),
    }


def _load(cell: Config):
    from trajectory_conv import data

    if cell.data == "synthetic":
        return data.synthetic()
    if cell.data == "breast_cancer":
        return data.breast_cancer_quadratic(_rng(cell).permutation(569)[: cell.rows])
    return {"arcene": data.arcene, "golub": data.golub}[cell.data](cell.file)


def _rng(cell: Config) -> np.random.Generator:
    """Integers are drawn with NumPy: scikit-learn's data are NumPy's too."""
    return np.random.default_rng((cell.seed, 13))


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config(alpha=0.1, tau=(0.5, 0.1), iterations=3_000),
        *(Config(data="breast_cancer", rows=60, tau=(0.5, 0.1), iterations=3_000, seed=seed) for seed in range(2)),
    ],
    "default": [
        *(Config(alpha=alpha) for alpha in (0.01, 0.05, 0.1)),
        *(Config(data="breast_cancer", seed=seed) for seed in range(8)),
    ],
    "paper": [
        *(Config(alpha=alpha) for alpha in (0.01, 0.05, 0.1)),
        *(Config(data="breast_cancer", seed=seed, iterations=200_000) for seed in range(30)),
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Histograms of h_j; H_2 and iterations against the threshold, beside the random control."""
    from trajectory_conv.experiments.leverage_figures import draw

    return draw(results)
