"""Schedules of different shapes that end at the same beta, at a finite horizon, where there is a trap (claim C8).

exact      the anchor on the circle from the uniform law, by the Fokker-Planck equation
budget     one annealing of each chain, several short ones, and parallel tempering, at the same number of steps

Success is not to be in the trap at the end. Expect 5 to 20 s per cell of `default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infonce_langevin.experiments.checked import require_positive
from infonce_langevin.experiments.toy import FRESH
from infonce_langevin.experiments.traps import in_trap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from infonce_langevin.oracles.landscapes import Landscape
    from infonce_langevin.schedules import Tabulated
    from repro_shared.runlog import Results

SHAPES = ("log", "sqrt", "linear", "cosine", "exponential", "fixed")
ADAPTIVE = ("adaptive", "adaptive, relaxing")
"""Constant thermodynamic speed by the energy's exact standard deviation, without and with the relaxation time of each
beta (ours).
"""
COUNT = 4
"""Restarts of a chain, and replicas of a tempered one."""


@dataclass(frozen=True)
class Config:
    part: Literal["exact", "budget"] = "exact"
    """Which of the studies."""
    horizon: float = 100.0
    """Time T at which the schedules end."""
    end: float = 20.0
    """beta at the time T."""
    kind: str = ""
    """Label: shape of the schedule, or method."""
    size: int = 480
    """Nodes of the circle's grid."""
    chains: int = 2048
    """Chains of each method."""
    dt: float = 0.01
    """Length of a chain's step."""
    seed: int = 0
    device: str = "cpu"
    """torch device of the chains."""

    def __post_init__(self):
        require_positive(self, "horizon", "end", "chains", "dt")
        if self.size < 16 or self.size % 8:
            raise ValueError(f"size = {self.size}; choose a multiple of 8, 16 or more: the trap needs a node")
        if self.end <= 0.5:
            raise ValueError(f"end = {self.end}; choose more than .5, where the exponential schedule starts")
        if self.part == "budget" and self.horizon / self.dt < 100 * COUNT:
            raise ValueError(f"{self.horizon / self.dt:g} steps; choose {100 * COUNT} or more of them")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}; choose a seed >= 0")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Records of the cell's part, see its function."""
    return {"exact": _exact, "budget": _budget}[cell.part](cell, scratch)


def _exact(cell: Config, scratch: Path) -> list[dict]:
    """Probability `success` for each shape."""
    import numpy as np

    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.oracles.fokker_planck import evolve
    from infonce_langevin.oracles.landscapes import circle
    from infonce_langevin.schedules import ending_at

    landscape = circle(FrozenAnchor(), cell.size)
    trap, uniform = in_trap(landscape), np.full(cell.size, 1 / cell.size)
    records = []
    schedules = {shape: ending_at(shape, cell.end, cell.horizon) for shape in SHAPES}
    schedules |= {shape: _adapted(landscape, cell, relaxing=shape == ADAPTIVE[1]) for shape in ADAPTIVE}
    for shape, schedule in schedules.items():
        law = evolve(landscape, schedule, uniform, [cell.horizon])[0]
        records.append({"kind": shape, "success": float(1 - law[trap].sum())})
    return records


def _adapted(landscape: Landscape, cell: Config, relaxing: bool) -> Tabulated:
    """From .5, as the exponential schedule, with standard deviation and spectral gap of the landscape itself."""
    import numpy as np

    from infonce_langevin.oracles.fokker_planck import gibbs_law, relaxation_rates
    from infonce_langevin.schedules import constant_speed

    betas = np.geomspace(0.5, cell.end, 40)
    laws = [gibbs_law(landscape, beta) for beta in betas]
    spread = [np.sqrt(law @ landscape.energy**2 - (law @ landscape.energy) ** 2) for law in laws]
    relaxation = [1 / relaxation_rates(landscape, beta, 1)[0] for beta in betas]
    return constant_speed(betas, spread, cell.horizon, relaxation if relaxing else None)


def _budget(cell: Config, scratch: Path) -> list[dict]:
    """Share `success` of chains, each with T / dt steps in all: one annealing by `log` and by `exponential`, the
    best of `COUNT` short ones of each, and `COUNT` tempered replicas.
    """
    from infonce_langevin.competitors import parallel_tempering, restarts
    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.langevin import simulate
    from infonce_langevin.schedules import ending_at

    dynamics, steps = Langevin(FrozenAnchor(), dt=cell.dt), round(cell.horizon / cell.dt)
    shape, options = (1, 2, cell.chains), {"device": cell.device}
    found = {}
    for name in ("log", "exponential"):
        whole, short = (ending_at(name, cell.end, cell.horizon / count) for count in (1, COUNT))
        found[name] = simulate(dynamics, whole, steps, shape, cell.seed, scratch=scratch / name, **options).z[0, 0]
        several = restarts(
            dynamics, short, steps // COUNT, COUNT, shape, cell.seed, scratch=scratch / f"{name}-restarts", **options
        )
        found[f"{name}, restarts"] = several.z[0, 0]
    betas = [cell.end / 2**k for k in reversed(range(COUNT))]
    tempered = parallel_tempering(
        dynamics, betas, steps // (100 * COUNT), 100, shape, cell.seed, scratch=scratch / "tempering", **options
    )
    found["tempering"] = tempered.z[-1, 0, 0]
    return [{"kind": kind, "success": float((z > -(0.5**0.5)).double().mean())} for kind, z in found.items()]


def figures(results: Results) -> dict[str, Figure]:
    """Success by shape and horizon, and by method at the same budget."""
    from infonce_langevin.experiments.shapes_figures import draw

    return draw(results)


SETTINGS = ((100.0, 20.0), (100.0, 40.0), (1000.0, 40.0))
"""Horizon and end point."""


def _cells(seeds: tuple[int, ...], sizes: tuple[int, ...], chains: int) -> list[Config]:
    exact = [Config("exact", horizon, end, size=size) for horizon, end in SETTINGS for size in sizes]
    return [*exact, *(Config("budget", chains=chains, seed=seed) for seed in seeds)]


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config("exact", 100.0, 20.0, size=80), Config("budget", 4.0, chains=64)],
    "default": _cells(FRESH, (240, 480), 2048),
    "paper": _cells(tuple(range(200, 208)), (480, 960), 8192),
}
