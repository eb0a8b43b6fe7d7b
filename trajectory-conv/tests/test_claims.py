"""Every claim is supported in a world made to obey it, and contradicted in the same world with one thing planted
against it.
"""

import numpy as np
import pandas as pd
import pytest
from plants import JUDGED_BY_SEEDS, JUDGED_ON_OWN_DATA, ONE_RUN, OWN, PLANTS, PRUNED, World, plant
from worlds import world

from repro_shared.claims import evaluate
from repro_shared.runlog import Results
from trajectory_conv.checks.judging import agreement, geometric
from trajectory_conv.claims import CLAIMS


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
    assert {id for id, found in judged.items() if found["verdict"] != "supported"} == set()
    assert all(isinstance(found["n"], int) and found["n"] > 0 and found["why"] for found in judged.values())


@pytest.mark.parametrize("id", PLANTS)
def test_claim_is_supported_where_it_holds_and_it_alone_is_contradicted_by_its_plant(id):
    results = world()
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
    for id in JUDGED_ON_OWN_DATA:
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
    assert {judged[id]["verdict"] for id in JUDGED_ON_OWN_DATA} == {"supported"}
    assert not any("nan" in found["why"] for found in judged.values())


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
        ("C5-rip-in-300", plant("convergence", "steps_1e-15", np.nan, part="rip", designs="gaussian", seed=1, **OWN)),
        ("C5-rip-faster", plant("convergence", "steps_1e-06", np.nan, part="rip", designs="uniform", **OWN)),
        ("C6-spiked-lasso", plant("convergence", "steps_1e-06", np.nan, designs="spiked_0", solver="lasso", **OWN)),
        ("C6-not-curvature", plant("convergence", "steps_1e-06", np.nan, designs="spiked_0", solver="lasso", **OWN)),
        ("C8-first-permanent", plant("cone", "first", np.nan, algorithm="fista", designs="power_law", **OWN)),
        ("C13-fewer-iterations", plant("leverage", "steps", np.nan, **PRUNED)),
        ("C13-beats-random", plant("leverage", "steps", np.nan, **PRUNED)),
    ],
)
def test_a_run_that_does_not_get_there_counts_with_the_iterations_that_it_was_given(id, change):
    results = world()
    change(results)
    assert verdict(id, results) == "contradicted"


def test_a_design_with_a_missing_run_has_no_geometric_mean():
    table = pd.DataFrame({"seed": [0, 0, 1, 1], "ratio": [2.0, 8.0, 4.0, np.nan]})
    means = geometric(table, table["ratio"])
    assert means[0] == pytest.approx(4.0) and np.isnan(means[1])
    assert geometric(table, table["ratio"].dropna()).tolist() == pytest.approx([4, 4])


@pytest.mark.parametrize(
    "id, change",
    [
        ("C1-certificate", plant("rates", "bound_ratio", np.nan, **ONE_RUN)),
        ("C1-one-step", plant("rates", "step_ratio", np.nan, **ONE_RUN)),
        ("C1-box", plant("svm", "bound_ratio", np.nan, seed=1, tasks="cancer_rbf")),
        ("C1-span", plant("theory", "measured", np.nan, part="descent", leading=5, seed=3)),
        ("C2-pointwise", plant("theory", "slack", np.nan, part="pointwise", implication="decrease", seed=1)),
        ("C2-invariant", plant("theory", "ratio", np.nan, part="invariant", implication="growth_from_pl", seed=1)),
        ("C6-not-curvature", plant("convergence", "mu", np.nan, designs="spiked_0.5", solver="lasso", seed=1, **OWN)),
        ("C7-cone-3", plant("cone", "within_3", np.nan, algorithm="fista", **ONE_RUN, **OWN)),
        ("C7-cone-1", plant("cone", "within_1", np.nan, algorithm="fista", **ONE_RUN, **OWN)),
        ("C7-cone-1-before-ista", plant("cone", "within_1_before", np.nan, algorithm="ista", **ONE_RUN, **OWN)),
        ("C9-upper-2", plant("hoffman", "max_2", np.nan, part="tightness", seed=1, d=1000, **OWN)),
        ("C9-two-sided-2", plant("hoffman", "median_2_lower", np.nan, part="tightness", seed=1, d=1000, **OWN)),
        ("C9-weyl", plant("hoffman", "weyl_finite", np.nan, part="tightness", seed=1, d=1000, **OWN)),
        ("C10-law", plant("hoffman", "interaction", np.nan, part="ambient", d=1000, seed=1, **OWN)),
        ("C11-concentrates-spiked", plant("hoffman", "max_over_median", np.nan, design="spiked_0.8", s=8, **OWN)),
        (
            "C11-light-tails-gaussian",
            plant("hoffman", "excess_kurtosis", np.nan, design="gaussian", s=8, seed=1, **OWN),
        ),
        ("C12-path-recovers", plant("phase", "recovered_coupled", np.nan, seed=1, **OWN)),
        ("C13-smaller-h", plant("leverage", "h2", np.nan, data="synthetic", alpha=0.05, tau=0.3)),
        ("C13-same-solution", plant("leverage", "difference", np.nan, data="synthetic", alpha=0.05, tau=0.3)),
    ],
)
def test_a_claim_is_not_supported_while_a_value_of_it_is_missing(id, change):
    results = world()
    change(results)
    found = findings(results)[id]
    assert found["verdict"] == "inconclusive" and ("missing" in found["why"] or "No seed" in found["why"])


@pytest.mark.parametrize(
    "id, change, said",
    [
        ("C3-svm-rate", plant("svm", "rate_ratio", np.nan, tasks="rbf_wide", seed=2), "rbf_wide of seed 2"),
        ("C3-local-rate", plant("rates", "rate_ratio", np.nan, **ONE_RUN), "1 of 40 are left out: face not identified"),
        ("C3-fista", plant("rates", "fista_rate", np.nan, **ONE_RUN), "1 of 40 are left out: a face not identified"),
        ("C4-bound", plant("rates", "mu_before", np.nan, **ONE_RUN), "5 of 40 are left out: no iterate before"),
        ("C4-restricted-step", plant("rates", "steps_ista", np.nan, **ONE_RUN), "1 runs are not there"),
        ("C6-spiked-lasso", plant("convergence", "steps_1e-06", np.nan, designs="spiked_0.5", **OWN), "4 runs do not"),
        ("C8-margin", plant("rates", "promised", np.nan, **ONE_RUN), "1 of 40 are left out: they end before"),
        ("C9-stability", plant("hoffman", "worst_ratio", np.nan, part="stability", seed=1), "1 of 4 are left out"),
    ],
)
def test_runs_that_a_check_leaves_out_or_fills_in_are_counted_in_its_reason(id, change, said):
    results = world()
    assert said not in findings(results)[id]["why"]
    change(results)
    found = findings(results)[id]
    assert found["verdict"] == "supported" and said in found["why"]


def test_a_run_with_faster_modes_left_is_named_and_one_loose_seed_does_not_move_the_median_over_seeds():
    results = world()
    plant("svm", "rate_ratio", 1.32, tasks="rbf_wide", seed=1)(results)
    plant("hoffman", "median_2_lower", 1.2, part="tightness", seed=1, d=1000, **OWN)(results)
    judged = findings(results)
    assert "to 1.3200, above 1.1: rbf_wide of seed 1." in judged["C3-svm-rate"]["why"]
    assert judged["C9-two-sided-2"]["verdict"] == "supported"


def test_shares_of_the_cone_study_stand_beside_the_published_ones():
    results = world()
    plant("cone", "first", np.nan, algorithm="ista", designs="power_law", **OWN)(results)
    assert "in 100 % of FISTA's and 88 % of ISTA's runs" in findings(results)["C8-finite"]["why"]
    del results["cone"]
    assert verdict("C8-finite", results) == "supported"


def test_first_and_permanent_are_compared_on_the_power_law_design_wherever_it_stands():
    results = world()
    results["cone"].table = results["cone"].table.iloc[::-1]
    found = findings(results)["C8-first-permanent"]
    assert found["verdict"] == "supported" and found["measured"] == pytest.approx(2, rel=0.03)
    assert "AR(1) .5 1, spiked .7 1" in found["why"] and "power law" not in found["why"]


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
    found = agreement([(ours, theirs, tolerance), (1.0, 1.0, 0.0)], 2, "")
    assert (found.measured, found.n) == (differing, 2)
    assert found.verdict == ("contradicted" if differing else "supported")


def test_nothing_replayed_is_no_agreement():
    assert agreement([], 1, "").verdict == "inconclusive"


@pytest.mark.parametrize("count", [1, 3])
def test_a_replay_of_more_or_fewer_numbers_than_there_are_supports_nothing_but_may_contradict(count):
    found = agreement([(1.0, 1.0, 0.0)] * count, 2, "Two numbers.")
    assert found.verdict == "inconclusive" and found.n == count
    assert found.why.startswith(f"Two numbers. {count} numbers could be compared, not all 2")
    assert agreement([(1.0, 2.0, 0.0)] * count, 2, "").verdict == "contradicted"


LACKING = {
    "R-rip": ("convergence", {"part": "rip", "designs": "low_rank"}, (15, 20)),
    "R-spiked": ("convergence", {"part": "spiked", "designs": "spiked_0.3", "solver": "lasso"}, (84, 88)),
    "R-cone": ("cone", {"algorithm": "fista", "designs": "uniform"}, (60, 64)),
    "R-supports": ("hoffman", {"part": "supports", "design": "spiked_0.8", "s": 2}, (66, 72)),
    "R-ambient": ("hoffman", {"part": "ambient", "d": 450}, None),
    "R-tightness": ("hoffman", {"part": "tightness", "d": 501}, None),
    "R-leverage": ("leverage", {"data": "synthetic", "alpha": 0.05}, (50, 75)),
}
"""Claim -> experiment, what its replay lacks, and how many numbers are left of all; None: none can be compared."""


@pytest.mark.parametrize("id", LACKING)
def test_a_replay_that_lacks_a_run_is_inconclusive_and_says_so(id):
    experiment, where, counts = LACKING[id]
    results = world()
    table = results[experiment].table
    where = where | ({"stream": "replay"} if "stream" in table else {})
    lacking = np.logical_and.reduce([table[name] == value for name, value in where.items()])
    assert verdict(id, results) == "supported" and lacking.any()
    results[experiment].table = table[~lacking]
    found = findings(results)[id]
    assert found["verdict"] == "inconclusive"
    if counts:
        assert "{} numbers could be compared, not all {}".format(*counts) in found["why"] and found["n"] == counts[0]


def test_decisions_by_our_own_ista_stand_beside_the_replayed_map():
    results = world()
    assert "ISTA steps of ours" not in findings(results)["R-phase"]["why"]
    results["phase"].table["ista_mismatches"] = np.where(results["phase"].table["stream"] == "replay", 3, np.nan)
    found = findings(results, "paper")["R-phase"]
    assert found["verdict"] == "supported" and "ours decide 3 of the points otherwise than the witness" in found["why"]


def test_an_iterate_of_the_restricted_step_above_the_bound_contradicts_the_certificate():
    results = world()
    found = findings(results)["C1-certificate"]
    assert found["measured"] == 0.99 and found["n"] == 80
    assert "40 runs of ISTA (0.990) and as many of the restricted step (0.970)" in found["why"]
    plant("rates", "bound_ratio_restricted", 1 + 1e-5, **ONE_RUN)(results)
    assert verdict("C1-certificate", results) == "contradicted"
    plant("rates", "bound_ratio_restricted", np.nan, **ONE_RUN)(results)
    assert verdict("C1-certificate", results) == "inconclusive"


def test_a_promised_identification_that_never_comes_contradicts_the_promise():
    results = world()
    plant("rates", "face_identified", np.nan, **ONE_RUN)(results)
    assert verdict("C8-margin", results) == "contradicted"


def test_an_iterate_that_leaves_its_interval_contradicts_whatever_the_contraction():
    results = world()
    plant("theory", "stayed", 0.0, part="scalar", radius=2.0)(results)
    assert verdict("C1-nonconvex", results) == "contradicted"
