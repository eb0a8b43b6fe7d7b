"""What the figures of pretrained pairs share: one name and one colour per activation, objective, probe and place, which
rows are drawn, and how means are.
"""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from repro_shared.claims import mean_interval
from repro_shared.plotting import PALETTE

ACTIVATIONS = {
    "linear": ("linear", PALETTE[0]),
    "relu": ("ReLU", PALETTE[1]),
    "gelu": ("GELU", PALETTE[2]),
    "swish": ("Swish", PALETTE[3]),
}
"""Activation -> name and colour."""
OBJECTIVES = {
    "simclr": ("SimCLR", PALETTE[0]),
    "vicreg": ("VICReg", PALETTE[2]),
    "barlow": ("Barlow Twins", PALETTE[4]),
    "dino": ("DINO", PALETTE[1]),
    "dino_plain": ("DINO without BN", PALETTE[3]),
    "simsiam": ("SimSiam", PALETTE[5]),
}
"""Objective -> name and colour; `dino_plain` has a head without batch norms (`with_variants`)."""
DEPTHS = {1: "#c6a0d8", 2: "#8a52b0", 3: "#4a1a70"}
"""Linear maps of a head -> colour."""
PROBES = {
    "linear": ("linear, converged", PALETTE[0], "o-"),
    "mlp": ("MLP, converged", PALETTE[2], "s-"),
    "published_linear": ("linear, five epochs", PALETTE[4], "o:"),
    "published_mlp": ("MLP, five epochs", PALETTE[1], "s:"),
}
"""Probe -> name, colour and marker with line."""
GIVEN = {"": ("z (raw)", PALETTE[0], "o"), "unit_": ("z / ||z|| (published)", PALETTE[1], "s")}
"""Prefix of a column: what the head was given -> name, colour and marker."""
ORBITS = {
    "turn": "rotation",
    "brightness": "brightness",
    "contrast": "contrast",
    "blur": "blur",
    "hue": "hue",
    "saturation": "saturation",
}
BACKBONES = {"small_cnn": "small CNN", "resnet18_cifar": "ResNet-18", "vit_tiny": "ViT-Tiny"}
DATA = {"fashion-mnist": "Fashion-MNIST", "digits": "digits", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
REFERENCE = {"color": "black", "linewidth": 0.8}
"""Style of the line at 1 or 0."""
PUBLISHED = {"color": "black", "markerfacecolor": "white", "markersize": 5, "linestyle": "none"}
"""Style of the authors' numbers."""
SEEDS = "Means over seeds with 95 % t-intervals, one pale dot per seed."
STANDARD = {"activation": "relu", "depth": 2, "rotation": 45.0}
"""SimCLR's settings where nothing else is said: the authors'."""


def place_label(place: str) -> str:
    """`layer2` is '2', z and h stay."""
    return place.removeprefix("layer")


def head_label(row: pd.Series) -> str:
    """The head of a pretrained pair, for people: activation and depth for SimCLR, whose head has them, the objective
    for the others, whose heads are lightly's; two lines.
    """
    name = OBJECTIVES[row["objective"]][0]
    if row["objective"] in ("simclr", "simsiam"):
        return f"{name} {ACTIVATIONS[row['activation']][0]}\ndepth {row['depth']}"
    return name.replace(" ", "\n", 1)


def with_variants(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the objective `dino_plain` where DINO's head has no batch norms."""
    plain = (table["objective"] == "dino") & ~table["norm"].astype(bool)
    return table.assign(objective=table["objective"].mask(plain, "dino_plain"))


def networks(table: pd.DataFrame) -> str:
    """A sentence for captions: which networks, data and how many seeds."""
    first, seeds = table.iloc[0], table["seed"].nunique()
    return f"Networks: {BACKBONES[first['backbone']]}, {DATA[first['data']]}, {seeds} seed{'s' if seeds > 1 else ''}."


def nearest(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows with the settings wanted; where there are none with a setting, those with the first one that there is."""
    for name, value in wanted.items():
        held = table[name]
        table = table[held == (value if (held == value).any() else held.iloc[0])]
    return table


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


def numbers(values) -> np.ndarray:
    """The values that were measured."""
    return pd.Series(values, dtype=float).dropna().to_numpy()


def mean_of(values, log: bool = False) -> tuple[float, float, float]:
    """Mean (geometric if `log`) with its 95 % t-interval; no interval for one value, NaN for none."""
    values = numbers(values)
    if not len(values):
        return np.nan, np.nan, np.nan
    ends = np.array(mean_interval(np.log(values) if log else values))
    mean, low, high = np.exp(ends) if log else ends
    return (mean, low, high) if len(values) > 1 else (mean, np.nan, np.nan)


def interval_points(ax: Axes, place, samples: list, color: str, style: str = "o", log: bool = False, **line) -> None:
    """Means with 95 % t-intervals at `place`, joined if `style` has a line, and a pale dot for each seed."""
    means, low, high = np.array([mean_of(values, log) for values in samples]).T
    reach = np.array([means - low, high - means])
    ax.errorbar(place, means, yerr=np.nan_to_num(reach), fmt=style, color=color, capsize=2, elinewidth=0.9, **line)
    for x, values in zip(place, samples, strict=True):
        held = numbers(values)
        if len(held) > 1:
            beside = offset_copy(ax.transData, fig=ax.figure, x=3, units="points")
            ax.plot(np.full(len(held), x), held, "o", color=color, alpha=0.45, markersize=1.8, markeredgewidth=0,
                    transform=beside)  # fmt: skip


def plain_ticks(ax: Axes) -> None:
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
