"""Our finite-time bound for logarithmic annealing against the exact probability of failure (claim C5).

The anchor on the circle, from the uniform law: failure is U >= min U + eps at the time t. One cell is one grid, on
which bound and probability are both exact. Expect 10 s per cell of `default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infonce_langevin.experiments.checked import require_positive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results


@dataclass(frozen=True)
class Config:
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.25)
    """c d*: rates as multiples of the critical one. That of `recommend_schedule` is always there as well."""
    ratio: float = 0.0
    """Label: the multiple of a record."""
    eps: float = 0.5
    """How far above the minimum is a failure."""
    horizon: float = 1e5
    """Latest time."""
    size: int = 200
    """Nodes of the circle's grid."""
    nodes: int = 100
    """Inverse temperatures at which the spectral gap is computed."""

    def __post_init__(self):
        require_positive(self, "ratios", "eps", "horizon")
        if self.size < 16 or self.size % 8:
            raise ValueError(f"size = {self.size}; choose a multiple of 8, 16 or more: the trap needs a node")
        if self.horizon < 1e3:
            raise ValueError(f"horizon = {self.horizon:g}; choose 1000 or more")
        if self.nodes < 10:
            raise ValueError(f"nodes = {self.nodes}; choose 10 or more")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per rate: curves `exact`, `bound` and `gibbs`, what would remain in equilibrium, over the time `step`;
    `exponent` of the exact failure over the last two decades, and the predicted c eps; whether it is `recommended`.
    """
    import numpy as np

    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.oracles.bound import chi_square_bound, recommend_schedule
    from infonce_langevin.oracles.fokker_planck import evolve
    from infonce_langevin.oracles.landscapes import circle, critical_depth
    from infonce_langevin.schedules import Log

    landscape = circle(FrozenAnchor(), cell.size)
    depth, uniform = critical_depth(landscape).depth, np.full(cell.size, 1 / cell.size)
    high = landscape.energy >= landscape.energy.min() + cell.eps
    times = np.unique(np.geomspace(10, cell.horizon, 1 + 2 * round(np.log10(cell.horizon / 10))).round())
    chosen = depth * recommend_schedule(depth, cell.eps, cell.horizon).schedule.c
    records = []
    for ratio in (*cell.ratios, chosen):
        schedule = Log(ratio / depth, 2.0)
        bound = chi_square_bound(landscape, schedule, uniform, times, cell.eps, cell.nodes)
        exact = evolve(landscape, schedule, uniform, times)[:, high].sum(1)
        late = times >= times[-1] / 100
        exponent = -np.polyfit(np.log(times[late]), np.log(np.maximum(exact[late], 1e-300)), 1)[0]
        records.append({
            "ratio": ratio, "recommended": ratio == chosen, "exponent": float(exponent),
            "predicted": ratio / depth * cell.eps, "last_bound": float(bound.failure[-1]),
            "step": times.astype(int), "exact": exact, "bound": bound.failure, "gibbs": bound.gibbs,
        })  # fmt: skip
    return records


def figures(results: Results) -> dict[str, Figure]:
    """Bound and exact failure against time."""
    from infonce_langevin.experiments.bound_figures import draw

    return draw(results)


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config((0.5, 0.75), horizon=1e3, size=80, nodes=20)],
    "default": [Config(size=200), Config(size=400)],
    "paper": [Config(size=size, horizon=1e6) for size in (200, 400, 800)],
}
