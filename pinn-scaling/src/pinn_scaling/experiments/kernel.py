"""Do wider networks start with a poorer tangent kernel? (ours, a mechanism that the paper does not give)

Eigenvalues of J J', the tangent kernel of the residuals (`measures.tangent_spectrum`), at initialisation, on the same
300 points whatever the width. Xavier's slopes fall as 1 / sqrt(N) with all hinges through the origin, so wide networks
start almost linear; beside it the law `spread`, whose slopes do not fall. One cell is one problem and one law. Expect
5 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pinn_scaling.experiments.checked import require_positive, require_problem, require_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

POINTS = (300, 30, 15)
"""Inside, at t = 0, and at each end of x."""
KEPT = 200
"""Eigenvalues that are recorded, at most."""


@dataclass(frozen=True)
class Config:
    pde: str = "allen_cahn"
    """Name of the problem, in `pdes.PDES`."""
    kappa: tuple[float, ...] = (16.0,)
    """Hardness values."""
    law: Literal["published", "spread"] = "published"
    """Initial law, see `network.initialise`."""
    width: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Neurons N."""
    seed: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Of initial network and points."""

    def __post_init__(self):
        require_positive(self, "width")
        require_seeds(self)
        require_problem(self)


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per kappa, width and seed."""
    import jax
    import jax.numpy as jnp

    from pinn_scaling.measures import effective_rank, tangent_spectrum
    from pinn_scaling.network import initialise
    from pinn_scaling.pdes import PDES
    from pinn_scaling.points import Counts, draw
    from pinn_scaling.seeds import key

    pde = PDES[cell.pde]
    records = []
    for width in cell.width:

        @jax.jit
        def spectrum(kappa, init_key, point_key, width=width):
            network = initialise(init_key, width, pde.domain, "tanh", cell.law, jnp.float64)
            return tangent_spectrum(pde, network, draw(point_key, pde, Counts(*POINTS), jnp.float64), kappa)

        for kappa in cell.kappa:
            for seed in cell.seed:
                eigenvalues = np.asarray(spectrum(kappa, key(seed, "init"), key(seed, "kernel")))
                records.append({
                    "width": width, "kappa": kappa, "seed": seed,
                    "rank": int(effective_rank(eigenvalues)), "largest": eigenvalues[0],
                    "eigenvalues": eigenvalues[:KEPT],
                })  # fmt: skip
    return records


PROBLEMS = {"sine_gordon": (0.25, 16.0), "allen_cahn": (4.0, 64.0), "kdv": (0.25, 16.0)}

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(law=law, width=(4, 8), seed=(1, 2)) for law in ("published", "spread")],
    "default": [
        Config(pde=pde, kappa=kappa, law=law) for pde, kappa in PROBLEMS.items() for law in ("published", "spread")
    ],
    "paper": [
        Config(pde=pde, kappa=kappa, law=law, width=(16, 32, 64, 128, 256, 512, 1024, 2048), seed=tuple(range(1, 11)))
        for pde, kappa in PROBLEMS.items()
        for law in ("published", "spread")
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Effective rank against width, and spectra."""
    from pinn_scaling.experiments.kernel_figures import draw

    return draw(results)
