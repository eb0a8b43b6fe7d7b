"""Do the iterates stay in the cone around the optimum, and when is its support found? (claims C7, C8)

One cell is one algorithm and one seed with all its designs (the authors' trajectory_cone_containment); the first of
each algorithm replays the authors' data. S is the support of the LASSO optimum. Percentages are given over all
iterates, as the authors do, and over those before identification: most of the 2,000 iterates have long converged.
Expect 1 s per cell on one core.
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

DESIGNS = ("gaussian", "rademacher", "uniform", "spiked_0.3", "spiked_0.7", "ar1_0.5", "ar1_0.7", "power_law")


@dataclass(frozen=True)
class Config(Instances):
    algorithm: Literal["ista", "fista"] = "ista"
    """Method."""
    designs: tuple[str, ...] = DESIGNS
    """Names in `designs.DESIGNS`, drawn in this order."""
    n: int = 200
    """Samples (rows of A)."""
    d: int = 400
    """Features (columns of A)."""
    s: int = 10
    """Non-zeros of the target, +-1."""
    lam: float = 0.15
    """l1 penalty."""
    iterations: int = 2_000
    """Steps from zero."""
    curve: int = 300
    """Points of the recorded curves."""

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "iterations", "curve")
        if self.algorithm not in ("ista", "fista"):
            raise ValueError(f"unknown algorithm {self.algorithm!r}; choose ista or fista")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per design."""
    from trajectory_conv.geometry import cone_ratio, identification, margin
    from trajectory_conv.problems import lasso
    from trajectory_conv.solvers import find_optimum, solve

    records = []
    for instance in instances(cell):
        problem = lasso(instance.matrix, instance.y, cell.lam)
        solution = find_optimum(problem)
        trace = solve(problem, cell.iterations, cell.algorithm, solution.x)
        ratio, found = cone_ratio(trace), identification(problem, trace)
        before = ratio[: found.first]  # all of them if it never is
        support, sizes, common = (
            solution.x != 0,
            (trace.faces != 0).sum(1)[trace.face],
            ((trace.faces != 0) & (solution.x != 0)).sum(1)[trace.face],
        )
        jaccard = common / np.maximum(sizes + support.sum() - common, 1)
        kept = thinned(cell.iterations, cell.curve)
        records.append({
            "designs": instance.design,
            "first": found.first,
            "permanent": found.permanent,
            "margin": margin(problem, solution.x),
            "active": int(support.sum()),
            "target_found": bool(np.array_equal(support, instance.target != 0)),
            "max_ratio": float(ratio.max()),
            "final_ratio": float(ratio[-1]),
            "late_ratio": float(ratio[cell.iterations // 2 :].mean()),
            "within_1": 100 * float((ratio <= 1).mean()),
            "within_3": 100 * float((ratio <= 3).mean()),
            "within_1_before": 100 * float((before <= 1).mean()) if len(before) else None,
            "within_3_before": 100 * float((before <= 3).mean()) if len(before) else None,
            "step": kept,
            "ratio": ratio[kept],
            "size": sizes[kept].astype(float),
            "jaccard": jaccard[kept],
        })  # fmt: skip
    return records


def _cells(count: int, cell: Config, curve: int) -> list[Config]:
    return [
        replace(cell, algorithm=algorithm, **source)
        for algorithm in ("ista", "fista")
        for source in ({"stream": "replay"}, *({"seed": seed, "curve": curve} for seed in range(count)))
    ]


PRESETS: dict[str, list[Config]] = {
    "smoke": _cells(1, Config(designs=("gaussian", "spiked_0.3"), n=60, d=120, s=4, iterations=600), 30),
    "default": _cells(8, Config(), 60),
    "paper": _cells(30, Config(), 60),
}


def figures(results: Results) -> dict[str, Figure]:
    """Cone ratio, support size and Jaccard index along the path; cone percentages over seeds."""
    from trajectory_conv.experiments.cone_figures import draw

    return draw(results)
