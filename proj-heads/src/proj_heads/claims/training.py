"""Collapse and escape, curvature and time scales while SimSiam trains (claims C4 to C7).

Heads are judged one by one. "Escape" is said of SGD from the authors' start, of SGD from representations that have
collapsed, and of gradient flow; these are different statements, and their claims are apart.
"""

from proj_heads.checks.collapse import (
    escape,
    faster,
    flow_escape,
    flow_growth,
    flow_singular,
    parity,
    rescued,
    spared,
    together,
)
from proj_heads.checks.training import sign_tells, smooth_heads, spread_and_condition, straight_heads
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


def _escapes(head: str, way: str) -> str:
    return f"{HEADS[head]} heads {'escape' if head in SMOOTH else 'do not escape'} {way} (most runs)"


TRAINING: list[Claim] = [
    # C4: negative curvature while SimSiam trains
    Claim(
        id="C4-straight-training",
        statement="While SimSiam trains, linear and ReLU heads have no negative eigenvalue under the squared error",
        unit="of 64", experiment="hessian", figure="negative", check=straight_heads,
        **stated("theorem 4.1"),
    ),
    Claim(
        id="C4-smooth-training",
        statement="And smooth heads have many (10 or more)",
        unit="of 64", experiment="hessian", figure="negative", check=smooth_heads, **stated("theorem 4.1"),
    ),
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
        statement="Smooth heads need no large steps: Swish heads escape at a tenth of the rate (most runs)",
        published="std times 0.57 (0.56 to 0.59)", unit="% of runs", experiment="collapse", figure="ends",
        check=escape(True, " As many steps: a tenth of the time. The author's runs do not rise either.",
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
        statement="Batch norm rescues ReLU heads: runs with it that end collapsed (fewer than half)",
        published="std times 0.78 (0.61 to 0.97)", unit="% of runs", experiment="collapse", figure="ends",
        check=rescued(activation="relu", norm=True), **FILES,
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
            check=escape(head in SMOOTH, activation=head, collapse="mean_shift"),
            **stated("theorem 4.1, section 4.2; the start is ours"),
        )
        for head in HEADS
    ),
    # C5: by gradient flow
    *(
        Claim(
            id=f"C5-flow-{head}", statement=_escapes(head, "from collapsed representations along gradient flow"),
            unit="% of runs", experiment="flow", figure="growth", check=flow_escape(head in SMOOTH, head),
            **stated("theorem 4.1, section 4.2; the start is ours"),
        )
        for head in HEADS
    ),
    Claim(
        id="C5-flow-growth",
        statement="Gradient flow lets differences grow behind smooth heads: spread at the end over that at the start",
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
        statement="From the authors' start gradient flow ends where a predictor output vanishes (all heads but ReLU): "
        "stiffness over that taken for singular, least path",
        unit="times", experiment="flow", figure="singular", check=flow_singular, **OURS,
    ),
    # C6: the author's Hessian tracker
    Claim(
        id="C6-sign",
        statement="The sign of the lowest eigenvalue tells smooth heads from ReLU while SimSiam trains: negative "
        "eigenvalues of linear and ReLU heads under the cosine loss, none (.05)",
        published="epochs with lambda_min < 0: Swish 69 and 72 of 100, ReLU 1 (by an estimator that misses them)",
        unit="per sample", experiment="hessian", figure="lowest", check=sign_tells, **FILES,
    ),
    Claim(
        id="C6-spread",
        statement="Standard deviation and condition number of the representation move together (Swish)",
        published="0.34 and 0.61", unit="rank correlation", experiment="hessian", figure="spread",
        check=spread_and_condition, **FILES,
    ),
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
            source="our control of the claim", kind="derived", published=None,
        )
        for head in ("relu", "swish")
    ),
]  # fmt: skip
