"""Figures of orbits: how they bend and spread in z and in h, head by head, and what they look like."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import (
    GIVEN,
    PUBLISHED,
    REFERENCE,
    head_label,
    heads,
    interval_points,
    plain_ticks,
    standard,
)
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

_CLASSES = matplotlib.colormaps["tab10"]


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


def _published(ax: Axes, table: pd.DataFrame, values: dict[str, float]) -> None:
    """The authors' numbers, beside the head that is theirs."""
    parts = heads(table)
    wanted = head_label(pd.Series({"objective": "simclr", "activation": "relu", "depth": 2}))
    if wanted in parts:
        for marker, (label, value) in zip("Dv", values.items(), strict=False):
            ax.plot(list(parts).index(wanted) + 0.42, value, marker, label=label, **PUBLISHED)


def _isometry(ax: Axes, table: pd.DataFrame, quantity: str) -> None:
    """What the published measure makes of z minus its mean in place of the head."""
    for place, rows in enumerate(heads(table).values()):
        values = rows[f"isometry_{quantity}"]
        label = "z − mean z, an isometry" if not place else None
        interval_points(ax, [place + 0.36], [values], "#666666", "x", True, label=label)


def curvature(table: pd.DataFrame, about: str) -> Figure:
    fig, ax = figure(
        "double", height=2.9,
        caption="Paths of images that turn from 0 to 45 degrees: h over z, above 1 where the head's are longer or more "
        "bent. The published curvature is the mean length of second differences of unit vectors. It is not divided by "
        "the step, so that it grows with the length of the path, and is seen from the origin, far from which z lies: "
        "an isometry, z minus its mean in place of h, has it, too. About the means of z and h, and as turning, the sum "
        "of changes of direction, neither counts. SimCLR's heads by activation and depth, the number of linear maps. "
        f"Black: the published ratio. {about} Geometric means over seeds with 95 % t-intervals, one pale dot per seed.",
    )  # fmt: skip
    columns = {
        "curvature_ratio": ("curvature, published", PALETTE[1], "s"),
        "length_ratio": ("length of the path", PALETTE[0], "o"),
        "centred_curvature_ratio": ("curvature about the means", PALETTE[3], "D"),
        "turning_ratio": ("turning", PALETTE[2], "^"),
    }
    _by_head(ax, table, columns)
    _isometry(ax, table, "curvature_ratio")
    _published(ax, table, {"paper, ResNet-18": 1.933, "paper, ViT-Tiny": 2.587})
    ax.set_ylabel("h / z")
    plain_ticks(ax)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def compression(table: pd.DataFrame, about: str) -> Figure:
    fig, axes = figure(
        "double", 3, 1, height=5.6, sharex=True,
        caption="Orbits of images under a whole turn, z over h: above 1 where the head draws orbits together. Top: "
        "their share of the total variance. Middle: spread of unit vectors, as published, which an isometry (z minus "
        "its mean) changes as much. The head was trained on z; the published protocol gives it z / ||z||, on which it "
        "was not trained. Bottom: distance of classes over distance within orbits, h over z: above 1 where the head "
        "keeps classes apart better than orbits. Black: published for ResNet-18 (ViT-Tiny: "
        f"compression 4015, gain 1.14). {about} Geometric means over seeds with 95 % t-intervals.",
    )  # fmt: skip
    for ax, column, label, published in zip(
        axes,
        ("compression_total", "compression", "class_gain"),
        ("share of variance, z / h", "unit vectors, z / h", "class / orbit gain"),
        (None, 21.85, 1.225),
        strict=True,
    ):
        columns = {f"{prefix}{column}": (f"given {name}", *style) for prefix, (name, *style) in GIVEN.items()}
        if column == "class_gain":
            columns["raw_class_gain"] = ("given z, vectors as they are", PALETTE[2], "^")
        _by_head(ax, table, columns)
        if column == "compression":
            _isometry(ax, table, column)
        if published is not None:
            _published(ax, table, {"paper, ResNet-18": published})
        ax.set_ylabel(label)
        plain_ticks(ax)
    shown = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3)
    return fig


def orbits(results: Results, table: pd.DataFrame, about: str) -> Figure:
    columns = {name: rows.sort_values("seed").iloc[0] for name, rows in standard(table).items()}
    fig, axes = figure(
        "double", 2, len(columns), height=1.0 + 2 * min(6.2 / len(columns), 1.5), squeeze=False, sharex=True,
        sharey=True,
        caption="Orbits of images under a whole turn in steps of 30 degrees, coloured by class; the star is the image "
        "itself. Unit vectors of z (top) and of h (bottom, the head given z as in training), in the plane of their "
        f"first two principal axes, all on the same scale. {about} Drawn: seed "
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
