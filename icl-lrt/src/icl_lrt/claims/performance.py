"""What trained networks decide: the log-likelihood ratio, two yardsticks, kernel smoothers (claims C1 to C3 and C5)."""

from icl_lrt.checks.performance import (
    accuracy,
    ceiling,
    control,
    correlation,
    fair,
    gap,
    information,
    kernel,
    monotone,
    partial,
    regret,
)
from icl_lrt.claims.sources import CHECKPOINTS, FIGURES, FILES, OURS
from repro_shared.claims import Claim

REGULAR = {"experiment": "regular"}
TASKS = {"A": "Task A", "B": "Task B"}
CORRELATIONS = {
    ("A", "pearson"): 0.859, ("A", "spearman"): 0.862, ("B", "pearson"): 0.597, ("B", "spearman"): 0.976,
}  # fmt: skip
NAMES = {"pearson": "Pearson's r", "spearman": "Spearman's rho"}
MONOTONE = {"A": 0.924, "B": 0.985}
"""Mean of three published networks: .955, .944, .873 and .979, .990, .987."""
REGRETS = {"A": 0.0233, "B": 0.0078}
"""Mean of three published networks, nats: .0114, .0185, .0398 and .0099, .0059, .0075."""

RATIO: list[Claim] = [
    # C1: the log-likelihood ratio
    *(
        Claim(
            id=f"C1-{task}-{name}",
            statement=f"{TASKS[task]}: the logit follows the log-likelihood ratio, {NAMES[name]} (within .03)",
            published=published, unit="", figure="scatter", check=correlation(task, name, published),
            **FIGURES, **REGULAR,
        )
        for (task, name), published in CORRELATIONS.items()
    ),
    *(
        Claim(
            id=f"C1-{task}-ceiling",
            statement=f"{TASKS[task]}: what keeps the ranks apart is the context: Spearman's rho of the Bayes "
            "predictive minus the network's (below .05)",
            unit="", figure="scatter", check=ceiling(task), **OURS, **REGULAR,
        )
        for task in TASKS
    ),
    *(
        Claim(
            id=f"C1-{task}-monotone",
            statement=f"{TASKS[task]}: the logit is an increasing function of the Bayes log-odds (isotonic R^2 above "
            ".9)",
            published=MONOTONE[task], unit="R^2", figure="scatter", check=monotone(task), **CHECKPOINTS, **REGULAR,
        )
        for task in TASKS
    ),
    # C2: task B and the oracle
    Claim(
        id="C2-accuracy", statement="Task B: accuracy (within 1.5 points)", published=0.8295, unit="",
        figure="performance", check=accuracy("B", 0.8295), **FILES, **REGULAR,
    ),
    Claim(
        id="C2-oracle",
        statement="Task B: the network matches the oracle (less than half a point below it)",
        published=1.03, unit="points", figure="performance", check=gap("B", "oracle", supported_below=0.5),
        source="abstract; author's result files against the exact oracle, .8398", kind="published", **REGULAR,
    ),
    Claim(
        id="C2-bayes",
        statement="Task B: it matches the best rule that sees the context alone (less than half a point below Bayes)",
        published=0.13, unit="points", figure="performance", check=gap("B", "bayes", supported_below=0.5),
        **CHECKPOINTS, **REGULAR,
    ),
    Claim(
        id="C2-regret",
        statement="Task B: regret to Bayes is no larger than the published networks'",
        published=REGRETS["B"], unit="nats", figure="performance", check=regret("B", supported_below=REGRETS["B"]),
        **CHECKPOINTS, **REGULAR,
    ),
    Claim(
        id="C2-not-bayes", statement="Task B: and yet it is regret: the network is not the Bayes predictive (above 0)",
        published=REGRETS["B"], unit="nats", figure="performance", check=regret("B", supported_above=0.0),
        **CHECKPOINTS, **REGULAR,
    ),
    # C3: task A and the oracle
    Claim(
        id="C3-accuracy", statement="Task A: accuracy (within 1.5 points)", published=0.7833, unit="",
        figure="performance", check=accuracy("A", 0.7833), **FILES, **REGULAR,
    ),
    Claim(
        id="C3-oracle", statement="Task A: the network stays below the oracle", published=5.8, unit="points",
        figure="performance", check=gap("A", "oracle", supported_above=0.0), **FILES, **REGULAR,
    ),
    Claim(
        id="C3-information",
        statement="Most of that gap is what no rule can know from 32 points (above half)",
        published="69 to 91", unit="%", figure="performance", check=information, **CHECKPOINTS, **REGULAR,
    ),
    Claim(
        id="C3-regret",
        statement="Task A: regret to Bayes is no larger than the published networks'",
        published=REGRETS["A"], unit="nats", figure="performance", check=regret("A", supported_below=REGRETS["A"]),
        **CHECKPOINTS, **REGULAR,
    ),
]  # fmt: skip

KERNELS: list[Claim] = [
    Claim(
        id="C5-kernel",
        statement="The network is not a fixed kernel smoother: r with the published one is low (.314, within .05)",
        published=0.314, unit="", figure="kernels", check=kernel, **FIGURES, **REGULAR,
    ),
    Claim(
        id="C5-control",
        statement="That r says nothing: the Bayes predictive, which is no smoother, has the same (within .05)",
        published=-0.02, unit="", figure="kernels", check=control, **CHECKPOINTS, **REGULAR,
    ),
    *(
        Claim(
            id=f"C5-fair-{task}",
            statement=f"{TASKS[task]}: by the published reasoning a fair kernel would pass for the network (r > .5)",
            published=r, unit="", figure="kernels", check=fair(task), **CHECKPOINTS, **REGULAR,
        )
        for task, r in (("A", 0.80), ("B", 0.88))
    ),
    *(
        Claim(
            id=f"C5-partial-{task}-{which}",
            statement=f"{TASKS[task]}: given the Bayes log-odds, {name} kernel tells no more of the logit (partial r "
            "within .1 of 0)",
            unit="", figure="kernels", check=partial(task, which), **OURS, **REGULAR,
        )
        for task, which, name in (("A", "dot", "the published"), ("A", "fair", "a fair"), ("B", "fair", "a fair"))
    ),
]  # fmt: skip
