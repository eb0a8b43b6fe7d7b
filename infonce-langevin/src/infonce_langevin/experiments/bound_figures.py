"""Figure of the finite-time bound."""

from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """The finest grid."""
    curves = results.curves[results.curves["size"] == results.curves["size"].max()]
    fig, ax = figure(
        "single",
        caption="Probability of U >= min U + eps at time t on the anchor's circle, beta = c ln(t + 2), uniform "
        "start: exact "
        "(solid) and our bound (dashed), by c d*. The grey line is the recommended rate. Above c d* = 1 the bound says "
        f"nothing. eps = {curves['eps'].iloc[0]:g}, grid of {curves['size'].iloc[0]} nodes.",
    )
    chosen = set(results.table.loc[results.table["recommended"].astype(bool), "ratio"])
    for place, (ratio, rows) in enumerate(curves.groupby("ratio")):
        color = "#888888" if ratio in chosen else PALETTE[place]
        ax.plot(rows["step"], rows["exact"], color=color, label=f"{ratio:.3g}")
        ax.plot(rows["step"], rows["bound"], "--", color=color)
    ax.set(xscale="log", yscale="log", xlabel="time t", ylabel="probability of failure", ylim=(None, 1.3))
    ax.legend(title="c d*")
    return {"bound": fig}
