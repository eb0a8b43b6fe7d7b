"""Figure of the plateau: learning curves of all seeds, and the share that has left it."""

import numpy as np
from matplotlib.figure import Figure

from icl_lrt.experiments.appearance import ROWS, networks, standard
from icl_lrt.experiments.performance import ESCAPED
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Whichever rows there are."""
    table, curves = standard(results.table), standard(results.curves)
    fig, (left, right) = figure(
        "double", 1, 2, height=2.6,
        caption="Left: validation loss (contexts without noise), a line for each seed; a run has escaped below "
        f"{ESCAPED} nats (dashed), grey: guessing. Right: share of the seeds that have escaped. {networks(table)}",
    )  # fmt: skip
    held = [row for row in ROWS if (table["variant"] == row).any()]
    for row, color in zip(held, PALETTE, strict=False):
        runs = curves[curves["variant"] == row]
        for number, (_, run) in enumerate(runs.groupby("seed")):
            label = None if number else ROWS[row]
            left.plot(run["step"], run["validation_loss"], color=color, linewidth=0.8, label=label)
        rows = table[table["variant"] == row]
        end, escapes = rows["steps_done"].max(), np.sort(rows["escape_step"].dropna().astype(float))
        shares = 100 * np.arange(len(escapes) + 1) / len(rows)
        right.step([0, *escapes, end], [*shares, shares[-1]], where="post", color=color,
                   label=f"{ROWS[row]}: {len(escapes)} of {len(rows)}")  # fmt: skip
    left.axhline(ESCAPED, color="black", linestyle="--", linewidth=0.8)
    left.axhline(np.log(2), color="#888888", linewidth=0.8)
    left.set(xlabel="step", ylabel="validation loss (nats)")
    right.set(xlabel="step", ylabel="escaped (% of seeds)", ylim=(-3, 103))
    left.legend()
    right.legend(loc="lower right")
    return {"escape": fig}
