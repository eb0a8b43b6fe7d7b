"""Figure of the tangent kernel at initialisation."""

import numpy as np
from matplotlib.figure import Figure

from pinn_scaling.experiments.appearance import PROBLEMS, width_color
from repro_shared.plotting import figure
from repro_shared.runlog import Results

LAWS = {"published": ("Xavier (published)", "-"), "spread": ("spread slopes (ours)", "--")}


def draw(results: Results) -> dict[str, Figure]:
    """Effective rank against width, and mean spectra of the first problem."""
    table = results.table
    fig, (left, right) = figure(
        "double", 1, 2, height=2.8,
        caption="Tangent kernel of the residuals at initialisation, same number of points for every width. Left: "
        "eigenvalues above 1e-6 of the largest, means over seeds; solid: the published law, dashed: slopes that do "
        "not fall with the width; two kappas each. Right: spectra of the first seed, published law.",
    )  # fmt: skip
    for (pde, kappa, law), own in table.groupby(["pde", "kappa", "law"], sort=False):
        mean = own.groupby("width")["rank"].mean()
        label = f"{PROBLEMS[pde][0]}, {kappa:g}" if law == "published" else None
        hard = kappa == table[table["pde"] == pde]["kappa"].max()
        left.plot(
            mean.index, mean, LAWS[law][1], color=PROBLEMS[pde][1], marker="o" if hard else "s", label=label,
            markersize=3,
        )  # fmt: skip
    first = table[(table["pde"] == table["pde"].iloc[0]) & (table["law"] == "published")]
    first = first[(first["kappa"] == first["kappa"].iloc[0]) & (first["seed"] == first["seed"].min())]
    for row in first.itertuples():
        values = results.array(row.Index, "eigenvalues")
        right.plot(
            np.arange(1, len(values) + 1), values / values[0], color=width_color(row.width), label=f"N = {row.width}"
        )
    right.axhline(1e-6, color="black", linewidth=0.8)
    left.set(xscale="log", xlabel="N", ylabel="effective rank")
    left.set_xticks(sorted(table["width"].unique()), [f"{width:g}" for width in sorted(table["width"].unique())])
    left.minorticks_off()
    right.set(
        yscale="log", ylim=(1e-14, 2), xlabel="eigenvalue", ylabel="over the largest",
        title=f"{PROBLEMS[table['pde'].iloc[0]][0]}",
    )  # fmt: skip
    left.legend()
    right.legend()
    return {"rank": fig}
