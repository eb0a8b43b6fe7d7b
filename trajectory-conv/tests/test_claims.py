"""Every claim is supported in a world made to obey it, and contradicted in the same world with one thing planted
against it.
"""

import math

import numpy as np
import pandas as pd
import pytest
from plants import JUDGED_BY_SEEDS, ONE_RUN, OWN, PLANTS, PRUNED, World, plant
from worlds import world

from repro_shared.claims import evaluate
from repro_shared.runlog import Results
from trajectory_conv.checks.judging import agreement, factor, judge, worst
from trajectory_conv.claims import CLAIMS

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
    assert undecided == JUDGED_BY_SEEDS
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
    """1, 2, 3: mean 2, s = 1, so 2 -+ t / sqrt 3 with t = .95 sqrt(2 / (4 x .975 x .025)) = 4.30265."""
    half = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025)) / math.sqrt(3)
    found = judge([1.0, 2.0, np.nan, 3.0], "", supported_above=-1.0)
    assert (found.measured, found.n, found.verdict) == (2.0, 3, "supported")
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=1e-12)
    assert judge([1.0, 2.0, 3.0], "", supported_above=5.0).verdict == "contradicted"
    assert judge([1.0, 2.0, 3.0], "", supported_above=1.0).verdict == "inconclusive"
    assert judge([1.0, 2.0, 3.0], "", supported_below=5.0).verdict == "supported"
    assert judge([np.nan], "", supported_below=5.0).measured is None


def test_interval_of_factors_is_that_of_their_logarithms_by_hand():
    """1/2, 1, 2 (log 2 in the unit of s): mean 1, ends 2^(-+ 4.30265 / sqrt 3) = 0.17873 and 5.59496."""
    found = factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=0.17)
    assert found.measured == pytest.approx(1.0, abs=1e-15) and found.verdict == "supported"
    assert (found.low, found.high) == pytest.approx((0.17873, 5.59496), rel=1e-4)
    assert factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=5.6).verdict == "contradicted"
    assert factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=1.0).verdict == "inconclusive"
    assert factor(pd.Series([0.5, 2.0]), "", supported_above=1e-9).verdict == "inconclusive"
    single = factor(pd.Series([3.0]), "", supported_above=1.0)
    assert (single.low, single.high) == (0.0, math.inf)


def test_the_worst_value_decides_and_the_limit_itself_is_kept():
    assert worst(np.array([1.0, np.nan, 3.0]), "", most=3.0).verdict == "supported"
    assert worst(np.array([1.0, 3.0]), "", most=2.9).verdict == "contradicted"
    assert worst(np.array([1.0, 3.0]), "", least=1.0).measured == 1.0
    assert worst(np.array([1.0, 3.0]), "", least=1.1).verdict == "contradicted"
    assert worst(np.array([np.nan]), "", least=1.1).verdict == "inconclusive"


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


def test_a_promised_identification_that_never_comes_contradicts_the_promise():
    results = world()
    plant("rates", "face_identified", np.nan, **ONE_RUN)(results)
    assert verdict("C8-margin", results) == "contradicted"


def test_an_iterate_that_leaves_its_interval_contradicts_whatever_the_contraction():
    results = world()
    plant("theory", "stayed", 0.0, part="scalar", radius=2.0)(results)
    assert verdict("C1-nonconvex", results) == "contradicted"
