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
from plants import ABOUT_EVERY_VALUE, BESIDES, DINO, PLANTS, SETTING, Plant, add, exact, pair, times, trained
from worlds import WORLDS, World, world

from proj_heads.claims import CLAIMS
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
    module = import_module(f"proj_heads.experiments.{experiment}")
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
    parts = made.table.groupby("part") if "part" in made.table else [(None, made.table)]
    for name, rows in parts:
        recorded = real.table if name is None else real.table[real.table["part"] == name]
        assert set(rows.dropna(axis="columns")) <= set(recorded.dropna(axis="columns", how="all"))


@pytest.mark.parametrize("experiment", WORLDS)
def test_every_figure_that_a_claim_names_is_drawn(experiment):
    named = {claim.figure for claim in CLAIMS if claim.experiment == experiment} - {None}
    assert named and named <= set(import_module(f"proj_heads.experiments.{experiment}").figures(smoke(experiment)))


def test_every_check_can_read_what_the_experiments_record():
    judged = findings({name: smoke(name) for name in WORLDS}, "smoke")
    assert {one["verdict"] for one in judged.values()} == {"inconclusive"}
    assert all(one["n"] > 0 for one in judged.values() if one["id"] in ABOUT_EVERY_VALUE)


# ---- What a check leaves out


def test_the_first_steps_and_heads_that_start_elsewhere_do_not_count():
    for column, id in (("squared_negative", "C4-straight-training"), ("cosine_negative", "C6-sign")):
        assert verdict(id, *(trained(column, 64.0, step=step) for step in (0, 30))) == "supported"
        assert verdict(id, trained(column, 64.0, step=60, activation="linear")) == "contradicted"
    assert found("C4-smooth-training", trained("squared_negative", 0.0, alpha=1.0)) == found("C4-smooth-training")


def test_spread_and_condition_are_compared_in_both_kinds_of_start():
    reverse = trained("lambda_max", times(-1), activation="swish", alpha=1.0)
    one = found("C6-spread", reverse)
    assert one["measured"] == pytest.approx(0) and one["verdict"] == "inconclusive"


def test_a_curved_loss_is_needed_and_the_quadratic_is_the_control():
    one = found("C3-no-constant-head", exact("curvature", "floor", 2.5, potential="quadratic"))
    assert one["verdict"] == "supported" and one["measured"] < 2 and "control: 2.5" in one["why"]
    varies = exact("curvature", "curvature_deviation", 9.0, potential="softmax and quadratic")
    assert verdict("C3-curvature", varies) == "supported"


def test_narrow_paths_and_narrow_heads_do_not_count():
    assert verdict("C3-path", exact("path", "error", 5.0, path_width=32)) == "supported"
    assert verdict("C4-any-residual", exact("critical", "zero", 0.0, outputs=8)) == "supported"


def test_one_seed_with_a_gradient_is_enough_for_the_premise_and_a_saddle_has_to_be_one_in_every_seed():
    none = PLANTS["C4-premise"].where
    assert verdict("C4-premise", *(exact("collapse", "gradient", 0.0, seed=s, **none) for s in (0, 1))) == "supported"
    some = PLANTS["C4-linear-trapped"].where
    assert verdict("C4-linear-trapped", exact("collapse", "negative", 3, seed=0, **some)) == "supported"


def test_missing_values_do_not_hide_what_contradicts():
    lost = exact("collapse", "negative", np.nan, activation="linear", objective="NT-Xent", seed=0)
    one = found("C4-linear-trapped", PLANTS["C4-linear-trapped"], lost)
    assert one["verdict"] == "contradicted" and one["measured"] == 1


def test_another_head_or_range_does_not_count_for_the_authors_setting():
    off = {"compression": 0.01, "curvature_ratio": 0.1, "along_augmentation": 3.0, "rotation_linear_h": 99.0}
    ids = ("C10-compression", "C9-curvature", "C13-trained", "C8-rotation-linear")
    for other in ({"activation": "swish"}, {"rotation": 90.0}, {"objective": "vicreg"}):
        for id, (column, value) in zip(ids, off.items(), strict=True):
            assert verdict(id, pair(column, value, **other)) == "supported"
    assert verdict("C8-range", pair("rotation_mlp_h", 0.0, rotation=0.0)) == "contradicted"


def test_a_gap_at_h_without_one_at_z_has_no_ratio():
    one = found("C8-gap-doubles", pair("rotation_published_mlp_z", 79.0, **SETTING))
    assert one["verdict"] == "inconclusive" and one["n"] == 0


def test_ratios_of_orbits_that_cancel_show_nothing():
    for id, column, where in (
        ("C12-decorrelating-curvature", "raw_curvature_ratio", {"objective": "vicreg"}),
        ("C12-dino-curvature", "raw_curvature_ratio", DINO),
    ):
        other = {"objective": "barlow"} if id == "C12-decorrelating-curvature" else DINO
        halves = [("turn", 0.5), ("brightness", 2.0), ("contrast", 0.5), ("blur", 2.0)]
        changes = [pair(f"{name}_{column}", value, **on) for name, value in halves for on in (where, other)]
        one = found(id, *changes)
        assert one["verdict"] == "inconclusive" and one["measured"] == pytest.approx(1)


def test_dino_is_judged_with_and_without_batch_norm_apart():
    flat = [pair(f"{orbit}_curvature_ratio", 1.5, **DINO) for orbit in ("turn", "brightness", "contrast", "blur")]
    assert verdict("C12-dino-curvature-unit", *flat) == "contradicted"
    assert verdict("C12-dino-collapsed-curvature", *flat) == "supported"


def test_every_objective_has_to_compress_and_collapsed_ones_and_other_settings_do_not_count():
    for off in ({"objective": "dino", "norm": False}, {"activation": "swish"}, {"rotation": 180.0}):
        assert verdict("C12-universal", pair("turn_variance_unit", 0.1, **off)) == "supported"
    for objective in ("dino", "vicreg", "barlow", "simclr"):
        assert verdict("C12-universal", pair("turn_variance_unit", 0.1, objective=objective)) == "contradicted"
    one = found("C12-universal", pair("turn_variance_unit", add(-4.2), objective="vicreg", seed=0))
    assert one["verdict"] == "inconclusive"  # one seed of one objective decides nothing


def test_orbits_of_colour_count_where_there_are_colours():
    records = [
        (cell, [{**record, "hue_cosine_gain": -2.0}] if cell.objective == "dino" else [record])
        for cell, (record,) in WORLDS["geometry"]()
    ]
    judged = findings({"geometry": Results.from_records(records, "geometry")})
    assert judged["C12-dino-cosine"]["verdict"] == "contradicted" and "hue -2" in judged["C12-dino-cosine"]["why"]
    assert judged["C12-decorrelating-cosine"]["verdict"] == "supported"
    assert "hue" not in judged["C12-decorrelating-cosine"]["why"]


def test_another_data_set_or_backbone_beside_the_first_changes_nothing():
    recorded = WORLDS["geometry"]()
    before = findings({"geometry": Results.from_records(recorded, "geometry")})
    others = [
        (replace(cell, **other), [{name: -value for name, value in record.items()} for record in records])
        for cell, records in recorded for other in ({"data": "cifar100"}, {"backbone": "vit_tiny"})
    ]  # fmt: skip
    assert findings({"geometry": Results.from_records(recorded + others, "geometry")}) == before


def test_what_was_not_trained_is_inconclusive():
    recorded = [(cell, records) for cell, records in WORLDS["geometry"]() if cell.objective == "barlow"]
    judged = findings({"geometry": Results.from_records(recorded, "geometry")})
    unseen = [id for id in IDS if id.startswith(("C8", "C9", "C10", "C11", "C12-dino", "C13-trained"))]
    assert {judged[id]["verdict"] for id in unseen} == {"inconclusive"}
    assert {judged[id]["n"] for id in unseen} == {0}
