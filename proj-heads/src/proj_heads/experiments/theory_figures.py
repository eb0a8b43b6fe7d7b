"""Figures of the exact statements: spectra, critical residuals, collapse, conditioning."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from proj_heads.experiments.theory import ACTIVATIONS, LOSSES, OBJECTIVES, POTENTIALS, STATES, TARGETS
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

_COLORS = dict(zip(ACTIVATIONS, PALETTE, strict=False))
_LABELS = {"linear": "linear", "relu": "ReLU", "gelu": "GELU", "swish": "Swish"}


def draw(results: Results) -> dict[str, Figure]:
    """Spectra of G and H, critical residuals, collapse, and what heads do for conditioning."""
    table = results.table
    return {
        "spectra": _spectra(results, table[table["part"] == "hessian"]),
        "residuals": _residuals(results, table[table["part"] == "critical"]),
        "targets": _targets(table[table["part"] == "targets"]),
        "collapse": _collapse(table[table["part"] == "collapse"], table[table["part"] == "field"]),
        "conditioning": _conditioning(table[table["part"] == "path"], table[table["part"] == "curvature"]),
    }


def _spectra(results: Results, table: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.7, width_ratios=(3, 3, 2.4),
        caption="The effective Hessian H = G + M of one sample behind random heads (projector and predictor): "
        "eigenvalues of H (dots) and of G alone (lines), in units of the largest of H. Under the squared error only "
        "smooth heads have negative ones. The cosine loss makes one of G's negative for every head: there the sign of "
        "the lowest eigenvalue does not tell heads apart. Right: how many are negative, mean over samples and seeds.",
    )  # fmt: skip
    for ax, loss in zip(axes, ("squared", "cosine"), strict=False):
        for activation in _present(table, "activation", ACTIVATIONS):
            row = _rows(table, activation=activation, loss=loss)
            if len(row):
                values, metric = (results.array(row.iloc[0], name) for name in ("values", "metric_values"))
                rank, size = np.arange(1, len(values) + 1), np.abs(values).max()
                ax.plot(rank, values / size, "o", markersize=3, color=_COLORS[activation], label=_LABELS[activation])
                ax.plot(rank, metric / size, color=_COLORS[activation], linewidth=0.7)
        ax.axhline(0, color="black", linewidth=0.6)
        ax.set_yscale("symlog", linthresh=1e-3)
        ax.set(title={"cosine": "cosine", "squared": "squared error"}[loss], xlabel="rank", ylim=(-2, 2))
    axes[0].set_ylabel("eigenvalue / largest")
    axes[0].legend(loc="lower right")
    kinds = [axes[1].plot([], [], style, color="black", label=label)[0] for style, label in (("o", "H"), ("-", "G"))]
    axes[1].legend(handles=kinds, loc="lower right")
    losses = _present(table, "loss", LOSSES)
    for place, activation in enumerate(_present(table, "activation", ACTIVATIONS)):
        counts = [_rows(table, activation=activation, loss=loss)["negative"].astype(float).mean() for loss in losses]
        axes[2].bar(np.arange(len(losses)) + 0.2 * (place - 1.5), counts, 0.18, color=_COLORS[activation])
    axes[2].set_xticks(range(len(losses)), [loss.replace("cross-entropy", "cross-\nentropy") for loss in losses])
    axes[2].set(title="negative eigenvalues", ylabel="count")
    axes[2].grid(False, axis="x")
    return fig


def _residuals(results: Results, table: pd.DataFrame) -> Figure:
    fig, ax = figure(
        "single", height=2.5,
        caption="The residual t* above which a smooth head's effective Hessian stops being semidefinite, for H_L = I "
        "and random residual directions. A head that is narrower than z (dashed: at the left edge) is unstable for any "
        "residual; a wide one needs a finite one. Linear and ReLU heads: t* is infinite.",
    )  # fmt: skip
    for activation in _present(table, "activation", ACTIVATIONS):
        for k in sorted(set(table["outputs"])):
            rows = [row for _, row in _rows(table, activation=activation, outputs=k).iterrows()]
            t = np.sort(np.concatenate([results.array(row, "residuals") for row in rows]))
            if np.isfinite(t).all():
                share = np.arange(1, len(t) + 1) / len(t)
                style = "-" if (t > 0).all() else "--"
                ax.step(np.r_[0, t], np.r_[0, share], style, where="post", color=_COLORS[activation],
                        label=f"{_LABELS[activation]}, k = {k}")  # fmt: skip
    ax.set(xlabel="critical residual t*", ylabel="share of samples", xlim=(-0.02, None), ylim=(0, 1.02))
    ax.legend()
    return fig


def _targets(table: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.7,
        caption="Exact collapse under objectives whose targets are held, teacher = student: DINO with a center that is "
        "still zero (sharpened) or has come to the outputs (centred), SimSiam with its predictor as drawn. Left: the "
        "residual does not vanish (medians over collapsed states, a dot per seed). Right: negative eigenvalues of the "
        "Hessian of one sample, of 16, mean over states and seeds; black: those of G alone. DINO's loss is convex, so "
        "that they come from the curvature of smooth heads, as theorem 4.1 has it; under SimSiam's cosine, which is "
        "not, every head has them.",
    )  # fmt: skip
    targets = _present(table, "target", TARGETS)
    for place, activation in enumerate(_present(table, "activation", ACTIVATIONS)):
        color, label = _COLORS[activation], _LABELS[activation]
        for x, target in enumerate(targets):
            rows, x = _rows(table, activation=activation, target=target), x + 0.19 * (place - 1.5)
            norms = rows["residual_median"].astype(float)
            left.plot(np.full(len(norms), x), norms, "o", color=color, alpha=0.7)
            right.bar(x, rows["negative"].astype(float).mean(), 0.17, color=color, label=label)
            alone = rows["metric_negative"].astype(float).mean()
            right.plot([x - 0.085, x + 0.085], [alone, alone], color="black", linewidth=1.2)
    for ax in (left, right):
        ax.set_xticks(range(len(targets)), [name.replace(" ", "\n") for name in targets])
        ax.set_xlim(-0.5, len(targets) - 0.5)
        ax.grid(False, axis="x")
    left.set(ylabel="residual at collapse", ylim=(0, None))
    right.set(ylabel="negative eigenvalues")
    handles, labels = right.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    right.legend(found.values(), found.keys(), loc="upper left")
    return fig


def _collapse(table: pd.DataFrame, field: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.9, width_ratios=(3, 2),
        caption="Exact collapse. Left: the most negative eigenvalue of the losses' Hessians, on the outputs alone and "
        "behind random heads: contrastive and decorrelation losses are strict saddles behind every head, linear "
        "included (for Barlow Twins through its batch norm's epsilon alone); SimSiam without predictor has none. "
        "Right: the fastest growth of differences between samples under SimSiam's stop-gradient field, by head and "
        "predictor, in units of the one-sample Hessian: zero without a predictor, positive with one that has reached "
        "equilibrium, for linear heads, too. One dot per seed.",
    )  # fmt: skip
    objectives = _present(table, "objective", OBJECTIVES)
    kinds = ["none", *_present(table, "activation", ACTIVATIONS)]
    for place, activation in enumerate(kinds):
        lowest = [-_rows(table, objective=o, activation=activation)["lowest"].astype(float).mean() for o in objectives]
        left.bar(np.arange(len(objectives)) + 0.16 * (place - 2), [v if v > 1e-12 else np.nan for v in lowest], 0.15,
                 color=_COLORS.get(activation, "#999999"), label=_LABELS.get(activation, "no head"))  # fmt: skip
    for place, name in enumerate(objectives):
        if (_rows(table, objective=name)["negative"].astype(float) == 0).all():
            left.annotate("none", (place, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=7)
    left.set_xticks(range(len(objectives)), [name.replace(" ", "\n") for name in objectives])
    left.set(yscale="log", ylabel=r"$-\lambda_{\min}$ at collapse", xlim=(-0.6, len(objectives) - 0.4))
    left.grid(False, axis="x")
    left.legend()
    states = _present(field, "state", STATES)
    for place, activation in enumerate(_present(field, "activation", ACTIVATIONS)):
        for x, state in enumerate(states):
            rates = _rows(field, activation=activation, state=state)["shared"].astype(float)
            right.plot(x + 0.18 * (place - 1.5) + np.zeros(len(rates)), rates, "o", color=_COLORS[activation],
                       alpha=0.7, label=_LABELS[activation] if x == 0 else None)  # fmt: skip
    right.axhline(0, color="black", linewidth=0.6)
    right.set_yscale("symlog", linthresh=0.1)
    right.set_xticks(
        range(len(states)), [state.replace("no ", "no\n").replace("drawn", "as\ndrawn") for state in states]
    )
    right.set(ylabel="fastest growth of differences", xlim=(-0.5, len(states) - 0.5), ylim=(-0.05, 9))
    right.grid(False, axis="x")
    right.legend(loc="upper left")
    return fig


def _conditioning(path: pd.DataFrame, curvature: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.6,
        caption="Left: along a path through the softmax metric an MLP head makes G the identity (theorem 3.2): worst "
        "condition number minus 1 by width; dotted: what any constant head must leave for the two ends of the path. "
        "Right: what the best constant head leaves for two random points of a loss, with the sectional curvature K "
        "where it is constant. Curvature is not needed to defeat constant heads: the separable loss is flat.",
    )  # fmt: skip
    widths = sorted(set(path["path_width"]))
    for _, rows in path.groupby("seed"):
        rows = rows.sort_values("path_width")
        left.loglog(rows["path_width"].astype(float), rows["condition"].astype(float) - 1, "o-", color=PALETTE[3],
                    alpha=0.7)  # fmt: skip
        left.axhline(rows["constant_floor"].astype(float).iloc[0] - 1, color="black", linestyle=":", linewidth=0.7)
    left.set(xlabel="hidden units", ylabel="condition number − 1")
    left.set_xticks(widths, [str(width) for width in widths])
    left.minorticks_off()
    potentials = _present(curvature, "potential", POTENTIALS)
    for place, name in enumerate(potentials):
        rows = _rows(curvature, potential=name)
        floors = rows["floor"].astype(float)
        right.plot(np.full(len(floors), place), floors, "o", color=PALETTE[place], alpha=0.7)
        constant = (rows["curvature_deviation"].astype(float) < 1e-9).all()
        label = f"K = {rows['curvature'].astype(float).mean():.2g}" if constant else "K varies"
        right.annotate(label, (place, 0.93), xycoords=("data", "axes fraction"), ha="center", fontsize=7)
    right.axhline(1, color="black", linewidth=0.6)
    right.set_xticks(range(len(potentials)), [name.replace(" ", "\n", 1) for name in potentials])
    right.set(yscale="log", ylabel="condition number left", ylim=(0.9, 20), xlim=(-0.5, len(potentials) - 0.5))
    right.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    right.minorticks_off()
    right.grid(False, axis="x")
    return fig


def _present(table: pd.DataFrame, column: str, order: tuple[str, ...]) -> list[str]:
    """The values that were measured, in the order of the config."""
    return [value for value in order if value in set(table[column])]


def _rows(table: pd.DataFrame, **labels) -> pd.DataFrame:
    for name, value in labels.items():
        table = table[table[name] == value]
    return table
