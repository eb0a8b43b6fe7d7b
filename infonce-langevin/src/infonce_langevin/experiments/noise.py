"""Anisotropic noise on the author's toy, and what is left of its effect at an equal trace (claim C7).

The author's constant matrices diag(1, 1, .1) and diag(20, 20, 10) change the trace, which is the temperature: each is
compared with isotropic noise of the same trace. And with the corrected drift under which exp(-beta U) is stationary
whatever the matrix (ours).

fixed      chains at fixed beta, beside the exact Gibbs mass at the temperature that the trace says
rates      success against the rate c of beta = c ln(1 + t), stopped at beta = 10

Expect 20 s per cell of `default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infonce_langevin.experiments.checked import require_positive
from infonce_langevin.experiments.toy import FRESH, SUCCESS, shares, steps_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

MODELS = {
    "isotropic": (1.0, 1.0, 1.0),
    "small": (1.0, 1.0, 0.1),
    "small, matched": (0.7, 0.7, 0.7),
    "large": (20.0, 20.0, 10.0),
    "large, matched": (50 / 3, 50 / 3, 50 / 3),
}
"""Name -> diagonal of A; a matched model is isotropic with the trace of the other."""
CORRECTED = "small, corrected"


@dataclass(frozen=True)
class Config:
    part: Literal["fixed", "rates"] = "fixed"
    """Which of the studies."""
    rates: tuple[float, ...] = (5.177,)
    """Rates c of beta = c ln(1 + t)."""
    c: float = 0.0
    """Label: the rate of a record; 0 where beta is fixed."""
    beta: tuple[float, ...] = (10.0, 200.0)
    """Fixed inverse temperatures; the first is the end point of rates."""
    end: float = 0.0
    """Label: the end point, or the fixed beta, of a record."""
    kind: str = ""
    """Label: the noise model of a record."""
    steps: int = 2_000
    """Steps of fixed; their largest number for rates."""
    chains: int = 1024
    """Chains for each setting; Monte Carlo draws for the exact mass are a thousand times as many."""
    dt: float = 0.01
    """Length of a step, as published."""
    seed: int = 0
    device: str = "cpu"
    """torch device."""

    def __post_init__(self):
        require_positive(self, "rates", "beta", "steps", "chains", "dt")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}; choose a seed >= 0")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Records of the cell's part, see its function."""
    return {"fixed": _fixed, "rates": _rates}[cell.part](cell, scratch)


def _fixed(cell: Config, scratch: Path) -> list[dict]:
    """Share `success` of each model, and with the corrected drift; `exact` is the Gibbs mass at beta d / tr A, and for
    the corrected drift at beta.
    """
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import simulate
    from infonce_langevin.noise import Constant
    from infonce_langevin.oracles.gibbs import gibbs_mass
    from infonce_langevin.schedules import Fixed

    settings = [(kind, beta) for kind in MODELS for beta in cell.beta]
    each = torch.tensor([beta for _, beta in settings]).repeat_interleave(cell.chains)
    diagonals = torch.tensor([MODELS[kind] for kind, _ in settings]).T.repeat_interleave(cell.chains, 1)
    shape, dynamics = (4, 3, len(each)), Langevin(hard, Constant(diagonals), cell.dt)
    found = simulate(dynamics, Fixed(each), cell.steps, shape, cell.seed, device=cell.device, scratch=scratch / "all")
    successes = shares(found.energy, len(settings))
    corrected, fewer = Langevin(hard, Constant(MODELS["small"]), cell.dt, gibbs=True), len(cell.beta) * cell.chains
    found = simulate(
        corrected, Fixed(torch.tensor(cell.beta).repeat_interleave(cell.chains)), cell.steps, (4, 3, fewer), cell.seed,
        device=cell.device, scratch=scratch / "corrected",
    )  # fmt: skip
    settings += [(CORRECTED, beta) for beta in cell.beta]
    successes += shares(found.energy, len(cell.beta))
    effective = [beta * 3 / sum(MODELS.get(kind, MODELS["isotropic"])) for kind, beta in settings]
    mass = gibbs_mass(hard, 4, 3, effective, [SUCCESS], 1_000 * cell.chains, cell.seed, floor=-2.0, device=cell.device)
    columns = zip(settings, successes, mass.value[:, 0].tolist(), strict=True)
    return [{"kind": kind, "end": beta, "success": success, "exact": exact} for (kind, beta), success, exact in columns]


def _rates(cell: Config, scratch: Path) -> list[dict]:
    """Share `success` of each model at the end of each schedule."""
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import simulate
    from infonce_langevin.noise import Constant
    from infonce_langevin.schedules import Log

    counts = steps_of(cell.rates, cell.beta[0], cell.dt, cell.steps)
    settings = [(c, count, kind) for c, count in zip(cell.rates, counts, strict=True) for kind in MODELS]
    rates, lengths = (torch.tensor([held[k] for held in settings]).repeat_interleave(cell.chains) for k in (0, 1))
    diagonals = torch.tensor([MODELS[kind] for *_, kind in settings]).T.repeat_interleave(cell.chains, 1)
    found = simulate(
        Langevin(hard, Constant(diagonals), cell.dt), Log(rates), lengths, (4, 3, len(rates)), cell.seed,
        device=cell.device, scratch=scratch,
    )  # fmt: skip
    successes = zip(settings, shares(found.energy, len(settings)), strict=True)
    return [{"kind": kind, "c": c, "end": cell.beta[0], "success": success} for (c, _, kind), success in successes]


def figures(results: Results) -> dict[str, Figure]:
    """Success against c and at fixed beta, by noise model and beside its control of the same trace."""
    from infonce_langevin.experiments.noise_figures import draw

    return draw(results)


RATES = (2.922, 5.177, 7.828, 10.28, 14.37, 25.0, 49.7)


def _cells(seeds: tuple[int, ...], chains: int) -> list[Config]:
    return [
        cell
        for seed in seeds
        for cell in (
            Config("fixed", chains=2 * chains, seed=seed),
            Config("rates", RATES, steps=12_000, chains=chains, seed=seed),
        )
    ]


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config("fixed", steps=100, chains=32), Config("rates", (10.28, 25.0), steps=1_000, chains=32)],
    "default": _cells(FRESH, 2048),
    "paper": _cells(tuple(range(200, 208)), 8192),
}
