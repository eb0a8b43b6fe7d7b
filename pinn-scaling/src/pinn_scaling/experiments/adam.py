"""What the experiments that train with Adam have in common: their settings, and what is recorded of a run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from pinn_scaling.experiments.checked import require_positive, require_problem, require_seeds

LOG_EVERY = 50
CURVE = 100
"""Points of a recorded curve, at most."""
REFERENCE_UP_TO = 4.0
"""kappa up to which published KdV is also measured against the spectral solution, a second each; beyond, minutes."""


@dataclass(frozen=True)
class Training:
    pde: str = "allen_cahn"
    """Name of the problem, in `pdes.PDES`."""
    activation: Literal["tanh", "relu"] = "tanh"
    width: int = 16
    """Neurons N."""
    kappa: tuple[float, ...] = (16.0,)
    """Hardness values, all trained in one program."""
    seed: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Of initial network and points; every kappa is trained with all of them."""
    steps: int = 25_000
    """Adam steps."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Rate 1e-3 throughout, or falling to zero over the second half."""
    law: Literal["published", "spread"] = "published"
    """Initial law, see `network.initialise`."""

    def __post_init__(self):
        require_positive(self, "width", "steps")
        require_seeds(self)
        require_problem(self)
        if self.steps % LOG_EVERY:
            raise ValueError(f"steps = {self.steps}; choose a multiple of {LOG_EVERY}, every so many are logged")


def run(cell: Training, scratch: Path) -> list[dict]:
    """All kappas and seeds at once. One record per run; a run that diverged has no error, but the step where it did."""
    from pinn_scaling.measures import swings
    from pinn_scaling.pdes import PDES
    from pinn_scaling.solution import measure
    from pinn_scaling.training import Recipe, train

    pde = PDES[cell.pde]
    kappas, seeds = zip(*product(cell.kappa, cell.seed), strict=True)
    recipe = Recipe(
        steps=cell.steps, schedule=cell.schedule, activation=cell.activation, law=cell.law, log_every=LOG_EVERY
    )
    trained = train(pde, cell.width, kappas, seeds, recipe, scratch / "training.npz")
    last = measure(pde, trained.parameters, kappas, seeds, cell.activation)
    average = measure(pde, trained.average, kappas, seeds, cell.activation)
    swing, total = swings(trained.error, LOG_EVERY), trained.loss.total
    kept = np.unique(np.linspace(0, trained.error.shape[1] - 1, CURVE).astype(int))
    own = _own_measures(cell, pde, trained.parameters, kappas)
    return [
        {
            "kappa": kappa,
            "seed": seed,
            "error": float(last.error[i]),
            "fine_error": float(last.fine_error[i]),
            "ema_error": float(average.error[i]),
            "ema_fine_error": float(average.fine_error[i]),
            "lowest_error": swing[i, 0],
            "median_error": swing[i, 1],
            "highest_error": swing[i, 2],
            **{f"loss_{name}": float(term[i]) for name, term in last.loss._asdict().items()},
            "training_loss": total[i, -20:].mean(),
            "diverged": None if trained.failed[i] < 0 else int(trained.failed[i]),
            "bands": np.asarray(last.bands[i]),
            "step": (kept + 1) * LOG_EVERY,
            "error_curve": trained.error[i, kept],
            "loss_curve": total[i, kept],
            **{name: value for name, values in own.items() if np.isfinite(value := values[i])},
        }
        for i, (kappa, seed) in enumerate(zip(kappas, seeds, strict=True))
    ]


def _own_measures(cell: Training, pde, parameters, kappas) -> dict[str, np.ndarray]:
    """What is asked of one problem only, an array over runs; NaN for none."""
    import jax
    import jax.numpy as jnp

    from pinn_scaling.failures import vacuum_share, without_diffusion
    from pinn_scaling.measures import fine_grid, grid, relative_error, values
    from pinn_scaling.references import REFERENCES

    def over_runs(measured, z, *of_run):
        """measured(u, u*, ...) on a grid, run by run."""
        z = jnp.asarray(z)

        def one(run):
            network, kappa, *own = run
            return measured(values(network, z, cell.activation), pde.truth(z, kappa), *own)

        return np.asarray(jax.lax.map(one, (parameters, jnp.asarray(kappas, float), *of_run)))

    if cell.pde == "sine_gordon":
        return {"vacuum_share": over_runs(vacuum_share, fine_grid(pde))}
    if cell.pde == "allen_cahn" and cell.activation == "relu":
        z = jnp.asarray(grid(pde, 31, 31))
        distance = {kappa: relative_error(without_diffusion(z, kappa), pde.truth(z, kappa)) for kappa in cell.kappa}
        return {"without_diffusion": np.asarray([distance[kappa] for kappa in kappas])}
    if cell.pde == "kdv_published":
        z = grid(pde, 31, 401)
        solution = {
            kappa: REFERENCES[cell.pde](kappa, z[:, 0, 0], z[0, :, 1])
            if kappa <= REFERENCE_UP_TO
            else np.full(z.shape[:2], np.nan)
            for kappa in cell.kappa
        }
        solutions = jnp.asarray(np.stack([solution[kappa] for kappa in kappas]))
        return {"reference_error": over_runs(lambda u, _, solution: relative_error(u, solution), z, solutions)}
    return {}
