"""One figure style and the plot forms that recur: bands over seeds, log-log slopes, heat maps, paper versus ours.

Figures are plain `matplotlib.figure.Figure` objects, so nothing needs a display. Files carry their provenance and are
equal, byte for byte, when the figure and the provenance are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from repro_shared.claims import mean_interval

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
"""Okabe and Ito's colours, safe for colour-blind readers; yellow last because it is pale on white."""
WIDTHS = {"single": 3.25, "double": 6.75}
"""Column widths in inches."""
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "figure.titlesize": 9,
    "font.size": 8,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}


def figure(
    width: Literal["single", "double"] = "single",
    rows: int = 1,
    cols: int = 1,
    height: float | None = None,
    caption: str = "",
    **subplots,
) -> tuple[Figure, Axes | np.ndarray]:
    """A figure of one or two column widths and its axes, shaped as by `plt.subplots` (one Axes for 1 x 1).

    `height` in inches; by default panels are 4:3. `caption` is the sentence below the figure in reports. Other keywords
    go to `Figure.subplots` (sharex, sharey, width_ratios, ...). Sets the style for the process: matplotlib reads it
    whenever an artist is made.
    """
    matplotlib.rcParams.update(STYLE)
    inches = WIDTHS[width]
    fig = Figure(figsize=(inches, height if height is not None else 0.75 * inches / cols * rows))
    fig.set_label(caption)
    return fig, fig.subplots(rows, cols, **subplots)


def save(fig: Figure, folder: Path, name: str, provenance: dict) -> list[Path]:
    """Write `name`.png (200 dpi) and `name`.pdf with `provenance` in their metadata; returns the paths.

    No dates are written: equal figures with equal provenance give equal files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(provenance, sort_keys=True)
    title = fig.get_label() or name
    png, pdf = folder / f"{name}.png", folder / f"{name}.pdf"
    fig.savefig(png, dpi=200, metadata={"Title": title, "Description": text, "Software": None})
    fig.savefig(pdf, metadata={"Title": title, "Subject": text, "CreationDate": None})
    return [png, pdf]


def band(
    ax: Axes,
    x: ArrayLike,
    samples_by_seed: ArrayLike,
    label: str | None = None,
    color: str | None = None,
    confidence: float = 0.95,
    **line,
) -> None:
    """Mean over seeds with its Student t interval (one seed: just the line). x: (points,), samples: (seeds, points)."""
    samples = np.atleast_2d(np.asarray(samples_by_seed, dtype=float))
    mean, low, high = np.array([mean_interval(column, confidence) for column in samples.T]).T
    (drawn,) = ax.plot(x, mean, label=label, color=color, **line)
    if len(samples) > 1:
        ax.fill_between(x, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)


def loglog_slope(ax: Axes, x: ArrayLike, y: ArrayLike, label: str | None = None, color: str | None = None) -> float:
    """Positive points on log-log axes with the least-squares line log y = slope log x + c; returns the slope."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if (x <= 0).any() or (y <= 0).any():
        raise ValueError("loglog_slope needs positive x and y: leave the other points out")
    slope, offset = np.polyfit(np.log(x), np.log(y), 1)
    ends = np.array([x.min(), x.max()])
    (points,) = ax.loglog(x, y, "o", color=color)
    ax.loglog(
        ends,
        np.exp(offset) * ends**slope,
        color=points.get_color(),
        label=f"{label + ': ' if label else ''}slope {slope:.2f}",
    )
    return float(slope)


def heat_map(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    label: str = "",
    contours: Sequence[float] = (),
    cmap: str = "cividis",
    **mesh,
) -> None:
    """Colour map of values (len(y), len(x)) with labelled contour lines at `contours` and a colour bar `label`."""
    drawn = ax.pcolormesh(x, y, values, shading="nearest", cmap=cmap, rasterized=True, **mesh)
    if len(contours):
        lines = ax.contour(x, y, values, levels=list(contours), colors="white", linewidths=0.9)
        ax.clabel(lines, fontsize=6)
    ax.grid(False)
    ax.figure.colorbar(drawn, ax=ax, label=label)


def paper_versus_ours(
    ax: Axes,
    labels: Sequence[str],
    published: Sequence[float | None],
    measured: Sequence[float | None],
    low: Sequence[float | None] | None = None,
    high: Sequence[float | None] | None = None,
) -> None:
    """Pairs of bars: the published value and ours with its interval (None or infinite: nothing is drawn)."""
    place = np.arange(len(labels))
    ours = np.array(measured, dtype=float)  # None becomes NaN, which is not drawn
    ends = np.array([measured if low is None else low, measured if high is None else high], dtype=float)
    reach = np.where(np.isfinite(ends), np.abs(ends - ours), np.nan)
    ax.bar(place - 0.2, np.array(published, dtype=float), 0.38, label="paper", color="#bbbbbb")
    ax.bar(place + 0.2, ours, 0.38, label="ours", color=PALETTE[0])
    ax.errorbar(place + 0.2, ours, yerr=reach, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
    ax.set_xticks(place, labels)
    ax.grid(False, axis="x")
    ax.legend()
