"""The paper's grid: networks trained by Adam as published, for every width, hardness and activation (claims C1 to C9).

Sine-Gordon, Allen-Cahn and KdV as published, and Poisson's equation as the linear control. One cell is one problem, one
activation and one width with all its kappas and seeds. Besides the published error, that of the last iterate on 31 x 31
points, there are the error on a grid that resolves every front, that of the averaged weights, the range over the last
5000 steps, and the error per frequency band. Expect 12, 26 and 50 s per cell of 35 runs on one core for 16, 32 and 64
neurons, and 3, 10, 40 minutes and hours for 128, 256, 512 and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinn_scaling.experiments.adam import Training, run
from pinn_scaling.pdes import PDES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

__all__ = ["PRESETS", "Config", "figures", "run"]

NONLINEAR = ("sine_gordon", "allen_cahn", "kdv_published")
WIDTHS = (16, 32, 64)
PAPER_WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Config(Training):
    """The defaults are the paper's."""


def _grid(widths: tuple[int, ...]) -> list[Config]:
    """All problems and activations; from 128 neurons on a cell is one kappa, so that many workers have work."""
    cells = []
    for pde in ("poisson", *NONLINEAR):
        kappas = PDES[pde].kappas
        for activation in ("tanh", "relu"):
            for width in widths:
                groups = [kappas] if width < 128 else [(kappa,) for kappa in kappas]
                cells += [Config(pde=pde, activation=activation, width=width, kappa=group) for group in groups]
    return cells


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config(pde=pde, activation=activation, width=width, kappa=kappa, seed=(1, 2), steps=400)
        for pde, activation, kappa in (
            ("poisson", "tanh", (1.0,)),
            ("poisson", "relu", (1.0,)),
            ("sine_gordon", "tanh", (0.25, 1.0, 16.0)),
            ("allen_cahn", "relu", (4.0, 16.0, 64.0)),
            ("allen_cahn", "tanh", (4.0, 16.0, 256.0)),
            ("kdv_published", "tanh", (0.25, 1.0, 4.0)),
        )
        for width in ((4, 8) if pde == "poisson" and activation == "tanh" else (4,))
    ],
    "default": _grid(WIDTHS),
    "paper": _grid(PAPER_WIDTHS),
}


def figures(results: Results) -> dict[str, Figure]:
    """Errors against width and kappa with their fits, ours beside the published ones; exponents; noise; bands."""
    from pinn_scaling.experiments.published_figures import draw

    return draw(results)
