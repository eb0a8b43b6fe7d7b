"""Scaling laws of an error in width N and hardness kappa: the paper's fits, and those that its conclusions need.

    per kappa     log err = log A - alpha log N
    separable     log err = log A - alpha log N + gamma log kappa
    quadratic     log err = log A - alpha log N + gamma log kappa + gamma_2 log^2 kappa                     (ours)
    interaction   log err = b_0 + b_N log N + b_kappa log kappa + b_Nkappa log N log kappa

Natural logarithms, every point with equal weight. The paper fits the logarithm of the arithmetic mean over seeds and
reads alpha(kappa) = -(b_N + b_Nkappa log kappa) off the interaction. Ours: other averages, a test of "one slope per
kappa" that assumes no form in kappa (analysis of covariance), robust slopes, intervals from resampled seeds, and the
failure rate apart from the size of the error, for cells in which some seeds fail outright.
"""

import warnings
from dataclasses import dataclass
from os import PathLike
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from pinn_scaling.regression import Correlation, FTest, Interval, Regression, f_test, ols, rank_correlation

Average = Literal["mean", "geometric", "median", "runs"]
"""One point per cell (N, kappa): log of the arithmetic mean over seeds as published, mean or median of the logs; or
`runs`, one point per run.
"""

BIMODAL = 10.0
"""A cell is bimodal when its failed runs err more than its others by this factor (geometric means; ours)."""


class _Runs(NamedTuple):
    """A table of runs as a matrix."""

    width: Float[np.ndarray, " cells"]
    kappa: Float[np.ndarray, " cells"]
    err: Float[np.ndarray, "cells seeds"]
    """NaN where a run is missing or its error is not finite."""


@dataclass(frozen=True)
class Scaling:
    """What `fit_scaling` found; `print` it for a summary. Intervals are 95 %."""

    average: Average
    points: int
    """Points that were fitted."""
    diverged: int
    """Runs whose error is not finite: in no fit, and counted as failed."""
    alphas: pd.DataFrame
    """One row per kappa: `alpha` with `se`; `low`, `high` by t, `hc3_*` for unequal variances, `seeds_*` by resampling
    seeds; `theil_sen` with its interval; `r2`, `points`; `failure_rate`, `alpha_succeeded` (slope of the geometric mean
    of the runs that did not fail).
    """
    models: dict[str, Regression]
    """`separable`, `interaction` (two kappas or more), `quadratic` (three or more)."""
    coefficients: pd.DataFrame
    """One row per model and coefficient: `value`, `se`, `p`, and the intervals of `alphas`."""
    interaction_test: FTest
    """Separable within interaction: is b_Nkappa = 0?"""
    ancova: FTest
    """Common slope, one intercept per kappa, within one slope per kappa: does alpha depend on kappa at all?"""
    trend: Correlation
    """Spearman's rank correlation of alpha with kappa."""
    cells: pd.DataFrame
    """One row per (kappa, width): `runs`, `failed`, `failure_rate`, `succeeded` (geometric mean of the others),
    `bimodal`.
    """

    def local_alpha(self, kappa: float) -> Interval:
        """alpha(kappa) = -(b_N + b_Nkappa log kappa) of the interaction fit, with its t interval.

        ValueError where there is one kappa only, or kappa is not positive.
        """
        if "interaction" not in self.models or not kappa > 0:
            raise ValueError(f"no alpha at kappa = {kappa}: it needs kappa > 0 and a table with two kappas or more")
        return self.models["interaction"].combination({"b_N": -1.0, "b_Nkappa": -float(np.log(kappa))})

    @property
    def verdicts(self) -> dict[str, str]:
        """What the fits say at the 5 % level, question by question."""
        falls, rises = (self.alphas.low > 0).sum(), (self.alphas.high < 0).sum()
        answers = {"width": f"the error falls with it at {falls}, rises at {rises} of {len(self.alphas)} kappas"}
        if "interaction" in self.models:
            needed, differ = self.interaction_test.p < 0.05, self.ancova.p < 0.05
            answers["separable law"] = "rejected for an interaction" if needed else "an interaction is not needed"
            answers["slopes"] = "differ between kappas" if differ else "no evidence that they differ"
        if "quadratic" in self.models:
            rho, p = self.trend
            drift = "falls" if rho < 0 else "rises"
            answers["alpha(kappa)"] = f"{drift} with kappa" if p < 0.05 else "no monotone trend"
            answers["least AIC"] = min(self.models, key=lambda name: self.models[name].aic)
        return answers

    def __str__(self) -> str:
        shown = self.alphas[["kappa", "alpha", "low", "high", "theil_sen", "r2", "failure_rate"]]
        lines = [f"{self.points} points ({self.average}), {self.diverged} diverged runs, 95 % intervals by t", ""]
        lines += [shown.to_string(index=False, float_format="{:.3g}".format), ""]
        for name, model in self.models.items():
            terms = ", ".join(f"{term} {model[term]:.3g} +- {model.se(term):.2g}" for term in model.names)
            lines.append(f"{name}: {terms}; adj R2 {model.adj_r2:.3f}, AIC {model.aic:.1f}, BIC {model.bic:.1f}")
        if self.models:
            lines.append(f"interaction p = {self.interaction_test.p:.2g}, slopes differ p = {self.ancova.p:.2g}")
        return "\n".join(lines + [f"{question}: {answer}" for question, answer in self.verdicts.items()])


def fit_scaling(
    table: pd.DataFrame | str | PathLike,
    average: Average = "mean",
    failure: float = 0.1,
    resamples: int = 1000,
    seed: int = 0,
) -> Scaling:
    """Fit all models to a table (or CSV file) with columns `width`, `kappa`, `err` and, for several runs per cell,
    `seed`; other columns are ignored.

    `err` is any positive error; runs where it is not finite are counted, not fitted. A run with err >= `failure` failed
    (ours: 10 % for a relative error). Seeds are resampled as clusters, `resamples` times: a seed takes all of its runs
    along, as it drives initialisation and sampling in every cell; the percentiles are widened for few seeds (Hesterberg
    2015: t quantile with S - 1 degrees of freedom, factor sqrt(S / (S - 1))); NaN with one seed.
    ValueError for missing columns, text, err <= 0, widths or kappas that are not positive, two runs of one seed in a
    cell, and a kappa with a single width.
    """
    runs, cells = _read(table, failure)
    width, kappa, y = _points(runs, average)
    kappas = len(np.unique(kappa))
    models = {name: ols(*design, y) for name, design in designs(width, kappa).items()}
    of_seeds = _resampled_seeds(runs, average, resamples, np.random.default_rng(seed))
    alphas = pd.DataFrame(
        _alpha_row(value, width[kappa == value], y[kappa == value], cells[cells.kappa == value])
        for value in np.unique(kappa)
    )
    coefficients = pd.DataFrame(
        {"model": name, "coefficient": term, "value": model[term], "p": model.p(term)} | _intervals(model, term)
        for name, model in models.items()
        for term in model.names
    )
    alphas[["seeds_low", "seeds_high"]] = of_seeds[:kappas]
    coefficients[["seeds_low", "seeds_high"]] = of_seeds[kappas:]
    unknown = FTest(np.nan, np.nan)
    return Scaling(
        average=average,
        points=len(y),
        diverged=int(cells.diverged.sum()),
        alphas=alphas,
        models=models,
        coefficients=coefficients,
        interaction_test=f_test(models["separable"], models["interaction"]) if models else unknown,
        ancova=_ancova(width, kappa, y) if models else unknown,
        trend=rank_correlation(alphas.alpha.to_numpy(), alphas.kappa.to_numpy()),
        cells=cells.drop(columns="diverged"),
    )


def _read(table: pd.DataFrame | str | PathLike, failure: float) -> tuple[_Runs, pd.DataFrame]:
    """The checked table as a matrix, and its cells with their failures."""
    table = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    missing = [name for name in ("width", "kappa", "err") if name not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}: it needs width, kappa, err (and seed)")
    if "seed" not in table:
        table = table.assign(seed=0)
    try:
        table = table[["width", "kappa", "seed", "err"]].astype({"width": float, "kappa": float, "err": float})
    except ValueError as error:
        raise ValueError(f"the table holds something that is not a number: {error}") from None
    for name in ("width", "kappa"):
        if not (np.isfinite(table[name]) & (table[name] > 0)).all():
            raise ValueError(f"{name} has to be a positive number in every row")
    if (table.err <= 0).any():
        raise ValueError(f"err = {table.err.min()} has no logarithm: give errors > 0 (NaN for a run that diverged)")
    if table.duplicated(["width", "kappa", "seed"]).any():
        raise ValueError("several rows have the same width, kappa and seed: give each run of a cell its own seed")
    table = table.assign(diverged=~np.isfinite(table.err), err=table.err.where(np.isfinite(table.err)))
    widths = table.dropna().groupby("kappa").width.nunique().reindex(table.kappa.unique(), fill_value=0)
    if table.empty or (widths < 2).any():
        raise ValueError(f"no slope at kappa = {list(widths.index[widths < 2])}: two widths with finite errors or more")
    wide = table.pivot(index=["kappa", "width"], columns="seed", values="err")
    runs = _Runs(*(wide.index.get_level_values(name).to_numpy() for name in ("width", "kappa")), wide.to_numpy())

    good = table.err < failure
    table = table.assign(failed=~good, good=np.log(table.err).where(good), bad=np.log(table.err).where(~good))
    cells = table.groupby(["kappa", "width"]).agg(
        runs=("seed", "size"), failed=("failed", "sum"), diverged=("diverged", "sum"), good=("good", "mean"),
        bad=("bad", "mean"),
    )  # fmt: skip
    cells = cells.assign(
        failure_rate=cells.failed / cells.runs,
        succeeded=np.exp(cells.good),
        bimodal=cells.bad - cells.good >= np.log(BIMODAL),
    )
    return runs, cells.drop(columns=["good", "bad"]).reset_index()


def _points(runs: _Runs, average: Average) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Width, kappa and log error of every point that is to be fitted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell without a finite run is NaN, and left out below
        match average:
            case "mean":
                y = np.log(np.nanmean(runs.err, axis=1, keepdims=True))
            case "geometric":
                y = np.nanmean(np.log(runs.err), axis=1, keepdims=True)
            case "median":
                y = np.nanmedian(np.log(runs.err), axis=1, keepdims=True)
            case "runs":
                y = np.log(runs.err)
            case _:
                raise ValueError(f"average {average!r}: choose mean, geometric, median or runs")
    cell, _ = kept = np.nonzero(np.isfinite(y))
    return runs.width[cell], runs.kappa[cell], y[kept]


def designs(width: np.ndarray, kappa: np.ndarray) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Coefficient names and columns of those models of all kappas together that the number of kappas determines."""
    n, k, one, kappas = np.log(width), np.log(kappa), np.ones(len(width)), len(np.unique(kappa))
    found = {}
    if kappas > 1:
        found["separable"] = ("log_A", "alpha", "gamma"), np.stack([one, -n, k], axis=1)
        found["interaction"] = ("b_0", "b_N", "b_kappa", "b_Nkappa"), np.stack([one, n, k, n * k], axis=1)
    if kappas > 2:
        found["quadratic"] = ("log_A", "alpha", "gamma", "gamma_2"), np.stack([one, -n, k, k * k], axis=1)
    return found


def _slope(width: np.ndarray, y: np.ndarray) -> Regression:
    return ols(("log_A", "alpha"), np.stack([np.ones(len(y)), -np.log(width)], axis=1), y)


def _intervals(fit: Regression, name: str) -> dict[str, float]:
    """Standard error of a coefficient, interval by t and with unequal variances."""
    (_, low, high), (_, hc3_low, hc3_high) = fit.interval(name), fit.interval(name, "hc3")
    return {"se": fit.se(name), "low": low, "high": high, "hc3_low": hc3_low, "hc3_high": hc3_high}


def _alpha_row(kappa: float, width: np.ndarray, y: np.ndarray, cells: pd.DataFrame) -> dict[str, float]:
    """The row of one kappa in `Scaling.alphas`."""
    fit, robust = _slope(width, y), stats.theilslopes(y, np.log(width))  # the latter: pairs of different widths
    done = cells[np.isfinite(cells.succeeded)]
    return {"kappa": kappa, "alpha": fit["alpha"], **_intervals(fit, "alpha"), "r2": fit.r2, "points": fit.points} | {
        "theil_sen": -robust.slope,
        "theil_sen_low": -robust.high_slope,
        "theil_sen_high": -robust.low_slope,
        "failure_rate": cells.failed.sum() / cells.runs.sum(),
        "alpha_succeeded": (
            _slope(done.width.to_numpy(), np.log(done.succeeded.to_numpy()))["alpha"] if len(done) > 1 else np.nan
        ),
    }


def _per_kappa(width: np.ndarray, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of one intercept per kappa, and of one slope per kappa."""
    own = (kappa[:, None] == np.unique(kappa)).astype(float)  # [points, kappas]
    return own, own * -np.log(width)[:, None]


def _ancova(width: np.ndarray, kappa: np.ndarray, y: np.ndarray) -> FTest:
    """A common slope within one slope per kappa."""
    intercepts, slopes = _per_kappa(width, kappa)
    names = tuple(f"{name} {value:g}" for name in ("log_A", "alpha") for value in np.unique(kappa))
    common = ols((*names[: intercepts.shape[1]], "alpha"), np.hstack([intercepts, slopes.sum(1, keepdims=True)]), y)
    return f_test(common, ols(names, np.hstack([intercepts, slopes]), y))


def _resampled_seeds(
    runs: _Runs, average: Average, resamples: int, random: np.random.Generator
) -> Float[np.ndarray, "estimates 2"]:
    """Intervals (low, high) of the slope at every kappa, then of every coefficient of every model."""
    kappas, seeds = len(np.unique(runs.kappa)), runs.err.shape[1]

    def estimates(runs: _Runs) -> list[float] | None:
        """None where the drawn seeds do not determine all of them (tables with gaps)."""
        width, kappa, y = _points(runs, average)
        matrices = [np.hstack(_per_kappa(width, kappa)), *(design for _, design in designs(width, kappa).values())]
        fits = [np.linalg.lstsq(design, y) for design in matrices]
        if matrices[0].shape[1] < 2 * kappas or any(rank < len(coef) for coef, _, rank, _ in fits):
            return None
        return [*fits[0][0][kappas:], *(value for fit in fits[1:] for value in fit[0])]

    drawn = random.integers(seeds, size=(resamples, seeds)) if seeds > 1 else []
    found = [found for picked in drawn if (found := estimates(runs._replace(err=runs.err[:, picked])))]
    if not found:
        return np.full((len(estimates(runs)), 2), np.nan)
    tail = stats.norm.cdf(np.sqrt(seeds / (seeds - 1)) * stats.t.ppf(0.025, seeds - 1))
    return np.quantile(found, [tail, 1 - tail], axis=0).T
