"""What networks need (claim C8), how long they sit at chance, and how many points and layers help (ours)."""

from icl_lrt.checks.ablations import (
    chance,
    collapses,
    escapes,
    follows,
    gains,
    gains_beyond,
    later,
    lost,
    more_layers,
    one_layer,
    same,
    second_layer,
    spread,
)
from icl_lrt.claims.sources import FILES, OURS
from repro_shared.claims import Claim

TASKS = {"A": "Task A", "B": "Task B"}
CHANCE = {
    "no_labels": ("without labels", 0.5020),
    "shuffled_labels": ("with labels shuffled against their points", 0.4962),
    "frozen_qk": ("with frozen queries and keys", 0.4957),
    "frozen_attention": ("with frozen attention", 0.5040),
    "interleaved": ("with points and labels as tokens of their own", 0.4941),
}
"""Row -> how it is said, and its published accuracy."""
IRRELEVANT = {
    "no_pos": ("Positions", 0.15),
    "frozen_pos": ("Trained positions", 0.25),
    "shuffled_context": ("The order of the context", 0.33),
}
"""Row -> what is taken away, and the published loss in points."""
NOISE = {"0.2": 0.5332, "0.4": 0.4965}
"""Share of flipped labels -> published accuracy."""

NEEDS: list[Claim] = [
    *(
        Claim(
            id=f"C8-{row.replace('_', '-')}", statement=f"Accuracy is at chance {how} (within 2 points)",
            published=published, unit="", experiment="ablations", figure="regret", check=chance(row),
            source="our derivation; author's result files" if row == "no_labels" else FILES["source"],
            kind="theorem" if row == "no_labels" else "published",
        )
        for row, (how, published) in CHANCE.items()
    ),
    *(
        Claim(
            id=f"C8-{row.replace('_', '-')}", statement=f"{what} can be taken away: what it costs (below 1 point)",
            published=published, unit="points", experiment="ablations", figure="regret",
            check=lost(row, supported_below=1.0), **FILES,
        )
        for row, (what, published) in IRRELEVANT.items()
    ),
    Claim(
        id="C8-noise-0.1", statement="Flipping a tenth of the context's labels in training costs accuracy",
        published=8.1, unit="points", experiment="ablations", figure="regret",
        check=lost("noisy_labels_p0.1", supported_above=0.0), **FILES,
    ),
    *(
        Claim(
            id=f"C8-noise-{p}",
            statement=f"With a share of {p[1:]} flipped, training collapses: accuracy (below .6)",
            published=published, unit="", experiment="ablations", figure="regret",
            check=collapses(f"noisy_labels_p{p}"), **FILES,
        )
        for p, published in NOISE.items()
    ),
    # C8: the collapse is a plateau
    Claim(
        id="C8-plateau-escape",
        statement="Networks trained with .2 flipped leave the plateau when given steps enough (most runs)",
        unit="% of runs", experiment="plateau", figure="escape", check=escapes("noisy_labels_p0.2"), **OURS,
    ),
    Claim(
        id="C8-plateau-noise", statement="Noise makes the plateau longer: steps to the escape over those without noise",
        unit="times", experiment="plateau", figure="escape", check=later("noisy_labels_p0.2"), **OURS,
    ),
    Claim(
        id="C8-plateau-seeds",
        statement="The seed decides when: without noise the latest escape over the earliest (at least 1.5)",
        published=1.83, unit="times", experiment="plateau", figure="escape", check=spread, **FILES,
    ),
    # C8: a longer context
    Claim(
        id="C8-context-published", statement="Positions for 64 points with 32 shown change nothing (within 1 point)",
        published=2.4, unit="points", experiment="ablations", figure="regret", check=same("context_increase"), **FILES,
    ),
    Claim(
        id="C8-context-64", statement="Points that are really shown help: accuracy with 64 minus that with 32",
        unit="points", experiment="context_length", figure="length", check=gains, **OURS,
    ),
    Claim(
        id="C8-context-bayes",
        statement="Networks trained with n = 4 to 128 points follow the Bayes predictive: the widest gap (below 2 "
        "points)",
        unit="points", experiment="context_length", figure="length", check=follows, **OURS,
    ),
    Claim(
        id="C8-context-any",
        statement="A network without positions makes use of more points than it was trained with: accuracy with 128 "
        "minus that with as many",
        unit="points", experiment="context_length", figure="length", check=gains_beyond, **OURS,
    ),
]  # fmt: skip

DEPTH: list[Claim] = [
    Claim(
        id="C6-depth-one-layer",
        statement="If task A votes in the first layer and task B needs a second, one layer goes further in A: share of "
        "the way from guessing to Bayes, A minus B",
        unit="points", experiment="depth", figure="depth", check=one_layer,
        source="our test of the reading of the lens", kind="derived", published=None,
    ),
    *(
        Claim(
            id=f"C6-depth-second-{task}", statement=f"{name}: a second layer lowers the regret",
            unit="nats", experiment="depth", figure="depth", check=second_layer(task), **OURS,
        )
        for task, name in TASKS.items()
    ),
    *(
        Claim(
            id=f"C6-depth-four-{task}",
            statement=f"{name}: two layers are enough: what four take off the regret in as many steps (below .01)",
            unit="nats", experiment="depth", figure="depth", check=more_layers(task), **OURS,
        )
        for task, name in TASKS.items()
    ),
]  # fmt: skip
