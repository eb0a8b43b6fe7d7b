"""Figures of the language-model study."""

import pandas as pd
from matplotlib.figure import Figure

from aen_sae.experiments.appearance import COLORS, INIT_LABELS, MARKERS, legend_below, plain_log_axis
from aen_sae.experiments.grids import LABELS
from repro_shared.plotting import figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    table = results.table
    ev = _versus_l0(table, [("explained_variance", "explained variance", 1), ("ce_recovered", "CE recovered", 1)])
    ev.set_label(
        "Held-out explained variance and cross-entropy recovered (correct patch) against L0; one point per SAE."
    )
    dead = _versus_l0(
        table,
        [("dead_fraction", "dead on held-out text (%)", 100), ("dead_window", "dead in training window (%)", 100)],
    )
    dead.set_label("Dead latents against L0, on held-out text and in the last window of training.")
    return {"frontier": ev, "dead": dead, "patching": _patching(table)}


def _versus_l0(table: pd.DataFrame, metrics: list[tuple[str, str, float]]) -> Figure:
    """(h): metrics against L0; filled markers for the centered initialisation, open ones for the published."""
    fig, axes = figure("double", 1, len(metrics), height=2.6)
    for ax, (metric, label, scale) in zip(axes, metrics, strict=True):
        for (method, init), rows in table.groupby(["method", "init"]):
            face = COLORS[method] if init == "centered" else "none"
            ax.plot(
                rows["l0"], scale * rows[metric], MARKERS[method], color=COLORS[method], markerfacecolor=face,
                label=f"{LABELS[method]}, {INIT_LABELS[init]}",
            )  # fmt: skip
        ax.set(xlabel="L0", ylabel=label)
        plain_log_axis(ax)
    legend_below(fig, axes, columns=3)
    return fig


def _patching(table: pd.DataFrame) -> Figure:
    """Cross-entropy recovered with the published patch against the correct one."""
    fig, ax = figure(
        "single", height=2.8,
        caption="The published evaluation feeds raw activations into an SAE that was trained on normalised ones: "
        "cross-entropy recovered that way against the correct patch.",
    )  # fmt: skip
    for (method, init), rows in table.groupby(["method", "init"]):
        face = COLORS[method] if init == "centered" else "none"
        ax.plot(
            rows["ce_recovered"], rows["raw_ce_recovered"], MARKERS[method], color=COLORS[method], markerfacecolor=face,
            label=f"{LABELS[method]}, {INIT_LABELS[init]}",
        )  # fmt: skip
    low = min(table["ce_recovered"].min(), table["raw_ce_recovered"].min())
    ax.plot([low, 1], [low, 1], color="#999999", linewidth=0.8)
    ax.set(xlabel="CE recovered, correct patch", ylabel="CE recovered, raw patch")
    ax.legend(fontsize=6)
    return fig
