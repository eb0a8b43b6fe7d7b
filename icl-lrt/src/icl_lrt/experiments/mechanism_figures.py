"""Figures of what trained networks do inside."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from icl_lrt.experiments.appearance import PUBLISHED, REFERENCE, SEEDS, TASKS, interval_points, networks, standard
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

LENS = {"A": (-0.01, 0.26, 0.868), "B": (0.01, -0.02, 0.715)}
"""Published lens, seed 0, by layer: task A against the log-likelihood ratio, task B against the label."""
OV = {
    "A": ((-0.19, -0.16, 0.70, 0.32), (-0.82, -0.76, 0.83, -0.20)),
    "B": ((0.15, 0.20, 0.13, 0.09), (0.26, -0.86, 0.73, 0.04)),
}
"""Published OV alignments, seed 2, by layer and head."""
READINGS = {
    "lens_published_{}_pearson": ("lens, published target", PALETTE[4], "o-"),
    "lens_cut_{}_pearson": ("lens, LLR", PALETTE[0], "o-"),
    "probe_cut_{}": ("probe, LLR", PALETTE[2], "s-"),
    "probe_norm_{}": ("probe, squared norm", PALETTE[3], "^:"),
}
"""Columns by layer -> name, colour, and marker with line."""
LAYERS = (PALETTE[4], PALETTE[5], PALETTE[2], PALETTE[3])
"""Colours of heads, the first layer first."""


def draw(results: Results) -> dict[str, Figure]:
    """Of the networks that the claims are about."""
    tasks = by_task(results.table)
    if not tasks:
        return {}
    about = networks(next(iter(tasks.values())))
    return {
        "layers": _layers(tasks, about),
        "patching": _patching(tasks, about),
        "attribution": _attribution(tasks, about),
        "alignment": _alignment(results, tasks, about),
        "votes": _votes(results, tasks, about),
        "ablation": _ablation(results, tasks, about),
    }


def by_task(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Task -> its networks, those of the published training where there are any; without those that diverged."""
    table = standard(table)
    table = table[~table["diverged"].astype(bool)]
    parts = {task: table[table["variant"] == f"task_{task}_regular"] for task in TASKS}
    return {task: rows for task, rows in parts.items() if len(rows)}


def _depth(tasks: dict[str, pd.DataFrame]) -> range:
    """Layers of the stream, from the embedding on."""
    return range(int(max(rows["layers"].max() for rows in tasks.values())) + 1)


def _by_layer(ax: Axes, layers: range) -> None:
    ax.set_xticks(layers, ["embedding", *(f"layer {layer}" for layer in layers[1:])])
    ax.set_xlim(-0.4, layers[-1] + 0.4)
    ax.axhline(0, **REFERENCE)


def _layers(tasks: dict[str, pd.DataFrame], about: str) -> Figure:
    fig, axes = figure(
        "double", 1, len(tasks), height=2.9, sharey=True, squeeze=False,
        caption="What can be read from the query's stream after each layer. Lens: the head's answer there; probe: a "
        "trained linear map, judged on other episodes. Correlation (Pearson) with the log-likelihood ratio, cut at 10 "
        "nats in both tasks; the published lens has the label instead for task B. Grey: what 95 % of probes of "
        f"permuted targets keep to. Diamonds: published, seed 0. {about} {SEEDS}",
    )  # fmt: skip
    layers = _depth(tasks)
    for ax, (task, rows) in zip(axes[0], tasks.items(), strict=True):
        null = rows[[f"probe_cut_{layer}_null" for layer in layers]].astype(float).mean()
        ax.fill_between(layers, -null, null, color="#dddddd", linewidth=0)
        for number, (column, (name, color, style)) in enumerate(READINGS.items()):
            place = np.array(layers) + 0.07 * (number - (len(READINGS) - 1) / 2)
            interval_points(ax, place, [rows[column.format(layer)] for layer in layers], color, style, label=name)
        if layers == range(3):
            ax.plot(layers, LENS[task], label="lens, author's", **PUBLISHED)
        _by_layer(ax, layers)
        ax.set(title=TASKS[task][0], ylim=(-0.15, 1.05))
    axes[0, 0].set_ylabel("correlation")
    axes[0, 0].legend(loc="upper left")
    return fig


def _patching(tasks: dict[str, pd.DataFrame], about: str) -> Figure:
    donors = {"labels": "flipped labels", "context": "another context"}
    fig, axes = figure(
        "double", 1, 2, height=2.6, sharey=True,
        caption="The query's stream after a layer is that of a donor run, and what later layers read from the context "
        "is not. Share of the way that the logit goes from its own value to the donor's. Donors: the same points with "
        f"flipped labels; the same query after another context. {about} {SEEDS}",
    )  # fmt: skip
    layers = _depth(tasks)
    for ax, (donor, name) in zip(axes, donors.items(), strict=True):
        for number, (task, rows) in enumerate(tasks.items()):
            place = np.array(layers) + 0.08 * (number - (len(tasks) - 1) / 2)
            samples = [rows[f"patch_{donor}_{layer}"] for layer in layers]
            interval_points(ax, place, samples, TASKS[task][1], "o-", label=TASKS[task][0])
        _by_layer(ax, layers)
        ax.set(title=name, xlabel="stream replaced after", ylim=(-0.3, 1.2))
    axes[0].set_ylabel("share of the way")
    axes[0].legend()
    return fig


def _attribution(tasks: dict[str, pd.DataFrame], about: str) -> Figure:
    fig, ax = figure(
        "double", height=2.5,
        caption="Direct attribution: with frozen layer norms the logit is the sum of what each part has written "
        "towards it. Shares of its variance, which add up to 1; what later layers make of a part is not in its own "
        f"share. {about} {SEEDS}",
    )  # fmt: skip
    parts = {"share_embedding": "embedding"}
    for layer in _depth(tasks)[:-1]:
        parts |= {f"share_heads_{layer}": f"heads\nlayer {layer + 1}"}
        parts |= {f"share_feedforward_{layer}": f"feed-forward\nlayer {layer + 1}"}
    parts |= {"share_biases": "biases"}
    for number, (task, rows) in enumerate(tasks.items()):
        place = np.arange(len(parts)) + 0.16 * (number - (len(tasks) - 1) / 2)
        interval_points(ax, place, [rows[part] for part in parts], TASKS[task][1], "o", label=TASKS[task][0])
    ax.set_xticks(range(len(parts)), list(parts.values()))
    ax.axhline(0, **REFERENCE)
    ax.grid(False, axis="x")
    ax.set(ylabel="share of the logit's variance", ylim=(-0.5, 1.2))
    ax.legend()
    return fig


def _alignment(results: Results, tasks: dict[str, pd.DataFrame], about: str) -> Figure:
    columns = max(len(rows) for rows in tasks.values())
    fig, axes = figure(
        "double", len(tasks), columns + 1, height=1.45 * len(tasks) + 0.3, squeeze=False,
        caption="Alignment of each head's OV circuit with the answer: cosine of what it writes for the label and the "
        "weight of the output. Above 0, attention to class 1 raises the logit. Heads have no order: maps of different "
        f"seeds need not look alike. Right: published, seed 2. {about}",
    )  # fmt: skip
    for (task, rows), panels in zip(tasks.items(), axes, strict=True):
        maps = {f"seed {row['seed']}": results.array(row, "alignment") for _, row in rows.iterrows()}
        for ax in panels[len(maps) : -1]:
            ax.set_axis_off()
        for ax, (name, values) in zip((*panels[: len(maps)], panels[-1]), (*maps.items(), ("author's", OV[task])),
                                      strict=True):  # fmt: skip
            values = np.asarray(values)
            drawn = ax.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
            for (layer, head), value in np.ndenumerate(values):
                ax.text(head, layer, f"{value:.2f}", ha="center", va="center", fontsize=5.5,
                        color="white" if abs(value) > 0.6 else "black")  # fmt: skip
            ax.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1))
            ax.set_yticks(range(len(values)), range(1, len(values) + 1))
            ax.grid(False)
            ax.set_title(f"{task}, {name}")
        panels[0].set_ylabel("layer")
    for ax in axes[-1]:
        ax.set_xlabel("head")
    fig.colorbar(drawn, ax=axes, label="cosine", shrink=0.8)
    return fig


def _heads(results: Results, rows: pd.DataFrame, name: str) -> np.ndarray:
    """(networks, layers, heads)."""
    return np.stack([results.array(row, name) for _, row in rows.iterrows()])


def _votes(results: Results, tasks: dict[str, pd.DataFrame], about: str) -> Figure:
    fig, axes = figure(
        "double", 1, len(tasks), height=2.6, sharey=True, squeeze=False,
        caption="Attention as a vote: the query's attention to class 1 minus that to class 0, and its rank correlation "
        "with the log-likelihood ratio, against the alignment of the head. Heads that vote by class similarity in the "
        f"sense in which they write lie along the diagonal. One point per head and seed. {about}",
    )  # fmt: skip
    for ax, (task, rows) in zip(axes[0], tasks.items(), strict=True):
        alignment, votes = (_heads(results, rows, name) for name in ("alignment", "vote_spearman"))
        for layer, color in zip(range(alignment.shape[1]), LAYERS, strict=False):
            x, y = (values[:, layer].ravel() for values in (alignment, votes))
            ax.plot(x, y, "o", color=color, label=f"layer {layer + 1}")
        ax.axhline(0, **REFERENCE)
        ax.axvline(0, **REFERENCE)
        ax.set(title=TASKS[task][0], xlabel="OV alignment", xlim=(-1, 1), ylim=(-1, 1))
    axes[0, 0].set_ylabel("vote and LLR, rank correlation")
    axes[0, 0].legend(loc="upper left")
    return fig


def _ablation(results: Results, tasks: dict[str, pd.DataFrame], about: str) -> Figure:
    fig, axes = figure(
        "double", 1, len(tasks), height=2.8, sharey=True, squeeze=False,
        caption="Accuracy lost without a head, against the alignment of its OV circuit: its output replaced by 0 "
        "(filled, published) or by its mean over episodes (open); bars are two paired standard errors. In the panels: "
        "Pearson's r over the heads of each network, and its exact permutation p. One point per head and seed. "
        f"{about}",
    )  # fmt: skip
    for ax, (task, rows) in zip(axes[0], tasks.items(), strict=True):
        alignment = _heads(results, rows, "alignment")
        for kind in ("zero", "mean"):
            lost, error = (100 * _heads(results, rows, f"{kind}_drop{end}") for end in ("", "_se"))
            for layer, color in zip(range(alignment.shape[1]), LAYERS, strict=False):
                x, y, reach = (values[:, layer].ravel() for values in (alignment, lost, 2 * error))
                face = color if kind == "zero" else "white"
                ax.errorbar(x, y, yerr=reach, fmt="o", color=color, markerfacecolor=face, elinewidth=0.6)
        found = (f"r = {row.zero_alignment_pearson:.2f}, p = {row.zero_alignment_pearson_p:.2f}"
                 for row in rows.itertuples())  # fmt: skip
        ax.text(0.03, 0.97, "\n".join(found), transform=ax.transAxes, va="top", fontsize=6)
        ax.axhline(0, **REFERENCE)
        ax.set(title=TASKS[task][0], xlabel="OV alignment", xlim=(-1, 1))
    axes[0, 0].set_ylim(top=1.25 * axes[0, 0].get_ylim()[1])  # for the text
    axes[0, 0].set_ylabel("accuracy lost (points)")
    named = {f"layer {layer + 1}": {"color": color} for layer, color in zip(_depth(tasks)[:-1], LAYERS, strict=False)}
    named |= {"zero": {"color": "#444444"}, "mean": {"color": "#444444", "markerfacecolor": "white"}}
    handles = [Line2D([], [], marker="o", linestyle="none", label=name, **style) for name, style in named.items()]
    axes[0, -1].legend(handles=handles, loc="upper right", ncols=2)
    return fig
