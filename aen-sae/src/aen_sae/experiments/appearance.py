"""One name and one colour per method and initialisation, the same in every figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from aen_sae.experiments.grids import LABELS
from repro_shared.plotting import PALETTE

COLORS = dict(
    zip(LABELS, [*PALETTE[:3], PALETTE[3], PALETTE[4], PALETTE[5], "#777777", "#999933", "#882255"], strict=True)
)
MARKERS = dict(zip(LABELS, "osD^vPX*h", strict=True))
INIT_LABELS = {"published": "published init", "centered": "centered init"}


def plain_log_axis(ax: Axes) -> None:
    """A logarithmic x axis with a few plain numbers, more of them where it spans less than a decade. Call it last."""
    low, high = ax.get_xlim()
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(
        LogLocator(base=10, subs=(1.0, 2.0, 5.0) if high > 10 * low else (1.0, 2.0, 3.0, 5.0, 7.0))
    )
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def legend_below(fig: Figure, axes, columns: int = 6) -> None:
    """One legend for all panels, below them."""
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(len(handles), columns))
