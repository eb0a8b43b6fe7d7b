"""Figures of the pretrained pairs: where rotations are read, how orbits bend and spread, what the metric is like."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import (
    ACTIVATIONS,
    DEPTHS,
    GIVEN,
    OBJECTIVES,
    ORBITS,
    PROBES,
    REFERENCE,
    head_label,
    interval_points,
    nearest,
    networks,
    numbers,
    place_label,
    with_variants,
)
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

STANDARD = {"activation": "relu", "depth": 2, "rotation": 45.0}
"""SimCLR's settings where nothing else is said: the authors'."""
_SEEDS = "Means over seeds with 95 % t-intervals, one pale dot per seed."
_PAPER = {"color": "black", "markerfacecolor": "white", "markersize": 5, "linestyle": "none"}
_CLASSES = matplotlib.colormaps["tab10"]


def draw(results: Results) -> dict[str, Figure]:
    """Of the first data set and backbone, where there are several."""
    first = results.table.iloc[0]
    table = with_variants(nearest(results.table, data=first["data"], backbone=first["backbone"]))
    about = networks(table)
    return {
        "guillotine": _guillotine(table, about),
        "probe_gap": _probe_gap(table, about),
        "curvature": _curvature(table, about),
        "compression": _compression(table, about),
        "orbits": _orbits(results, table, about),
        "depth": _depth(table, about),
        "objectives": _objectives(table, about),
        "spectrum": _spectrum(results, table, about),
    }


# ---- Which rows


def standard(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Objective -> its rows; of SimCLR those of the standard head and range, or the nearest that there is."""
    found = {name: table[table["objective"] == name] for name in OBJECTIVES}
    return {name: nearest(rows, **STANDARD) if name == "simclr" else rows for name, rows in found.items() if len(rows)}


def heads(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Name of a head -> its rows, at the standard range: SimCLR's by activation and depth, then the others."""
    table = table[table["rotation"] == nearest(table, rotation=STANDARD["rotation"])["rotation"].iloc[0]]
    order = table.assign(
        place=[list(OBJECTIVES).index(name) for name in table["objective"]],
        kind=[list(ACTIVATIONS).index(name) for name in table["activation"]],
    ).sort_values(["place", "kind", "depth", "seed"])
    return dict(iter(order.groupby(order.apply(head_label, axis=1), sort=False)))


def by_depth(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Depth -> rows of SimCLR's Swish heads at the standard range, or of the nearest that there are."""
    rows = nearest(table, objective="simclr", activation="swish", rotation=STANDARD["rotation"])
    return {int(depth): part for depth, part in rows.groupby("depth")}


def gap(rows: pd.DataFrame, column: str) -> pd.Series:
    """Accuracy on z minus accuracy on h, points."""
    return rows[f"{column}_z"].astype(float) - rows[f"{column}_h"].astype(float)


# ---- Probes


def _guillotine(table: pd.DataFrame, about: str) -> Figure:
    columns = standard(table)
    fig, axes = figure(
        "double", 2, len(columns), height=4.2, sharey="row", sharex="col", squeeze=False,
        caption="Accuracy of probes at every place where the head can be cut off: on the backbone's output z, on what "
        "each layer hands on, on the head's output h. Top: which of four rotations an image was given; bottom: its "
        "class. Converged: standardised features, logistic regression or an MLP; five epochs: the published protocol, "
        f"features as they come, z and h only. {about} {_SEEDS}",
    )  # fmt: skip
    for column, rows in zip(axes.T, columns.values(), strict=True):
        held = [name.removeprefix("rotation_linear_") for name in rows.columns if name.startswith("rotation_linear_")]
        inner = sorted(
            name for name in held if name.startswith("layer") and rows[f"rotation_linear_{name}"].notna().any()
        )
        places = ["z", *inner, "h"]
        for ax, task in zip(column, ("rotation", "class"), strict=True):
            for number, (probe, (label, color, style)) in enumerate(PROBES.items()):
                at = [x for x, place in enumerate(places) if f"{task}_{probe}_{place}" in rows]
                samples = [rows[f"{task}_{probe}_{places[x]}"] for x in at]
                if at:
                    shift = 0.06 * (number - 1.5)
                    interval_points(ax, np.add(at, shift), samples, color, style, label=label, markersize=3)
            ax.set_xlim(-0.4, len(places) - 0.6)
        column[0].set_title(head_label(rows.iloc[0]))
        column[1].set_xticks(range(len(places)), [place_label(place) for place in places])
        column[1].set_xlabel("cut after layer")
    axes[0, 0].set_ylabel("rotation, accuracy (%)")
    axes[1, 0].set_ylabel("class, accuracy (%)")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _probe_gap(table: pd.DataFrame, about: str) -> Figure:
    rows = nearest(table, objective="simclr", activation=STANDARD["activation"], depth=STANDARD["depth"])
    degrees = sorted(set(rows["rotation"]))
    fig, axes = figure(
        "double", 1, 2, height=2.9,
        caption="How many points more accurate a probe is on z than on h, against the range of rotations that the "
        "head was trained to ignore; below 0 the head's output is better. Converged: standardised features; five "
        f"epochs: the published protocol. {head_label(rows.iloc[0]).replace(chr(10), ', ')}. {about} {_SEEDS}",
    )  # fmt: skip
    for ax, task in zip(axes, ("rotation", "class"), strict=True):
        for number, (probe, (label, color, style)) in enumerate(PROBES.items()):
            if f"{task}_{probe}_z" in rows:
                samples = [gap(rows[rows["rotation"] == angle], f"{task}_{probe}") for angle in degrees]
                place = np.arange(len(degrees)) + 0.06 * (number - 1.5)
                interval_points(ax, place, samples, color, style, label=label)
        ax.axhline(0, **REFERENCE)
        ax.set_xticks(range(len(degrees)), [f"±{angle:g}°" if angle else "none" for angle in degrees])
        ax.set(title=f"probe for the {task}", xlabel="rotation of the views", xlim=(-0.5, len(degrees) - 0.5))
    axes[0].set_ylabel("accuracy on z − on h (points)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


# ---- Curvature and orbits


def _by_head(ax: Axes, table: pd.DataFrame, columns: dict[str, tuple[str, str, str]], log: bool = True) -> None:
    """One group of points per head, one point per column -> (name, colour, marker)."""
    parts = heads(table)
    for number, (column, (label, color, style)) in enumerate(columns.items()):
        place = np.arange(len(parts)) + 0.22 * (number - (len(columns) - 1) / 2)
        interval_points(ax, place, [rows[column] for rows in parts.values()], color, style, log, label=label)
    ax.axhline(1, **REFERENCE)
    ax.set_xticks(range(len(parts)), list(parts))
    ax.set_xlim(-0.5, len(parts) - 0.5)
    ax.grid(False, axis="x")
    if log:
        ax.set_yscale("log")


def _plain_ticks(ax: Axes) -> None:
    """Log axis whose labels are plain numbers, as fine as its range allows; call it when everything is drawn."""
    low, high = ax.get_ylim()
    if high / low < 2:
        ticks = matplotlib.ticker.MaxNLocator(5).tick_values(low, high)
    else:
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 8 else (1, 2, 5) if high / low < 300 else (1,)
        powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps]
    ax.set_yticks([tick for tick in ticks if low <= tick <= high])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    ax.set_ylim(low, high)


def _published(ax: Axes, table: pd.DataFrame, values: dict[str, float]) -> None:
    """The authors' numbers, beside the head that is theirs."""
    parts = heads(table)
    wanted = head_label(pd.Series({"objective": "simclr", "activation": "relu", "depth": 2}))
    if wanted in parts:
        for marker, (label, value) in zip("Dv", values.items(), strict=False):
            ax.plot(list(parts).index(wanted) + 0.42, value, marker, label=label, **_PAPER)


def _curvature(table: pd.DataFrame, about: str) -> Figure:
    fig, ax = figure(
        "double", height=2.9,
        caption="Paths of images that turn from 0 to 45 degrees: h over z, unit vectors, above 1 where the head's are "
        "longer or more bent. The published curvature, the mean length of second differences, is not divided by the "
        "step, so that it grows with the length of the path; turning, the sum of changes of direction, does not. "
        "SimCLR's heads by activation and depth, the number of linear maps. Black: the published ratio. "
        f"{about} Geometric means over seeds with 95 % t-intervals, one pale dot per seed.",
    )  # fmt: skip
    columns = {
        "curvature_ratio": ("curvature, published", PALETTE[1], "s"),
        "length_ratio": ("length of the path", PALETTE[0], "o"),
        "turning_ratio": ("turning", PALETTE[2], "^"),
    }
    _by_head(ax, table, columns)
    _published(ax, table, {"paper, ResNet-18": 1.933, "paper, ViT-Tiny": 2.587})
    ax.set_ylabel("h / z")
    _plain_ticks(ax)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return fig


def _compression(table: pd.DataFrame, about: str) -> Figure:
    fig, (top, bottom) = figure(
        "double", 2, 1, height=4.3, sharex=True,
        caption="Top: spread of an image's orbit under a whole turn, unit vectors, z over h: above 1 where the head "
        "draws orbits together. The head was trained on z; the published protocol gives it z / ||z||, on "
        "which it was not trained. Bottom: distance of classes over distance within orbits, h over z: "
        "above 1 where the head keeps classes apart better than orbits. Black: published for ResNet-18 (ViT-Tiny: "
        f"compression 4015, gain 1.14). {about} Geometric means over seeds with 95 % t-intervals.",
    )  # fmt: skip
    for ax, column, label, published in (
        (top, "compression", "compression z / h", 21.85),
        (bottom, "class_gain", "class / orbit gain", 1.225),
    ):
        columns = {f"{prefix}{column}": (f"given {name}", *style) for prefix, (name, *style) in GIVEN.items()}
        _by_head(ax, table, columns)
        _published(ax, table, {"paper, ResNet-18": published})
        ax.set_ylabel(label)
        _plain_ticks(ax)
    fig.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def _orbits(results: Results, table: pd.DataFrame, about: str) -> Figure:
    columns = {name: rows.sort_values("seed").iloc[0] for name, rows in standard(table).items()}
    fig, axes = figure(
        "double", 2, len(columns), height=1.0 + 2 * min(6.2 / len(columns), 1.5), squeeze=False, sharex=True,
        sharey=True,
        caption="Orbits of images under a whole turn in steps of 30 degrees, coloured by class; the star is the image "
        "itself. Unit vectors of z (top) and of h (bottom, the head given z as in training), in the plane of their "
        f"first two principal axes, all on the same scale. {about.rsplit(',', 1)[0]}, seed "
        f"{next(iter(columns.values()))['seed']}.",
    )  # fmt: skip
    fig.set_layout_engine("compressed")
    classes, reach = set(), 0.0
    for column, row in zip(axes.T, columns.values(), strict=True):
        labels = results.array(row, "plane_class")
        for ax, space in zip(column, "zh", strict=True):
            plane = results.array(row, f"plane_{space}")
            reach = max(reach, 1.08 * np.abs(plane).max())
            for path, label in zip(plane.transpose(1, 0, 2), labels, strict=True):  # plane: (steps, images, 2)
                closed, color = np.concatenate([path, path[:1]]), _CLASSES(int(label) % 10)
                ax.plot(*closed.T, "o-", color=color, markersize=1.6, linewidth=0.8, alpha=0.85)
                ax.plot(*path[0], "*", color=color, markersize=6, markeredgecolor="black", markeredgewidth=0.3)
                classes.add(int(label))
            ax.set_aspect("equal")
        column[0].set_title(head_label(row))
        column[1].set_xlabel("first axis")
    axes[0, 0].set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes[0, 0].locator_params(nbins=4)
    for ax, space in zip(axes[:, 0], ("z, unit", "h, unit"), strict=True):
        ax.set_ylabel(f"{space}: second axis")
    handles = [
        matplotlib.lines.Line2D([], [], marker="o", markersize=3, color=_CLASSES(c % 10)) for c in sorted(classes)
    ]
    names = [f"class {c}" for c in sorted(classes)]
    fig.legend(handles, names, loc="outside lower center", ncols=10, columnspacing=1.2, handlelength=1.2)
    return fig


# ---- Depth, objectives, the metric


def _depth(table: pd.DataFrame, about: str) -> Figure:
    parts = by_depth(table)
    row = next(iter(parts.values())).iloc[0]
    fig, axes = figure(
        "double", 2, 2, height=4.6, sharex=True,
        caption="Heads of one, two and three linear maps. Distance of classes over that in orbits, h over z; linear "
        "probes for rotation, accuracy on z minus on h; the pull-back metric G along rotations and along differences "
        "between images of two classes (1: as along a random direction), and the quotient of the two; effective rank "
        f"of G. Black: published. {OBJECTIVES[row['objective']][0]}, {ACTIVATIONS[row['activation']][0]}. {about} "
        f"{_SEEDS} Those of the metric are geometric.",
    )  # fmt: skip
    (gain, probe), (metric, rank) = axes
    place = np.array(list(parts), dtype=float)

    def points(ax, column, label, color, style, shift=0.0, log=False):
        samples = [column(rows) for rows in parts.values()]
        interval_points(ax, place + shift, samples, color, f"{style}-", log, label=label)

    for shift, (prefix, (name, color, marker)) in zip((-0.05, 0.05), GIVEN.items(), strict=True):
        points(gain, lambda rows, prefix=prefix: rows[f"{prefix}class_gain"], f"given {name}", color, marker, shift)
    for shift, name in zip((-0.05, 0.05), ("linear", "published_linear"), strict=True):
        label, color, style = PROBES[name]
        points(probe, lambda rows, name=name: gap(rows, f"rotation_{name}"), label, color, style[0], shift)
    points(metric, lambda rows: rows["along_augmentation"], "along rotations", PALETTE[0], "o", -0.05, True)
    points(metric, lambda rows: rows["along_semantic"], "between classes", PALETTE[2], "s", 0.05, True)
    points(
        metric, lambda rows: rows["along_augmentation"] / rows["along_semantic"], "quotient", PALETTE[3], "^", 0, True
    )
    points(rank, lambda rows: rows["metric_rank"], None, PALETTE[0], "o")
    if row["activation"] == "swish":
        gain.plot([1, 2, 3], [0.863, 1.257, 1.480], "D", label="paper", **_PAPER)
        probe.plot([1, 2, 3], [0.1, 13.1, 16.7], "D", label="paper", **_PAPER)
    for ax, level in ((gain, 1), (probe, 0), (metric, 1)):
        ax.axhline(level, **REFERENCE)
    metric.set_yscale("log")
    _plain_ticks(metric)
    gain.set_ylabel("class / orbit gain")
    probe.set_ylabel("linear probe, z − h (points)")
    metric.set_ylabel("v'Gv, isotropic = 1")
    rank.set(ylabel="effective rank of G", ylim=(0, None))
    for ax in (gain, probe, metric):
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
        "double", 2, 3, height=4.4, sharex=True,
        caption="What the authors measure of pretrained models, along several kinds of orbits. Top: h over z, "
        "curvature of raw vectors (published), of unit vectors, and turning, which depends on no length. Bottom: "
        "cosine to the untransformed image's output, h minus z, and variance along the orbit, z over h, of raw and of "
        f"unit vectors: above 1 where the head contracts. {about} Geometric means (cosine: means) over "
        "seeds, 95 % t-intervals.",
    )  # fmt: skip
    panels = {
        "raw_curvature_ratio": "curvature, raw, h / z",
        "curvature_ratio": "curvature, unit, h / z",
        "turning_ratio": "turning, h / z",
        "cosine_gain": "cosine to the image, h − z",
        "variance_total": "variance, raw, z / h",
        "variance_unit": "variance, unit, z / h",
    }
    for ax, (quantity, label) in zip(axes.flat, panels.items(), strict=True):
        log = quantity != "cosine_gain"
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
            _plain_ticks(ax)
        ax.set_xticks(range(len(orbits)), [ORBITS[orbit] for orbit in orbits], rotation=35, ha="right")
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
