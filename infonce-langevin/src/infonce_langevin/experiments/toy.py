"""The author's toy: four points on the sphere in R^3, the hard energy, no traps (claims C1, C3, C4, C8).

rates      success against the rate c of beta = c ln(1 + t), stopped at an end point, and after a while more there
gibbs      chains at fixed beta, from different starts and by two methods, beside the exact Gibbs mass
descent    where descent without noise ends, in space and, as a control that has a trap, on the circle
string     the energy along the way from the interleaved square to the minimum, in space and on the circle
hitting    first hitting times, annealed and at fixed beta
shapes     schedules of different shapes that end at the same beta, under anisotropic noise

Success is U < -1.5 in the last state; the minimum is -2. Expect 5 to 15 s per cell of `default` on one core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infonce_langevin.experiments.checked import require_positive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

SUCCESS = -1.5
HELD = 2_000
"""Steps at the end point's beta after a schedule has ended (ours): 20 units of time, where descent needs 2."""


@dataclass(frozen=True)
class Config:
    part: Literal["rates", "gibbs", "descent", "string", "hitting", "shapes"] = "rates"
    """Which of the studies."""
    rates: tuple[float, ...] = (5.0,)
    """Rates c of beta = c ln(1 + t): parts rates and hitting."""
    c: float = 0.0
    """Label: the rate of a record; 0 where beta is fixed."""
    beta: tuple[float, ...] = (10.0,)
    """Inverse temperatures: end points of rates and shapes, fixed ones of gibbs and hitting."""
    end: float = 0.0
    """Label: the end point, or the fixed beta, of a record."""
    steps: tuple[int, ...] = (2_000,)
    """Steps; their largest number where a rate asks for more. Each of them for shapes."""
    needed: int = 0
    """Label: the steps of a record's schedule: parts rates and shapes."""
    noise: Literal["isotropic", "synthetic", "hessian"] = "isotropic"
    """Noise of the part shapes; rates, gibbs and hitting are isotropic here (see the experiment noise)."""
    kind: str = ""
    """Label: schedule, method and start, or energy of a record."""
    d: int = 3
    """Dimension of the embeddings: the sphere lies in R^d. Label of descent and string."""
    chains: int = 1024
    """Chains for each setting; for gibbs Monte Carlo draws are a thousand times as many."""
    dt: float = 0.01
    """Length of a step, as published."""
    seed: int = 0
    device: str = "cpu"
    """torch device."""

    def __post_init__(self):
        require_positive(self, "rates", "beta", "steps", "dt", "chains")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}; choose a seed >= 0")
        if self.d not in (2, 3):
            raise ValueError(f"d = {self.d}; choose 2, the circle, or 3, the sphere")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Records of the cell's part, see its function."""
    parts = {"rates": _rates, "gibbs": _gibbs, "descent": _descent, "string": _string, "hitting": _hitting}
    return (parts | {"shapes": _shapes})[cell.part](cell, scratch)


def steps_of(rates: tuple[float, ...], beta: float, dt: float, most: int) -> list[int]:
    """Steps until each rate's schedule is at `beta`, at most `most`."""
    from infonce_langevin.schedules import Log

    return [min(Log(c).steps_to(beta, dt), most) if beta / c < 50 else most for c in rates]


def _rates(cell: Config, scratch: Path) -> list[dict]:
    """Share of successes at the end of each schedule, and `HELD` steps later at the beta that it has reached."""
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import simulate
    from infonce_langevin.schedules import Fixed, Log

    settings = [
        (c, end, count)
        for end in cell.beta
        for c, count in zip(cell.rates, steps_of(cell.rates, end, cell.dt, max(cell.steps)), strict=True)
    ]
    rates, ends, counts = (torch.tensor(values) for values in zip(*settings, strict=True))
    reached = rates * (counts * cell.dt).log1p()
    dynamics, shape = Langevin(hard, dt=cell.dt), (4, 3, len(settings) * cell.chains)
    each = [values.repeat_interleave(cell.chains) for values in (rates, counts, reached)]
    annealed = simulate(dynamics, Log(each[0]), each[1], shape, cell.seed, device=cell.device, scratch=scratch)
    held = simulate(
        dynamics, Fixed(each[2]), HELD, annealed.z, cell.seed, first=max(cell.steps), device=cell.device,
        scratch=scratch,
    )  # fmt: skip
    before, after = (shares(run.energy, len(settings)) for run in (annealed, held))
    columns = zip(rates.tolist(), ends.tolist(), counts.tolist(), reached.tolist(), before, after, strict=True)
    return [
        {"c": round(c, 6), "end": end, "needed": count, "reached": beta, "success": success, "held": later}
        for c, end, count, beta, success, later in columns
    ]


def shares(energy, groups: int) -> list[float]:
    """Share of successes in each of so many equal groups of chains."""
    return (energy < SUCCESS).view(groups, -1).double().mean(1).tolist()


def _gibbs(cell: Config, scratch: Path) -> list[dict]:
    """Share below -1.5 after `steps` steps at each beta, by the Langevin step and by MALA, from the uniform law, the
    minimum and the maximum; `exact` and its standard error `exact_error` come from importance sampling.
    """
    import torch

    from infonce_langevin.dynamics import Langevin, Metropolis
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import simulate
    from infonce_langevin.oracles.gibbs import gibbs_mass
    from infonce_langevin.schedules import Fixed
    from infonce_langevin.seeds import generator
    from infonce_langevin.spheres import uniform

    mass = gibbs_mass(hard, 4, 3, cell.beta, [SUCCESS], 1_000 * cell.chains, cell.seed, floor=-2.0, device=cell.device)
    beta = torch.tensor(cell.beta).repeat_interleave(cell.chains)
    top = torch.tensor([[0, 0, 1.0], [0, 0, -1], [0, 0, -1], [0, 0, 1]])[..., None].repeat(1, 1, len(beta))
    starts = {
        "uniform": uniform(4, 3, len(beta), generator(cell.seed, "gibbs start")),
        "minimum": top[[0, 0, 1, 1]],
        "maximum": top,
    }
    methods = {"langevin": Langevin(hard, dt=cell.dt), "metropolis": Metropolis(hard, dt=cell.dt)}
    records = []
    for place, (method, start) in enumerate((method, start) for method in methods for start in starts):
        schedule, steps = Fixed(beta), max(cell.steps)
        found = simulate(
            methods[method], schedule, steps, starts[start], cell.seed, first=place * steps, device=cell.device,
            scratch=scratch,
        )  # fmt: skip
        for k, (b, success) in enumerate(zip(cell.beta, shares(found.energy, len(cell.beta)), strict=True)):
            exact, error = float(mass.value[k, 0]), float(mass.error[k, 0])
            records.append(
                {"kind": f"{method}, {start}", "end": b, "success": success, "exact": exact, "exact_error": error}
            )
    return records


def _energies() -> dict:
    from infonce_langevin.energies import dcl, hard, infonce

    return {"hard": hard, "infonce .1": infonce(0.1), "infonce .5": infonce(0.5), "dcl .2": dcl(0.2)}


def _descent(cell: Config, scratch: Path) -> list[dict]:
    """`stuck`: share of descents from the uniform law that end more than .003 above the minimum; `highest` is the
    largest excess. float64, `steps` steps.
    """
    import torch

    from infonce_langevin.descent import descend
    from infonce_langevin.seeds import generator
    from infonce_langevin.spheres import uniform

    records = []
    for name, energy in _energies().items():
        start = uniform(4, cell.d, cell.chains, generator(cell.seed, "descent", name), torch.float64)
        excess = energy.value(descend(energy, start, max(cell.steps))) - energy.minimum(4, cell.d)
        records.append({"kind": name, "stuck": float((excess > 3e-3).double().mean()), "highest": float(excess.max())})
    return records


def _string(cell: Config, scratch: Path) -> list[dict]:
    """`barrier`: the highest point of the relaxed string above the interleaved square, infonce at tau = .1."""
    import torch

    from infonce_langevin.energies import infonce
    from infonce_langevin.oracles.string_method import string_barrier

    axes = torch.eye(cell.d, dtype=torch.float64)
    square = torch.stack([axes[0], -axes[0], axes[1], -axes[1]])[..., None]
    doublets = torch.stack([axes[0], axes[0], -axes[0], -axes[0]])[..., None]
    found = string_barrier(
        infonce(0.1), square, doublets, cell.seed, strings=4, relaxing=max(cell.steps), climbing=max(cell.steps)
    )
    return [{"kind": "infonce .1", "barrier": float(found.path.max() - found.path[0]), "path": found.path.numpy()}]


def _hitting(cell: Config, scratch: Path) -> list[dict]:
    """First of five steps in a row with U < -1.5: mean, median, 95th and 99th percentile, with the number of steps for
    chains that never hit, and their share `failure`. `hits` holds all of them.
    """
    import numpy as np
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import Hitting, simulate
    from infonce_langevin.schedules import Fixed, Log

    most = max(cell.steps)
    annealed = steps_of(cell.rates, cell.beta[0], cell.dt, most)
    plans = [("log", Log, cell.rates, annealed), ("fixed", Fixed, cell.beta, [most] * len(cell.beta))]
    records = []
    for place, (kind, schedule, values, counts) in enumerate(plans):
        each = [torch.tensor(held).repeat_interleave(cell.chains) for held in (values, counts)]
        found = simulate(
            Langevin(hard, dt=cell.dt), schedule(each[0]), each[1], (4, 3, len(each[0])), cell.seed + place * 10**6,
            hitting=Hitting(SUCCESS), device=cell.device, scratch=scratch / kind,
        )  # fmt: skip
        for value, count, hit in zip(values, counts, found.hit.cpu().view(len(values), -1).numpy(), strict=True):
            times = np.where(hit < 0, count, hit)
            labels = {"c": value, "end": cell.beta[0]} if kind == "log" else {"c": 0.0, "end": value}
            mean, failure = float(times.mean()), float((hit < 0).mean())
            q50, q95, q99 = np.quantile(times, [0.5, 0.95, 0.99]).tolist()
            records.append(labels | {"kind": kind, "mean": mean, "median": q50, "p95": q95, "p99": q99,
                                     "failure": failure, "hits": times})  # fmt: skip
    return records


def _shapes(cell: Config, scratch: Path) -> list[dict]:
    """Share of successes of log, sqrt and linear schedules that end at `beta` after each number of steps."""
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import simulate
    from infonce_langevin.noise import Equatorial, HessianNoise, Isotropic
    from infonce_langevin.schedules import ending_at

    noise = {"isotropic": Isotropic(), "synthetic": Equatorial(), "hessian": HessianNoise()}[cell.noise]
    counts = torch.tensor(sorted(cell.steps)).repeat_interleave(cell.chains)
    records = []
    for shape in ("log", "sqrt", "linear"):
        schedule = ending_at(shape, cell.beta[0], counts * cell.dt)
        found = simulate(
            Langevin(hard, noise, cell.dt), schedule, counts, (4, 3, len(counts)), cell.seed, device=cell.device,
            scratch=scratch / shape,
        )  # fmt: skip
        successes = zip(sorted(cell.steps), shares(found.energy, len(cell.steps)), strict=True)
        records += [
            {"kind": shape, "end": cell.beta[0], "needed": count, "success": success} for count, success in successes
        ]
    return records


def figures(results: Results) -> dict[str, Figure]:
    """Success against c with the Gibbs plateau, hitting times, shapes, and the string's energy."""
    from infonce_langevin.experiments.toy_figures import draw

    return draw(results)


PUBLISHED = (1.823, 2.922, 5.177, 7.828, 10.28, 14.37, 25.0, 49.7, 200.0)
"""Rates of the published grid whose results are claimed here, without the one that its cap of steps cuts off."""
FRESH = (200, 201, 202, 203)
"""Seeds of `default`: thresholds were fixed on others."""


def _grid() -> tuple[float, ...]:
    """The published grid at the end point 10: 30 rates by equal factors and 30 by equal steps."""
    low = 0.8 * 10 / math.log1p(500)
    factors = [low * (200 / low) ** (k / 29) for k in range(30)]
    return tuple(sorted({round(c, 4) for c in [*factors, *(low + (25 - low) * k / 29 for k in range(30))]}))


def _cells(seeds: tuple[int, ...], few: bool) -> list[Config]:
    chains = 1024 if few else 2048
    falling = tuple(round(8 * 25 ** (k / 13), 3) for k in range(14))  # 8 to 200
    shape_steps = (100, 296, 877, 2_600, 7_696) if few else (100, 172, 296, 509, 877, 1508, 2595, 4466, 7696, 200_000)
    return [
        cell
        for seed in seeds
        for cell in (
            Config("rates", PUBLISHED if few else _grid(), steps=(50_000,), chains=chains, seed=seed),
            Config("rates", falling, beta=(20.0, 40.0), steps=(50_000,), chains=chains, seed=seed),
            Config("gibbs", beta=(6.0, 10.0, 200.0), steps=(1_000,), chains=4 * chains, seed=seed),
            Config("descent", steps=(4_000,), chains=chains, seed=seed),
            Config("descent", steps=(4_000,), d=2, chains=chains, seed=seed),
            Config("string", steps=(1_000,), seed=seed),
            Config("string", steps=(1_000,), d=2, seed=seed),
            Config("hitting", (0.1, 1.0, 10.0, 100.0), beta=(10.0, 100.0), steps=(60_000 if few else 200_000,),
                   chains=chains, seed=seed),
            Config("shapes", beta=(100.0,), steps=shape_steps, noise="synthetic", chains=chains, seed=seed),
            Config("shapes", beta=(100.0,), steps=(296, 877) if few else shape_steps, noise="hessian",
                   chains=128 if few else 256, seed=seed),
        )
    ]  # fmt: skip


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config("rates", (5.177, 10.28, 25.0, 200.0), steps=(2_000,), chains=64),
        Config("rates", (10.0, 20.0, 40.0, 80.0), beta=(20.0, 40.0), steps=(2_000,), chains=64),
        Config("gibbs", beta=(10.0, 200.0), steps=(100,), chains=32),
        Config("descent", steps=(300,), chains=32),
        Config("descent", steps=(300,), d=2, chains=32),
        Config("string", steps=(20,)),
        Config("string", steps=(20,), d=2),
        Config("hitting", (1.0, 10.0), beta=(10.0, 100.0), steps=(1_000,), chains=32),
        Config("shapes", beta=(100.0,), steps=(100, 877), noise="synthetic", chains=32),
        Config("shapes", beta=(100.0,), steps=(30, 50), noise="hessian", chains=16),
    ],
    "default": _cells(FRESH, few=True),
    "paper": _cells(tuple(range(200, 208)), few=False),
}
