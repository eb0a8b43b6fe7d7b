"""KdV with a solution that is one: the paper's training on the corrected problem (claims C1 to C4 and C7, ours).

u* is the soliton of amplitude 1, and there are three boundary conditions (`pdes.kdv`). Everything else is as
published: network, points, Adam, seeds. Here the claim that nonlinearity compounds the failure can be tested. One cell
is one width with all kappas and seeds. Expect 15, 30 and 60 s per cell on one core for 16, 32 and 64 neurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinn_scaling.experiments.adam import Training, run
from pinn_scaling.experiments.published import PAPER_WIDTHS, WIDTHS
from pinn_scaling.pdes import PDES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

__all__ = ["PRESETS", "Config", "figures", "run"]


@dataclass(frozen=True)
class Config(Training):
    pde: str = "kdv"
    """Name of the problem, in `pdes.PDES`."""
    kappa: tuple[float, ...] = PDES["kdv"].kappas
    """Hardness values, all trained in one program."""


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(width=width, kappa=(0.25, 1.0, 4.0), seed=(1, 2), steps=400) for width in (4, 8)],
    "default": [Config(width=width) for width in WIDTHS],
    "paper": [
        Config(width=width, kappa=group)
        for width in PAPER_WIDTHS
        for group in ([PDES["kdv"].kappas] if width < 128 else [(kappa,) for kappa in PDES["kdv"].kappas])
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Errors against width and kappa, exponents, bands."""
    from pinn_scaling.experiments.kdv_figures import draw

    return draw(results)
