"""What trained networks look like: ReLU's substitutes (C6), frequencies (C7), the floor under published KdV (T)."""

import numpy as np
import pandas as pd

from pinn_scaling import published
from pinn_scaling.checks.judging import STEPS, geometric, rows
from pinn_scaling.experiments.adam import REFERENCE_UP_TO
from pinn_scaling.measures import BANDS
from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, per_seed, worst
from repro_shared.runlog import Results

LOW, HIGH = 0, 4
"""Bands that are compared: modes 0 to 3, and 32 to 63."""
FLOOR = 1.1
"""Within 10 %: what we call equal."""


def relu_loss(results: dict[str, Results]) -> Finding:
    """|loss - 1/2| of every run, a mean over the last 20 logs; 1e-3 is far above its sampling noise."""
    table = rows(results, "published", "poisson", "relu")
    error = table["error"].astype(float)
    why = f"Largest distance from 1/2 of any run; relative errors {error.min():.2f} to {error.max():.2f}."
    return worst((table["training_loss"].astype(float) - 0.5).abs(), why, most=1e-3)


def relu_loses_diffusion(results: dict[str, Results]) -> Finding:
    """Error of ReLU over the distance of the solution without diffusion from u*, either way round, on means over seeds;
    a factor of 2 is what the fidelity claims allow, too. kappa <= 64: beyond, the distance is below the network's own.
    """
    table = rows(results, "published", "allen_cahn", "relu")
    table = table[(table["kappa"] <= 64) & table["width"].isin((16, 32, 64))]
    means = table.groupby(["kappa", "width"])[["error", "without_diffusion"]].agg(lambda x: x.mean(skipna=False))
    ratio = means["error"] / means["without_diffusion"]
    by_kappa = ", ".join(f"{kappa:g}: {value:.2f}" for kappa, value in ratio.groupby("kappa").mean().items())
    return worst(np.maximum(ratio, 1 / ratio), f"Worst cell. Error over distance by kappa: {by_kappa}.", most=2.0)


def _bands(results: dict[str, Results], experiment: str, pde: str, kappa: float) -> pd.DataFrame:
    """Relative error per band of every run at this kappa, with its seed."""
    table = rows(results, experiment, pde)
    table = table[table["kappa"] == kappa]
    bands = [results[experiment].array(row, "bands") for row in table.index]
    return pd.DataFrame(bands, index=table.index, columns=range(len(BANDS))).assign(seed=table["seed"])


def high_over_low(experiment: str, pde: str, kappa: float, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Relative error of modes 32 to 63 over that of modes 0 to 3, geometric mean over widths: an order of magnitude
        is a spectral bias; below a factor of 3 all frequencies are wrong alike.
        """
        bands = _bands(results, experiment, pde, kappa)
        means = ", ".join(f"{np.exp(np.log(bands[band]).mean()):.2g}" for band in range(len(BANDS)))
        why = f"Geometric means per band, from modes 0-3 to 64-127: {means}."
        return factor(geometric(bands[HIGH] / bands[LOW], bands["seed"]), why, **threshold)

    return check


def lowest_band(experiment: str, pde: str, kappa: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Relative error of modes 0 to 3: a network that only missed high frequencies would have them right; 0.3 is
        wrong by any standard.
        """
        bands = _bands(results, experiment, pde, kappa)
        return judge(geometric(bands[LOW], bands["seed"]), "Geometric mean over widths.", supported_above=0.3)

    return check


def at_wrong_vacuum(kappa: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of the wrong points that are at a constant with sin u = 0; a third would be by chance, two thirds are
        twice that. A run without wrong points has not failed, and is left out.
        """
        table = rows(results, "published", "sine_gordon")
        table = table[table["kappa"] == kappa]
        share = 100 * table["vacuum_share"].astype(float)
        failed = share[~(table["error"].astype(float) <= 0.1)]  # one that diverged, too
        why = f"{len(failed)} of {len(table)} runs with an error above .1; mean over widths."
        return judge(per_seed(failed, table["seed"], "mean"), why, supported_above=200 / 3)

    return check


# ---- the published truth of KdV


def _distances(results: dict[str, Results]) -> pd.Series:
    """kappa -> distance of the published truth from the solution, on the author's test grid."""
    table = results["truth"].table if "truth" in results else pd.DataFrame()
    if "test_grid_distance" not in table:
        return pd.Series(dtype=float)
    table = table[(table["pde"] == "kdv_published") & (table["kappa"] <= REFERENCE_UP_TO)]
    return table.set_index("kappa")["test_grid_distance"].astype(float)


def floor_of_ours(results: dict[str, Results]) -> Finding:
    """Our mean tanh error over the distance between the two fixed functions, either way round, worst cell up to kappa
    = 4; 10 % is what we call equal.
    """
    table = rows(results, "published", "kdv_published")
    table = table[table["steps"] == STEPS]
    means = table.groupby(["kappa", "width"])["error"].agg(lambda error: error.astype(float).mean(skipna=False))
    return _floor(means.reset_index(), results)


def floor_of_theirs(results: dict[str, Results]) -> Finding:
    """The same of the published means, all widths."""
    means = published.errors("kdv_published", "tanh").rename(columns={"err": "error"})
    return _floor(means, results)


def _floor(means: pd.DataFrame, results: dict[str, Results]) -> Finding:
    distances = _distances(results)
    means = means[means["kappa"].isin(distances.index)]
    ratio = means["error"].astype(float) / means["kappa"].map(distances)
    by_kappa = ", ".join(f"{kappa:g}: {value:.3f}" for kappa, value in ratio.groupby(means["kappa"]).mean().items())
    return worst(np.maximum(ratio, 1 / ratio), f"Worst cell. Error over distance by kappa: {by_kappa}.", most=FLOOR)
