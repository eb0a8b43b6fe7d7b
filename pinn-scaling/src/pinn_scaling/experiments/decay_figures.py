"""Figure of the falling rate."""

from matplotlib.figure import Figure

from pinn_scaling import published
from pinn_scaling.experiments.appearance import PROBLEMS, PUBLISHED, kappa_colors, seeds
from repro_shared.plotting import figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Errors against width."""
    table = results.table.astype({"error": float})
    problems = list(dict.fromkeys(table["pde"]))
    fig, axes = figure(
        "double", 1, len(problems), height=2.6, squeeze=False,
        caption="A rate that falls over the second half of the steps, all else as published: one dot per seed and "
        "geometric means, by kappa. Open: the author's means, with the constant rate.",
    )  # fmt: skip
    for ax, pde in zip(axes[0], problems, strict=True):
        own = table[table["pde"] == pde]
        colors, widths = kappa_colors(own["kappa"]), sorted(own["width"].unique())
        theirs = published.errors(pde, "tanh")
        for kappa, rows in own.groupby("kappa"):
            seeds(ax, widths, rows, "error", color=colors[kappa], marker="o", label=f"{kappa:g}")
            means = theirs[(theirs["kappa"] == kappa) & theirs["width"].isin(widths)]
            ax.plot(means["width"], means["err"], "o:", **PUBLISHED | {"color": colors[kappa]})
        ax.set_title(PROBLEMS[pde][0])
        ax.legend(title=r"$\kappa$")
    axes[0, 0].set_ylabel("relative error")
    return {"decay": fig}
