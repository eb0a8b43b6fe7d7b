"""Figure of anisotropic noise beside its controls."""

import numpy as np
from matplotlib.figure import Figure

from infonce_langevin.experiments.appearance import PUBLISHED, REFERENCE, line, mean_of, seeds
from infonce_langevin.experiments.noise import CORRECTED, MODELS
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

STYLES = {
    "isotropic": (PALETTE[6], "o-"),
    "small": (PALETTE[0], "s-"),
    "small, matched": (PALETTE[0], "x:"),
    "large": (PALETTE[1], "v-"),
    "large, matched": (PALETTE[1], "x:"),
}
FIXED = {("isotropic", 10.0): 0.8652, ("small", 10.0): 0.9712, ("large", 10.0): 0.0098, ("isotropic", 200.0): 1.0,
         ("large", 200.0): 0.9258}  # fmt: skip
"""Published share of successes at fixed beta."""


def draw(results: Results) -> dict[str, Figure]:
    """Whichever parts there are."""
    table = results.table
    curve, fixed = (table[table["part"] == part] for part in ("rates", "fixed"))
    fig, (left, right) = figure(
        "double", 1, 2,
        caption="Share of chains with U < -1.5 under anisotropic noise, and under isotropic noise of the same trace "
        "(matched). Left: against the rate c, stopped at beta = 10. Right: at fixed beta, with the Gibbs mass at the "
        "temperature that the trace says (lines), and with the drift corrected so that the Gibbs law at beta itself is "
        f"stationary. White diamonds: published. {seeds(table)}",
    )  # fmt: skip
    for kind, rows in curve.groupby("kind"):
        color, style = STYLES[kind]
        line(left, rows, "c", "success", color, style, label=kind)
    left.set(xscale="log", xlabel="rate c", ylabel="share of successes", ylim=(0, 1.02))
    if len(curve):
        left.legend()
    for place, (end, rows) in enumerate(fixed.groupby("end")):
        kinds = [kind for kind in (*MODELS, CORRECTED) if kind in set(rows["kind"])]
        for k, kind in enumerate(kinds):
            held = rows[rows["kind"] == kind]
            mean, low, high = mean_of(held["success"])
            reach = np.nan_to_num([[mean - low], [high - mean]])
            at = k + 0.3 * place - 0.15
            label = f"beta = {end:g}" if k == 0 else None
            right.errorbar([at], [mean], yerr=reach, fmt="o", color=PALETTE[2 + place], capsize=2, label=label)
            right.hlines(held["exact"].mean(), at - 0.12, at + 0.12, **REFERENCE)
            if (kind, end) in FIXED:
                right.plot([at], [FIXED[kind, end]], **PUBLISHED)
        right.set_xticks(range(len(kinds)), [kind.replace(", ", ",\n") for kind in kinds], rotation=40)
    right.set(ylim=(0, 1.02))
    if len(fixed):
        right.legend(loc="lower left")
    return {"noise": fig}
