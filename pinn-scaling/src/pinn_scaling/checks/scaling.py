"""Exponents in width and hardness (claims C1 to C5 and C9), and what a falling rate makes of them (D)."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pinn_scaling.checks.judging import fits, geometric, rows, widths_of
from pinn_scaling.scaling import fit_scaling
from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, within
from repro_shared.runlog import Results

BARRON = 0.5
"""alpha of the rate N^-1/2 that approximation theory promises whatever the solution is."""
SLOPES_DIFFER = 0.05
"""b_Nkappa below which alpha changes by less than 0.2 over the published kappas, which differ by a factor of 64."""
WIDTH_MATTERS = 0.1
"""alpha below which a network twice as wide errs by 7 % more or less."""
AIC_MATTERS = 2.0
"""Burnham and Anderson's rule of thumb: models within 2 are equally good."""


def exponent(experiment: str, pde: str, activation: str = "tanh", **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """alpha of the separable fit, one per seed. A rate of N^-1/2 is what theory promises."""
        table = rows(results, experiment, pde, activation)
        return judge(fits(table)["alpha"], f"alpha per seed, {widths_of(table)}.{_per_kappa(table)}", **threshold)

    return check


def _per_kappa(table: pd.DataFrame) -> str:
    """The paper's own fits, on arithmetic means, for people."""
    if table["width"].nunique() < 2 or not table["error"].astype(float).notna().all():
        return ""
    means = np.log(table.groupby(["kappa", "width"])["error"].mean())
    alphas = ", ".join(
        f"{kappa:g}: {-np.polyfit(np.log(own.index.get_level_values('width').astype(float)), own, 1)[0]:.2f}"
        for kappa, own in means.groupby("kappa")
    )
    return f" On arithmetic means, as published, by kappa: {alphas}."


def slope_of_alpha(experiment: str, pde: str, activation: str = "tanh") -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """d alpha / d log kappa = -b_Nkappa per seed: below zero where the exponent degrades as kappa increases."""
        table = rows(results, experiment, pde, activation)
        why = f"Change of alpha per factor e of kappa, per seed, {widths_of(table)}.{_per_kappa(table)}"
        return judge(-fits(table)["b_Nkappa"], why, supported_below=0.0)

    return check


def level(experiment: str, pde: str, activation: str = "tanh") -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """gamma of the separable fit, one per seed: above zero where the error grows with kappa."""
        table = rows(results, experiment, pde, activation)
        return judge(fits(table)["gamma"], f"gamma per seed, {widths_of(table)}.", supported_above=0.0)

    return check


def interaction(experiment: str, pde: str, activation: str = "tanh") -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """b_Nkappa per seed: supported when its interval leaves out zero, contradicted when all of it is within
        `SLOPES_DIFFER`, where a separable law would do. The paper's F-test on means is quoted.
        """
        table = rows(results, experiment, pde, activation)
        values = fits(table)["b_Nkappa"]
        equivalent = within(values, 0.0, SLOPES_DIFFER, f"b_Nkappa per seed, {widths_of(table)}.{_f_test(table)}")
        if equivalent.low is None or equivalent.n < len(values) or equivalent.n < 3:
            return equivalent
        differs = equivalent.low > 0 or equivalent.high < 0
        none = equivalent.verdict == "supported"
        return replace(equivalent, verdict="contradicted" if none else "supported" if differs else "inconclusive")

    return check


def _f_test(table: pd.DataFrame) -> str:
    if table["width"].nunique() < 2 or table["kappa"].nunique() < 2:
        return ""
    law = fit_scaling(table.assign(err=table["error"].astype(float))[["width", "kappa", "seed", "err"]], resamples=0)
    return f" On means: F-test p = {law.interaction_test.p:.2g}, one slope per kappa p = {law.ancova.p:.2g}."


def curved_level(experiment: str, pde: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """AIC of the interaction minus that of a separable law quadratic in log kappa, both on arithmetic means with
        four coefficients: above `AIC_MATTERS` the misfit of the separable law is the wrong form in kappa.
        """
        table = rows(results, experiment, pde)
        if table["kappa"].nunique() < 3 or table["width"].nunique() < 2:
            return Finding(None, None, None, 0, "inconclusive", "Three kappas and two widths are needed.")
        err = table["error"].astype(float)
        law = fit_scaling(table.assign(err=err)[["width", "kappa", "seed", "err"]], resamples=0)
        gain = law.models["interaction"].aic - law.models["quadratic"].aic
        verdict = "supported" if gain > AIC_MATTERS else "contradicted" if gain < -AIC_MATTERS else "inconclusive"
        if not np.isfinite(err).all():
            verdict = "inconclusive" if verdict == "supported" else verdict
        best = ", ".join(f"{name} {model.adj_r2:.2f}" for name, model in law.models.items())
        return Finding(float(gain), None, None, law.points, verdict, f"Adjusted R^2: {best}; {widths_of(table)}.")

    return check


def kappa_dominates(experiment: str, pde: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """|gamma| - |alpha| of the separable fit, one per seed."""
        table = rows(results, experiment, pde)
        law = fits(table)
        why = f"gamma {law['gamma'].mean():.2f}, alpha {law['alpha'].mean():.2f}, {widths_of(table)}."
        return judge(law["gamma"].abs() - law["alpha"].abs(), why, supported_above=0.0)

    return check


def width_is_irrelevant(experiment: str, pde: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """alpha per seed within `WIDTH_MATTERS`: no more than 7 % per doubling of the width."""
        table = rows(results, experiment, pde)
        return within(fits(table)["alpha"], 0.0, WIDTH_MATTERS, f"alpha per seed, {widths_of(table)}.")

    return check


# ---- a rate that falls, and averaged weights


def decay_exponent(pde: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """alpha per seed with a falling rate; zero is "the error does not grow with the width". That of the constant
        rate, same seeds and kappas, is quoted.
        """
        table = rows(results, "decay", pde)
        constant = _same_runs(results, table)
        beside = f" Constant rate: {fits(constant)['alpha'].mean():.2f}." if len(constant) else ""
        return judge(fits(table)["alpha"], f"alpha per seed, {widths_of(table)}.{beside}", supported_above=0.0)

    return check


def decay_gain(pde: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Error of the constant over that of the falling rate, same network, points and seed."""
        table = rows(results, "decay", pde)
        labels = ["width", "kappa", "seed"]
        pairs = table.merge(_same_runs(results, table), on=labels, how="left", suffixes=("", "_constant"))
        ratio = pairs["error_constant"].astype(float) / pairs["error"].astype(float)
        return factor(geometric(ratio, pairs["seed"]), "Geometric mean over widths and kappas.", supported_above=2.0)

    return check


def _same_runs(results: dict[str, Results], table: pd.DataFrame) -> pd.DataFrame:
    """The runs with a constant rate that differ from these in nothing else."""
    pde = table["pde"].iloc[0] if len(table) else ""
    constant = rows(results, "published", pde)
    return constant[constant["steps"].isin(table["steps"]) & constant["kappa"].isin(table["kappa"])]


def average_gain(pde: str, kappas: tuple[float, ...]) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Error of the last iterate over that of the averaged weights, where Adam solves the problem."""
        table = rows(results, "published", pde)
        table = table[table["kappa"].isin(kappas)]
        ratio = table["error"].astype(float) / table["ema_error"].astype(float)
        return factor(geometric(ratio, table["seed"]), "Geometric mean over widths and kappas.", supported_above=2.0)

    return check


def last_iterate_swings(pde: str, kappas: tuple[float, ...]) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Largest over smallest logged error of the last 5000 steps: an order of magnitude makes the last one luck."""
        table = rows(results, "published", pde)
        table = table[table["kappa"].isin(kappas)]
        ratio = table["highest_error"].astype(float) / table["lowest_error"].astype(float)
        why = "Error logged every 50 steps. Geometric mean over widths and kappas."
        return factor(geometric(ratio, table["seed"]), why, supported_above=10.0)

    return check
