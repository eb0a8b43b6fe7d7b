"""Figures of the systems with a trap."""

import numpy as np
from matplotlib.figure import Figure

from infonce_langevin.experiments.appearance import REFERENCE, line, seeds
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Whichever parts there are."""
    parts = set(results.table["part"])
    drawn = {"time": _time, "transition": _transition, "landscapes": _landscapes}
    needs = {"time": {"exact"}, "transition": {"exact", "chains", "square"}, "landscapes": {"depth"}}
    return {name: drawn[name](results) for name in drawn if needs[name] <= parts}


def _time(results: Results) -> Figure:
    curves = results.curves[(results.curves["kind"] == "trap") & (results.curves["tau"] == 0)]
    couplings = [name for name in ("decoupled", "literal") if name in set(curves["coupling"])]
    finest = curves["size"].max()
    fig, axes = figure(
        "double", 1, len(couplings), squeeze=False, sharey=True,
        caption="Exact probability to be in the trap of the anchor on the circle at time t, from the trap, beta = "
        "c ln(t + 2), by c / c*. Left: beta in the noise alone; up to c* it tends to 0, above it stays. Right: one "
        "beta "
        f"in loss and noise, as the paper writes it: stuck below c*, too. Grid of {finest} nodes.",
    )  # fmt: skip
    for ax, coupling in zip(axes[0], couplings, strict=True):
        held = curves[(curves["coupling"] == coupling) & (curves["size"] == finest)]
        for place, (ratio, rows) in enumerate(held.groupby("ratio")):
            shown = rows[rows["trapped"] > 0]
            ax.plot(shown["step"], shown["trapped"], color=PALETTE[place % 8], label=f"{ratio:g}")
        ax.set(xscale="log", yscale="log", ylim=(1e-5, 1.2), xlabel="time t", title=coupling)
        ax.legend(title="c / c*", ncols=2)
    axes[0, 0].set_ylabel("probability in the trap")
    return fig


def _transition(results: Results) -> Figure:
    table = results.table
    exact = table[(table["part"] == "exact") & (table["coupling"] == "decoupled") & (table["kind"] == "trap")]
    exact = exact[exact["size"] == exact["size"].max()]
    chains, square = (table[table["part"] == part] for part in ("chains", "square"))
    fig, (left, right) = figure(
        "double", 1, 2, sharey=True,
        caption="Share in the trap against c / c*, from the trap. Left: the anchor on the circle, at the end of the "
        "exact "
        f"law (T = {exact['horizon'].max():g}) and at T = {chains['horizon'].max():g} by chains (dots) and exactly "
        f"(line). Right: four free points from the interleaved square, chains, T = {square['horizon'].max():g}. The "
        f"critical rate is that of the deepest trap by minimax paths. {seeds(chains)}",
    )  # fmt: skip
    for place, (tau, rows) in enumerate(exact.groupby("tau")):
        rows = rows.sort_values("ratio")
        left.plot(rows["ratio"], rows["last"], "o-", color=PALETTE[place], label=f"exact, tau = {tau:g}, late")
    early = chains.groupby("ratio")["exact"].mean()
    left.plot(early.index, early, color=PALETTE[2], label="exact, tau = 0, early")
    line(left, chains, "ratio", "trapped_at_end", PALETTE[2], "D", label="chains, tau = 0, early")
    line(right, square, "ratio", "trapped_at_end", PALETTE[3], "s-", label="four free points")
    for ax in (left, right):
        ax.axvline(1, **REFERENCE)
        ax.set(xlabel="c / c*", ylim=(-0.02, 1.02))
        ax.legend()
    left.set_ylabel("share in the trap")
    return fig


def _landscapes(results: Results) -> Figure:
    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.oracles.landscapes import circle

    depths = results.table[results.table["part"] == "depth"].set_index("kind")["depth"]
    fig, (left, right) = figure(
        "double", 1, 2,
        caption="Landscapes on the circle, and the measured depth of their traps. Left: one point at the angle phi "
        "from "
        "its positive, negatives at +-90 degrees. Right: four free points, hard energy, along the lowest way out of "
        "the "
        "interleaved square: gaps of 90 degrees -a, -a, +a, +a.",
    )  # fmt: skip
    for place, (tau, kind) in enumerate(((0.0, "anchor, hard"), (0.2, "anchor, tau .2"))):
        landscape = circle(FrozenAnchor(tau), 720)
        label = f"tau = {tau:g}, depth {depths[kind]:.4f}"
        left.plot(
            np.degrees(landscape.angles[:, 0]) - 180, np.roll(landscape.energy, 360), color=PALETTE[place], label=label
        )
    a = np.linspace(0, np.pi / 2, 200)
    along = 1 - np.sin(a) ** 2 + np.sin(a) / 2
    right.plot(np.degrees(a), along, color=PALETTE[3], label=f"depth {depths['square, hard']:.4f}")
    left.set(xlabel="phi, degrees", ylabel="U", xticks=range(-180, 181, 90))
    right.set(xlabel="a, degrees", ylabel="U")
    for ax in (left, right):
        ax.legend()
    return fig
