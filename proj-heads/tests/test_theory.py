"""The experiment `theory` at smoke size: the exact statements hold in its records; its own oracles are right."""

from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from proj_heads.experiments import theory, theory_conditioning, theory_hessian
from proj_heads.experiments.theory import Config
from repro_shared.runlog import Results


@cache
def records(part: str, seed: int = 0) -> list[dict]:
    (cell,) = [cell for cell in theory.PRESETS["smoke"] if cell.part == part]
    return theory.run(replace(cell, seed=seed), Path("not written to"))


def by(part: str, **labels) -> dict:
    (record,) = [record for record in records(part) if all(record[name] == value for name, value in labels.items())]
    return record


def test_closed_forms_agree_with_autodiff_and_central_differences():
    assert len(records("hessian")) == 12
    for record in records("hessian"):
        assert record["deviation"] < 1e-13 and 1e-12 < record["differences"] < 1e-7


@pytest.mark.parametrize("loss", theory.LOSSES)
@pytest.mark.parametrize("activation", theory.ACTIVATIONS)
def test_negative_eigenvalues_come_from_smooth_heads_or_from_the_cosine(activation, loss):
    record = by("hessian", activation=activation, loss=loss)
    assert record["metric_negative"] == record["metric_negative_most"] == (loss == "cosine")
    if activation in ("linear", "relu"):
        assert record["interaction"] == record["share"] == 0
        assert record["negative_least"] == record["negative_most"] == (loss == "cosine")
        assert record["critical"] == (0 if loss == "cosine" else np.inf)
    else:
        assert record["share"] > 0.1 and record["negative"] > 2 and record["below_zero"] == 1
        assert record["negative_least"] <= record["negative"] <= record["negative_most"] <= 16
        assert record["lowest"] < -1e-3 and record["critical"] < 1
    values = record["values"]
    assert (np.diff(values) >= 0).all() and len(values) == 16
    assert record["negative_least"] <= (values < -1e-10 * np.abs(values).max()).sum() <= record["negative_most"]


def test_a_wide_smooth_head_needs_a_residual_and_a_narrow_one_does_not():
    for activation in ("gelu", "swish"):
        wide, narrow = (by("critical", activation=activation, outputs=k) for k in (32, 8))
        assert wide["finite"] == 8 and wide["separates"] == 1 and wide["error"] < 1e-13 and 0.05 < wide["least"] < 5
        assert narrow["zero"] == 1
    for activation in ("linear", "relu"):
        assert all(by("critical", activation=activation, outputs=k)["infinite"] == 1 for k in (8, 32))


def test_whitening_is_exact_here_and_wrong_elsewhere():
    for record in records("whitening"):
        assert record["on"] < 1e-13 and record["off"] < 1e-13 and record["elsewhere"] > 0.5


def test_curvatures_and_floors_are_the_known_ones():
    for name, known in (("gaussian", -0.5), ("softmax", 0.25), ("separable", 0), ("quadratic", 0)):
        record = by("curvature", potential=name)
        assert record["curvature"] == pytest.approx(known, abs=1e-9) and record["curvature_deviation"] < 1e-9
    for record in records("curvature"):
        assert record["attained"] == pytest.approx(1, abs=1e-9) and record["tried"] >= 1 - 1e-12
        assert (record["floor"] > 1.02) == (record["potential"] != "quadratic")
    mixed = by("curvature", potential="softmax and quadratic")
    assert mixed["riemann"] > 1e-3 and mixed["curvature_deviation"] > 1e-3 and mixed["rank_one_error"] < 1e-15


def test_a_wide_mlp_follows_the_path():
    errors = [record["error"] for record in records("path")]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-5
    assert records("path")[-1]["condition"] - 1 < 1e-5 < 0.1 < records("path")[-1]["constant_floor"] - 1


def test_the_bound_and_the_corollary_hold_and_the_semidefinite_threshold_is_sharp():
    definite, indefinite = (by("bound", definite=kind) for kind in ("semidefinite", "indefinite"))
    for record in (definite, indefinite):
        assert record["checked"] == 80 and 0.3 < record["ratio"] <= 1
        assert 1 < record["over_paper"] < record["over_bound"]
    assert definite["positive"] == 80 and 1 - 1e-12 <= definite["over_semidefinite"] < 1.2
    assert 20 < indefinite["positive"] < 80 and indefinite["over_semidefinite"] < 1


def test_the_smallest_breaking_error_breaks_and_no_smaller_one_does():
    """H = diag(1, -1, 4): (2, 0.5, 0) is 1.5 / sqrt(2) from the cone, where y = (a, a, 0); (0, 0, 3) is farther."""
    target = torch.tensor([[[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]]], dtype=torch.float64)
    hessians = torch.diag(torch.tensor([1.0, -1.0, 4.0])).double()[None]
    found = theory_conditioning._breaking_errors(hessians, target).item()
    assert found == pytest.approx(1.5 / 2**0.5, rel=1e-9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        error = torch.randn(3, 2, generator=generator, dtype=torch.float64)
        error *= 0.999 * found / torch.linalg.matrix_norm(error, 2)
        moved = target[0] + error
        assert torch.linalg.eigvalsh(moved.T @ hessians[0] @ moved)[0] > 0
    definite = theory_conditioning._breaking_errors(torch.eye(3).double()[None], target)
    assert definite.item() == pytest.approx(4.25**0.5)  # H > 0: the smallest singular value of J*


@pytest.mark.parametrize("objective", theory.OBJECTIVES)
def test_saddles_at_collapse_are_the_losses_and_not_the_heads(objective):
    alone = by("collapse", objective=objective, activation="none")
    assert alone["deviation"] < 1e-13 and alone["lowest"] == pytest.approx(alone["closed"], rel=1e-12, abs=1e-15)
    for activation in theory.ACTIVATIONS:
        record = by("collapse", objective=objective, activation=activation)
        assert (record["negative"] > 0) == (objective != "SimSiam") and record["gradient"] < 1e-12
        assert record["negative"] == alone["negative"]  # d > k: the head loses none of them


@pytest.mark.parametrize("target", theory.TARGETS)
@pytest.mark.parametrize("activation", theory.ACTIVATIONS)
def test_held_targets_leave_a_residual_and_dino_has_the_signs_of_theorem_4_1(activation, target):
    record = by("targets", activation=activation, target=target)
    assert 0.01 < record["residual"] <= record["residual_median"]
    if target == "SimSiam predictor":  # its loss is not convex
        assert record["below_zero"] == 1 and record["metric_negative"] >= 1 and record["critical"] == 0
        return
    assert record["metric_negative"] == record["metric_negative_most"] == 0
    smooth = activation in ("gelu", "swish")
    assert record["below_zero"] == smooth and (record["negative_most"] > 0) == smooth
    assert (record["critical"] < 1) == smooth and (record["critical"] == np.inf) != smooth


@pytest.mark.parametrize("activation", theory.ACTIVATIONS)
def test_a_predictor_at_equilibrium_lets_differences_grow_behind_every_head(activation):
    none, drawn, rest = (by("field", activation=activation, state=state) for state in theory.STATES)
    for record in (none, drawn, rest):
        assert record["deviation"] < 1e-12 and record["differences"] < 1e-7
        assert record["initial"] >= record["shared"] - 1e-12
    assert abs(none["shared"]) < 1e-12 and none["growing"] == 0 and none["drift"] < 1e-13
    assert drawn["drift"] > 0.1 and drawn["shared"] > 0
    assert rest["drift"] < 1e-12 and rest["shared"] > 0.05 and rest["growing"] > 0
    assert abs(rest["frozen"]) < 1e-12  # one sample with a frozen target would say: neutral


def test_invariance_makes_only_the_metric_singular():
    for record in records("invariance"):
        assert record["along"] < 1e-13 and record["across"] > 0.1
        assert record["interaction_along"] > 0.1 and record["interaction_error"] < 1e-12


def test_the_fisher_rank_theorem_needs_its_assumption():
    inside, outside = (by("fisher", position=position) for position in ("inside", "outside"))
    assert inside["holds"] and inside["rank_h"] == inside["exact"] == inside["bound"] == 6
    assert not outside["holds"] and outside["rank_h"] == outside["exact"] == outside["rank_z"] == 8


def test_pseudo_collapse_leaves_the_direction_of_homogeneous_heads_alone():
    for record in records("homogeneity"):
        smooth = record["activation"] in ("gelu", "swish")
        assert record["change"] > 0.1 if smooth else record["change"] < 1e-14
        assert record["change_with_norm"] < 0.1 * max(record["change"], 1)  # batch norm undoes it, but for its epsilon
    assert by("homogeneity", activation="linear")["change_with_norm"] < 1e-14  # it has no batch norm


@pytest.mark.parametrize("part", theory.PARTS)
def test_equal_seeds_give_equal_records_and_others_do_not(part):
    (cell,) = [cell for cell in theory.PRESETS["smoke"] if cell.part == part]
    again, other = theory.run(cell, Path("-")), records(part, seed=1)
    for first, second in zip(records(part), again, strict=True):
        assert first.keys() == second.keys()
        assert all(np.array_equal(value, second[name]) for name, value in first.items())
    if part != "fisher":  # ranks
        assert repr(other) != repr(records(part))


def test_records_are_plain_numbers_labelled_by_config_fields():
    names = {field.name for field in fields(Config)}
    for cell in theory.PRESETS["smoke"]:
        for record in records(cell.part):
            assert all(isinstance(value, bool | int | float | str | np.ndarray) for value in record.values())
            for name in names & record.keys():
                assert record[name] in (*getattr(cell, name), "none")
    results = Results.from_records([(cell, records(cell.part)) for cell in theory.PRESETS["smoke"]])
    assert len(results.metrics()) > 300


def test_the_names_of_losses_and_potentials_have_functions():
    assert tuple(theory_hessian.LOSSES) == theory.LOSSES and tuple(theory_conditioning.POTENTIALS) == theory.POTENTIALS


def test_figures_draw_every_part_of_a_partial_run():
    results = Results.from_records([(cell, records(cell.part)) for cell in theory.PRESETS["smoke"]])
    figures = theory.figures(results)
    assert set(figures) == {"spectra", "residuals", "targets", "collapse", "conditioning"}
    assert all(len(figure.get_label()) > 100 for figure in figures.values())
    residuals, negative = figures["targets"].axes
    assert len(residuals.lines) == 12 and [bar.get_height() for bar in negative.patches[:2]] == [0, 0]
    assert [text.get_text() for text in negative.get_legend().get_texts()] == ["linear", "ReLU", "GELU", "Swish"]
    left, right, counts = figures["spectra"].axes
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["H", "G"]
    assert len(left.lines) == 9 and len(counts.patches) == 12  # four heads: dots and a line each, and zero


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(part="proof"), "unknown part 'proof'; choose from hessian, critical"),
        (dict(activation=("tanh",)), "unknown activation 'tanh'; choose from linear, relu, gelu, swish"),
        (dict(objective=("BYOL",)), "unknown objective 'BYOL'; choose from InfoNCE"),
        (dict(d=4), "d = 4, k = 32, batch = 6, width = 64; choose d >= 8, others >= 2"),
        (dict(part="whitening", rank=(40,)), r"rank = \(40,\); choose ranks up to d = 16 and k = 32"),
        (dict(samples=0), "samples = 0; choose numbers > 0"),
        (dict(seed=-1), "seed = -1; choose a seed >= 0"),
    ],
)
def test_wrong_settings_are_refused_with_advice(wrong, message, unchecked):
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
