"""Every claim is supported in a world made to obey it, and contradicted in the same world with one thing planted
against it.
"""

from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from plants import ABOUT_EVERY_VALUE, BESIDES, PLANTS, Plant, add, length, moved, network, row, run, times
from worlds import MEMBERS, WORLDS, World, world

from icl_lrt.claims import CLAIMS
from icl_lrt.experiments.trained import MODELS_FOLDER
from repro_shared.claims import evaluate
from repro_shared.results import Results

IDS = [claim.id for claim in CLAIMS]


def findings(results: World, preset: str = "default") -> dict[str, dict]:
    return {judged["id"]: judged for judged in evaluate(CLAIMS, results, preset)}


def found(id: str, *changes: Plant) -> dict:
    """What is found of one claim after these changes to the world."""
    results = world()
    for change in changes:
        change(results)
    (claim,) = (claim for claim in CLAIMS if claim.id == id)
    (judged,) = evaluate([claim], results, "default")
    return judged


def verdict(id: str, *changes: Plant) -> str:
    return found(id, *changes)["verdict"]


@cache
def smoke(experiment: str) -> Results:
    """What the experiment itself records, at toy size."""
    module = import_module(f"icl_lrt.experiments.{experiment}")
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv(MODELS_FOLDER, f"{folder}/models")
        recorded = []
        for number, cell in enumerate(module.PRESETS["smoke"]):
            scratch = Path(folder) / str(number)
            scratch.mkdir()
            recorded.append((cell, module.run(cell, scratch)))
    return Results.from_records(recorded, experiment)


def test_ids_are_unique_and_every_claim_has_a_planted_failure():
    assert len(IDS) == len(set(IDS)) and set(IDS) == set(PLANTS)
    assert set(PLANTS) >= ABOUT_EVERY_VALUE | set(BESIDES)
    assert {claim.experiment for claim in CLAIMS} == set(WORLDS)
    assert all(PLANTS[claim.id].experiment == claim.experiment for claim in CLAIMS)


def test_every_claim_is_supported_in_the_world_that_obeys_it():
    judged = findings(world())
    assert {id for id, one in judged.items() if one["verdict"] != "supported"} == set()
    assert all(isinstance(one["n"], int) and one["n"] > 0 and one["why"] for one in judged.values())
    assert not any("nan" in one["why"] for one in judged.values())


@pytest.mark.parametrize("id", PLANTS)
def test_a_claim_and_it_alone_is_contradicted_by_its_plant(id):
    results = world()
    PLANTS[id](results)
    judged = findings(results)
    assert judged[id]["verdict"] == "contradicted"
    against = {name for name, one in judged.items() if one["verdict"] != "supported"}
    assert against == {id} | BESIDES.get(id, set())


@pytest.mark.parametrize("id", PLANTS)
def test_a_claim_is_not_supported_while_a_value_of_it_is_missing(id):
    one = found(id, PLANTS[id].missing())
    assert one["verdict"] == "inconclusive" and "missing" in one["why"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_decide_only_statements_about_every_value(seeds):
    results = world()
    for held in results.values():
        held.table = held.table[held.table["seed"] < seeds]
        if not held.curves.empty:
            held.curves = held.curves[held.curves["seed"] < seeds]
    judged = findings(results)
    undecided = {id for id, one in judged.items() if one["verdict"] == "inconclusive"}
    assert undecided == set(IDS) - ABOUT_EVERY_VALUE
    assert all(judged[id]["n"] == seeds for id in undecided)
    assert {judged[id]["verdict"] for id in ABOUT_EVERY_VALUE} == {"supported"}


def test_smoke_results_never_decide_a_claim():
    assert {one["verdict"] for one in findings(world(), "smoke").values()} == {"inconclusive"}


@pytest.mark.parametrize("lack", ["no results", "no rows", "some cells"])
def test_missing_experiments_are_not_run(lack):
    results = {} if lack == "no results" else world()
    for name, held in results.items():
        if lack == "some cells":
            held.missing, held.reason = 1, "not run yet"
        else:
            results[name] = Results(pd.DataFrame(), pd.DataFrame())
    assert {one["verdict"] for one in findings(results).values()} == {"not-run"}


# ---- The experiments' own records


@pytest.mark.parametrize("experiment", WORLDS)
def test_the_world_has_no_column_that_the_experiment_does_not_record(experiment):
    made, real = Results.from_records(WORLDS[experiment](), experiment), smoke(experiment)
    assert set(made.curves) <= set(real.curves)
    assert set(made.table) <= set(real.table)


@pytest.mark.parametrize("experiment", WORLDS)
def test_every_figure_that_a_claim_names_is_drawn(experiment):
    named = {claim.figure for claim in CLAIMS if claim.experiment == experiment} - {None}
    assert named and named <= set(import_module(f"icl_lrt.experiments.{experiment}").figures(smoke(experiment)))


def test_every_check_can_read_what_the_experiments_record():
    judged = findings({name: smoke(name) for name in WORLDS}, "smoke")
    assert {one["verdict"] for one in judged.values()} == {"inconclusive"}
    assert all(one["n"] > 0 for one in judged.values() if one["id"] in ABOUT_EVERY_VALUE)


# ---- What the checks look at


def test_what_is_measured_of_a_network_that_diverged_is_missing():
    one = found("C3-accuracy", Plant("regular", "diverged", 1, {"seed": 2, "variant": "task_A_regular"}))
    assert (one["verdict"], one["n"]) == ("inconclusive", 3) and "1 of 4 values are missing" in one["why"]


def test_the_published_training_decides_where_it_was_run():
    ours = WORLDS["regular"]()
    published = [(replace(cell, method="faithful"), [record | {"accuracy": 0.7}]) for cell, (record,) in ours]
    judged = findings({"regular": Results.from_records(ours + published, "regular")})
    assert judged["C3-accuracy"]["verdict"] == "contradicted"
    assert judged["C3-accuracy"]["measured"] == pytest.approx(0.7) and judged["C3-accuracy"]["n"] == 4


@pytest.mark.parametrize(
    "id, plant, expected",
    [
        ("C3-accuracy", network("A", "accuracy", add(0.010)), "supported"),
        ("C3-accuracy", network("A", "accuracy", add(-0.010)), "supported"),
        ("C3-accuracy", network("A", "accuracy", add(0.0148)), "inconclusive"),  # the interval is on both sides
        ("C3-accuracy", network("A", "accuracy", add(0.020)), "contradicted"),
        ("C3-accuracy", network("A", "accuracy", add(-0.020)), "contradicted"),
        ("C8-context-published", row("context_increase", "accuracy", add(0.03)), "contradicted"),
    ],
)
def test_a_statement_of_equality_has_two_sides_and_a_margin(id, plant, expected):
    assert verdict(id, plant) == expected


def test_other_shifts_lengths_and_rows_do_not_count():
    assert verdict("C4-centred", moved("A", "wrapped_accuracy", 0.5, shift=7.0)) == "supported"
    assert verdict("C8-context-64", length("task_A_regular", 128, "accuracy", 0.5)) == "supported"
    assert verdict("C8-no-pos", row("task_A_OOD", "accuracy", 0.5)) == "supported"
    assert verdict("C8-context-any", length("task_A_regular", 128, "accuracy", 0.5)) == "supported"


def test_the_repair_is_measured_against_training_and_not_against_what_is_left():
    """A network that loses little has little to repair."""
    assert verdict("C4-centred", moved("A", "accuracy", 0.78), moved("A", "wrapped_accuracy", 0.76)) == "contradicted"


def first(count: int, column: str, value, row: str = "noisy_labels_p0.2") -> list[Plant]:
    """In the first seeds only."""
    return [replace(run(row, column, value), where={"variant": row, "seed": seed}) for seed in range(count)]


def test_shares_of_runs_have_wilsons_interval():
    z = 1.959964
    for stay, expected in ((1, "supported"), (2, "inconclusive"), (6, "inconclusive"), (7, "contradicted")):
        one, share = found("C8-plateau-escape", *first(stay, "escaped", 0)), 1 - stay / MEMBERS
        centre, half = share + z**2 / 16, z * (share * (1 - share) / 8 + z**2 / 256) ** 0.5
        assert one["low"] == pytest.approx(100 * (centre - half) / (1 + z**2 / 8), rel=1e-6)
        assert one["high"] == pytest.approx(100 * (centre + half) / (1 + z**2 / 8), rel=1e-6)
        assert (one["measured"], one["n"], one["verdict"]) == (100 * share, MEMBERS, expected)


def test_a_noisy_run_that_stayed_counts_with_the_steps_it_had_and_a_clean_one_is_missing():
    stayed = [*first(8, "escaped", 0), *first(8, "escape_step", np.nan)]
    one = found("C8-plateau-noise", *stayed)
    assert one["verdict"] == "supported" and "8 stayed" in one["why"] and one["n"] == MEMBERS
    clean = [
        replace(change, where=change.where | {"variant": "task_A_regular"})
        for change in (*first(1, "escaped", 0), *first(1, "escape_step", np.nan))
    ]
    one = found("C8-plateau-noise", *clean)
    assert (one["verdict"], one["n"]) == ("inconclusive", MEMBERS - 1) and "missing" in one["why"]
    assert found("C8-plateau-seeds", *clean)["verdict"] == "inconclusive"


def test_no_run_that_escaped_says_nothing_of_when():
    one = found("C8-plateau-seeds", run("task_A_regular", "escape_step", np.nan))
    assert (one["verdict"], one["n"], one["measured"]) == ("inconclusive", 0, None)


def test_the_widest_gap_counts_at_whichever_length_a_seed_has_it():
    wide = [
        replace(length("task_A_regular", n, "bayes_accuracy_gap", 0.05), where={"tested": n, "seed": seed})
        for seed, n in enumerate((4, 16, 64, 128))
    ]
    one = found("C8-context-bayes", *wide)
    assert one["verdict"] == "contradicted" and one["measured"] == pytest.approx(5)


def test_noise_that_is_reported_is_that_of_the_episodes():
    one = found("C2-bayes", network("B", "bayes_accuracy_gap_se", times(3)))
    assert "of one network: 0.30" in one["why"]
