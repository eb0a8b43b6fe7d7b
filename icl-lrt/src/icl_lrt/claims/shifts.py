"""Inputs moved as training never moved them (claim C4)."""

from icl_lrt.checks.shifts import accuracy, correlation, loses, prior, repaired, rules, unmoved
from icl_lrt.claims.sources import FILES, OURS
from repro_shared.claims import Claim

OOD = {"experiment": "ood", "figure": "shift"}

SHIFTS: list[Claim] = [
    Claim(
        id="C4-loses", statement="Task A: a shift of sigma_k = 9 instead of 3 costs accuracy", published=13.7,
        unit="points", check=loses("A"), **FILES, **OOD,
    ),
    Claim(
        id="C4-accuracy", statement="Accuracy at sigma_k = 9 (within the published t-interval)", published=0.6465,
        unit="", check=accuracy, **FILES, **OOD,
    ),
    Claim(
        id="C4-correlation",
        statement="The logit follows the log-likelihood ratio less closely: Pearson's r at sigma_k = 3 minus that at 9",
        published=0.29, unit="", check=correlation, source="author's figures, seed 0", kind="published", **OOD,
    ),
    Claim(
        id="C4-rules",
        statement="It need not: LDA and the Bayes predictive lose nothing (half a point), the worst of all seeds",
        unit="points", check=rules, **OURS, **OOD,
    ),
    Claim(
        id="C4-prior",
        statement="Nor does a wrong belief explain it: Bayes that believes in sigma_k = 3 loses nothing, worst seed",
        unit="points", check=prior, **OURS, **OOD,
    ),
    Claim(
        id="C4-centred",
        statement="Subtracting the context's mean at test time repairs it: what is still lost (below 1 point)",
        unit="points", check=repaired("A"), **OURS, **OOD,
    ),
    Claim(
        id="C4-equivariant",
        statement="The repaired network's scores do not depend on sigma_k at all (to rounding), the most any moves",
        source="our derivation", kind="identity", published=None, unit="nats", check=unmoved, **OOD,
    ),
    Claim(
        id="C4-scale", statement="Task B: doubling all inputs costs accuracy", unit="points", check=loses("B"), **OURS,
        **OOD,
    ),
    Claim(
        id="C4-rescaled",
        statement="Bringing the context to training's root mean square repairs it: what is still lost (below 1 point)",
        unit="points", check=repaired("B"), **OURS, **OOD,
    ),
]  # fmt: skip
