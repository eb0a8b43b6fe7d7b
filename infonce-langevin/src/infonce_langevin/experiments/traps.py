"""Two systems that have a trap, and the sharp transition at the critical rate c* = 1 / d* (claims C2, C3, C4).

exact      one point on the circle between a fixed positive and two fixed negatives: the law of beta = c ln(t + 2), by
           the Fokker-Planck equation, under the decoupled and the literal coupling
chains     the same system simulated, beside its exact law
square     four free points on the circle that start in the interleaved square, simulated
depth      critical depths of the landscapes, by minimax paths on grids

Rates are given as c / c*. Expect 5 to 30 s per cell of `default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infonce_langevin.experiments.checked import require_positive
from infonce_langevin.experiments.toy import FRESH

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from infonce_langevin.oracles.landscapes import Landscape
    from repro_shared.runlog import Results

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
WINDOW = (10.0, 1000.0)
"""Times between which the rate of escape is read off: late enough to have left the start, early enough to be seen."""
SQUARE_RATE = 16.0
"""c* of four free points, hard energy: d* = 1 / 16 (ours; the part depth measures it)."""


@dataclass(frozen=True)
class Config:
    part: Literal["exact", "chains", "square", "depth"] = "exact"
    """Which of the studies."""
    ratios: tuple[float, ...] = RATIOS
    """c / c*: rates as multiples of the critical one."""
    ratio: float = 0.0
    """Label: the multiple of a record."""
    tau: float = 0.0
    """Temperature of the anchor's loss; 0 is the hard energy."""
    coupling: Literal["decoupled", "literal"] = "decoupled"
    """Whether beta is in the noise alone, or in the loss as well, as the paper writes it."""
    kind: str = ""
    """Label: where the law starts, or the landscape of a record."""
    size: int = 480
    """Nodes of the circle's grid; of the torus' in each direction for depth."""
    horizon: float = 1e6
    """Time T."""
    chains: int = 1024
    """Chains for each rate."""
    dt: float = 0.0025
    """Length of a chain's step."""
    seed: int = 0
    device: str = "cpu"
    """torch device of the chains."""

    def __post_init__(self):
        require_positive(self, "ratios", "horizon", "chains", "dt")
        if self.size < 16 or self.size % 8:
            raise ValueError(f"size = {self.size}; choose a multiple of 8, 16 or more: the trap needs a node")
        if not 0 <= self.tau <= 0.5:
            raise ValueError(f"tau = {self.tau}; choose 0 to .5, where the anchor has its trap")
        if self.part == "exact" and self.horizon < WINDOW[1]:
            raise ValueError(
                f"horizon = {self.horizon:g}; choose {WINDOW[1]:g} or more: escapes are read off until then"
            )
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}; choose a seed >= 0")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Records of the cell's part, see its function."""
    return {"exact": _exact, "chains": _chains, "square": _square, "depth": _depth}[cell.part](cell, scratch)


def in_trap(landscape: Landscape) -> np.ndarray:
    """The nodes of the anchor's trap: more than 135 degrees from the positive."""
    import numpy as np

    return np.abs(landscape.angles[:, 0] - np.pi) < np.pi / 4 - 1e-9


def _exact(cell: Config, scratch: Path) -> list[dict]:
    """The curve `trapped` over the time `step`, from the trap and from the uniform law, and its value `last` at T.
    `estimate` is c* as read off the curve: escapes happen at a rate like t^-(c d*), so c over minus its exponent.
    """
    import numpy as np

    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.oracles.fokker_planck import evolve
    from infonce_langevin.oracles.landscapes import circle, critical_depth
    from infonce_langevin.schedules import Log

    landscape = circle(FrozenAnchor(cell.tau), cell.size)
    trap, critical = in_trap(landscape), critical_depth(landscape).critical_rate
    starts = {"trap": np.eye(cell.size)[cell.size // 2], "uniform": np.full(cell.size, 1 / cell.size)}
    decades = np.unique(np.geomspace(1, cell.horizon, 1 + 2 * round(np.log10(cell.horizon))).round().astype(int))
    window = np.geomspace(*WINDOW, 21)
    times = np.unique(np.concatenate([decades, window]))
    records = []
    for ratio in cell.ratios:
        for kind, law in starts.items():
            trapped = evolve(landscape, Log(ratio * critical, 2.0), law, times, coupling=cell.coupling)[:, trap].sum(1)
            escapes = -np.diff(np.log(np.maximum(trapped[np.isin(times, window)], 1e-300)))
            slope = np.nan
            if kind == "trap" and (escapes > 1e-12).all():
                middle = np.sqrt(window[1:] * window[:-1])
                slope = np.polyfit(np.log(middle + 2), np.log(escapes / np.diff(window)), 1)[0]
            records.append({
                "ratio": ratio, "kind": kind, "critical": critical, "estimate": float(-ratio * critical / slope),
                "last": float(trapped[-1]), "step": decades, "trapped": trapped[np.isin(times, decades)],
            })  # fmt: skip
    return records


def _chains(cell: Config, scratch: Path) -> list[dict]:
    """Share `trapped` of chains at the time T, from the trap, and what the Fokker-Planck equation says (`exact`)."""
    import numpy as np
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.langevin import simulate
    from infonce_langevin.oracles.fokker_planck import evolve
    from infonce_langevin.oracles.landscapes import circle, critical_depth
    from infonce_langevin.schedules import Log

    energy = FrozenAnchor(cell.tau)
    landscape = circle(energy, cell.size)
    trap, critical = in_trap(landscape), critical_depth(landscape).critical_rate
    rates = critical * torch.tensor(cell.ratios).repeat_interleave(cell.chains)
    start = torch.tensor([[-1.0], [0.0]]).repeat(1, len(rates))[None]
    dynamics, steps = Langevin(energy, dt=cell.dt, move="exponential"), round(cell.horizon / cell.dt)
    found = simulate(dynamics, Log(rates, 2.0), steps, start, cell.seed, device=cell.device, scratch=scratch)
    trapped = (found.z[0, 0] < -(0.5**0.5)).view(len(cell.ratios), -1).double().mean(1).tolist()
    law = np.eye(cell.size)[cell.size // 2]
    records = []
    for ratio, simulated in zip(cell.ratios, trapped, strict=True):
        exact = evolve(landscape, Log(ratio * critical, 2.0), law, [cell.horizon])[0, trap].sum()
        records.append({"ratio": ratio, "kind": "trap", "trapped_at_end": simulated, "exact": float(exact)})
    return records


def _square(cell: Config, scratch: Path) -> list[dict]:
    """Share of chains with U > .5 at the time T, from the interleaved square, where U = 1; the minimum is -2."""
    import torch

    from infonce_langevin.dynamics import Langevin
    from infonce_langevin.energies import hard
    from infonce_langevin.langevin import simulate
    from infonce_langevin.schedules import Log

    rates = SQUARE_RATE * torch.tensor(cell.ratios).repeat_interleave(cell.chains)
    square = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])[..., None].repeat(1, 1, len(rates))
    steps = round(cell.horizon / cell.dt)
    found = simulate(
        Langevin(hard, dt=cell.dt), Log(rates, 2.0), steps, square, cell.seed, device=cell.device, scratch=scratch
    )
    trapped = (found.energy > 0.5).view(len(cell.ratios), -1).double().mean(1).tolist()
    return [
        {"ratio": ratio, "kind": "square", "trapped_at_end": share}
        for ratio, share in zip(cell.ratios, trapped, strict=True)
    ]


def _depth(cell: Config, scratch: Path) -> list[dict]:
    """`depth` d*, and `deviation` from its closed form where there is one. `size` nodes in each direction for four
    points, ten times as many for one.
    """
    from infonce_langevin.energies import FrozenAnchor, hard, infonce
    from infonce_langevin.oracles.landscapes import circle, critical_depth, torus

    landscapes = {
        "anchor, hard": (circle(FrozenAnchor(), 10 * cell.size), 2**0.5 - 1),
        "anchor, tau .2": (circle(FrozenAnchor(0.2), 10 * cell.size), None),
        "square, hard": (torus(hard, cell.size), 1 / 16),
        "square, infonce .1": (torus(infonce(0.1), cell.size), None),
    }
    records = []
    for kind, (landscape, known) in landscapes.items():
        found = critical_depth(landscape)
        record = {"kind": kind, "depth": found.depth, "barrier": found.barrier, "critical": found.critical_rate}
        records.append(record | ({} if known is None else {"deviation": abs(found.depth / known - 1)}))
    return records


def figures(results: Results) -> dict[str, Figure]:
    """Trapped mass against time and against c / c*, exact and simulated, and the landscapes."""
    from infonce_langevin.experiments.traps_figures import draw

    return draw(results)


_SQUARE = {"part": "square", "ratios": (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0), "horizon": 100.0, "dt": 0.005}
_CHAINS = {"part": "chains", "ratios": (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0), "horizon": 30.0}


def _cells(seeds: tuple[int, ...], chains: int, sizes: tuple[int, ...], torus: int) -> list[Config]:
    exact = [
        Config("exact", ratios if coupling == "literal" else RATIOS, tau=tau, coupling=coupling, size=size)
        for tau, coupling, ratios in ((0.0, "decoupled", ()), (0.2, "decoupled", ()),
        (0.0, "literal", (0.5, 0.8, 1.0, 2.0)))
        for size in sizes
    ]  # fmt: skip
    simulated = [Config(**part, chains=chains, seed=seed) for seed in seeds for part in (_CHAINS, _SQUARE)]
    return [Config("depth", size=torus), *exact, *simulated]


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config("depth", size=24),
        Config("exact", (0.5, 1.5, 2.0), size=80, horizon=1e3),
        Config("exact", (0.5, 1.5, 2.0), tau=0.2, size=80, horizon=1e3),
        Config("exact", (0.5, 1.0), coupling="literal", size=80, horizon=1e3),
        Config("chains", (0.5, 2.0), size=80, horizon=2.0, chains=64),
        Config("square", (0.5, 1.0, 2.0, 4.0), horizon=2.0, dt=0.005, chains=64),
    ],
    "default": _cells(FRESH, 1024, (240, 480), 96),
    "paper": _cells(tuple(range(200, 208)), 8192, (480, 960), 144),
}
