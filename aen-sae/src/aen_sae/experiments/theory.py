"""What is true of the exact coding map? Stability, global support, the irrepresentable condition (claims C3, C4, C5).

No SAE is trained here: the codes are the exact minimisers on a known dictionary (`coding_map`, half-square form with
a1 = `l1`, a2 = `l2`, float64), each with its KKT residual. So these are effects of the penalties themselves, apart from
learning a dictionary and from an encoder's errors. One cell is one part and one seed. Expect 2 to 9 s per cell on one
core for `default`, one minute in all.

lipschitz  how far codes move per distance of the input: close pairs (random and worst direction), far pairs, the local
           constant; to be compared with the bound
support    only some atoms are ever used: which latents fire, per sample and globally, and how strongly
irc        all pairwise cosines equal: is the support found where the irrepresentable condition in closed form says so
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aen_sae.experiments.checked import require_positive

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Method = Literal["l1", "elastic_net", "adaptive_lasso", "aen"]
"""Penalties: `aen` and `adaptive_lasso` are weighted; `aen` and `elastic_net` have the l2 term."""
TOL, MAX_ITERATIONS = 1e-8, 50_000
"""The solver's stopping rule (ours): tight enough to find the support, on which the closed form then gives the code."""


@dataclass(frozen=True)
class Config:
    part: Literal["lipschitz", "support", "irc"] = "lipschitz"
    """Which question, see the head of the module."""
    rho: tuple[float, ...] = (0.0, 0.5, 0.9)
    """Coherences of the dictionary, in [0, 1)."""
    n: int = 64
    """Input dimension (irc: ignored, its dictionary lives in R^d)."""
    d: int = 256
    """Atoms."""
    active: int = 4
    """Active atoms per sample, k; amplitudes U[1, 3]."""
    l1: float = 0.1
    """a1 of the half-square form, > 0; n lambda1 / 2 in the paper's units."""
    l2: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.5)
    """a2 values, >= 0; n lambda2 in the paper's units. support: that of elastic net, AEN and the pilot, > 0."""
    samples: int = 64
    """Samples per dictionary."""
    distance: float = 0.01
    """lipschitz: length of the perturbation of a close pair, in the unit of x (||x|| is 4 to 8)."""
    method: tuple[Method, ...] = get_args(Method)
    """support: penalties to compare."""
    used: int = 64
    """support: atoms that are ever used, the global support S; the others never appear in the data."""
    noise: float = 0.05
    """support: standard deviation of the Gaussian noise per coordinate of x."""
    gamma: float = 1.0
    """support: exponent of the adaptive weights."""
    weight_max: float = 10.0
    """support: upper cap of the adaptive weights."""
    weight_off: tuple[float, ...] = (1.0,)
    """irc: weight omega_j of the latents off the support; those on it have weight 1."""
    seed: int = 0
    """Fans out into dictionary, codes, noise and perturbations."""

    def __post_init__(self):
        if self.part not in (parts := ("lipschitz", "support", "irc")):
            raise ValueError(f"unknown part {self.part!r}; choose from {', '.join(parts)}")
        require_positive(self, "n", "d", "l1", "distance", "weight_max")
        if not all(0 <= rho < 1 for rho in self.rho):
            raise ValueError(f"rho = {self.rho}; choose coherences in [0, 1)")
        pool = self.used if self.part == "support" else self.d
        if not 0 < self.active <= pool <= self.d:
            raise ValueError(f"active = {self.active} of {pool} atoms, d = {self.d}; choose 1 <= active <= used <= d")
        if not all(0 <= l2 < math.inf for l2 in self.l2) or not 0 <= self.noise < math.inf:
            raise ValueError(f"l2 = {self.l2}, noise = {self.noise}; choose numbers >= 0")
        if self.part == "support" and not all(l2 > 0 for l2 in self.l2):
            raise ValueError(f"l2 = {self.l2}; part support compares with and without it, choose l2 > 0")
        if unknown := set(self.method) - set(get_args(Method)):
            raise ValueError(f"unknown method {sorted(unknown)[0]!r}; choose from {', '.join(get_args(Method))}")
        if self.samples < 2:
            raise ValueError(f"samples = {self.samples}; choose samples > 1")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Solve the cell's coding maps. One record per (rho, l2), per (rho, l2, method) or per (rho, l2, weight_off)."""
    return {"lipschitz": _lipschitz, "support": _support, "irc": _irrepresentable}[cell.part](cell)


def _lipschitz(cell: Config) -> list[dict]:
    """Largest quotients ||dh|| / ||dx|| over pairs of inputs, beside the local constants at the samples."""
    import torch

    from aen_sae.exact_code import local_lipschitz, most_sensitive_direction

    records = []
    for rho in cell.rho:
        atoms = _dictionary(cell, rho)
        x = _codes(cell, cell.d) @ atoms
        kick = torch.randn(x.shape, generator=_stream(cell, "kick"), dtype=x.dtype)
        kick *= cell.distance / kick.norm(dim=1, keepdim=True)
        for l2 in cell.l2:
            h, certificate = _solve(cell, x, atoms, l2)
            active = h > 0
            worst = cell.distance * most_sensitive_direction(atoms, active, l2)
            near = [_solve(cell, x + dx, atoms, l2)[0] for dx in (kick, worst)]
            random, adversarial = ((h_near - h).norm(dim=1).max().item() / cell.distance for h_near in near)
            local = local_lipschitz(atoms, active, l2)
            records.append({
                "rho": rho,
                "l2": l2,
                "random_pairs": random,
                "adversarial_pairs": adversarial,
                "far_pairs": (torch.pdist(h) / torch.pdist(x)).max().item(),
                "local_worst": local.max().item(),
                "local_median": local.median().item(),
                "l0": active.sum(1).double().mean().item(),
                **certificate,
            })  # fmt: skip
    return records


def _support(cell: Config) -> list[dict]:
    """Per-sample support, global support, amplitudes per method. Weights come from a pilot on samples of their own."""
    import torch

    from aen_sae.irrepresentable import global_support, starvation_forecast, support_margin
    from aen_sae.metrics import support_scores
    from aen_sae.weights import adaptive_weights

    records = []
    for rho in cell.rho:
        atoms = _dictionary(cell, rho)
        used = torch.arange(cell.d) < cell.used
        (_, x_pilot), (truth, x) = (_noisy_samples(cell, atoms, name) for name in ("pilot", "test"))
        true = truth > 0
        for l2 in cell.l2:
            pilot, _ = _solve(cell, x_pilot, atoms, l2)
            omega = adaptive_weights(pilot.mean(0), cell.gamma, weight_max=cell.weight_max)
            for method in cell.method:
                weights = omega if method in ("adaptive_lasso", "aen") else None
                a2 = l2 if method in ("elastic_net", "aen") else 0.0
                codes, certificate = _solve(cell, x, atoms, a2, weights)
                on = codes > 0
                scores, overall = support_scores(on, true), global_support(codes, used)
                exact = (on == true).all(1)
                margin = support_margin(x, true, atoms, cell.l1, a2, weights)
                forecast = starvation_forecast(x, true, atoms, cell.l1, a2, weights).missed[used] == 1
                found = on & true
                records.append({
                    "rho": rho,
                    "l2": l2,
                    "method": method,
                    **{name: score.mean().item() for name, score in scores._asdict().items()},
                    "l0": on.sum(1).double().mean().item(),
                    "amplitude_ratio": (codes[found] / truth[found]).mean().item(),
                    "off_support_share": overall.false_share.item(),
                    "off_support_latents": overall.false_positives,
                    "lost_latents": overall.lost,
                    "forecast_lost": int(forecast.sum()),
                    "forecast_lost_hits": int((forecast & ~on.any(0)[used]).sum()),
                    "exact_recovery": exact.double().mean().item(),
                    "condition_agrees": int(((margin > 0).all(1) == exact).sum()),
                    **certificate,
                })  # fmt: skip
    return records


def _irrepresentable(cell: Config) -> list[dict]:
    """Recovery of noiseless samples, by the closed form and by the solver, for exactly equal pairwise cosines."""
    import torch

    from aen_sae.irrepresentable import equicoherent_candidate, equicoherent_dictionary, equicoherent_lhs

    truth = _codes(replace(cell, d=cell.active), cell.active)  # A = the first k atoms: all sets are alike
    truth = torch.nn.functional.pad(truth, (0, cell.d - cell.active))  # (samples, d)
    on_support = torch.arange(cell.d) < cell.active
    amplitudes = truth[:, on_support]
    records = []
    for rho in cell.rho:
        atoms = equicoherent_dictionary(cell.d, rho)
        for l2 in cell.l2:
            lhs = equicoherent_lhs(rho, cell.active, amplitudes.sum(1), cell.l1, l2)
            positive = (equicoherent_candidate(rho, amplitudes, cell.l1, l2) > 0).all(1)
            for weight in cell.weight_off:
                predicted = positive & (lhs <= weight)
                omega = torch.where(on_support, atoms.new_tensor(1.0), weight)
                codes, certificate = _solve(cell, truth @ atoms, atoms, l2, omega)
                solved = ((codes > 0) == (truth > 0)).all(1)
                records.append({
                    "rho": rho,
                    "l2": l2,
                    "weight_off": weight,
                    "lhs": lhs.mean().item(),
                    "predicted": predicted.double().mean().item(),
                    "solved": solved.double().mean().item(),
                    "agree": int((predicted == solved).sum()),
                    **certificate,
                })  # fmt: skip
    return records


def _stream(cell: Config, *name) -> torch.Generator:
    from aen_sae.seeds import generator

    return generator(cell.seed, "theory", *name)


def _dictionary(cell: Config, rho: float) -> torch.Tensor:
    """Spiked atoms in float64, (d, n); the random directions u_j and v are the same for all rho of a seed."""
    from torch.nn.functional import normalize

    from aen_sae.spiked import spiked_dictionary

    return normalize(spiked_dictionary(cell.n, cell.d, rho, _stream(cell, "dictionary")).double(), dim=1)


def _codes(cell: Config, used: int, name: str = "codes") -> torch.Tensor:
    """True codes (samples, d): `active` of the first `used` atoms with amplitudes U[1, 3]."""
    import torch

    from aen_sae.spiked import sample_supports

    random = _stream(cell, name)
    support = sample_supports(cell.samples, used, cell.active, random)
    amplitude = 1 + 2 * torch.rand(support.shape, generator=random, dtype=torch.float64)
    return amplitude.new_zeros(cell.samples, cell.d).scatter_(1, support, amplitude)


def _noisy_samples(cell: Config, atoms, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    truth = _codes(cell, cell.used, name)
    x = truth @ atoms
    return truth, x + cell.noise * torch.randn(x.shape, generator=_stream(cell, name, "noise"), dtype=x.dtype)


def _solve(cell: Config, x, atoms, l2: float, weights=None) -> tuple[torch.Tensor, dict[str, float | int]]:
    """(h*(x), certificate): exact codes, their worst KKT residual, samples that only the iteration vouches for."""
    from aen_sae.exact_code import coding_map, kkt_residual
    from aen_sae.irrepresentable import exact_codes

    problem = (atoms, cell.l1, l2, weights)
    solved = coding_map(x, *problem, tol=TOL, max_iterations=MAX_ITERATIONS)
    codes, certified = exact_codes(x, solved.codes, *problem)
    return codes, {
        "kkt_residual": kkt_residual(x, codes, *problem).max().item(),
        "uncertified": int((~certified).sum()),
        "iterations": solved.iterations.max().item(),
    }


def _seeds(count: int, *cells: Config) -> list[Config]:
    return [replace(cell, seed=seed) for seed in range(count) for cell in cells]


_LIPSCHITZ = Config(part="lipschitz")
_SUPPORT = Config(part="support", l2=(0.02,), samples=200)
_MORE_L1 = [  # L1 and the adaptive lasso at one L0: larger and smaller a1 than that of `_SUPPORT`
    *(replace(_SUPPORT, rho=(0.9,), method=("l1",), l1=l1) for l1 in (0.4, 0.8)),
    *(replace(_SUPPORT, rho=(0.9,), method=("adaptive_lasso",), l1=l1) for l1 in (0.02, 0.05)),
]
_L2_MAP = Config(
    part="irc", d=12, rho=tuple(np.linspace(0, 0.95, 20).round(2).tolist()),
    l2=tuple(np.geomspace(0.001, 1, 22).round(5).tolist()), samples=32,
)  # fmt: skip
_WEIGHT_MAP = replace(_L2_MAP, l2=(0.1,), weight_off=tuple(np.linspace(0.5, 4, 29).tolist()))
_TINY = Config(n=16, d=32, active=2, used=8, samples=8, rho=(0.0, 0.3, 0.6), l2=(0.02, 0.1, 0.5))
_FULL = Config(n=256, d=1024, active=16, used=256, samples=200)

PRESETS: dict[str, list[Config]] = {
    "smoke": _seeds(
        2,
        replace(_TINY, l2=(0.0, *_TINY.l2)),
        replace(_TINY, part="support", l2=(0.02,)),
        replace(_TINY, part="support", l2=(0.02,), method=("l1", "adaptive_lasso"), l1=0.4),
        replace(_TINY, part="irc", d=6),
        replace(_TINY, part="irc", d=6, l2=(0.1,), weight_off=(0.5, 1.5, 3.0)),
    ),
    "default": _seeds(3, _LIPSCHITZ, _SUPPORT, *_MORE_L1, _L2_MAP, _WEIGHT_MAP),
    # more seeds and samples, weights so sharp that needed latents are lost, and the size of the published spiked runs
    "paper": _seeds(
        10,
        replace(_LIPSCHITZ, l2=(0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), samples=400),
        *(replace(cell, samples=2_000) for cell in (_SUPPORT, *_MORE_L1)),
        replace(_SUPPORT, samples=2_000, gamma=2.0, weight_max=1_000.0),
        _L2_MAP,
        _WEIGHT_MAP,
    )
    + _seeds(3, replace(_FULL, part="lipschitz"), replace(_FULL, part="support", l2=(0.02,), samples=1_000)),
}


def figures(results: Results) -> dict[str, Figure]:
    """Lipschitz constants, global support, and the map of the irrepresentable condition."""
    from aen_sae.experiments.theory_figures import draw

    return draw(results)
