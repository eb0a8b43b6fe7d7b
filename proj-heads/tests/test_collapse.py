"""Collapse and gradient flow at smoke size: their numbers again from curves, single seeds and other code; settings."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from proj_heads import collapse_spectra
from proj_heads.data import load
from proj_heads.experiments import collapse, flow
from proj_heads.seeds import generator
from proj_heads.siamese import Sizes, siamese
from proj_heads.stacked import CURVES, MemberViews
from repro_shared import UserError
from repro_shared.provenance import config_hash
from repro_shared.results import Results

TINY = collapse.Config(data="digits", steps=30, batch=16, every=10, seeds=(0, 1), width=16, predictor=8)


@cache
def records(cell) -> list[dict]:
    return (collapse if isinstance(cell, collapse.Config) else flow).run(cell, Path())


def start(**settings) -> list[float]:
    return [record["std_start"] for record in records(replace(TINY, **settings))]


# ---- collapse


def test_every_seed_has_its_curves_and_sums_them_up():
    for seed, record in zip((0, 1), records(TINY), strict=True):
        assert record["seeds"] == seed and record["step"].tolist() == [0, 10, 20, 30]
        assert all(record[name].shape == (4,) for name in CURVES)
        std = record["std"]
        assert (record["std_start"], record["std_end"], record["std_min"]) == (std[0], std[-1], std.min())
        assert record["rise"] == pytest.approx(std[-1] / std.min()) and record["growth"] == pytest.approx(
            std[-1] / std[0]
        )
        assert record["timescale"] == pytest.approx(record["mean_update_head"] / record["mean_update_backbone"])
        assert record["timescale_moved"] == pytest.approx(record["moved_head"].mean() / record["moved_backbone"].mean())
        expected = spearmanr(std[1:], record["effective_rank"][1:]).statistic
        assert record["spearman_effective_rank"] == pytest.approx(expected)
        assert record["loss_end"] == record["loss"][-1] and "digits" in record["origin"]


def test_a_seed_is_the_same_alone():
    (alone,) = records(replace(TINY, seeds=(1,)))
    for name in ("std", "loss", "grad_head", "update_backbone"):
        np.testing.assert_allclose(alone[name], records(TINY)[1][name], rtol=2e-3)
    assert not np.allclose(alone["std"], records(TINY)[0]["std"], rtol=2e-2)


def test_equal_cells_give_equal_numbers():
    again = collapse.run(TINY, Path())
    for record, expected in zip(again, records(TINY), strict=True):
        assert all(np.array_equal(record[name], expected[name], equal_nan=True) for name in CURVES)


def test_the_published_condition_number_is_the_largest_eigenvalue():
    cell = replace(TINY, width=32)  # 2 x 16 outputs of 32 numbers
    for record in records(cell):
        np.testing.assert_allclose(record["condition"], 1e7 * record["lambda_max"], rtol=1e-12)
        assert record["spearman_condition"] == pytest.approx(
            spearmanr(record["std"][1:], record["lambda_max"][1:]).statistic
        )
    for record in records(replace(TINY, batch=32)):  # more outputs than numbers: it is one
        assert (record["condition"] < 1e7 * record["lambda_max"]).any()


def test_starts_are_what_they_say():
    for activation in ("linear", "relu"):  # homogeneous heads: the authors' start is no other state
        assert start(activation=activation) == pytest.approx(start(activation=activation, collapse="none"), rel=1e-5)
    possible = TINY.width**-0.5
    assert min(start(collapse="pseudo")) > 0.3 * possible > 3 * max(start(collapse="mean_shift"))


def test_batch_norm_keeps_the_spread():
    assert all(not record["collapsed"] and not record["escaped"] for record in records(replace(TINY, norm=True)))


STEPS = np.arange(0, 1001, 100)


@pytest.mark.parametrize(
    ("std", "collapsed", "escaped", "ever", "step"),
    [
        ([0.2, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], True, False, False, None),
        ([0.2, 0.01, 0.01, 0.02, 0.05, 0.11, 0.12, 0.13, 0.13, 0.13, 0.13], True, True, True, 500),
        ([0.2, 0.01, 0.02, 0.11, 0.05, 0.02, 0.004, 0.004, 0.004, 0.004, 0.004], True, False, True, 300),
        ([0.24, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2], False, False, False, None),
        ([0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.099], True, False, False, None),
    ],
)
def test_escape_and_collapse_follow_the_rules(std, collapsed, escaped, ever, step):
    found = collapse.spread(STEPS, np.array(std), 16)
    assert (found["collapsed"], found["escaped"], found["ever_escaped"]) == (collapsed, escaped, ever)
    assert found["escape_step"] == step and found["std_possible"] == 0.25
    assert found["published_ratio"] == pytest.approx(std[-1] / std[0])


def test_a_run_that_diverges_has_no_spread():
    """Not even a false one: that it does not stay collapsed would count for a rescue."""
    for std in (np.nan, np.inf):
        found = collapse.spread(STEPS, np.array([0.2, 0.01, *[std] * 9]), 16)
        assert {"collapsed", "ends_collapsed", "escaped", "rise", "std_end"} <= set(found) and not any(found.values())
        assert set(found.values()) == {None}
    diverged = records(replace(TINY, activation="relu", lr=1e20))
    assert [record["ends_collapsed"] for record in diverged] == [None, None]


def test_numbers_that_are_not_defined_are_left_out():
    dead = collapse.spread(STEPS, np.zeros(11), 16)
    assert dead["rise"] is None and not dead["escaped"] and dead["collapsed"]
    constant = {name: np.ones(5) for name in CURVES}
    assert set(collapse.correlations(constant).values()) == {None}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"activation": "tanh"}, "activation = 'tanh'; choose from linear, relu, gelu, swish"),
        ({"collapse": "full"}, "collapse = 'full'; choose from pseudo, none, mean_shift"),
        ({"activation": "linear", "norm": True}, "a linear head has no batch norms"),
        ({"lr": 0.0}, "lr = 0.0; choose numbers > 0"),
        ({"batch": 1}, "batch = 1; choose at least 2 images"),
        ({"seeds": ()}, "seeds = (); choose different numbers >= 0, at least one"),
        ({"seeds": (1, 1)}, "seeds = (1, 1); choose different numbers"),
        ({"data": "mnist"}, "data = 'mnist'; choose from fashion-mnist"),
    ],
)
def test_bad_settings_of_collapse_end_in_one_line(changed, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        replace(TINY, **changed)
    assert "\n" not in str(error.value)


def test_a_batch_larger_than_the_data_is_the_users_error():
    for cell in (replace(TINY, batch=2_000), replace(FLOW, batch=2_000)):
        with pytest.raises(UserError, match="batch = 2000, but digits has 1347 images"):
            records(cell)


# ---- flow

FLOW = flow.Config(data="digits", time=1.0, points=10, batch=6, width=16, seeds=(0, 1), descent=(0.25,))


@pytest.mark.parametrize("activation", ["linear", "swish"])
def test_descent_with_tiny_steps_is_the_flow(activation):
    cell = replace(FLOW, activation=activation, descent=(0.0005,))
    for record in records(cell):
        np.testing.assert_allclose(record["std_0.0005"], record["std"], rtol=0.02)
        assert record["error"] < 0.01 and not record["stopped"] and record["reached"] == 1.0
        assert record["growth"] == pytest.approx(record["std"][-1] / record["std"][0], rel=1e-6)
        assert record["growth_0.0005"] == pytest.approx(record["growth"], rel=0.02)
        assert record["grown"] == (record["growth"] > 1) and record["escaped"] == (record["rise"] > collapse.ESCAPE)
        assert record["time_of_step"][[0, -1]].tolist() == [0.0, 1.0]


def test_true_collapse_starts_collapsed_and_the_authors_start_does_not():
    for record in records(FLOW):
        assert record["std_start"] < 0.1 * 8**-0.5 and record["nearest_zero"] > 0.5
    for record in records(replace(FLOW, start="pseudo", time=0.25)):
        assert record["std_start"] > 0.5 * 8**-0.5


def test_a_path_that_is_left_says_so():
    cell = replace(FLOW, start="pseudo", stiffest=3e3)
    assert any(record["stopped"] for record in records(cell))
    for record in records(cell):
        known = np.isfinite(record["std"])
        assert record["stopped"] == (record["reached"] < 1.0) == (not known.all())
        assert (record["time_of_step"][known] <= record["reached"] + 1e-12).all() and record["std_end"] > 0


def test_the_growth_rate_is_that_of_the_linearised_field():
    cell = FLOW
    x = flow._batch(cell)
    member = flow._member(cell, generator(0, "init"), x[0])
    point = member.backbone(x[0].flatten(1).T).mean(0).detach()
    found = collapse_spectra.linearise(collapse_spectra.simsiam_field(member.head, member.predictor), point, cell.batch)
    expected = cell.batch * collapse_spectra.abscissa(found.shared)
    assert records(cell)[0]["rate_start"] == pytest.approx(expected, rel=1e-6)


def test_views_of_the_flow_are_standardised():
    x = flow._batch(FLOW)
    assert x.dtype == torch.float64 and x.shape == (2, 16, 2, 6)
    flat = x.flatten(2)
    varied = flat.std(2) > 0
    torch.testing.assert_close(flat.mean(2), torch.zeros_like(flat.mean(2)), atol=1e-12, rtol=0)
    torch.testing.assert_close(flat.std(2)[varied], torch.ones_like(flat.std(2)[varied]), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start": "none"}, "start = 'none'; choose from mean_shift, pseudo"),
        ({"time": 0.0005}, "choose time > 0.001"),
        ({"width": 30}, "a multiple of 4"),
        ({"descent": ()}, "descent is empty"),
        ({"descent": (2.0,)}, "choose steps <= time = 1"),
        ({"tolerance": -1.0}, "tolerance = -1.0; choose numbers > 0"),
        ({"seeds": (-1,)}, "choose different numbers >= 0"),
    ],
)
def test_bad_settings_of_flow_end_in_one_line(changed, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(FLOW, **changed)


# ---- presets and figures


@pytest.mark.parametrize("module", [collapse, flow])
def test_presets_hold_different_cells_with_all_heads(module):
    for cells in module.PRESETS.values():
        assert len({config_hash("x", cell) for cell in cells}) == len(cells)
        assert {cell.activation for cell in cells} == {"linear", "relu", "gelu", "swish"}
    assert all(len(cell.seeds) >= 8 for preset in ("default", "paper") for cell in module.PRESETS[preset])


def test_the_networks_are_the_authors_at_a_sixteenth_of_their_width():
    cell = collapse.PRESETS["default"][0]
    views = MemberViews(load("digits", True).x, cell.seeds[:1], cell.batch)
    member = collapse._members(replace(cell, seeds=(0,), collapse="none"), views)[0]
    shapes = [tuple(p.shape) for network in member for p in network.parameters() if p.ndim == 2]
    assert shapes == [(64, 196), (32, 64), (128, 32), (128, 128), (32, 128), (128, 32)]
    default = siamese(Sizes(activation=cell.activation), generator(0, "init"))
    assert [tuple(p.shape) for network in default for p in network.parameters() if p.ndim == 2] == shapes


def test_core_hours_are_views_of_all_members_over_views_a_second():
    """16 cells of 8 members: 2,500 steps of 64 pairs of views, 150,000 of which take a second."""
    hours = sum(cell.cpu_hours() for cell in collapse.PRESETS["default"])
    assert hours == pytest.approx(16 * 8 * 2_500 * 64 * 2 / 150_000 / 3600)
    cell = collapse.PRESETS["paper"][0]
    assert replace(cell, steps=2 * cell.steps, seeds=(1,)).cpu_hours() == pytest.approx(2 * cell.cpu_hours() / 30)


@pytest.mark.parametrize("module", [collapse, flow])
def test_figures_show_what_was_recorded(module):
    small = {"seeds": (0, 1)} | ({"steps": 20, "every": 5, "batch": 8} if module is collapse else {"time": 0.5})
    cells = [replace(cell, **small) for cell in module.PRESETS["smoke"]]
    results = Results.from_records([(cell, module.run(cell, Path())) for cell in cells], module.__name__)
    figures = module.figures(results)
    assert all(figure.get_label().endswith(".") for figure in figures.values())
    if module is collapse:
        ends = figures["ends"].axes[0]
        drawn = [float(y) for line in ends.lines for y in line.get_ydata() if line.get_markerfacecolor() != "none"]
        assert set(results.table["std_end"].astype(float)) <= set(drawn)
        line = figures["collapse"].axes[0].lines[0]
        rows = results.curves[(results.curves["row"] < 2)].pivot(index="row", columns="step", values="std")
        np.testing.assert_allclose(line.get_ydata(), rows.median())
    else:
        drawn = np.concatenate([line.get_ydata() for line in figures["growth"].axes[0].lines])
        table = results.table[results.table["start"] == "mean_shift"]
        assert np.isin(table["growth"].astype(float), drawn.astype(float)).all()
