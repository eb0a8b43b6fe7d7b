"""Every claim is supported in a world made to obey it, and contradicted in the same world with one thing planted
against it.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from worlds import world

from repro_shared.claims import evaluate
from repro_shared.runlog import Results
from trajectory_conv.checks.judging import agreement, factor, judge, worst
from trajectory_conv.claims import CLAIMS
from trajectory_conv.experiments.convergence import NON_RIP

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


def several(*plants: Callable[[World], None]) -> Callable[[World], None]:
    def change(results: World) -> None:
        for one in plants:
            one(results)

    return change


def flip_a_decision(results: World) -> None:
    results["phase"].arrays[0]["recovered"][0, 0] ^= True


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
    "C3-fista": plant("rates", "fista_rate", add(-0.1), designs="gaussian"),
    "C4-bound": plant("rates", "mu_before", times(4)),
    "C4-realised-speed": plant("rates", "speed_after", times(0.5)),
    "C4-restricted-step": plant("rates", "steps_ista", times(0.15)),
    "C4-over-fista": plant("rates", "steps_fista", 30),
    "C4-over-restart": plant("rates", "steps_restart", 30),
    "C5-rip-faster": several(
        *(plant("convergence", "steps_1e-06", times(0.01), part="rip", designs=name, **OWN) for name in NON_RIP),
        # in the old order, so that the ranks stay
        *(plant("convergence", "condition", times(0.01), part="rip", designs=name, **OWN) for name in NON_RIP),
    ),
    "C5-rip-in-300": plant("convergence", "steps_1e-10", 301, part="rip", designs="uniform", seed=2, **OWN),
    **{
        f"C6-spiked-{solver.replace('_', '-')}": plant(
            "convergence", "steps_1e-06", times(0.05), part="spiked", designs="spiked_0.5", solver=solver, **OWN
        )
        for solver in ("lasso", "elastic_net", "adaptive_lasso", "adaptive_elastic_net")
    },
    "C6-not-curvature": plant("convergence", "mu", times(0.01), part="spiked", designs="spiked_0.5", **OWN),
    "C6-published-optimum": plant("convergence", "gap_end", 1e-12, designs="spiked_0.95", solver="elastic_net"),
    "C7-cone-3": plant("cone", "within_3", 99.95, algorithm="fista", **ONE_RUN, **OWN),
    "C7-cone-1": plant("cone", "within_1", add(-2), **OWN),
    "C7-cone-1-before-ista": plant("cone", "within_1_before", add(-20), algorithm="ista", **OWN),
    "C7-cone-1-before-fista": plant("cone", "within_1_before", add(-20), algorithm="fista", **OWN),
    "C8-finite": plant("rates", "face_identified", np.nan, **ONE_RUN),
    "C8-margin": plant("rates", "face_identified", 101, **ONE_RUN),
    "C8-fista-earlier": plant("cone", "first", times(0.05), algorithm="ista", **OWN),
    "C8-first-permanent": plant("cone", "permanent", times(0.5), algorithm="fista", designs="power_law", **OWN),
    "C9-upper-2": plant("hoffman", "max_2", 1.2, part="tightness"),
    "C9-two-sided-2": plant("hoffman", "median_2_lower", 1.2, part="tightness"),
    "C9-upper-1": plant("hoffman", "max_1", 1.2, part="tightness"),
    "C9-upper-inf": plant("hoffman", "max_inf", 1 + 1e-11, part="tightness"),
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
    "R-rip": plant("convergence", "steps_1e-04", add(1), part="rip", designs="ar1_0.9", stream="replay"),
    "R-spiked": plant(
        "convergence", "last_objective", add(1e-10), designs="spiked_0.9", solver="lasso", stream="replay"
    ),
    "R-cone": plant("cone", "max_ratio", add(1e-6), algorithm="ista", designs="power_law", stream="replay"),
    "R-ambient": plant("hoffman", "h1", times(1 + 1e-11), part="ambient", d=2000, stream="replay"),
    "R-supports": plant("hoffman", "p99", times(1 + 1e-8), part="supports", design="gaussian", s=64, stream="replay"),
    "R-tightness": plant("hoffman", "median_1", times(1 + 1e-11), part="tightness"),
    "R-phase": flip_a_decision,
    "R-leverage": plant("leverage", "epochs", add(1), data="synthetic", alpha=0.05, tau=0.1),
}

JUDGED_BY_SEEDS = {
    "C3-local-rate", "C3-svm-rate", "C3-ranks-designs", "C3-fista", "C4-bound", "C4-realised-speed",
    "C4-restricted-step", "C4-over-fista", "C4-over-restart", "C5-rip-faster", "C6-spiked-lasso",
    "C6-spiked-elastic-net", "C6-spiked-adaptive-lasso", "C6-spiked-adaptive-elastic-net", "C6-not-curvature",
    "C7-cone-1", "C7-cone-1-before-ista", "C7-cone-1-before-fista", "C8-fista-earlier", "C8-first-permanent",
    "C10-grows", "C10-interaction", "C11-concentrates-gaussian", "C11-concentrates-spiked",
    "C11-light-tails-gaussian", "C11-light-tails-spiked", "C12-rule", "C12-path-recovers", "C12-low-h",
    "C13-fewer-iterations", "C13-beats-random",
}  # fmt: skip
"""Statements about sizes; all others are about every value."""

TIGHT_TWO_SIDED = plant("hoffman", "median_2_lower", 1.02, part="tightness")
"""The published numbers, which the replay must show, contradict C9-two-sided-2: its world needs others."""


def world_of(id: str) -> World:
    """A world in which this claim holds."""
    results = world()
    if id == "C9-two-sided-2":
        TIGHT_TWO_SIDED(results)
    return results


def findings(results: World, preset: str = "default") -> dict[str, dict]:
    return {judged["id"]: judged for judged in evaluate(CLAIMS, results, preset)}


def verdict(id: str, results: World, preset: str = "default") -> str:
    (claim,) = (claim for claim in CLAIMS if claim.id == id)
    (judged,) = evaluate([claim], results, preset)
    return judged["verdict"]


def against(results: World, experiment: str) -> set[str]:
    """The claims that the experiment of this world does not support."""
    claims = [claim for claim in CLAIMS if claim.experiment == experiment]
    return {judged["id"] for judged in evaluate(claims, results, "default") if judged["verdict"] != "supported"}


def test_every_claim_has_a_planted_failure_and_ids_are_unique():
    ids = [claim.id for claim in CLAIMS]
    assert len(ids) == len(set(ids)) and set(ids) == set(PLANTS)
    assert set(PLANTS) >= JUDGED_BY_SEEDS


def test_every_claim_is_supported_in_the_world_that_obeys_it():
    judged = findings(world())
    assert {id for id, found in judged.items() if found["verdict"] != "supported"} == {"C9-two-sided-2"}
    assert all(isinstance(found["n"], int) and found["n"] > 0 and found["why"] for found in judged.values())


def test_the_published_numbers_themselves_contradict_the_two_sided_bounds():
    assert verdict("C9-two-sided-2", world()) == "contradicted"
    assert findings(world())["C9-two-sided-2"]["measured"] == pytest.approx(1.2949312541164)


@pytest.mark.parametrize("id", PLANTS)
def test_claim_is_supported_where_it_holds_and_it_alone_is_contradicted_by_its_plant(id):
    results = world_of(id)
    assert verdict(id, results) == "supported"
    (experiment,) = (claim.experiment for claim in CLAIMS if claim.id == id)
    before = against(results, experiment)
    PLANTS[id](results)
    assert verdict(id, results) == "contradicted"
    assert against(results, experiment) - before == {id}


def test_smoke_results_never_decide_a_claim():
    assert {found["verdict"] for found in findings(world(), "smoke").values()} == {"inconclusive"}


@pytest.mark.parametrize("missing", ["no results", "no rows", "some cells"])
def test_missing_experiments_are_not_run(missing):
    results = {} if missing == "no results" else world()
    for name, held in results.items():
        if missing == "some cells":
            held.missing, held.reason = 1, "not run yet"
        else:
            results[name] = Results(pd.DataFrame(), pd.DataFrame())
    assert {found["verdict"] for found in findings(results).values()} == {"not-run"}


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_are_never_enough_for_a_statement_about_sizes(seeds):
    results = world()
    TIGHT_TWO_SIDED(results)
    for held in results.values():
        kept = held.table["seed"] < seeds
        held.arrays = [array for array, keep in zip(held.arrays, kept, strict=False) if keep]
        held.table = held.table[kept].reset_index(drop=True)
    judged = findings(results)
    undecided = {id for id, found in judged.items() if found["verdict"] == "inconclusive"}
    assert undecided == JUDGED_BY_SEEDS | {"R-tightness"} - {"R-tightness"}
    assert all(judged[id]["n"] == seeds for id in JUDGED_BY_SEEDS)


def test_replayed_rows_do_not_move_what_is_judged_over_our_own_seeds():
    results = world()
    before = findings(results)
    for held in results.values():
        if "stream" not in held.table:
            continue
        replayed = held.table["stream"] == "replay"
        assert replayed.any()
        labels = {"stream", "seed", "part", "designs", "design", "n", "d", "s", "lam", "iterations", "trials"}
        for column in held.table.select_dtypes("number").columns.difference(labels):
            held.table[column] = held.table[column].astype(float)
            held.table.loc[replayed, column] *= 0.017
    after = findings(results)
    for id in JUDGED_BY_SEEDS:
        for value in ("measured", "low", "high", "n", "verdict"):
            assert after[id][value] == before[id][value], id
    assert {after[f"R-{name}"]["verdict"] for name in ("rip", "spiked", "cone", "ambient", "supports")} == {
        "contradicted"
    }


def test_without_replayed_rows_replays_are_inconclusive_and_sizes_are_decided_all_the_same():
    results = world()
    for held in results.values():
        if "stream" in held.table and held is not results["phase"]:
            held.table = held.table[held.table["stream"] != "replay"]
    judged = findings(results)
    for name in ("rip", "spiked", "cone", "ambient", "supports", "tightness"):
        assert judged[f"R-{name}"]["verdict"] == "inconclusive"
    assert {judged[id]["verdict"] for id in JUDGED_BY_SEEDS} == {"supported"}


def test_replays_of_another_size_are_not_compared_with_the_published_numbers():
    results = world()
    sizes = {"convergence": "n", "cone": "iterations", "hoffman": "n", "phase": "lam1_points"}
    for name, column in sizes.items():
        results[name].table[column] = 60
    results["hoffman"].table["trials"] = 3
    results["leverage"].table = results["leverage"].table[results["leverage"].table["tau"].isin((1.0, 0.5))]
    judged = findings(results)
    assert {found["verdict"] for id, found in judged.items() if id.startswith("R-")} == {"inconclusive"}


def test_a_run_slower_than_its_face_allows_contradicts_the_rate_at_once():
    results = world()
    plant("rates", "rate_ratio", 0.98, **ONE_RUN)(results)
    found = findings(results)["C3-local-rate"]
    assert found["verdict"] == "contradicted" and found["measured"] == 0.98


def test_a_run_without_a_margin_need_not_identify_anything():
    results = world()
    plant("rates", "face_identified", np.nan, **ONE_RUN)(results)
    plant("rates", "margin", 0.0, **ONE_RUN)(results)
    assert verdict("C8-finite", results) == "supported"


@pytest.mark.parametrize(
    "id, change",
    [
        ("C5-rip-in-300", plant("convergence", "steps_1e-10", np.nan, part="rip", designs="gaussian", seed=1, **OWN)),
        ("C13-fewer-iterations", plant("leverage", "steps", np.nan, **PRUNED)),
        ("C13-beats-random", plant("leverage", "steps", np.nan, **PRUNED)),
    ],
)
def test_a_run_that_does_not_get_there_counts_with_the_iterations_that_it_was_given(id, change):
    results = world()
    change(results)
    assert verdict(id, results) == "contradicted"


def test_interval_of_one_number_per_seed_by_hand():
    """1, 2, 3: mean 2, s = 1, t_{2, .975} = 4.30265; 2 -+ 4.30265 / sqrt 3."""
    half = 4.302652729911275 / math.sqrt(3)
    found = judge([1.0, 2.0, np.nan, 3.0], "", supported_above=-1.0)
    assert (found.measured, found.n, found.verdict) == (2.0, 3, "supported")
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=1e-12)
    assert judge([1.0, 2.0, 3.0], "", supported_above=5.0).verdict == "contradicted"
    assert judge([1.0, 2.0, 3.0], "", supported_above=1.0).verdict == "inconclusive"
    assert judge([1.0, 2.0, 3.0], "", supported_below=5.0).verdict == "supported"
    assert judge([np.nan], "", supported_below=5.0).measured is None


def test_interval_of_factors_is_that_of_their_logarithms_by_hand():
    """1/2, 1, 2 (log 2 in the unit of s): mean 1, ends 2^(-+ 4.30265 / sqrt 3) = 0.1787 and 5.595."""
    found = factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=0.17)
    assert found.measured == pytest.approx(1.0, abs=1e-15) and found.verdict == "supported"
    assert (found.low, found.high) == pytest.approx((0.178711, 5.595626), rel=1e-5)
    assert factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=5.6).verdict == "contradicted"
    assert factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=1.0).verdict == "inconclusive"
    assert factor(pd.Series([0.5, 2.0]), "", supported_above=1e-9).verdict == "inconclusive"
    single = factor(pd.Series([3.0]), "", supported_above=1.0)
    assert (single.low, single.high) == (0.0, math.inf)


def test_the_worst_value_decides_and_the_limit_itself_is_kept():
    assert worst([1.0, np.nan, 3.0], "", most=3.0).verdict == "supported"
    assert worst([1.0, 3.0], "", most=2.9).verdict == "contradicted"
    assert worst([1.0, 3.0], "", least=1.0).measured == 1.0
    assert worst([1.0, 3.0], "", least=1.1).verdict == "contradicted"
    assert worst([np.nan], "", least=1.1).verdict == "inconclusive"


@pytest.mark.parametrize(
    "ours, theirs, tolerance, differing",
    [
        (None, None, 0.0, 0),
        (np.nan, None, 0.0, 0),  # a table's None
        (None, 3, 0.0, 1),
        (3, None, 0.0, 1),
        (np.nan, 0.0, 1.0, 1),
        (23, 23, 0.0, 0),
        (24, 23, 0.0, 1),
        (2 + 1e-12, 2.0, 1e-12, 0),  # half of what is allowed
        (2 + 3e-12, 2.0, 1e-12, 1),
        (-2 - 1e-12, -2.0, 1e-12, 0),
        (0.0, 0.0, 1e-9, 0),
        (1e-15, 0.0, 1e-9, 1),
        (True, True, 0.0, 0),
        (np.bool_(False), True, 0.0, 1),
    ],
)
def test_agreement_tells_none_from_a_number_and_keeps_to_its_tolerance(ours, theirs, tolerance, differing):
    found = agreement([(ours, theirs, tolerance), (1.0, 1.0, 0.0)], "")
    assert (found.measured, found.n) == (differing, 2)
    assert found.verdict == ("contradicted" if differing else "supported")


def test_nothing_replayed_is_no_agreement():
    assert agreement([], "").verdict == "inconclusive"
