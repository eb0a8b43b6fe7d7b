"""Figures of the probes: where in the head rotations and classes can be read."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import (
    PROBES,
    REFERENCE,
    SEEDS,
    STANDARD,
    gap,
    head_label,
    interval_points,
    nearest,
    place_label,
    standard,
)
from repro_shared.plotting import figure


def _probed(table: pd.DataFrame) -> str:
    """A sentence for captions."""
    first, published = table.iloc[0], int(table["published_train"].max())
    return (
        f"Converged probes are trained on {first['probe_train']:,} images, the published ones on {published:,}; all "
        f"are tested on {first['probe_test']:,}."
    )


def guillotine(table: pd.DataFrame, about: str) -> Figure:
    columns = standard(table)
    fig, axes = figure(
        "double", 2, len(columns), height=4.2, sharey="row", sharex="col", squeeze=False,
        caption="Accuracy of probes at every place where the head can be cut off: on the backbone's output z, on what "
        "each layer hands on, on the head's output h. Top: which of four rotations an image was given; bottom: its "
        "class. Converged: standardised features, logistic regression or an MLP; five epochs: the published protocol, "
        f"features as they come, z and h only. {_probed(table)} {about} {SEEDS}",
    )  # fmt: skip
    cuts = {name: _places(rows) for name, rows in columns.items()}
    deepest = max(map(len, cuts.values()))
    for column, (name, rows) in zip(axes.T, columns.items(), strict=True):
        places = dict(zip(cuts[name], [*range(len(cuts[name]) - 1), deepest - 1], strict=True))  # h last in all panels
        for ax, task in zip(column, ("rotation", "class"), strict=True):
            for number, (probe, (label, color, style)) in enumerate(PROBES.items()):
                measured = {x: f"{task}_{probe}_{place}" for place, x in places.items()}
                samples = {x: rows[column] for x, column in measured.items() if column in rows}
                samples = {x: values for x, values in samples.items() if values.notna().any()}
                if samples:
                    place = np.add([*samples], 0.06 * (number - 1.5))
                    interval_points(ax, place, [*samples.values()], color, style, label=label, markersize=3)
            ax.set_xlim(-0.4, deepest - 0.6)
        column[0].set_title(head_label(rows.iloc[0]))
        column[1].set_xticks([*places.values()], [place_label(place) for place in places])
        column[1].set_xlabel("cut after layer")
    axes[0, 0].set_ylabel("rotation, accuracy (%)")
    axes[1, 0].set_ylabel("class, accuracy (%)")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _places(rows: pd.DataFrame) -> list[str]:
    """Where the head of these networks was cut, z and h included."""
    cut = [name.removeprefix("rotation_linear_") for name in rows if name.startswith("rotation_linear_layer")]
    return ["z", *sorted(name for name in cut if rows[f"rotation_linear_{name}"].notna().any()), "h"]


def probe_gap(table: pd.DataFrame, about: str) -> Figure:
    rows = nearest(table, objective="simclr", activation=STANDARD["activation"], depth=STANDARD["depth"])
    degrees = sorted(set(rows["rotation"]))
    fig, axes = figure(
        "double", 1, 2, height=2.9,
        caption="How many points more accurate a probe is on z than on h, against the range of rotations that the "
        "head was trained to ignore; below 0 the head's output is better. Converged: standardised features; five "
        f"epochs: the published protocol. {head_label(rows.iloc[0]).replace(chr(10), ', ')}. {_probed(table)} {about} "
        f"{SEEDS}",
    )  # fmt: skip
    for ax, task in zip(axes, ("rotation", "class"), strict=True):
        for number, (probe, (label, color, style)) in enumerate(PROBES.items()):
            if f"{task}_{probe}_z" in rows:
                gaps = enumerate(gap(rows[rows["rotation"] == angle], f"{task}_{probe}") for angle in degrees)
                samples = {x: values for x, values in gaps if values.notna().any()}
                if samples:
                    place = np.add([*samples], 0.06 * (number - 1.5))
                    interval_points(ax, place, [*samples.values()], color, style, label=label)
        ax.axhline(0, **REFERENCE)
        ax.set_xticks(range(len(degrees)), [f"±{angle:g}°" if angle else "none" for angle in degrees])
        ax.set(title=f"probe for the {task}", xlabel="rotation of the views", xlim=(-0.5, len(degrees) - 0.5))
    axes[0].set_ylabel("accuracy on z − on h (points)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
