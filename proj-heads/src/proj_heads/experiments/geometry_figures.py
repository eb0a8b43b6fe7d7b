"""Figures of the pretrained pairs; here those of depth, of objectives and of the metric's spectrum."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from proj_heads.experiments import orbit_figures, probe_figures
from proj_heads.experiments.appearance import (
    ACTIVATIONS,
    DEPTHS,
    GIVEN,
    OBJECTIVES,
    ORBITS,
    PROBES,
    PUBLISHED,
    REFERENCE,
    SEEDS,
    by_depth,
    gap,
    interval_points,
    nearest,
    networks,
    numbers,
    plain_ticks,
    standard,
    with_variants,
)
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Of the first data set and backbone, where there are several; pairs whose training has diverged are left out."""
    first = results.table.iloc[0]
    table = with_variants(nearest(results.table, data=first["data"], backbone=first["backbone"]))
    diverged = table["diverged"].astype(bool)
    table = table[~diverged]
    if table.empty:
        return {}
    about = networks(table)
    if diverged.any():
        about += f" Left out: {diverged.sum()} of {len(diverged)} networks, whose training has diverged."
    return {
        "guillotine": probe_figures.guillotine(table, about),
        "probe_gap": probe_figures.probe_gap(table, about),
        "curvature": orbit_figures.curvature(table, about),
        "compression": orbit_figures.compression(table, about),
        "orbits": orbit_figures.orbits(results, table, about),
        "depth": _depth(table, about),
        "objectives": _objectives(table, about),
        "spectrum": _spectrum(results, table, about),
    }


def _depth(table: pd.DataFrame, about: str) -> Figure:
    """Of the Swish heads, which C11 is about, and the authors' ReLU head beside them, which decides C13-trained."""
    parts = by_depth(table)
    row = next(iter(parts.values())).iloc[0]
    others = standard(table).get("simclr", table[:0])
    others = others[others["activation"] != row["activation"]]
    kinds = [ACTIVATIONS[name][0] for name in (row["activation"], *others["activation"].unique())]
    fig, axes = figure(
        "double", 2, 2, height=4.6, sharex=True,
        caption="Heads of one, two and three linear maps. Distance of classes over that in orbits, h over z, of unit "
        "vectors unless said; linear probes for rotation, accuracy on z minus on h; the pull-back metric G along "
        "rotations and along differences "
        "between images of two classes (1: as along a random direction), and the quotient of the two; effective rank "
        f"of G. Dotted: a tenth, our reading of nearly singular. Black: published. {OBJECTIVES[row['objective']][0]}, "
        f"{', open markers: '.join(kinds)}. {about} {SEEDS} Those of the metric are geometric.",
    )  # fmt: skip
    (gain, probe), (metric, rank) = axes
    place = np.array(list(parts), dtype=float)

    def points(ax, column, label, color, style, shift=0.0, log=False):
        samples = [column(rows) for rows in parts.values()]
        interval_points(ax, place + shift, samples, color, f"{style}-", log, label=label)
        for depth, rows in others.groupby("depth"):
            interval_points(ax, [depth + 0.18 + shift], [column(rows)], color, style, log, markerfacecolor="white")

    for shift, (prefix, (name, color, marker)) in zip((-0.05, 0.05), GIVEN.items(), strict=True):
        points(gain, lambda rows, prefix=prefix: rows[f"{prefix}class_gain"], f"given {name}", color, marker, shift)
    points(gain, lambda rows: rows["raw_class_gain"], "given z, vectors as they are", PALETTE[2], "^")
    for shift, name in zip((-0.05, 0.05), ("linear", "published_linear"), strict=True):
        label, color, style = PROBES[name]
        if f"rotation_{name}_z" in table:
            points(probe, lambda rows, name=name: gap(rows, f"rotation_{name}"), label, color, style[0], shift)
    points(metric, lambda rows: rows["along_augmentation"], "along rotations", PALETTE[0], "o", -0.05, True)
    points(metric, lambda rows: rows["along_semantic"], "between classes", PALETTE[2], "s", 0.05, True)
    points(
        metric, lambda rows: rows["along_augmentation"] / rows["along_semantic"], "quotient", PALETTE[3], "^", 0, True
    )
    points(rank, lambda rows: rows["metric_rank"], kinds[0], PALETTE[0], "o")
    for kind in kinds[1:]:
        rank.plot([], [], "o", color=PALETTE[0], markerfacecolor="white", label=kind)
    if row["activation"] == "swish":
        gain.plot([1, 2, 3], [0.863, 1.257, 1.480], "D", label="paper", **PUBLISHED)
        probe.plot([1, 2, 3], [0.1, 13.1, 16.7], "D", label="paper", **PUBLISHED)
    for ax, level in ((gain, 1), (probe, 0), (metric, 1)):
        ax.axhline(level, **REFERENCE)
    metric.axhline(0.1, **REFERENCE | {"linestyle": ":"})
    metric.set_yscale("log")
    plain_ticks(metric)
    gain.set_ylabel("class / orbit gain")
    probe.set_ylabel("linear probe, z − h (points)")
    metric.set_ylabel("v'Gv, isotropic = 1")
    rank.set(ylabel="effective rank of G", ylim=(0, None))
    for ax in axes.flat:
        ax.legend()
    for ax in axes[1]:
        ax.set_xticks(list(parts), [str(depth) for depth in parts])
        ax.set(xlabel="linear maps of the head", xlim=(min(parts) - 0.4, max(parts) + 0.4))
    return fig


def _objectives(table: pd.DataFrame, about: str) -> Figure:
    parts = standard(table)
    orbits = [
        name for name in ORBITS if f"{name}_turning_ratio" in table and numbers(table[f"{name}_turning_ratio"]).size
    ]
    fig, axes = figure(
        "double", 2, 4, height=4.4, sharex=True,
        caption="What the authors measure of pretrained models (left half of either row), and the same without offset "
        "and scale, along several kinds of orbits. Top: curvature, h over z, of raw vectors (published), of unit "
        "vectors, of unit vectors about their mean, and turning, which depends on no length. Bottom: cosine to the "
        "untransformed image's output, h minus z, seen from the origin (published) and from the means; variance along "
        "the orbit, z over h, of unit vectors and as a share of the total variance: above 1 where the head contracts. "
        f"{about} Geometric means (cosine: means) over seeds, 95 % t-intervals.",
    )  # fmt: skip
    panels = {
        "raw_curvature_ratio": "curvature, raw",
        "curvature_ratio": "curvature, unit",
        "centred_curvature_ratio": "curvature, centred",
        "turning_ratio": "turning",
        "cosine_gain": "cosine gain",
        "centred_cosine_gain": "cosine gain, centred",
        "variance_unit": "variance, unit",
        "variance_share": "share of variance",
    }
    for ax, (quantity, label) in zip(axes.flat, panels.items(), strict=True):
        log = not quantity.endswith("cosine_gain")
        for number, (objective, rows) in enumerate(parts.items()):
            name, color = OBJECTIVES[objective]
            place = np.arange(len(orbits)) + 0.18 * (number - (len(parts) - 1) / 2)
            samples = [rows[f"{orbit}_{quantity}"] for orbit in orbits]
            interval_points(ax, place, samples, color, "o", log, label=name, markersize=3)
        ax.axhline(float(log), **REFERENCE)
        ax.set(title=label, xlim=(-0.5, len(orbits) - 0.5))
        ax.grid(False, axis="x")
        if log:
            ax.set_yscale("log")
            plain_ticks(ax)
        ax.set_xticks(range(len(orbits)), [ORBITS[orbit] for orbit in orbits], rotation=35, ha="right")
    for ax, label in ((axes[0, 0], "h / z"), (axes[1, 0], "h − z"), (axes[1, 2], "z / h")):
        ax.set_ylabel(label)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return fig


def _spectrum(results: Results, table: pd.DataFrame, about: str) -> Figure:
    fig, (left, middle, right) = figure(
        "double", 1, 3, height=2.9, width_ratios=(3, 3, 2.6),
        caption="Eigenvalues of the pull-back metric G = J'J of h / ||h||, mean over images and seeds, divided by "
        "their mean: how far h moves along the axes of z, 1 throughout where a head keeps all directions alike. Left: "
        "SimCLR heads by number of linear maps; middle: by objective. Right: effective rank of the covariance of the "
        "outputs z (open) and h (filled), which is near 1 where a head has all but collapsed. "
        f"{about} Right: means with 95 % t-intervals.",
    )  # fmt: skip
    depth, objective = by_depth(table), standard(table)
    kind = ACTIVATIONS[next(iter(depth.values()))["activation"].iloc[0]][0]
    by_head = {
        left: {f"{kind}, depth {number}": (rows, DEPTHS.get(number, "#333333")) for number, rows in depth.items()},
        middle: {OBJECTIVES[name][0]: (rows, OBJECTIVES[name][1]) for name, rows in objective.items()},
    }
    for ax, parts in by_head.items():
        for label, (rows, color) in parts.items():
            spectra = np.stack([results.array(row, "spectrum") for _, row in rows.iterrows()])
            mean = (spectra / spectra.mean(1, keepdims=True)).mean(0)
            drawn = np.where(mean > 1e-8 * mean.max(), mean, np.nan)
            ax.plot(np.arange(1, len(mean) + 1), drawn, color=color, label=label)
        ax.axhline(1, **REFERENCE)
        ax.set(yscale="log", xlabel="rank")
        ax.legend(loc="lower left")
    left.set(ylabel="eigenvalue of G / mean")
    low = min(ax.get_ylim()[0] for ax in (left, middle))
    high = max(ax.get_ylim()[1] for ax in (left, middle))
    for ax in (left, middle):
        ax.set_ylim(low, high)
    for x, (name, rows) in enumerate(objective.items()):
        for shift, space, face in ((-0.15, "z", "white"), (0.15, "h", OBJECTIVES[name][1])):
            interval_points(right, [x + shift], [rows[f"rank_{space}"]], OBJECTIVES[name][1], markerfacecolor=face)
    right.set_xticks(range(len(objective)), [OBJECTIVES[name][0].replace(" ", "\n", 1) for name in objective])
    right.tick_params(axis="x", rotation=60)
    right.set(ylabel="effective rank of outputs", ylim=(0, None), xlim=(-0.5, len(objective) - 0.5))
    right.grid(False, axis="x")
    return fig
