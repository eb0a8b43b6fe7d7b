"""One name and one colour per design and method, the same in every figure."""

import math
import re

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from repro_shared.claims import mean_interval
from repro_shared.plotting import PALETTE

LABELS = {
    "gaussian": "Gaussian",
    "partial_dct": "partial DCT",
    "rademacher": "Rademacher",
    "uniform": "uniform",
    "sparse_binary": "sparse binary",
    "power_law": "power law",
    "low_rank": "low rank",
    "orthonormal": "orthonormal",
    "diagonal": "diagonal",
}
METHODS = {
    "ista": ("ISTA, step 1/L", PALETTE[0]),
    "fista": ("FISTA", PALETTE[1]),
    "restart": ("FISTA + restart", PALETTE[2]),
    "restricted": (r"ISTA, step 1/$L_S$ of the face", PALETTE[3]),
}
"""Solver -> name and colour."""
_BLUES, _REDS = (matplotlib.colormaps[name] for name in ("Blues", "Reds"))
RIP_COLORS = [_BLUES(0.35 + 0.15 * i) for i in range(5)]
OTHER_COLORS = [_REDS(0.35 + 0.1 * i) for i in range(7)]


def design_label(name: str) -> str:
    """Name of a design for people: `spiked_0.3` is 'spiked .3'."""
    if found := re.fullmatch(r"(spiked|ar1|toeplitz|block_ar1)_(.+)", name):
        return {"spiked": "spiked", "ar1": "AR(1)", "toeplitz": "Toeplitz", "block_ar1": "block AR(1)"}[
            found[1]
        ] + f" {float(found[2]):g}".replace("0.", ".")
    return LABELS[name]


def design_styles(names) -> dict[str, dict]:
    """Line style per design: solid blues for those that the authors call RIP, dashed reds for the others."""
    from trajectory_conv.designs import DESIGNS

    blues, reds = iter(RIP_COLORS), iter(OTHER_COLORS)
    return {
        name: {"color": next(blues), "linestyle": "-"}
        if DESIGNS[name].rip
        else {"color": next(reds), "linestyle": "--"}
        for name in names
    }


def replayed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the authors' data where there are any, else those of the first seed."""
    rows = table[table["stream"] == "replay"]
    return rows if len(rows) else table[table["seed"] == table["seed"].min()]


def own(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of our own seeds, over which intervals are taken."""
    return table[table["stream"] == "keys"]


def interval_bars(ax: Axes, place, samples: list, most: float = math.inf, **style) -> None:
    """Means with 95 % t-intervals (no bar for one value), cut off at the largest value that is possible."""
    for x, values in zip(place, samples, strict=True):
        values = pd.Series(values, dtype=float).dropna()
        if len(values):
            mean, low, high = mean_interval(values)
            reach = [[mean - low], [min(high, most) - mean]] if len(values) > 1 else None
            ax.errorbar([x], [mean], yerr=reach, fmt="o", capsize=2, **style)
