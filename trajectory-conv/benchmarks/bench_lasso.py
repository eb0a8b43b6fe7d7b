"""One LASSO to a certified duality gap of 1e-9, from the data on: ours against coordinate descent, celer and skglm.

Every peer runs at the loosest of its tolerances 1e-4, 1e-5, ... whose result our certificate accepts. `celer` and
`skglm` take part when they are installed (extra `bench`). A ratio below 1 says that the peer wins.
"""

import warnings
from importlib.util import find_spec

import numpy as np

from repro_shared.benchmarks import entry, in_turns
from trajectory_conv.certificate import duality_gap
from trajectory_conv.designs import DESIGNS, ReplayDraws, target
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import find_optimum

GAP = 1e-9
LAM = 0.2


def scikit_learn(matrix, y, tol: float) -> np.ndarray:
    from sklearn.linear_model import Lasso

    return Lasso(alpha=LAM, fit_intercept=False, tol=tol, max_iter=100_000).fit(matrix, y).coef_


def celer(matrix, y, tol: float) -> np.ndarray:
    from celer import Lasso

    return Lasso(alpha=LAM, fit_intercept=False, tol=tol, max_iter=1_000).fit(matrix, y).coef_


def skglm(matrix, y, tol: float) -> np.ndarray:
    from skglm import Lasso

    return Lasso(alpha=LAM, fit_intercept=False, tol=tol, max_iter=1_000).fit(matrix, y).coef_


PEERS = {"scikit-learn": ("sklearn", scikit_learn), "celer": ("celer", celer), "skglm": ("skglm", skglm)}


def run(n: int = 300, d: int = 600, s: int = 15) -> list[dict]:
    warnings.filterwarnings("ignore", module="sklearn|celer|skglm")
    results = []
    for design in ("gaussian", "ar1_0.9", "spiked_0.5"):
        draws = ReplayDraws(0)
        matrix = DESIGNS[design](draws, n, d)
        y = matrix @ target(draws, d, s) + 0.05 * draws.normal(n)
        problem = lasso(matrix, y, LAM)
        fortran = np.asfortranarray(matrix)  # what coordinate descent likes

        def ours(matrix=matrix, y=y) -> None:
            fresh = lasso(matrix, y, LAM)
            assert duality_gap(find_optimum(fresh).x, fresh) <= GAP

        for name, (module, fit) in PEERS.items():
            if find_spec(module) is None:
                continue
            tolerances = (10.0**-power for power in range(4, 16))
            tol = next((t for t in tolerances if duality_gap(fit(fortran, y, t), problem) <= GAP), 1e-15)
            mine, theirs = in_turns(ours, lambda fit=fit, y=y, tol=tol, x=fortran: fit(x, y, tol), 5)
            results.append(
                entry(
                    f"LASSO to a gap of 1e-9, {design}, {n} x {d}",
                    1e3 * mine,
                    1e3 * theirs,
                    f"{name}, tol {tol:.0e}",
                    "ms",
                    "none: an oracle's time",
                )
            )
    return results
