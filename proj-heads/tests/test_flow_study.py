"""The gradient-flow study at smoke size: its numbers again from other code; settings and figures."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from proj_heads import collapse_spectra
from proj_heads.experiments import collapse, flow
from proj_heads.seeds import generator
from repro_shared import UserError
from repro_shared.results import Results

FLOW = flow.Config(data="digits", time=1.0, points=10, batch=6, width=16, seeds=(0, 1), descent=(0.25,))


@cache
def records(cell) -> list[dict]:
    return flow.run(cell, Path())


@pytest.mark.parametrize("activation", ["linear", "swish"])
def test_descent_with_tiny_steps_is_the_flow(activation):
    cell = replace(FLOW, activation=activation, descent=(0.0005,))
    for record in records(cell):
        np.testing.assert_allclose(record["std_0.0005"], record["std"], rtol=0.02)
        assert record["error"] < 0.01 and not record["stopped"] and record["reached"] == 1.0
        assert record["growth"] == pytest.approx(record["std"][-1] / record["std"][0], rel=1e-6)
        assert record["growth_0.0005"] == pytest.approx(record["growth"], rel=0.02)
        assert record["escaped"] == (record["rise"] > collapse.ESCAPE)
        assert record["time_of_step"][[0, -1]].tolist() == [0.0, 1.0]


def test_true_collapse_starts_collapsed_and_the_authors_start_does_not():
    for record in records(FLOW):
        assert record["std_start"] < 0.1 * 8**-0.5 and record["nearest_zero"] > 0.5
    for record in records(replace(FLOW, start="pseudo", time=0.25)):
        assert record["std_start"] > 0.5 * 8**-0.5


def test_a_path_that_is_left_says_so():
    cell = replace(FLOW, start="pseudo", stiffest=(1e3, 3e3))
    assert any(record["stopped"] for record in records(cell))
    for record in records(cell):
        known = np.isfinite(record["std"])
        assert record["escaped"] is (None if record["stopped"] else False)
        assert record["stopped"] == (record["reached"] < 1.0) == (not known.all())
        assert (record["time_of_step"][known] <= record["reached"] + 1e-12).all() and record["std_end"] > 0


def test_limits_are_met_in_turn_and_the_last_one_ends_the_path():
    lower, upper = (replace(FLOW, start="pseudo", stiffest=limits) for limits in ((1e3,), (1e3, 3e3)))
    for short, long in zip(records(lower), records(upper), strict=True):
        if long["stopped"]:
            assert long["met_1000"] <= long["met_3000"] == long["reached"]
            assert long["nearest_3000"] == pytest.approx(long["nearest_zero"])
        if short["stopped"]:  # the steps are common, so that what one row does moves another's by their error
            assert short["met_1000"] == short["reached"] <= long["reached"]
            assert short["met_1000"] == pytest.approx(long["met_1000"], rel=0.1)


@pytest.mark.parametrize(
    "std, stopped, escaped, time",
    [
        ([1.0, 0.1, 0.9, 0.9], False, False, None),
        ([1.0, 0.1, 0.9, 0.9], True, None, None),  # it may yet
        ([1.0, 0.1, 1.2, 0.5], False, True, 2.0),  # at the end it is not above
        ([1.0, 0.1, 1.2, 0.5], True, True, 2.0),
    ],
)
def test_a_path_escapes_when_it_first_rises_and_one_that_was_left_before_is_not_known(std, stopped, escaped, time):
    found = flow._spread(np.arange(4.0), np.array(std), stopped)
    assert (found["escaped"], found["escape_time"]) == (escaped, time)
    assert found["rise"] == pytest.approx(max(std[1:]) / 0.1) and found["growth"] == std[-1]


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
        ({"stiffest": (1e4, 1e3)}, "stiffest = (10000.0, 1000.0); choose rates that ascend"),
        ({"stiffest": (1e4, 1e4)}, "choose rates that ascend"),
        ({"tolerance": -1.0}, "tolerance = -1.0; choose numbers > 0"),
        ({"seeds": (-1,)}, "choose different numbers >= 0"),
    ],
)
def test_bad_settings_of_flow_end_in_one_line(changed, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(FLOW, **changed)


def test_a_batch_larger_than_the_data_is_the_users_error():
    with pytest.raises(UserError, match="batch = 2000, but digits has 1347 images"):
        records(replace(FLOW, batch=2_000))


def test_core_hours_of_the_flow_are_evaluations_of_both_tolerances_and_of_descents():
    """Four cells of 16 members to t = 2,000: 85,000 evaluations twice and 44,000 steps, 70 us each; four to t = 1."""
    long, short = 2 * 85_000 + 44_000, 2 * 5_040 + 22
    hours = sum(cell.cpu_hours() for cell in flow.PRESETS["paper"])
    assert hours == pytest.approx(16 * 7e-5 * (4 * long + 3 * short + 2 * 4_000 + 22) / 3600)
    assert sum(cell.cpu_hours() for cell in flow.PRESETS["default"]) < 200 / 3600


def test_figures_show_what_was_recorded():
    cells = [replace(cell, time=0.5) for cell in flow.PRESETS["smoke"]]
    results = Results.from_records([(cell, flow.run(cell, Path())) for cell in cells], "flow")
    figures = flow.figures(results)
    assert all(figure.get_label().endswith(".") for figure in figures.values())
    drawn = np.concatenate([held.get_offsets()[:, 1] for held in figures["growth"].axes[0].collections])
    table = results.table[results.table["start"] == "mean_shift"]
    assert np.isin(table["growth"].astype(float), drawn.astype(float)).all()
    singular = np.concatenate([line.get_ydata() for line in figures["singular"].axes[0].lines])
    known = results.table.filter(like="nearest_1").to_numpy(float)
    assert np.isfinite(known).any() and np.isin(known[np.isfinite(known)], singular).all()
    assert figures["singular"].axes[0].get_yscale() == "log"


def test_the_first_drop_of_descents_and_the_floor_of_rates_are_drawn():
    cell = flow.Config(time=100.0, points=4, seeds=(0, 1), descent=(0.5,))
    times, std = np.array([0.0, 0.001, 1.0, 100.0]), np.array([1.0, 1.0, 0.1, 12.0])
    curves = {"step": np.arange(4), "time_of_step": times, "std": std, "std_0.5": std / 2}
    one = {"std_start": 1.0, "stopped": False, "reached": 100.0, "growth": 12.0, "growth_0.5": 6.0, "rate_start": 0.1,
           "rate_settled": 0.0, "escaped": True, "escape_time": 80.0, "escape_time_0.5": None, "met_20000": None,
           "nearest_20000": None}  # fmt: skip
    lost = {"stopped": True, "escaped": None, "escape_time": None, "reached": 50.0}
    recorded = [(cell, [{"seeds": 0} | one | curves, {"seeds": 1} | one | lost | curves])]
    recorded.append((replace(cell, start="pseudo"), [{"seeds": 0} | one | curves]))
    figures = flow.figures(Results.from_records(recorded, "flow"))
    descent = figures["flow"].axes[0].lines[0].get_xydata()
    assert descent.tolist() == [[0.01, 0.5], [0.01, 0.5], [1.0, 0.05], [100.0, 6.0]]
    (settled,) = [held for held in figures["growth"].axes[2].collections]
    assert settled.get_offsets()[:, 0].tolist() == [1e-8, 1e-8]
    assert "leq" in figures["growth"].axes[2].get_xticklabels()[0].get_text()
    flowing, *_, crosses = figures["escapes"].axes[0].lines
    assert flowing.get_xydata()[1:].tolist() == [[80.0, 1.0], [100.0, 1.0]]
    assert crosses.get_xydata().tolist() == [[50.0, 0.0]]
