"""How much of the failure to improve with width is the noise of a constant rate? (ours)

The same networks, points and seeds as in `published`, on the problems that are solved there (Poisson, Allen-Cahn,
Sine-Gordon with kappa <= 4): the rate stays at 1e-3 for the first half of the steps, then falls to zero along a cosine.
One cell is one problem and one width. Expect 5 to 20 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pinn_scaling.experiments.adam import Training, run
from pinn_scaling.experiments.published import PAPER_WIDTHS, WIDTHS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

__all__ = ["PRESETS", "Config", "figures", "run"]

SMOOTH = {"poisson": (1.0,), "allen_cahn": (4.0, 16.0, 64.0), "sine_gordon": (0.25, 1.0, 4.0)}
"""Problems, and kappas at which Adam solves them to about 1e-3."""


@dataclass(frozen=True)
class Config(Training):
    schedule: Literal["constant", "cosine"] = "cosine"
    """Rate 1e-3 throughout, or falling to zero over the second half."""


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(pde="poisson", kappa=(1.0,), width=width, seed=(1, 2), steps=400) for width in (4, 8)],
    "default": [Config(pde=pde, kappa=kappa, width=width) for pde, kappa in SMOOTH.items() for width in WIDTHS],
    "paper": [
        Config(pde=pde, kappa=kappa, width=width)
        for pde, kappas in SMOOTH.items()
        for width in PAPER_WIDTHS
        for kappa in ([kappas] if width < 128 else [(kappa,) for kappa in kappas])
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Errors against width beside the published ones, and their curves."""
    from pinn_scaling.experiments.decay_figures import draw

    return draw(results)
