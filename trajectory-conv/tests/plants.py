"""What has to change in the made-up world (`worlds`) so that one claim, and no other, is contradicted."""

from collections.abc import Callable

import numpy as np

from repro_shared.runlog import Results
from trajectory_conv.experiments.convergence import RIP, SOLVERS

World = dict[str, Results]
OWN = {"stream": "keys"}


def plant(experiment: str, column: str, value, **where) -> Callable[[World], None]:
    """Overwrite `column` in the rows that match `where`: by a number, or by a function of the old values."""

    def change(results: World) -> None:
        table = results[experiment].table
        rows = np.logical_and.reduce([table[name] == wanted for name, wanted in where.items()] or [table.index >= 0])
        assert rows.any()
        table[column] = table[column].astype(float)
        table.loc[rows, column] = value(table.loc[rows, column]) if callable(value) else value

    return change


def together(*plants: Callable[[World], None]) -> Callable[[World], None]:
    """Several changes at once."""

    def change(results: World) -> None:
        for one in plants:
            one(results)

    return change


def flip_a_decision(results: World) -> None:
    results["phase"].arrays[0]["recovered"][0, 0] ^= True


def as_fast_as_uncorrelated(solver: str) -> Callable[[World], None]:
    """The slow-down goes; the curvature rises in turn, so that it explains the speed no better than before."""
    where = {"part": "spiked", "designs": "spiked_0.5", "solver": solver} | OWN
    return together(
        plant("convergence", "steps_1e-06", times(0.05), **where), plant("convergence", "mu", times(20), **where)
    )


def add(amount: float) -> Callable:
    return lambda old: old + amount


def times(amount: float) -> Callable:
    return lambda old: old * amount


ONE_RUN = {"seed": 2, "designs": "gaussian"}
PRUNED = {"data": "breast_cancer", "tau": 0.5}

PLANTS: dict[str, Callable[[World], None]] = {
    "C1-certificate": plant("rates", "bound_ratio", 1 + 1e-5, **ONE_RUN),
    "C1-one-step": plant("rates", "step_ratio", 1 + 1e-5, **ONE_RUN),
    "C1-box": plant("svm", "bound_ratio", 1 + 1e-5, seed=1, tasks="cancer_rbf"),
    "C1-span": plant("theory", "measured", times(1.01), part="descent", leading=5, seed=3),
    "C1-nonconvex": plant("theory", "measured", times(1.2), part="scalar", radius=2.0),
    "C2-pointwise": plant("theory", "slack", -1e-8, part="pointwise", implication="decrease", seed=1),
    "C2-invariant": plant("theory", "ratio", 0.99, part="invariant", implication="growth_from_pl", seed=1),
    "C2-no-global-bound": plant("theory", "ratio", 90.0, part="null_space", distance=1000.0, seed=3),
    "C3-local-rate": plant("rates", "rate_ratio", add(0.3)),
    "C3-svm-rate": plant("svm", "rate_ratio", add(0.3)),
    "C3-ranks-designs": plant("convergence", "condition", times(-1), part="rip", **OWN),
    "C3-fista": plant("rates", "fista_rate", add(-0.1)),
    "C4-bound": plant("rates", "mu_before", times(4)),
    "C4-realised-speed": plant("rates", "speed_after", times(0.5)),
    "C4-restricted-step": plant("rates", "steps_ista", times(0.15)),
    "C4-over-fista": plant("rates", "steps_fista", 30),
    "C4-over-restart": plant("rates", "steps_restart", 30),
    "C5-rip-faster": together(  # slower RIP designs, in the old order
        *(plant("convergence", "steps_1e-06", times(25), part="rip", designs=name, **OWN) for name in RIP)
    ),
    "C5-rip-in-300": plant("convergence", "steps_1e-15", 301, part="rip", designs="uniform", seed=2, **OWN),
    **{f"C6-spiked-{solver.replace('_', '-')}": as_fast_as_uncorrelated(solver) for solver in SOLVERS},
    "C6-not-curvature": plant("convergence", "mu", times(0.01), part="spiked", designs="spiked_0.5", **OWN),
    "C6-published-optimum": plant("convergence", "gap_end", 1e-12, designs="spiked_0.95", solver="elastic_net"),
    "C7-cone-3": plant("cone", "within_3", 99.95, algorithm="fista", **ONE_RUN, **OWN),
    "C7-cone-1": plant("cone", "within_1", add(-2), **OWN),
    "C7-cone-1-before-ista": plant("cone", "within_1_before", add(-20), algorithm="ista", **OWN),
    "C7-cone-1-before-fista": plant("cone", "within_1_before", add(-20), algorithm="fista", **OWN),
    "C8-finite": together(  # never identified, and never promised either
        plant("rates", "face_identified", np.nan, **ONE_RUN), plant("rates", "promised", np.nan, **ONE_RUN)
    ),
    "C8-margin": plant("rates", "face_identified", 101, **ONE_RUN),
    "C8-fista-earlier": plant("cone", "first", times(0.05), algorithm="ista", **OWN),
    "C8-first-permanent": plant("cone", "permanent", times(0.5), algorithm="fista", designs="power_law", **OWN),
    "C9-upper-2": plant("hoffman", "max_2", 1.2, part="tightness", seed=1, d=1000, **OWN),
    "C9-two-sided-2": plant("hoffman", "median_2_lower", 1.2, part="tightness", d=1000, **OWN),
    "C9-upper-1": plant("hoffman", "max_1", 1.2, part="tightness", seed=1, d=1000, **OWN),
    "C9-upper-inf": plant("hoffman", "max_inf", 1 + 1e-11, part="tightness"),
    "C9-weyl": plant("hoffman", "weyl_finite", add(5), part="tightness", **OWN),
    "C9-stability": plant("hoffman", "worst_ratio", 1.01, part="stability", seed=2),
    "C10-grows": plant("hoffman", "h2", lambda old: np.sqrt(old**2 + 1e5), part="ambient", **OWN),  # equal growth
    "C10-interaction": plant("hoffman", "h2", times(1.2), part="ambient", **OWN),  # equal slope
    "C10-law": plant("hoffman", "interaction", times(1.2), part="ambient", d=1000, seed=1, **OWN),
    **{
        f"C11-{kind}-{name}": plant("hoffman", column, add(amount), part="supports", design=design, **OWN)
        for kind, column, amount in (("concentrates", "max_over_median", 0.3), ("light-tails", "excess_kurtosis", 3.0))
        for name, design in (("gaussian", "gaussian"), ("spiked", "spiked_0.8"))
    },
    "C12-rule": plant("phase", "rule_agrees", add(-10), **OWN),
    "C12-path-recovers": plant("phase", "recovered_coupled", add(-10), **OWN),
    "C12-low-h": plant("phase", "excess_coupled", add(0.2), **OWN),
    "C13-same-solution": plant("leverage", "difference", 1e-8, data="synthetic", alpha=0.05, tau=0.3),
    "C13-smaller-h": plant("leverage", "h2", times(2), data="synthetic", alpha=0.05, tau=0.3),
    "C13-fewer-iterations": plant("leverage", "steps", times(0.5), data="breast_cancer", tau=1.0),
    "C13-beats-random": plant("leverage", "random_steps", times(0.5), **PRUNED),
    "C13-lambda-units": plant("leverage", "h2", times(0.5), data="synthetic", alpha=0.1),
    "C13-arcene-scaling": plant("leverage", "dropped_share_published", add(-20), data="breast_cancer", tau=0.99),
    "R-rip": plant("convergence", "steps_1e-04", add(1), part="rip", designs="ar1_0.9", stream="replay"),
    "R-spiked": plant(
        "convergence", "last_objective", add(1e-10), designs="spiked_0.9", solver="lasso", stream="replay"
    ),
    "R-cone": plant("cone", "max_ratio", add(1e-6), algorithm="ista", designs="power_law", stream="replay"),
    "R-ambient": plant("hoffman", "h1", times(1 + 1e-11), part="ambient", d=2000, stream="replay"),
    "R-supports": plant("hoffman", "p99", times(1 + 1e-8), part="supports", design="gaussian", s=64, stream="replay"),
    "R-tightness": plant("hoffman", "median_1", times(1 + 1e-11), part="tightness", stream="replay"),
    "R-phase": flip_a_decision,
    "R-leverage": plant("leverage", "epochs", add(1), data="synthetic", alpha=0.05, tau=0.1),
}

JUDGED_BY_SEEDS = {
    "C3-local-rate", "C3-svm-rate", "C3-ranks-designs", "C3-fista", "C4-bound", "C4-realised-speed",
    "C4-restricted-step", "C4-over-fista", "C4-over-restart", "C5-rip-faster", "C6-spiked-lasso",
    "C6-spiked-elastic-net", "C6-spiked-adaptive-lasso", "C6-spiked-adaptive-elastic-net", "C6-not-curvature",
    "C7-cone-1", "C7-cone-1-before-ista", "C7-cone-1-before-fista", "C8-fista-earlier", "C8-first-permanent",
    "C9-weyl", "C10-grows", "C10-interaction", "C11-concentrates-gaussian", "C11-concentrates-spiked",
    "C11-light-tails-gaussian", "C11-light-tails-spiked", "C12-rule", "C12-path-recovers", "C12-low-h",
    "C13-fewer-iterations", "C13-beats-random", "C13-arcene-scaling",
}  # fmt: skip
"""Statements about sizes; all others are about every value."""
JUDGED_ON_OWN_DATA = JUDGED_BY_SEEDS | {"C9-upper-2", "C9-two-sided-2", "C9-upper-1", "C10-law"}
"""What the authors' data, replayed, have no part in."""
