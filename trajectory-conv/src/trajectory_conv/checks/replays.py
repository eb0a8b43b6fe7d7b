"""Are the authors' numbers ours when we replay their random numbers?

Each check knows how many published numbers there are: a replay that lacks some of them supports nothing.
"""

import numpy as np
import pandas as pd

from repro_shared.claims import Finding
from repro_shared.runlog import Results
from trajectory_conv import published
from trajectory_conv.checks.judging import agreement


def _replay(results: dict[str, Results], experiment: str, **published_size) -> pd.DataFrame:
    """The replayed rows of the published size."""
    table = results[experiment].table
    if "stream" in table:
        table = table[table["stream"] == "replay"]
    for name, value in published_size.items():
        table = table[table[name] == value]
    return table


def replay_cone(results: dict[str, Results]) -> Finding:
    """First identification exactly, largest ratio to its six printed digits, percentages to their one."""
    pairs = []
    for row in _replay(results, "cone", n=200, d=400, iterations=2_000).itertuples():
        first, ratio, within_1, within_3 = published.CONE[row.algorithm, row.designs]
        pairs += [(row.first, first, 0.0), (round(row.max_ratio, 6), ratio, 1e-12)]
        pairs += [(abs(row.within_1 - within_1) <= 0.051, True, 0.0), (row.within_3, within_3, 0.0)]
    return agreement(pairs, 64, "First identification, largest ratio and percentages of 16 runs.")


def replay_rip(results: dict[str, Results]) -> Finding:
    """Hit times exactly, F* to 1e-11 relative (theirs comes from coordinate descent)."""
    pairs = []
    for row in _replay(results, "convergence", part="rip", n=300, iterations=10_000).to_dict("records"):
        if row["designs"] in published.RIP:
            f_star, steps = published.RIP[row["designs"]]
            levels = ("1e-02", "1e-04", "1e-06", "1e-10")
            pairs += [(row["f_star"], f_star, 1e-11)]
            pairs += [(row[f"steps_{level}"], k, 0.0) for level, k in zip(levels, steps, strict=True)]
    return agreement(pairs, 20, "F* and iterations to four gaps of the four designs whose published files are current.")


def replay_spiked(results: dict[str, Results]) -> Finding:
    """Last objective to 1e-11 absolute (F* is of the order of 1), hit times exactly where their F* is converged."""
    pairs = []
    for row in _replay(results, "convergence", part="spiked", n=300, iterations=30_000).to_dict("records"):
        last, steps = published.SPIKED[row["solver"], row["designs"]]
        pairs.append((abs(row["last_objective"] - last) <= 1e-11, True, 0.0))
        if float(row["designs"].removeprefix("spiked_")) <= 0.5:
            levels = ("1e-02", "1e-04", "1e-06")
            pairs += [(row[f"steps_{level}"], k, 0.0) for level, k in zip(levels, steps, strict=True)]
    return agreement(pairs, 88, "Objective at iterate 29,999 of 28 runs, iterations to three gaps for rho <= .5.")


def replay_ambient(results: dict[str, Results]) -> Finding:
    """Relative 1e-12."""
    rows = _replay(results, "hoffman", part="ambient", n=200).sort_values("d")
    columns = {name: rows[name].tolist() for name in published.AMBIENT}
    pairs = [
        (ours, theirs, 1e-12)
        for name, column in columns.items() if len(column) == len(published.AMBIENT[name])
        for ours, theirs in zip(column, published.AMBIENT[name], strict=True)
    ]  # fmt: skip
    return agreement(pairs, 165, "Five constants at 33 dimensions.")


def replay_supports(results: dict[str, Results]) -> Finding:
    """Relative 1e-9: third and fourth moments multiply rounding."""
    names = ("mean", "variance", "skewness", "excess_kurtosis", "max", "p99")
    pairs = []
    for row in _replay(results, "hoffman", part="supports", n=300).to_dict("records"):
        theirs = published.SUPPORTS[row["design"], row["s"]]
        pairs += [(row[name], value, 1e-9) for name, value in zip(names, theirs, strict=True)]
    return agreement(pairs, 72, "Six statistics of twelve distributions over 2,000 supports each.")


def replay_tightness(results: dict[str, Results]) -> Finding:
    """Relative 1e-12."""
    rows = _replay(results, "hoffman", part="tightness", trials=30)
    pairs = [
        (ours, theirs, 1e-12)
        for name, column in published.TIGHTNESS.items() if len(rows) == len(column)
        for ours, theirs in zip(rows[name], column, strict=True)
    ]  # fmt: skip
    return agreement(pairs, 432, "Four ratios of 108 cells of 30 designs.")


def replay_phase(results: dict[str, Results]) -> Finding:
    """Every point of the recovery map."""
    rows = _replay(results, "phase", n=300, lam1_points=35)
    if rows.empty:
        return agreement([], 1050, "")
    recovered = results["phase"].array(rows.iloc[0], "recovered")
    theirs = np.array([[digit == "1" for digit in line] for line in published.PHASE])
    pairs = [(float(a), float(b), 0.0) for a, b in zip(recovered.ravel(), theirs.ravel(), strict=True)]
    why = "Recovery by the primal-dual witness against 10,000 ISTA steps of theirs, 35 x 30 points."
    if pd.notna(mismatches := rows.iloc[0].get("ista_mismatches")):
        why += f" ISTA steps of ours decide {mismatches:.0f} of the points otherwise than the witness."
    return agreement(pairs, 1050, why)


def replay_leverage(results: dict[str, Results]) -> Finding:
    """Size of the support and epochs of coordinate descent exactly, H_2 in their units to its two printed digits."""
    table = results["leverage"].table
    pairs = []
    for alpha, rows in table[table["data"] == "synthetic"].groupby("alpha"):
        size, h2, epochs = published.LEVERAGE[alpha]
        if len(rows) != len(h2):
            continue
        pairs.append((rows["active"].iloc[0], size, 0.0))
        pairs += [(round(a, 2), b, 1e-9) for a, b in zip(rows["h2_published_units"], h2, strict=True)]
        pairs += [(a, b, 0.0) for a, b in zip(rows["epochs"], epochs, strict=True)]
    return agreement(pairs, 75, "Synthetic data, twelve thresholds for each alpha.")
