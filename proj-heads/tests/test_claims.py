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
from plants import (
    ABOUT_EVERY_VALUE,
    BESIDES,
    DINO,
    PLANTS,
    SETTING,
    Plant,
    add,
    exact,
    member,
    pair,
    path,
    seed_label,
    times,
    trained,
)
from worlds import WORLDS, World, world

from proj_heads.checks.flow import _jackknife
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
    for name, held in results.items():
        label = seed_label(name)
        held.table = held.table[held.table[label] < seeds]
        if not held.curves.empty:
            held.curves = held.curves[held.curves[label] < seeds]
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
    for column, id in (("squared_negative", "C4-straight-training"), ("cosine_below_zero", "C6-sign")):
        assert verdict(id, *(trained(column, 1.0, step=step) for step in (0, 30))) == "supported"
        assert verdict(id, trained(column, 1.0, alpha=1.0)) == "supported"
        later = [trained(column, 1.0, step=step, activation="linear") for step in (60, 90, 120)]
        assert verdict(id, *later) == "contradicted"
    assert found("C4-smooth-training", trained("squared_negative", 0.0, alpha=1.0)) == found("C4-smooth-training")


def test_spread_and_condition_are_compared_start_by_start_and_without_step_0():
    for id, alpha, other in (("C6-spread", 0.1, 1.0), ("C6-spread-ordinary", 1.0, 0.1)):
        where = {"activation": "swish", "alpha": alpha}
        assert found(id)["measured"] == pytest.approx(1)
        assert found(id, trained("std", 9.0, step=0, **where))["measured"] == pytest.approx(1)
        assert found(id, trained("std", 9.0, step=30, **where))["measured"] < 0.9
        assert found(id, trained("condition", times(-1), activation="swish", alpha=other)) == found(id)


def test_a_singular_covariance_has_no_condition_number_and_supports_nothing():
    one = found("C6-spread", trained("condition", np.nan, activation="swish", alpha=0.1, seed=2, step=300))
    assert one["verdict"] == "inconclusive" and "1 of 4 values are missing" in one["why"]


def wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.959964
    centre, half = share + z**2 / (2 * n), z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return 100 * (centre - half) / (1 + z**2 / n), 100 * (centre + half) / (1 + z**2 / n)


def test_shares_of_draws_span_wilsons_interval_of_all_draws_and_that_of_seeds():
    everywhere = found("C4-smooth", exact("hessian", "below_zero", 1.0))  # 4 seeds, 2 heads, 2 losses, 32 samples
    assert everywhere["low"] == pytest.approx(wilson(1, 512)[0], rel=1e-6) and everywhere["high"] == 100
    assert everywhere["n"] == 4 and everywhere["verdict"] == "supported"
    nowhere = found("C4-any-residual", exact("critical", "zero", 0.0))
    assert (nowhere["low"], nowhere["verdict"]) == (0, "contradicted")
    assert nowhere["high"] == pytest.approx(wilson(0, 256)[1], rel=1e-6)
    apart = found("C4-smooth", exact("hessian", "below_zero", 1.0), exact("hessian", "below_zero", 0.8, seed=1))
    assert apart["measured"] == pytest.approx(95) and apart["low"] == pytest.approx(95 - 3.182446 * 5, rel=1e-5)
    assert apart["high"] == 100 and apart["verdict"] == "inconclusive"


def test_the_sign_is_judged_by_samples_each_of_which_counts_once():
    one = found("C6-sign", trained("cosine_below_zero", 1.0))  # 4 seeds, 2 heads, 32 samples
    assert (one["measured"], one["high"], one["verdict"]) == (100, 100, "contradicted")
    assert one["low"] == pytest.approx(wilson(1, 256)[0], rel=1e-6)


def test_a_curved_loss_is_needed_and_the_quadratic_is_the_control():
    one = found("C3-no-constant-head", exact("curvature", "floor", 2.5, potential="quadratic"))
    assert one["verdict"] == "supported" and one["measured"] < 2 and "control: 2.5" in one["why"]
    varies = exact("curvature", "curvature_deviation", 9.0, potential="softmax and quadratic")
    assert verdict("C3-curvature", varies) == "supported"
    assert verdict("C3-no-constant-head", PLANTS["C3-any-rank"]) == "supported"  # it is about full rank


def test_narrow_paths_and_narrow_heads_do_not_count():
    assert verdict("C3-path", exact("path", "error", 5.0, path_width=32)) == "supported"
    assert verdict("C4-any-residual", exact("critical", "zero", 0.0, outputs=8)) == "supported"


def test_one_seed_with_a_gradient_is_enough_for_the_premise_and_a_saddle_has_to_be_one_in_every_seed():
    none = PLANTS["C4-premise"].where
    assert verdict("C4-premise", *(exact("collapse", "gradient", 0.0, seed=s, **none) for s in (0, 1))) == "supported"
    some = PLANTS["C4-linear-trapped"].where
    assert verdict("C4-linear-trapped", exact("collapse", "negative", 3, seed=0, **some)) == "supported"


def test_residuals_and_heads_of_other_objectives_do_not_count_for_dino():
    other = {"target": "SimSiam predictor"}
    assert verdict("C4-dino-premise", exact("targets", "residual", 0.0, **other)) == "supported"
    assert verdict("C4-dino-smooth", exact("targets", "below_zero", 0.0, **other)) == "supported"
    assert verdict("C4-dino-smooth", exact("targets", "below_zero", 0.0, activation="relu")) == "supported"
    assert verdict("C4-dino-straight", exact("targets", "negative_most", 9, **other)) == "supported"
    assert verdict("C4-dino-straight", exact("targets", "negative_most", 9, activation="gelu")) == "supported"


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
    orbits = ("turn", "brightness", "contrast", "blur")
    flat = [pair(f"{orbit}_centred_curvature_ratio", 1.5, **DINO) for orbit in orbits]
    assert verdict("C12-dino-curvature-centred", *flat) == "contradicted"
    assert verdict("C12-dino-collapsed-curvature", *flat) == "supported"


def test_every_objective_has_to_compress_and_collapsed_ones_and_other_settings_do_not_count():
    for off in ({"objective": "dino", "norm": False}, {"activation": "swish"}, {"rotation": 180.0}):
        assert verdict("C12-universal", pair("turn_variance_share", 0.1, **off)) == "supported"
    for objective in ("dino", "vicreg", "barlow", "simclr"):
        assert verdict("C12-universal", pair("turn_variance_share", 0.1, objective=objective)) == "contradicted"
    one = found("C12-universal", pair("turn_variance_share", add(-2.3), objective="vicreg", seed=0))
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


# ---- What becomes of runs and paths


def some(count: int, column: str, value, **where) -> list[Plant]:
    """In the first seeds only."""
    return [member(column, value, seeds=seed, **where) for seed in range(count)]


def test_shares_of_runs_have_wilsons_interval_and_one_run_in_eight_does_not_turn_a_verdict():
    z = 1.959964
    for escaped, expected in ((1, "supported"), (2, "inconclusive"), (6, "inconclusive"), (7, "contradicted")):
        one, share = found("C5-relu", *some(escaped, "escaped", 1, activation="relu")), escaped / 8
        centre, half = share + z**2 / 16, z * (share * (1 - share) / 8 + z**2 / 256) ** 0.5
        assert one["low"] == pytest.approx(100 * (centre - half) / (1 + z**2 / 8), rel=1e-6)
        assert one["high"] == pytest.approx(100 * (centre + half) / (1 + z**2 / 8), rel=1e-6)
        assert (one["measured"], one["n"], one["verdict"]) == (12.5 * escaped, 8, expected)


def test_a_run_that_never_collapsed_has_nothing_to_escape_from():
    changes = [*some(4, "collapsed", 0, activation="relu"), *some(4, "escaped", 1, activation="relu")]
    one = found("C5-relu", *changes)
    assert (one["verdict"], one["measured"], one["n"]) == ("supported", 0, 4)
    one = found("C5-swish", member("collapsed", 0, activation="swish"))
    assert (one["verdict"], one["n"]) == ("inconclusive", 0) and "No run collapsed" in one["why"]
    assert found("C5-relu", member("collapsed", np.nan, activation="relu"))["n"] == 8  # not known is not never


def test_what_was_only_transient_or_from_another_setting_is_no_escape():
    one = found("C5-relu", *some(6, "ever_escaped", 1, activation="relu"))
    assert one["verdict"] == "supported" and "6 were above ten times" in one["why"]
    for other in ({"lr": 0.005}, {"norm": True}, {"collapse": "mean_shift"}, {"collapse": "none"}):
        assert verdict("C5-relu", member("escaped", 1, activation="relu", **other)) == "supported"
    assert verdict("C5-flow-relu", path("escaped", 1, activation="relu", start="pseudo")) == "supported"


def test_one_head_of_a_seed_is_enough_for_the_control_to_collapse():
    relu = some(4, "collapsed", 1, activation="relu", collapse="none")
    swish = [
        replace(change, where=change.where | {"activation": "swish", "seeds": 7 - i}) for i, change in enumerate(relu)
    ]
    one = found("C5-start", *relu, *swish)
    assert (one["verdict"], one["measured"]) == ("contradicted", 100) and "relu 4 of 8, swish 4 of 8" in one["why"]


def test_a_path_is_not_known_where_its_error_could_change_the_answer():
    inexact = path(
        "error", 0.5, activation="relu"
    )  # 1.2 times the least spread, and half the first, to a factor of 2.25
    assert verdict("C5-flow-relu", inexact) == "supported"
    near = path("rise", 6.0, activation="relu", seeds=2)
    one = found("C5-flow-relu", inexact, near)
    assert (one["verdict"], one["n"]) == ("inconclusive", 7) and "1 of 8 values are missing" in one["why"]
    one = found("C5-flow-decay", inexact)
    assert (one["verdict"], one["n"]) == ("inconclusive", 0)
    assert verdict("C5-flow-decay", path("error", 0.3, activation="relu")) == "supported"


def test_growth_behind_one_head_and_decay_behind_the_other_show_nothing():
    one = found("C5-flow-growth", path("growth", lambda growth: 1 / growth, activation="gelu"))
    assert one["verdict"] == "inconclusive" and one["measured"] == pytest.approx(1)


def left(*wanted: Plant) -> list[Plant]:
    """These changes, and that the paths were left before the end."""
    return [*wanted, *(path("stopped", 1, **change.where) for change in wanted)]


def test_a_path_that_was_left_is_known_only_by_what_it_had_done():
    for head in ("linear", "swish"):  # which would otherwise be supported by one path less
        one = found(f"C5-flow-{head}", *left(path("escaped", np.nan, activation=head, seeds=2)))
        assert (one["verdict"], one["n"]) == ("inconclusive", 7) and "1 of 8 values are missing" in one["why"]
    one = found("C5-flow-swish", *left(path("escaped", 1, activation="swish", seeds=2)))
    assert (one["verdict"], one["n"]) == ("supported", 8) and "1 of 8 paths were left" in one["why"]
    for id, head in (("C5-flow-growth", "gelu"), ("C5-flow-decay", "linear")):
        one = found(id, path("stopped", 1, activation=head, seeds=2))
        assert (one["verdict"], one["n"]) == ("inconclusive", 7)


def test_paths_that_were_left_are_no_part_of_what_is_said_of_those_that_last():
    wrong = [path("growth", 1e-9, activation="gelu", seeds=2), path("stopped", 1, activation="gelu", seeds=2)]
    for id in ("C5-flow-foretold-start", "C5-flow-foretold-settled", "C5-flow-small-steps"):
        assert verdict(id, *wrong) == "supported" and "31 of 32 paths last" in found(id, *wrong)["why"]


def test_a_rate_that_does_not_tell_heads_apart_foretells_nothing():
    """The reviewed case: positive for every path, whether it grows or not."""
    positive = path("rate_start", lambda rate: 1 + (np.arange(len(rate)) * 7 % 32) / 32)
    one = found("C5-flow-foretold-start", positive)
    assert one["verdict"] != "supported" and "positive for 32, 16 grow, and the sign is right for 16" in one["why"]


def test_the_jackknife_is_the_t_interval_for_a_mean():
    table = pd.DataFrame({"seeds": [0, 0, 1, 1, 2, 2], "x": [1.0, 2, 4, 4, 9, 0]})
    pseudo = _jackknife(lambda held: held["x"].mean(), table)
    assert pseudo.to_numpy() == pytest.approx(table.groupby("seeds")["x"].mean().to_numpy())


def test_descent_and_flow_may_not_differ_in_opposite_directions():
    one = found("C5-flow-small-steps", path("growth_0.05", times(3), activation="gelu"),
                path("growth_0.05", times(1 / 3), activation="swish"))  # fmt: skip
    assert one["verdict"] == "contradicted"


ENDS = {"start": "pseudo", "activation": "swish"}


def test_paths_of_relu_may_end_without_a_singularity():
    relu = ENDS | {"activation": "relu"}
    assert (
        verdict("C5-flow-singular", path("met_1e+06", np.nan, **relu), path("met_100000", 9.0, **relu)) == "supported"
    )


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([path("met_1e+06", 0.256, **ENDS)], "contradicted"),  # the reviewed path: it goes on when the limit is raised
        ([path("nearest_1e+06", 5e-3, **ENDS)], "contradicted"),  # stiff, but not because an output vanishes
        ([path("met_1e+06", np.nan, **ENDS), path("stopped", 0, **ENDS)], "contradicted"),  # it lasts
        ([path("met_1e+06", np.nan, **ENDS)], "inconclusive"),  # given up
        ([path("met_1e+06", np.nan, **ENDS, seeds=1)], "inconclusive"),
        ([path("met_1e+06", 0.256, **ENDS, seeds=1)], "supported"),  # one seed of eight
        ([path("met_1e+06", 0.256, **ENDS, seeds=seed) for seed in (1, 2)], "inconclusive"),
        ([path("stiffness", 1e9)], "supported"),  # however stiff it was: that only says where the path was left
    ],
)
def test_a_path_ends_at_a_zero_only_if_higher_limits_find_the_same(changes, expected):
    assert verdict("C5-flow-singular", *changes) == expected


def test_without_a_control_that_escapes_true_collapse_decides_nothing():
    control = {"collapse": "mean_shift", "objective": "infonce"}
    for head in ("linear", "relu", "gelu", "swish"):
        stuck = found(f"C5-true-{head}", member("escaped", 0, activation=head, **control))
        assert stuck["verdict"] == "inconclusive" and "Under InfoNCE" in stuck["why"]
        never = found(f"C5-true-{head}", member("collapsed", 0, activation=head, **control))
        assert never["verdict"] == "inconclusive"
    wrong = member("escaped", 0, activation="gelu", collapse="mean_shift")
    assert verdict("C5-true-gelu", wrong) == "contradicted"
    assert verdict("C5-true-gelu", wrong, member("escaped", 0, activation="gelu", **control)) == "inconclusive"


def test_batch_norm_prevents_collapse_only_where_no_run_was_collapsed():
    """Not even one that recovers, which `ends_collapsed` would not show."""
    assert verdict("C5-norm", member("ends_collapsed", 0, norm=True), PLANTS["C5-norm"]) == "contradicted"


def test_mean_and_median_updates_are_judged_apart():
    first_steps = member("timescale", times(1000), activation="swish")
    assert verdict("C7-swish-median", first_steps, PLANTS["C7-swish-median"]) == "contradicted"
    assert "of the means over steps 1e+05" in found("C7-swish-median", first_steps)["why"]
    one = found("C7-swish")
    assert "mean relative update a step 1.0e-01 and 1.0e-03 (medians over seeds)" in one["why"]


def test_parity_has_two_sides():
    for amount, expected in ((2.5, "supported"), (0.4, "supported"), (3.0, "inconclusive"), (1 / 3, "inconclusive")):
        one = found("C7-parity-swish", member("timescale", times(amount), activation="swish", norm=True))
        assert one["verdict"] == expected and one["measured"] == pytest.approx(amount, rel=0.01)
