"""Figures of corrected KdV."""

from matplotlib.figure import Figure

from pinn_scaling.experiments.appearance import PROBLEMS, against_kappa, bands, exponents, kappa_colors, seeds
from repro_shared.plotting import figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Errors and exponents; bands."""
    table = results.table.astype({"error": float})
    fig, (left, middle, right) = figure(
        "double", 1, 3, height=2.6,
        caption="KdV with a soliton that is a solution, tanh. Left: arithmetic means over seeds. Middle: exponent at "
        "each kappa, one fit per seed, with 95 % t-intervals. Right: one dot per seed and geometric means.",
    )  # fmt: skip
    against_kappa(left, table)
    if table["width"].nunique() > 1:
        exponents(middle, table, "tanh", color=PROBLEMS["kdv"][1], marker="o", linestyle="--")
    colors = kappa_colors(table["kappa"])
    for kappa, own in table.groupby("kappa"):
        seeds(right, sorted(table["width"].unique()), own, "error", color=colors[kappa], marker="o", label=f"{kappa:g}")
    left.set_ylabel("relative error")
    middle.set_ylabel(r"$\alpha(\kappa)$")
    left.legend()
    right.legend(title=r"$\kappa$", ncols=2)
    spectral, ax = figure(
        "single", height=2.8,
        caption="Relative error per band of frequencies along x, corrected KdV, widest network.",
    )  # fmt: skip
    bands(ax, results, table)
    ax.set_ylabel("relative error")
    return {"kdv": fig, "bands": spectral}
