"""Figures of the affine KKT Hoffman constant."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, band, figure
from repro_shared.runlog import Results
from trajectory_conv.experiments.appearance import design_label, own, replayed


def draw(results: Results) -> dict[str, Figure]:
    """One figure per part that was run."""
    forms = {"ambient": _ambient, "tightness": _tightness, "stability": _stability}
    drawn = {}
    for part, form in forms.items():
        rows = results.table[results.table["part"] == part]
        if len(rows):
            drawn[part] = form(rows)
    if (results.table["part"] == "supports").any():
        drawn["supports"] = _supports(results)
    return drawn


def _ambient(table: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.8,
        caption="Fixed support, growing dimension d. Left: exact constants (lines) and upper bounds (crosses) on the "
        "authors' data. Right: 2-norm constant and its parts, means with 95 % t-intervals over our seeds; the "
        "interaction grows, the curvature term does not.",
    )  # fmt: skip
    rows, mine = replayed(table).sort_values("d"), own(table)
    for (exact, upper, label), color in zip(
        (("h1", "upper1", "1-norm"), ("h2", "upper2", "2-norm"), ("hinf", "upperinf", "∞-norm")), PALETTE, strict=False
    ):
        d = rows["d"].astype(float)
        slope = np.polyfit(np.log(d), np.log(rows[exact].astype(float)), 1)[0]
        left.loglog(d, rows[exact], color=color, label=f"{label}, slope {slope:.2f}")
        left.loglog(d, rows[upper], "x", color=color, markersize=3)
    for name, label, color in (
        ("h2", r"$H_2$", PALETTE[1]),
        ("interaction", r"interaction $\|B\|$", PALETTE[3]),
        ("curvature", r"curvature $1/\mu_S$", PALETTE[4]),
    ):
        by_seed = mine.pivot_table(index="seed", columns="d", values=name)
        band(right, by_seed.columns.astype(float), by_seed, label=label, color=color)
    right.axhline(1 / table["lam"].iloc[0], color="black", linestyle=":", linewidth=0.8, label=r"$1/\lambda$")
    left.set(xlabel="d", ylabel="H")
    right.set(xlabel="d", yscale="log")
    left.legend()
    right.legend()
    return fig


def _supports(results: Results) -> Figure:
    """Histograms over random supports, the authors' data."""
    table = replayed(results.table[results.table["part"] == "supports"])
    designs, sizes = list(dict.fromkeys(table["design"])), sorted(set(table["s"]))
    fig, axes = figure(
        "double", len(sizes), len(designs), height=0.95 * len(sizes) + 0.6, squeeze=False,
        caption="2-norm constant over random supports of size s, 50 bins. Lines: mean (solid), 99th percentile "
        "(dashed) and maximum (dotted).",
    )  # fmt: skip
    from scipy.stats import gaussian_kde

    for column, design in zip(axes.T, designs, strict=True):
        for ax, s in zip(column, sizes, strict=True):
            row = table[(table["design"] == design) & (table["s"] == s)].iloc[0]
            values = results.array(row, "constants")
            ax.hist(values, bins=50, density=True, color=PALETTE[5])
            grid = np.linspace(values.min(), values.max(), 200)
            ax.plot(grid, gaussian_kde(values)(grid), color=PALETTE[0], linewidth=1)
            for name, line in (("mean", "-"), ("p99", "--"), ("max", ":")):
                ax.axvline(row[name], color="black", linestyle=line, linewidth=0.8)
            ax.set_yticks([])
            ax.text(0.02, 0.75, f"s = {s}", transform=ax.transAxes, fontsize=7)
        column[0].set_title(design_label(design))
        column[-1].set_xlabel(r"$H_2$")
    return fig


def _tightness(table: pd.DataFrame) -> Figure:
    designs, mine = list(dict.fromkeys(table["design"])), own(table)
    fig, axes = figure(
        "double", 1, len(designs), height=2.8, sharey=True, squeeze=False,
        caption="Excess of the closed-form upper bound over the exact 2-norm constant against s, one line per (n, d): "
        "median over our seeds, bars to the largest and smallest of their designs; crosses: medians of the authors' "
        "designs, replayed. "
        f"Weyl's bound is finite on {mine['weyl_finite'].astype(float).mean():.0f} % of our designs.",
    )  # fmt: skip
    lines, shades = dict(zip(sorted(set(table["n"])), ("-", "--", ":"), strict=False)), sorted(set(table["d"]))
    colors = {d: (0.1, 0.3, 0.7, 0.4 + 0.6 * (place + 1) / len(shades)) for place, d in enumerate(shades)}
    for ax, design in zip(axes[0], designs, strict=True):
        for (n, d), rows in mine[mine["design"] == design].groupby(["n", "d"]):
            middle, low, high = (rows.groupby("s")[f"{of}_2"].agg(of) - 1 for of in ("median", "min", "max"))
            ax.errorbar(
                middle.index, middle, yerr=[middle - low, high - middle], color=colors[d], linestyle=lines[n],
                linewidth=0.9, capsize=1, elinewidth=0.5,
            )  # fmt: skip
        theirs = table[(table["design"] == design) & (table["stream"] == "replay")]
        ax.plot(theirs["s"], theirs["median_2"].astype(float) - 1, "x", color=PALETTE[1], markersize=3)
        ax.set(title=design_label(design), xlabel="s", xscale="log", yscale="log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        ax.set_xticks(sorted(set(table["s"])))
    axes[0, 0].set_ylabel("upper / exact − 1")
    keys = [axes[0, 0].plot([], [], color="black", linestyle=line, label=f"n = {n}")[0] for n, line in lines.items()]
    keys += [axes[0, 0].plot([], [], color=color, label=f"d = {d}")[0] for d, color in colors.items()]
    fig.legend(handles=keys, loc="outside lower center", ncols=6)
    return fig


def _stability(table: pd.DataFrame) -> Figure:
    fig, ax = figure(
        "single",
        caption="How far the optimum moves over the bound H_2 ||A'dy / n||, worst of the perturbations of a seed: H "
        "is a valid bound, and a loose one.",
    )  # fmt: skip
    for design, color in zip(dict.fromkeys(table["design"]), PALETTE, strict=False):
        rows = table[(table["design"] == design) & table["worst_ratio"].notna()]
        ax.loglog(rows["size"], rows["worst_ratio"].astype(float), "o", color=color, label=design_label(design))
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set(xlabel="standard deviation of dy", ylabel=r"$\|\Delta b\| \,/\, (H_2 \|A^\top dy / n\|)$", ylim=(1e-3, 2))
    ax.legend()
    return fig
