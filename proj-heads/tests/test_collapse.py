"""Collapse at smoke size: its numbers again from curves, single seeds and other code; settings, presets, figures."""

import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import MAIN, one_line
from scipy.stats import spearmanr

from proj_heads.data import load
from proj_heads.experiments import collapse, flow
from proj_heads.seeds import generator
from proj_heads.siamese import Sizes, infonce_loss, siamese
from proj_heads.stacked import CURVES, MemberViews
from repro_shared import UserError
from repro_shared.provenance import config_hash
from repro_shared.results import Results

TINY = collapse.Config(data="digits", steps=30, batch=16, every=10, seeds=(0, 1), width=16, predictor=8)


@cache
def records(cell) -> list[dict]:
    return collapse.run(cell, Path())


def start(**settings) -> list[float]:
    return [record["std_start"] for record in records(replace(TINY, **settings))]


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
    assert all(record["diverged"] for record in diverged) and not any(record["diverged"] for record in records(TINY))


def test_a_run_that_diverges_ends_in_one_line(tmp_path):
    settings = "--activation relu --lr 1e20 --data digits --steps 30 --every 10 --batch 16 --seeds 0 1".split()
    done = subprocess.run([*MAIN, "run", "collapse", *settings, "--out", tmp_path], capture_output=True, text=True)
    assert "training has diverged" in one_line(done) and "choose a smaller --lr" in one_line(done)


def test_the_control_escapes_from_where_simsiam_does_not():
    shifted = collapse.Config(data="digits", collapse="mean_shift", steps=100, seeds=(0, 1))
    for activation in ("linear", "relu", "gelu", "swish"):
        control = records(replace(shifted, activation=activation, objective="infonce"))
        assert all(record["collapsed"] and record["escaped"] for record in control)
        assert not any(record["escaped"] for record in records(replace(shifted, activation=activation)))


@pytest.mark.parametrize("seed", [0, 1])
def test_infonce_is_the_naive_loop(seed):
    h = torch.randn(2, 5, 2, 7, generator=generator(seed), dtype=torch.float64)
    found = infonce_loss(h, torch.full_like(h, torch.nan))  # the predictor plays no part
    for member, value in zip(h, found, strict=True):
        one, two = (torch.nn.functional.normalize(member[:, view].T) for view in (0, 1))
        losses = [-torch.log_softmax(torch.stack([one[i] @ two[j] / 0.1 for j in range(7)]), 0)[i] for i in range(7)]
        assert value.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-12)


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
        ({"objective": "byol"}, "objective = 'byol'; choose from simsiam, infonce"),
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
    with pytest.raises(UserError, match="batch = 2000, but digits has 1347 images"):
        records(replace(TINY, batch=2_000))


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
    """16 cells of 8 members: 2,500 steps of 64 pairs of views, 150,000 of which take a second; four of a tenth."""
    hours = sum(cell.cpu_hours() for cell in collapse.PRESETS["default"])
    assert hours == pytest.approx(16.4 * 8 * 2_500 * 64 * 2 / 150_000 / 3600)
    cell = collapse.PRESETS["paper"][0]
    assert replace(cell, steps=2 * cell.steps, seeds=(1,)).cpu_hours() == pytest.approx(2 * cell.cpu_hours() / 30)


def test_figures_show_what_was_recorded():
    cells = [replace(cell, steps=20, every=5, batch=8) for cell in collapse.PRESETS["smoke"]]
    results = Results.from_records([(cell, collapse.run(cell, Path())) for cell in cells], "collapse")
    figures = collapse.figures(results)
    assert all(figure.get_label().endswith(".") for figure in figures.values()) and "relative" not in figures
    ends = figures["ends"].axes[0]
    for column, marker, face in (("std_start", "_", None), ("std_min", "o", "white"), ("std_end", "o", None)):
        lines = [line for line in ends.lines if line.get_marker() == marker]
        drawn = [y for line in lines if (line.get_markerfacecolor() == "white") == (face == "white")
                 for y in line.get_ydata()]  # fmt: skip
        assert set(results.table[column].astype(float)) <= set(map(float, drawn))
    assert "escaped" in ends.get_title(loc="left")
    median, *seeds = figures["collapse"].axes[0].lines[:3]
    rows = results.curves[results.curves["row"] < 2].pivot(index="row", columns="step", values="std")
    np.testing.assert_allclose(median.get_ydata(), rows.median())
    np.testing.assert_allclose([line.get_ydata() for line in seeds], rows)
