"""Figures of the spiked study."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aen_sae.experiments.appearance import COLORS, INIT_LABELS, MARKERS, legend_below, plain_log_axis
from aen_sae.experiments.grids import LABELS
from aen_sae.experiments.matched import matched, target_l0
from repro_shared.claims import mean_interval
from repro_shared.plotting import figure
from repro_shared.runlog import Results

FLOOR = 1e-6
"""Where a firing rate of 0 is drawn: the smallest that `default` can tell from it is 4e-6."""


def draw(results: Results) -> dict[str, Figure]:
    plain = _plain(results.table)
    return {
        "starvation": _starvation(plain),
        "dead_vs_coherence": _versus_coherence(
            plain, "dead_fraction", "dead latents (%)", 100, "Dead latents on held-out samples"
        ),
        "support_vs_coherence": _versus_coherence(plain, "f1", "support F1", 1, "Support F1 under the best matching"),
        "pareto": _versus_l0(
            plain, "explained_variance_perp", "EV orthogonal to v", 1, "Explained variance without the shared direction"
        ),
        "support_vs_l0": _versus_l0(plain, "f1", "support F1", 1, "Support F1 under the best matching"),
        "dead_vs_l0": _versus_l0(plain, "dead_fraction", "dead latents (%)", 100, "Dead latents on held-out samples"),
        "initialisation": _initialisation(results.table),
        "recovery": _recovery(plain),
        "weights": _weights(results),
    }


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with the published activity average (slow), without the variants of the weights."""
    slow = table["ema_decay"].isna() | (table["ema_decay"] == table["ema_decay"].max())
    return table[slow & (table["statistic"] == "published")]


def _matched(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """`metric` at the common L0, where it is defined."""
    return matched(table, metric, target_l0(table)).dropna(subset=metric)


def _points(ax: Axes, groups, scale: float, **style) -> None:
    """Means with t-intervals over the values of each (x, values)."""
    x, centre, low, high = [], [], [], []
    for place, values in groups:
        mean, lower, upper = mean_interval(scale * values)
        x.append(place), centre.append(mean)
        low.append(mean - lower if np.isfinite(lower) else np.nan)  # one seed: no interval is drawn
        high.append(upper - mean if np.isfinite(upper) else np.nan)
    if x:
        ax.errorbar(x, centre, yerr=[low, high], capsize=2, elinewidth=0.8, **style)


def _starvation(table: pd.DataFrame) -> Figure:
    """Claim C1: dead latents of plain L1 against coherence at fixed lambda_1, one line per lambda_1."""
    table = table[table["method"] == "l1"]
    at = table.groupby("l1")["rho"].nunique()
    coefficients = sorted(at[at == at.max()].index)  # those that all coherences have
    fig, axes = figure(
        "double", 1, 2, height=2.5, sharey=True,
        caption="Dead latents of plain L1 against coherence at fixed lambda_1; 95 % t-intervals for several seeds.",
    )  # fmt: skip
    for ax, init in zip(axes, INIT_LABELS, strict=True):
        for i, l1 in enumerate(coefficients):
            rows = table[(table["init"] == init) & (table["l1"] == l1)]
            groups = [(rho, values["dead_fraction"]) for rho, values in rows.groupby("rho")]
            _points(ax, groups, 100, label=f"$\\lambda_1$ = {l1:g}", marker="o", color=f"C{i}")
        ax.set(title=INIT_LABELS[init], xlabel=r"coherence $\rho$", xlim=(-0.06, 1.0))
    axes[0].set_ylabel("dead latents (%)")
    axes[0].legend()
    return fig


def _versus_coherence(table: pd.DataFrame, metric: str, label: str, scale: float, what: str) -> Figure:
    """(a), (c): a metric against coherence at one L0, one panel per initialisation."""
    compared = _matched(table, metric)
    fig, axes = figure(
        "double",
        1,
        2,
        height=2.5,
        sharey=True,
        caption=f"{what} at L0 = {target_l0(table):g}; means and 95 % t-intervals over seeds.",
    )
    for ax, init in zip(axes, INIT_LABELS, strict=True):
        for i, (method, name) in enumerate(LABELS.items()):
            rows = compared[(compared["init"] == init) & (compared["method"] == method)]
            groups = [(rho + 0.006 * (i - 3), values[metric]) for rho, values in rows.groupby("rho")]
            _points(ax, groups, scale, label=name, color=COLORS[method], marker=MARKERS[method])
        ax.set(
            title=INIT_LABELS[init], xlabel=r"coherence $\rho$", xlim=(-0.06, 1.0), ylim=(-0.03 * scale, 1.05 * scale)
        )
    axes[0].set_ylabel(label)
    legend_below(fig, axes)
    return fig


def _versus_l0(table: pd.DataFrame, metric: str, label: str, scale: float, what: str) -> Figure:
    """(b): a metric against L0, one point per SAE; a row for each initialisation, a column for each coherence."""
    coherences = sorted(set(table["rho"]))
    fig, axes = figure(
        "double", 2, len(coherences), height=4.2, sharex=True, sharey=True, squeeze=False,
        caption=f"{what} against L0; one point per SAE.",
    )  # fmt: skip
    for row, init in zip(axes, INIT_LABELS, strict=True):
        for ax, rho in zip(row, coherences, strict=True):
            at = table[(table["init"] == init) & (table["rho"] == rho)]
            for method, name in LABELS.items():
                rows = at[at["method"] == method]
                if len(rows):
                    values = scale * rows[metric]
                    ax.plot(rows["l0"], values, MARKERS[method], color=COLORS[method], label=name, alpha=0.8)
            ax.set(title=rf"{INIT_LABELS[init]}, $\rho$ = {rho:g}", xscale="log")
        row[0].set_ylabel(label)
    for ax in axes[1]:
        ax.set_xlabel("L0")
    for ax in axes.flat:
        plain_log_axis(ax)
    legend_below(fig, axes.flat)
    return fig


def _initialisation(table: pd.DataFrame) -> Figure:
    """(g): dead latents per method at the largest coherence, one bar per initialisation."""
    table = _plain(table)
    compared = _matched(table[table["rho"] == table["rho"].max()], "dead_fraction")
    methods = [method for method in LABELS if method in set(compared["method"])]
    fig, ax = figure(
        "double",
        height=2.4,
        caption=f"Dead latents at the largest coherence, L0 = {target_l0(table):g}; 95 % t-intervals.",
    )
    for shift, (init, name) in zip((-0.2, 0.2), INIT_LABELS.items(), strict=True):
        for i, method in enumerate(methods):
            values = 100 * compared[(compared["init"] == init) & (compared["method"] == method)]["dead_fraction"]
            if len(values) == 0:
                ax.text(i + shift, 5, "not\nreached", ha="center", fontsize=6, color="#777777")
                continue
            ax.bar(
                i + shift,
                values.mean(),
                0.38,
                color="#0072B2" if init == "published" else "#E69F00",
                label=name if i == 0 else None,
            )
            _points(ax, [(i + shift, values)], 1, color="black", fmt="none")
    ax.set_xticks(range(len(methods)), [LABELS[method] for method in methods])
    ax.set(ylabel="dead latents (%)", ylim=(0, 105))
    ax.grid(False, axis="x")
    ax.legend()
    return fig


def _recovery(table: pd.DataFrame) -> Figure:
    """Dictionary, amplitude and amortisation at the largest coherence and one L0."""
    metrics = {
        "mmcs": "centred MMCS",
        "f1": "support F1",
        "amplitude_ratio": "amplitude ratio",
        "code_distance": "distance to exact code",
        "amortisation_gap": "excess objective",
    }
    table = table[table["rho"] == table["rho"].max()]
    fig, axes = figure(
        "double",
        1,
        5,
        height=2.3,
        caption=f"Recovery at the largest coherence, L0 = {target_l0(table):g}; amplitude ratio of recovered latents.",
    )
    for ax, (metric, label) in zip(axes, metrics.items(), strict=True):
        compared = _matched(table, metric)
        methods = [method for method in LABELS if method in set(compared["method"])]
        for shift, (init, color) in zip(
            (-0.12, 0.12), (("published", "#0072B2"), ("centered", "#E69F00")), strict=True
        ):
            rows = compared[compared["init"] == init]
            groups = [(i + shift, rows[rows["method"] == method][metric]) for i, method in enumerate(methods)]
            _points(ax, [g for g in groups if len(g[1])], 1, fmt="o", color=color, label=INIT_LABELS[init])
        ax.set_xticks(range(len(methods)), [LABELS[method] for method in methods], rotation=90)
        ax.set_title(label)
    legend_below(fig, axes)
    return fig


def _weights(results: Results) -> Figure:
    """(f): firing rates, the weights that go with them, and what variants of the average do to dead latents."""
    table = results.table
    table = table[(table["rho"] == table["rho"].max()) & (table["init"] == "published") & (table["method"] == "aen")]
    table = table[table["l2"] == table["l2"].mode()[0]]
    slow = table["ema_decay"] == table["ema_decay"].max()
    variants = {
        "published (slow)": table[slow & (table["statistic"] == "published")],
        "fast average": table[~slow],
        "debiased": table[table["statistic"] == "debiased"],
        "E[h | h > 0]": table[table["statistic"] == "conditional"],
    }
    fig, axes = figure(
        "double", 1, 3, height=2.4,
        caption="AEN at the largest coherence, published initialisation, by the average behind the weights: firing"
        f" rates and final weights of seed 0, lambda_1 such that L0 is nearest to {target_l0(table):g}; dead latents.",
    )  # fmt: skip
    for (name, rows), color in zip(variants.items(), ("#0072B2", "#D55E00", "#CC79A7", "#009E73"), strict=True):
        first = rows[rows["seed"] == 0]
        row = first.loc[(np.log(first["l0"].clip(lower=1e-3) / target_l0(table))).abs().idxmin()]
        rates = np.sort(results.array(row, "firing_rate"))[::-1]
        axes[0].plot(np.maximum(rates, FLOOR), color=color, label=name)
        axes[1].plot(np.sort(results.array(row, "weights"))[::-1], color=color)
        axes[2].plot(rows["l0"], 100 * rows["dead_fraction"], "o", color=color, alpha=0.8)
    axes[0].set(yscale="log", xlabel="latent, by rate", ylabel="firing rate (0 drawn at 1e-6)")
    axes[1].set(xlabel="latent, by weight", ylabel="weight omega")
    axes[2].set(xlabel="L0", ylabel="dead latents (%)")
    plain_log_axis(axes[2])
    legend_below(fig, axes)
    return fig
