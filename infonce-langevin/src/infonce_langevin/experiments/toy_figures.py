"""Figures of the author's toy."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from infonce_langevin.checks.toy import CURVE
from infonce_langevin.experiments.appearance import PUBLISHED, REFERENCE, SHAPES, line, seeds
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Whichever parts there are."""
    table = results.table
    drawn = {"rates": _rates, "hitting": _hitting, "shapes": _shapes, "landscape": _landscape}
    needs = {"rates": {"rates"}, "hitting": {"hitting"}, "shapes": {"shapes"}, "landscape": {"string", "descent"}}
    return {name: drawn[name](results) for name in drawn if needs[name] <= set(table["part"])}


def _part(results: Results, name: str) -> pd.DataFrame:
    return results.table[results.table["part"] == name]


def _rates(results: Results) -> Figure:
    table, gibbs = _part(results, "rates"), _part(results, "gibbs")
    fig, (left, right) = figure(
        "double", 1, 2, sharey=True,
        caption="Share of chains with U < -1.5 against the rate c of beta = c ln(1 + t). Left: stopped at beta = 10, "
        "and "
        "after 2,000 more steps at the beta that was reached: nothing is trapped, fast schedules are short. Dashed: "
        "exact Gibbs mass at beta = 10. White diamonds: published. Right: other end points: the rate at which half "
        f"succeed moves in proportion to the end point. {seeds(table)}",
    )  # fmt: skip
    for place, (end, rows) in enumerate(table.groupby("end")):
        ax = left if end == 10 else right
        line(ax, rows, "c", "success", PALETTE[place], label=f"at beta = {end:g}")
        if end == 10:
            line(ax, rows, "c", "held", PALETTE[6], "s:", label="2,000 steps later")
    exact = gibbs[gibbs["end"] == 10].get("exact", ())
    if len(exact):
        left.axhline(np.mean(exact), **REFERENCE)
    left.plot(list(CURVE), list(CURVE.values()), **PUBLISHED)
    right.axhline(0.5, **REFERENCE)
    for ax in (left, right):
        ax.set(xscale="log", xlabel="rate c", ylim=(0, 1.02))
        ax.legend()
    left.set_ylabel("share of successes")
    return fig


def _hitting(results: Results) -> Figure:
    table = _part(results, "hitting")
    fig, ax = figure(
        "single",
        caption="First of five steps in a row with U < -1.5: share of chains that have not hit yet, against the step. "
        f"Solid: beta = c ln(1 + t) up to beta = {table['end'].min():g}; dashed: fixed beta. All seeds "
        f"together, {table['seed'].nunique()} of them.",
    )
    groups = table.groupby(["kind", "c", "end"])
    for place, ((kind, c, end), rows) in enumerate(groups):
        times = np.sort(np.concatenate([results.array(row, "hits") for row in rows.index]))
        label = f"c = {c:g}" if kind == "log" else f"fixed {end:g}"
        ax.step(
            np.maximum(times, 1), 1 - np.arange(1, len(times) + 1) / len(times), color=PALETTE[place % len(PALETTE)],
            linestyle="-" if kind == "log" else "--", label=label,
        )  # fmt: skip
    ax.set(xscale="log", xlabel="step", ylabel="share not hit", ylim=(0, 1))
    ax.legend()
    return fig


def _shapes(results: Results) -> Figure:
    table = _part(results, "shapes")
    noises = [noise for noise in ("isotropic", "synthetic", "hessian") if noise in set(table["noise"])]
    fig, axes = figure(
        "double", 1, len(noises), squeeze=False, sharey=True,
        caption="Share of chains with U < -1.5 against the number of steps to beta = 100, by the shape of the "
        "schedule, "
        f"under the author's state-dependent and Hessian noise. There is nothing to win without traps. {seeds(table)}",
    )  # fmt: skip
    for ax, noise in zip(axes[0], noises, strict=True):
        for shape, rows in table[table["noise"] == noise].groupby("kind"):
            name, color, style = SHAPES[shape]
            line(ax, rows, "needed", "success", color, style, label=name)
        ax.set(xscale="log", xlabel="steps", title=f"{noise} noise", ylim=(0, 1.02))
        ax.legend()
    axes[0, 0].set_ylabel("share of successes")
    return fig


def _landscape(results: Results) -> Figure:
    strings, descents = _part(results, "string"), _part(results, "descent")
    fig, (left, right) = figure(
        "double", 1, 2,
        caption="Left: infonce at tau = .1 along the relaxed string from the interleaved square to the minimum, "
        "above the "
        "square: on the circle the square is a trap behind a barrier, on the sphere it is none. Right: share of "
        f"descents from random starts that end above the minimum. {seeds(descents)}",
    )  # fmt: skip
    for place, (d, rows) in enumerate(strings.groupby("d")):
        paths = np.stack([results.array(row, "path") for row in rows.index])
        share = np.linspace(0, 1, paths.shape[1])
        left.plot(share, (paths - paths[:, :1]).T, color=PALETTE[place])
        left.plot([], color=PALETTE[place], label="circle" if d == 2 else "sphere")
    left.set(xlabel="share of the way", ylabel="U above the square", ylim=(-0.15, 0.05))
    left.legend()
    for place, (d, rows) in enumerate(descents.groupby("d")):
        names = list(dict.fromkeys(rows["kind"]))
        at = rows.assign(place=rows["kind"].map(names.index) + 0.15 * place, percent=100 * rows["stuck"])
        line(right, at, "place", "percent", PALETTE[place], "o", label="circle" if d == 2 else "sphere")
        right.set_xticks(range(len(names)), names)
    right.set_ylabel("% of descents above the minimum")
    right.legend()
    return fig
