"""Finite time: our bound (claim C5), and the shape of schedules that end at the same beta (claim C8)."""

from infonce_langevin.checks.finite import (
    better,
    budget,
    exponent,
    exponential_is_best,
    log_is_worst,
    recommended,
    tight,
    valid,
)
from infonce_langevin.claims.sources import OURS
from repro_shared.claims import Claim

BOUND_RUN = {"experiment": "bound", "figure": "bound", "source": "our derivation (Holley and Stroock's argument)",
             "published": None}  # fmt: skip
EXACT = {"experiment": "shapes", "figure": "exact"}
BUDGET = {"experiment": "shapes", "figure": "budget"}

BOUND: list[Claim] = [
    Claim(
        id="C5-bound", statement="Our finite-time bound holds: bound over exact probability of failure, the least (1)",
        unit="times", kind="theorem", check=valid, **BOUND_RUN,
    ),
    Claim(
        id="C5-tight", statement="And is of use: the same quotient, the most, c d* up to .75 and t from 1,000 on (3)",
        unit="times", kind="derived", check=tight, **BOUND_RUN,
    ),
    Claim(
        id="C5-exponent", statement="Failure falls like t^-(c eps) below c*: largest deviation of the exponent (.1)",
        unit="",
        kind="derived", check=exponent, **BOUND_RUN,
    ),
    Claim(
        id="C5-recommended", statement="The recommended rate c = 1 / (d* + eps / 2) is near the best: its bound over "
        "the least "
        "of all rates (2)", unit="times", kind="derived", check=recommended, **BOUND_RUN,
    ),
]  # fmt: skip

SHAPES: list[Claim] = [
    Claim(
        id="C8-log-worst", statement="At a finite horizon and an equal end point log is the worst annealed shape on "
        "a trap "
        "system: success of the others minus log, the least (.01)", unit="", check=log_is_worst, **OURS, **EXACT,
    ),
    Claim(
        id="C8-log-fixed", statement="It is better than no annealing: log minus fixed beta, the least (.01)", unit="",
        check=better("log", "fixed"), **OURS, **EXACT,
    ),
    Claim(
        id="C8-exponential", statement="The exponential shape is the best: minus the best of log, sqrt, linear, "
        "cosine, the "
        "least (-.001)", unit="", check=exponential_is_best, **OURS, **EXACT,
    ),
    Claim(
        id="C8-adaptive", statement="Constant thermodynamic speed beats log: success, the least difference (.01)",
        unit="",
        check=better("adaptive", "log"), **OURS, **EXACT,
    ),
    Claim(
        id="C8-adaptive-relaxing", statement="So it does with the relaxation times, as the adiabatic argument has it "
        "(.01)",
        unit="", check=better("adaptive, relaxing", "log"), **OURS, **EXACT,
    ),
    Claim(
        id="C8-restarts", statement="Four short log annealings find more than one long one of as many steps", unit="",
        check=budget("log, restarts", "log"), **OURS, **BUDGET,
    ),
    Claim(
        id="C8-tempering", statement="So does parallel tempering with four replicas", unit="",
        check=budget("tempering", "log"), **OURS, **BUDGET,
    ),
]  # fmt: skip
