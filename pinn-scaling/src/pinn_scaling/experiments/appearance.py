"""One name and one colour per problem, activation, width and method, the same in every figure; forms that recur."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pinn_scaling.checks.judging import fits
from pinn_scaling.measures import BANDS
from repro_shared.claims import mean_interval
from repro_shared.plotting import PALETTE

PROBLEMS = {
    "poisson": ("Poisson", PALETTE[6]),
    "sine_gordon": ("Sine-Gordon", PALETTE[0]),
    "sine_gordon_moving": ("Sine-Gordon, moving", PALETTE[5]),
    "allen_cahn": ("Allen-Cahn", PALETTE[2]),
    "kdv_published": ("KdV as published", PALETTE[1]),
    "kdv": ("corrected KdV", PALETTE[4]),
    "burgers": ("Burgers", PALETTE[3]),
}
"""Problem -> name and colour."""
ACTIVATIONS = {"tanh": ("tanh", PALETTE[0], "o", "--"), "relu": ("ReLU", PALETTE[1], "s", ":")}
"""Activation -> name, colour, marker and line, as in the paper's figures."""
METHODS = {
    "features": ("random features", "#888888", "x"),
    "adam": ("Adam, last iterate", PALETTE[1], "o"),
    "adam+ema": ("Adam, averaged", PALETTE[4], "o"),
    "adam+cosine": ("Adam, falling rate", PALETTE[3], "o"),
    "adam+fixed": ("Adam, fixed points", PALETTE[6], "o"),
    "lbfgs": ("L-BFGS", PALETTE[5], "s"),
    "lm": ("Levenberg-Marquardt", PALETTE[0], "D"),
    "lm-continuation": ("the same, continuation", PALETTE[2], "D"),
    "varpro": ("variable projection", PALETTE[7], "D"),
}
"""Method -> name, colour and marker."""
PUBLISHED = {"color": "black", "markerfacecolor": "white", "markersize": 4, "linewidth": 0.8}
"""Style of the author's numbers."""
BAND_LABELS = [f"{low}-{high - 1}" for low, high in BANDS]
_VIRIDIS, _PLASMA = (matplotlib.colormaps[name] for name in ("viridis", "plasma"))


def width_color(width: int) -> tuple:
    """From dark (4 neurons) to light (2048)."""
    return _VIRIDIS(0.95 * np.log2(width / 4) / 9)


def kappa_colors(kappas) -> dict[float, tuple]:
    """From dark (easy) to light (hard)."""
    kappas = sorted(set(kappas))
    return {kappa: _PLASMA(0.85 * place / max(1, len(kappas) - 1)) for place, kappa in enumerate(kappas)}


def kappa_axis(ax: Axes, kappas) -> None:
    """Logarithmic, with a tick at every kappa."""
    kappas = sorted(set(kappas))
    ax.set(xscale="log", xlabel=r"$\kappa$")
    ax.set_xticks(kappas, [f"{kappa:g}".removeprefix("0") for kappa in kappas])
    ax.minorticks_off()


def against_kappa(ax: Axes, table: pd.DataFrame, activation: str = "tanh") -> None:
    """Arithmetic means over seeds, one line per width."""
    _, _, marker, line = ACTIVATIONS[activation]
    for width, own in table.groupby("width"):
        mean = own.groupby("kappa")["error"].mean()
        style = {"color": width_color(width), "marker": marker, "linestyle": line, "markersize": 3}
        ax.plot(mean.index, mean, label=f"N = {width}", **style)
    kappa_axis(ax, table["kappa"])
    ax.set_yscale("log")


def exponents(ax: Axes, table: pd.DataFrame, label: str, **style) -> None:
    """alpha per kappa, one fit per seed, mean with its 95 % t-interval."""
    found = {kappa: fits(own)["alpha"].dropna() for kappa, own in table.groupby("kappa")}
    intervals = {kappa: mean_interval(alphas) for kappa, alphas in found.items() if len(alphas)}
    mean, low, high = np.array(list(intervals.values())).reshape(-1, 3).T
    reach = np.where(np.isfinite([low, high]), [mean - low, high - mean], np.nan)
    ax.errorbar(list(intervals), mean, yerr=reach, capsize=2, label=label, markersize=3, **style)
    ax.axhline(0, color="black", linewidth=0.8)
    kappa_axis(ax, table["kappa"])


def seeds(ax: Axes, x, table: pd.DataFrame, column: str, **style) -> None:
    """Geometric mean over seeds at each width, and a pale dot per seed; a run without a value is left out."""
    own = table[["width", column]].astype(float).dropna()
    own = own[own[column] > 0]
    mean = np.exp(np.log(own[column]).groupby(own["width"]).mean())
    ax.plot(mean.index, mean, **style)
    pale = {key: value for key, value in style.items() if key in ("color", "marker")}
    ax.plot(own["width"], own[column], linestyle="none", markersize=2, alpha=0.35, **pale)
    ax.set(xscale="log", yscale="log", xlabel="N", xticks=x, xticklabels=[f"{width:g}" for width in x])
    ax.minorticks_off()


def bands(ax: Axes, results, table: pd.DataFrame) -> None:
    """Relative error per band of frequencies, geometric mean over seeds, one line per kappa; the widest network."""
    table = table[table["width"] == table["width"].max()]
    colors = kappa_colors(table["kappa"])
    for kappa, own in table.groupby("kappa"):
        errors = np.stack([results.array(row, "bands") for row in own.index])
        errors = errors[np.isfinite(errors).all(axis=1)]
        if len(errors):
            ax.plot(BAND_LABELS, np.exp(np.log(errors).mean(axis=0)), "o-", color=colors[kappa], label=f"{kappa:g}")
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set(yscale="log", xlabel="modes")
    ax.tick_params(axis="x", labelrotation=60)
    ax.legend(title=r"$\kappa$", ncols=2)
