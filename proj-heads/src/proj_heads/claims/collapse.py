"""Collapse and escape, conditioning and time scales while SimSiam trains (claims C5 to C7).

Heads are judged one by one. "Escape" is said of SGD from the authors' start, of SGD from representations that have
collapsed, and of gradient flow; these are different statements, and their claims are apart.
"""

from proj_heads.checks.collapse import (
    control_escapes,
    escape,
    faster,
    parity,
    prevented,
    rescued,
    spared,
    together,
    true_escape,
)
from proj_heads.checks.flow import (
    flow_escape,
    flow_growth,
    flow_no_less_often,
    flow_singular,
    flow_small_steps,
    foretold,
)
from proj_heads.claims.sources import FILES, OURS, stated
from repro_shared.claims import Claim

SMOOTH = ("gelu", "swish")
HEADS = {"linear": "Linear", "relu": "ReLU", "gelu": "GELU", "swish": "Swish"}
"""Activation -> name at the start of a sentence."""
RISES = {
    "linear": "std times 16.8 (0.21 to 44)",
    "relu": "std times 0.11 (0.10 to 0.12)",
    "gelu": "std times 6.4 (5.6 to 7.7)",
    "swish": "std times 4.5 (3.0 to 6.3)",
}
"""Activation -> what the author's files have: last epoch over first, mean and range of three seeds."""
CONTRARY = {"linear": " In the author's own runs two of three seeds rise."}
"""Activation -> where they contradict the statement."""
TIMESCALES = {"linear": 118.5, "relu": 2544.0, "gelu": 56.3, "swish": 90.3}
"""Activation -> relative update of the head over that of the backbone, without batch norm."""
MEDIANS = {"linear": "34 to 75", "relu": "81 to 89", "gelu": "2.8 to 4.2", "swish": "4.5 to 10"}
"""Activation -> the same of medians over epochs, which we took from the author's files (ResNet-18, three seeds)."""


UNTIL = "by t = 300"
"""How long paths of `default` are (2,000 in `paper`)."""


def _escapes(head: str, way: str) -> str:
    return f"{HEADS[head]} heads {'escape' if head in SMOOTH else 'do not escape'} {way} (most runs)"


STATISTICS = (("", "timescale", "mean over steps"), ("-median", "timescale_median", "median step"))
"""Suffix of the id, column and name of the two ways to sum up relative updates."""
CONTROL = {"source": "our control of the claim", "kind": "derived", "published": None}

COLLAPSE: list[Claim] = [
    # C5: collapse and escape, by SGD
    *(
        Claim(
            id=f"C5-{head}", statement=_escapes(head, "from pseudo-collapse by SGD, without batch norm"),
            published=rise, unit="% of runs", experiment="collapse", figure="ends",
            check=escape(head in SMOOTH, CONTRARY.get(head, ""), activation=head), **FILES,
        )
        for head, rise in RISES.items()
    ),
    Claim(
        id="C5-small-rate",
        statement="Smooth heads need no large steps: Swish heads escape at a tenth of the rate, in as many steps (most "
        "runs)",
        published="std times 0.57 (0.56 to 0.59)", unit="% of runs", experiment="collapse", figure="ends",
        check=escape(True, " As many steps are a tenth of the time. The author's runs do not rise either.",
                     activation="swish", lr=0.005),
        **FILES,
    ),
    Claim(
        id="C5-large-rate",
        statement="Large steps rescue ReLU heads: runs at ten times the rate that end collapsed (fewer than half)",
        published="std times 0.03 (0.03 to 0.04)", unit="% of runs", experiment="collapse", figure="ends",
        check=rescued(" The author's runs fall further than at the base rate.", activation="relu", lr=0.5), **FILES,
    ),
    Claim(
        id="C5-norm",
        statement="Batch norm prevents the collapse of ReLU heads (the paper: rescues): runs with it that are "
        "collapsed at any time (fewer than half)",
        published="std times 0.78 (0.61 to 0.97)", unit="% of runs", experiment="collapse", figure="ends",
        check=prevented(activation="relu", norm=True), **FILES,
    ),
    Claim(
        id="C5-start",
        statement="Heads that are not scaled at the start (alpha = 1) do not collapse: ReLU or Swish (fewer than half)",
        unit="% of seeds", experiment="collapse", figure="ends", check=spared, **OURS,
    ),
    *(
        Claim(
            id=f"C5-true-{head}", statement=_escapes(head, "from collapsed representations by SGD"),
            unit="% of runs", experiment="collapse", figure="ends",
            check=true_escape(head in SMOOTH, head),
            **stated("theorem 4.1, section 4.2; the start is ours"),
        )
        for head in HEADS
    ),
    Claim(
        id="C5-true-control",
        statement="Control: where the objective drives outputs apart (InfoNCE) all heads escape from collapsed "
        "representations by SGD, in a tenth of the steps (most seeds)",
        unit="% of seeds", experiment="collapse", figure="ends", check=control_escapes, **OURS,
    ),
    # C5: by gradient flow
    *(
        Claim(
            id=f"C5-flow-{head}",
            statement=_escapes(head, f"from collapsed representations along gradient flow, {UNTIL}"),
            unit="% of runs", experiment="flow", figure="growth", check=flow_escape(head in SMOOTH, head),
            **stated("theorem 4.1, section 4.2; the start is ours"),
        )
        for head in HEADS
    ),
    Claim(
        id="C5-flow-growth",
        statement=f"Gradient flow lets differences grow behind smooth heads: spread {UNTIL} over that at the start",
        unit="times", experiment="flow", figure="growth", check=flow_growth(True, "gelu", "swish"),
        **stated("theorem 4.1"),
    ),
    Claim(
        id="C5-flow-decay",
        statement="And not behind linear and ReLU heads: the same quotient, below 1",
        unit="times", experiment="flow", figure="growth", check=flow_growth(False, "linear", "relu"),
        **stated("theorem 4.1, section 4.2"),
    ),
    Claim(
        id="C5-flow-singular",
        statement="From the authors' start gradient flow ends where a predictor output vanishes: seeds of which the "
        "paths of all heads but ReLU find an end and a zero there as the limit of stiffness rises (most)",
        unit="% of seeds", experiment="flow", figure="singular", check=flow_singular, **OURS,
    ),
    Claim(
        id="C5-flow-steps",
        statement=f"Gradient flow escapes no less often than steps as long as those of SGD (0.5), {UNTIL}: share of "
        "paths minus share of descents, above -10",
        unit="% points", experiment="flow", figure="escapes", check=flow_no_less_often, **OURS,
    ),
    Claim(
        id="C5-flow-small-steps",
        statement=f"Steps of 0.05 end where gradient flow does: factor between their growth {UNTIL}, either way, below "
        "1.1 (paths that last)",
        unit="times", experiment="flow", figure="growth", check=flow_small_steps, **OURS,
    ),
    *(
        Claim(
            id=f"C5-flow-foretold-{name}",
            statement=f"The linearised stop-gradient field {when} foretells how much differences grow {UNTIL}: rank "
            "correlation of its rate with growth, above 0.5 (paths that last)",
            unit="rank correlation", experiment="flow", figure="growth", check=foretold(f"rate_{name}"), **OURS,
        )
        for name, when in (("start", "at the start"), ("settled", "once the predictor has settled"))
    ),
    # C6: spread and conditioning
    Claim(
        id="C6-condition",
        statement="The spread and the published condition number of the head's outputs move together along training",
        published=0.99, unit="rank correlation", experiment="collapse", figure="rank",
        check=together("condition", True), **FILES,
    ),
    Claim(
        id="C6-rank",
        statement="So conditioning worsens as the spread grows: correlation of the spread with effective rank, below 0",
        unit="rank correlation", experiment="collapse", figure="rank", check=together("effective_rank", False),
        source="our measure of conditioning", kind="derived", published=None,
    ),
    # C7: time scales
    *(
        Claim(
            id=f"C7-{head}",
            statement=f"{HEADS[head]} heads without batch norm move much faster than the backbone (ten times): "
            "relative updates, head over backbone",
            published=ratio, unit="times", experiment="collapse", figure="updates", check=faster(activation=head),
            **FILES,
        )
        for head, ratio in TIMESCALES.items()
    ),
    *(
        Claim(
            id=f"C7-parity-{head}",
            statement=f"{HEADS[head]} heads with batch norm move as fast as the backbone (within a factor of 3)",
            published=ratio, unit="times", experiment="collapse", figure="updates",
            check=parity(activation=head, norm=True), **FILES,
        )
        for head, ratio in (("relu", 0.93), ("swish", 0.91))
    ),
    *(
        Claim(
            id=f"C7-start-{head}",
            statement=f"Without the authors' start, too: {HEADS[head]} heads, alpha = 1, no batch norm (ten times)",
            unit="times", experiment="collapse", figure="updates", check=faster(activation=head, collapse="none"),
            **CONTROL,
        )
        for head in ("relu", "swish")
    ),
    *(
        Claim(
            id=f"C7-{head}-median",
            statement=f"Also at the median step, which the first steps do not decide: {HEADS[head]} heads (ten times)",
            published=ratio, unit="times", experiment="collapse", figure="updates",
            check=faster("timescale_median", activation=head), **FILES,
        )
        for head, ratio in MEDIANS.items()
    ),
    *(
        Claim(
            id=f"C7-true-{head}{suffix}",
            statement=f"From collapsed representations, too: {HEADS[head]} heads, not scaled, no batch norm, {of} "
            "(ten times)",
            unit="times", experiment="collapse", figure="updates",
            check=faster(statistic, activation=head, collapse="mean_shift"), **CONTROL,
        )
        for head in HEADS
        for suffix, statistic, of in STATISTICS
    ),
]  # fmt: skip
