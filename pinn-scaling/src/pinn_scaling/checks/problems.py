"""Claimed solutions (T) and tangent kernels (K)."""

import numpy as np
import pandas as pd

from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, worst
from repro_shared.runlog import Results


def published_kdv_is_no_solution(results: dict[str, Results]) -> Finding:
    """Least relative distance of the published "truth" of KdV from the spectral solution, over the published kappas;
    10 % is ten thousand times what the solver leaves.
    """
    table = results["truth"].table
    table = table[table["pde"] == "kdv_published"]
    distances = ", ".join(f"{row.kappa:g}: {row.distance:.2f}" for row in table.itertuples())
    residual = table["residual"].astype(float).min()
    why = f"By kappa: {distances}. Least residual of the equation, over the largest derivative: {residual:.2g}."
    return worst(table["distance"], why, least=0.1)


def others_are_solutions(results: dict[str, Results]) -> Finding:
    """Problems and kappas whose solution fails `check_truth` (residual, conditions, distance from a reference)."""
    table = results["truth"].table
    table = table[table["pde"] != "kdv_published"]
    largest = ", ".join(
        f"{name} {table[name].astype(float).max():.1g}" for name in ("residual", "condition", "distance")
    )
    failing = (~table["passes"].astype(bool)).astype(float)
    found = worst(failing, f"Over {len(table)} problems with their kappas; largest {largest}.", most=0.0)
    return found if found.n == 0 else Finding(float(failing.sum()), None, None, found.n, found.verdict, found.why)


def _per_doubling(table: pd.DataFrame, column: str) -> pd.Series:
    """Slope of log2 of a column on log2 N for each seed, a mean over problems and kappas."""
    logs = table.assign(x=np.log2(table["width"].astype(float)), y=np.log2(table[column].astype(float)))
    slopes = logs.groupby(["seed", "pde", "kappa"]).apply(
        lambda own: np.polyfit(own["x"], own["y"], 1)[0] if len(own) > 1 else np.nan, include_groups=False
    )
    return slopes.groupby("seed").agg(lambda own: own.mean(skipna=False))


def trend(law: str, column: str, what: str, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """log2 of it per doubling of the width, per seed: its sign decides."""
        table = results["kernel"].table
        table = table[table["law"] == law]
        by_width = table.groupby("width")[column].median()
        medians = ", ".join(f"{width}: {value:.3g}" for width, value in by_width.items())
        return judge(_per_doubling(table, column), f"{what} by width, medians: {medians}.", **threshold)

    return check
