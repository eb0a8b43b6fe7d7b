"""Every claim is supported in a world made to obey it, and contradicted in the same world with one thing planted
against it.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from plants import ABOUT_EVERY_VALUE, BESIDES, PLANTS, Plant, add, exact, toy, trained
from worlds import WORLDS, World, world

from infonce_langevin.claims import CLAIMS
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
    module = import_module(f"infonce_langevin.experiments.{experiment}")
    with TemporaryDirectory() as folder:
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
    assert one["verdict"] == "inconclusive" and ("missing" in one["why"] or "Nothing was measured" in one["why"])


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_decide_only_statements_about_every_value(seeds):
    results = world()
    for held in results.values():
        for name in ("table", "curves"):
            table = getattr(held, name)
            if "seed" in table:
                setattr(held, name, table[table["seed"] < table["seed"].min() + seeds])
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
    module = import_module(f"infonce_langevin.experiments.{experiment}")
    assert named and named <= set(module.figures(smoke(experiment)))


def test_every_check_can_read_what_the_experiments_record():
    judged = findings({name: smoke(name) for name in WORLDS}, "smoke")
    assert {one["verdict"] for one in judged.values()} == {"inconclusive"}
    assert all(one["n"] > 0 for one in judged.values() if one["id"] in ABOUT_EVERY_VALUE)


# ---- What the checks look at


def test_half_success_that_is_never_crossed_is_missing():
    one = found("C4-toy-constant", toy("rates", "success", 0.9, end=40.0, seed=1))
    assert (one["verdict"], one["n"]) == ("inconclusive", 3) and "missing" in one["why"]


def test_the_crossing_is_on_a_line_in_the_logarithm_of_the_rate():
    one = found("C4-toy-constant")
    assert one["measured"] == pytest.approx(1.06, abs=0.01)


def test_rates_above_the_critical_one_do_not_count_as_slow_nor_the_other_way_round():
    assert verdict("C2-slow", exact("last", 0.5, kind="trap", coupling="decoupled", ratio=1.25)) == "supported"
    assert verdict("C3-fast", exact("last", 0.0, kind="trap", coupling="decoupled", ratio=1.25)) == "supported"


def test_runs_that_diverged_are_missing():
    one = found("C6-low", trained("tau 1", "sgd", lambda old: old.where(old.index != old.index[0], np.nan)))
    assert (one["verdict"], one["n"]) == ("inconclusive", 3) and "missing" in one["why"]


def test_a_wrong_mass_counts_whichever_way_it_is_wrong():
    for amount in (-0.05, 0.05):
        assert verdict("C1-gibbs", toy("gibbs", "success", add(amount), kind="langevin, uniform")) == "contradicted"
