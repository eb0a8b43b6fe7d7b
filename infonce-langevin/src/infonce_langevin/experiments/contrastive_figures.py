"""Figures of contrastive training."""

import numpy as np
from matplotlib.figure import Figure

from infonce_langevin.experiments.appearance import PUBLISHED, mean_of, seeds
from infonce_langevin.experiments.contrastive import PLANS
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

PUBLISHED_ACCURACY = {"tau 1": 37.02, "tau 1e-6": 39.49, "published log": 46.83, "published sqrt": 46.71}
"""CIFAR-10, ResNet-18, SGD."""
OPTIMIZERS = {"adam": ("Adam", PALETTE[0]), "sgd": ("SGD", PALETTE[1])}


def draw(results: Results) -> dict[str, Figure]:
    """Whichever plans there are."""
    table = results.table[~results.table["diverged"].astype(bool)]
    lost = len(results.table) - len(table)
    left_out = f" {lost} runs that diverged are left out." if lost else ""
    fig, (left, right) = figure(
        "double", 1, 2, height=3.2,
        caption="Left: accuracy of a linear probe on the backbone, minus that of the same network without training, "
        "paired by seed. White diamonds: the published numbers minus that of their fixed tau = 1, on other data and "
        f"networks. Right: alignment and uniformity of the head's outputs. {table['data'].iloc[0]}. {seeds(table)}"
        f"{left_out}",
    )  # fmt: skip
    random = table[table["plan"] == "random"].set_index("seed")["accuracy"]
    plans = [plan for plan in PLANS if plan != "random" and plan in set(table["plan"])]
    for place, (optimizer, (name, color)) in enumerate(OPTIMIZERS.items()):
        trained = table[(table["optimizer"] == optimizer) & (table["plan"] != "random")]
        shown = [plan for plan in plans if plan in set(trained["plan"])]
        rows = [trained[trained["plan"] == plan].set_index("seed") for plan in shown]
        gains = [held["accuracy"] - random.reindex(held.index) if len(random) else held["accuracy"] for held in rows]
        means, low, high = np.array([mean_of(values) for values in gains]).T if shown else np.zeros((3, 0))
        at = [plans.index(plan) + 0.2 * place - 0.1 for plan in shown]
        left.errorbar(
            at, means, yerr=np.nan_to_num([means - low, high - means]), fmt="o", color=color, capsize=2, label=name
        )
        for plan, held in zip(shown, rows, strict=True):
            x, y = held["alignment"].mean(), held["uniformity"].mean()
            right.plot([x], [y], "o", color=color)
            right.annotate(plan, (x, y), fontsize=6, xytext=(3, 2), textcoords="offset points")
    known = [plan for plan in plans if plan in PUBLISHED_ACCURACY]
    base = PUBLISHED_ACCURACY["tau 1"]
    left.plot([plans.index(plan) for plan in known], [PUBLISHED_ACCURACY[plan] - base for plan in known], **PUBLISHED)
    left.axhline(0, color="black", linewidth=0.8)
    left.set_xticks(range(len(plans)), plans, rotation=50, ha="right")
    left.set_ylabel("probe accuracy gained, points")
    left.legend()
    right.set(xlabel="alignment", ylabel="uniformity")
    return {"accuracy": fig}
