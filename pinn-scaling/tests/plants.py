"""What has to change in a made-up world (`worlds`) so that a claim is contradicted, and what falls with it."""

from collections.abc import Callable

import numpy as np
import worlds
from worlds import World, middle

from pinn_scaling.claims.networks import BETTER, HARD
from pinn_scaling.claims.scaling import PROBLEMS
from pinn_scaling.claims.sources import name_of
from pinn_scaling.experiments.decay import SMOOTH
from pinn_scaling.experiments.published import WIDTHS
from pinn_scaling.pdes import PDES

Plant = Callable[[World], None]


def plant(experiment: str, column: str, value, **where) -> Plant:
    """Overwrite `column` in the rows that match `where`: by a number, or by a function of the old values."""

    def change(results: World) -> None:
        table = results[experiment].table
        rows = np.logical_and.reduce([table[name] == wanted for name, wanted in where.items()] or [table.index >= 0])
        assert rows.any()
        if column != "passes":
            table[column] = table[column].astype(float)
        table.loc[rows, column] = value(table.loc[rows, column]) if callable(value) else value

    return change


def times(factor: float) -> Callable:
    return lambda old: old * factor


def reshape(experiment: str, pde: str, activation: str = "tanh", alpha=0.0, gamma=0.0, slope=0.0, curved=0.0) -> Plant:
    """Change the exponents of the errors of a problem; its error in the middle, or at the largest kappa for gamma,
    stays.
    """

    def change(results: World) -> None:
        table = results[experiment].table
        rows = (table["pde"] == pde) & (table["activation"] == activation)
        assert rows.any()
        n = np.log(table.loc[rows, "width"].astype(float)) - middle(WIDTHS)
        k = np.log(table.loc[rows, "kappa"].astype(float)) - middle(PDES[pde].kappas)
        law = -alpha * n + gamma * (k - k.max()) + slope * n * k + curved * k * k
        for name in ("error", "ema_error", "lowest_error", "highest_error"):
            table.loc[rows, name] *= np.exp(law)

    return change


def bands(experiment: str, pde: str, kappa: float, band: int, value: float) -> Plant:
    """Another error in one band of all runs with this kappa."""

    def change(results: World) -> None:
        table = results[experiment].table
        rows = table.index[(table["pde"] == pde) & (table["kappa"] == kappa) & (table["activation"] == "tanh")]
        assert len(rows)
        for row in rows:
            held = results[experiment].arrays[row]
            held["bands"] = np.where(np.arange(6) == band, value, held["bands"])

    return change


PLANTS: dict[str, Plant] = {}
BESIDES: dict[str, set[str]] = {}
"""Claim -> claims of the same experiment that its plant takes along, because they say less or more of the same."""

for pde, experiment in PROBLEMS.items():
    name = name_of(pde)
    PLANTS |= {
        f"C1-{name}": reshape(experiment, pde, alpha=0.7),
        f"C2-alpha-{name}-tanh": reshape(experiment, pde, slope=-2 * worlds.SLOPE),
        f"C2-level-{name}": reshape(experiment, pde, gamma=-2 * worlds.GAMMA),
        f"C3-{name}": reshape(experiment, pde, slope=-worlds.SLOPE),
        f"C3-form-{name}": reshape(experiment, pde, curved=-worlds.CURVATURE),
        f"C9-width-{name}": reshape(experiment, pde, alpha=0.25),
        f"C4-{name}": reshape(experiment, pde, gamma=0.03 - worlds.GAMMA),
    }
    BESIDES |= {f"C1-{name}": {f"C9-width-{name}"}, f"C3-{name}": {f"C2-alpha-{name}-tanh"}}
    if pde != "kdv":
        PLANTS |= {
            f"C2-alpha-{name}-relu": reshape(experiment, pde, "relu", slope=-2 * worlds.SLOPE),
            f"C9-interaction-{name}": reshape(experiment, pde, "relu", slope=-worlds.SLOPE),
        }
        BESIDES[f"C9-interaction-{name}"] = {f"C2-alpha-{name}-relu"}
for pde in SMOOTH:
    name, own = name_of(pde), {"pde": pde, "activation": "tanh"}
    PLANTS |= {
        f"D-swings-{name}": plant("published", "highest_error", times(0.01), **own),
        f"D-average-{name}": plant("published", "ema_error", times(20), **own),
        f"D-decay-{name}": plant("decay", "error", times(10), **own),
    }
for pde, kappa, method in BETTER:
    of_adam = {"pde": pde, "kappa": kappa, "width": 16, "method": "adam+ema"}
    PLANTS[f"C8-{name_of(pde)}-{kappa:g}"] = plant("decisive", "fine_error", times(1e-5), **of_adam)
    if (pde, kappa, method) in HARD:
        one_seed = of_adam | {"method": method, "seed": 2}
        PLANTS[f"C8-sixteen-{name_of(pde)}-{kappa:g}"] = plant("decisive", "fine_error", 0.02, **one_seed)
    if (pde, kappa) in (("allen_cahn", 64.0), ("sine_gordon", 16.0), ("kdv", 16.0)):
        wide = of_adam | {"method": "adam", "width": 32}
        PLANTS[f"C8-width-{name_of(pde)}"] = plant("decisive", "fine_error", times(1e-6), **wide)


def _tilt(pde: str) -> Plant:
    def change(results: World) -> None:
        table = results["decay"].table
        rows = table["pde"] == pde
        n = np.log(table.loc[rows, "width"].astype(float)) - middle(WIDTHS)
        table.loc[rows, "error"] *= np.exp(2.5 * n)

    return change


def three_times_worse(results: World) -> None:
    """On two problems out of four, which have most of the cells."""
    for pde in ("sine_gordon", "allen_cahn"):
        plant("published", "error", times(3), pde=pde, activation="tanh")(results)


PLANTS |= {
    **{f"D-alpha-{name_of(pde)}": _tilt(pde) for pde in SMOOTH},
    "C5-control": reshape("published", "poisson", alpha=-0.8),
    "C6-loss": plant("published", "training_loss", 0.49, pde="poisson", activation="relu", seed=3, width=32),
    "C6-diffusion": plant(
        "published", "without_diffusion", times(3), pde="allen_cahn", activation="relu", kappa=4.0, width=16
    ),
    "C7-bias-allen-cahn-256": bands("published", "allen_cahn", 256.0, 4, 1.0),
    "C7-bias-sine-gordon-16": bands("published", "sine_gordon", 16.0, 4, 1.0),
    "C7-bias-kdv-1": bands("kdv", "kdv", 1.0, 4, 1.0),
    "C7-bias-kdv-16": bands("kdv", "kdv", 16.0, 4, 1.0),
    "C7-lowest-band": bands("published", "sine_gordon", 16.0, 0, 0.05),
    "C7-vacuum": plant("published", "vacuum_share", times(0.4), pde="sine_gordon", activation="tanh", kappa=16.0),
    "C8-same-points": plant("decisive", "fine_error", times(1e-5), method="adam+fixed", width=16),
    "C8-sampling": plant("decisive", "fine_error", times(20), pde="kdv", kappa=4.0, method="adam+fixed"),
    "C8-kdv-published": plant("decisive", "reference_error", times(1e-5), pde="kdv_published", method="adam"),
    "C8-cold-start": plant("decisive", "fine_error", 0.01, pde="sine_gordon", kappa=16.0, method="lm", seed=4),
    "K-rank-published": plant("kernel", "rank", lambda old: 1e4 / old, law="published"),
    "K-rank-spread": plant("kernel", "rank", lambda old: 1e4 / old, law="spread"),
    "R-tanh": three_times_worse,
    "R-relu": plant("published", "error", times(3), activation="relu"),
    "T-published-kdv": plant("truth", "distance", 0.05, pde="kdv_published", kappa=2.0),
    "T-others": plant("truth", "passes", False, pde="burgers", kappa=16.0),
    "T-floor-published": plant("truth", "test_grid_distance", times(1.3), pde="kdv_published"),
    "T-floor": plant("published", "error", times(1.3), pde="kdv_published", activation="tanh", kappa=1.0, width=32),
}
BESIDES["C8-same-points"] = {"C8-allen-cahn-16", "C8-sine-gordon-16", "C8-kdv-4"}
ABOUT_THE_AUTHOR = {"R-tanh", "R-relu", "T-floor"}
"""Claims that hold where our errors are his (`worlds.published_world`)."""
