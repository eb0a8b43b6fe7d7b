"""Verdicts follow from intervals; no run that proves nothing gets one."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from repro_shared.claims import Claim, Finding, evaluate, mean_interval, verdict_from_interval
from repro_shared.runlog import Results


@dataclass(frozen=True)
class Config:
    seed: int = 0


def results(values, **state) -> dict[str, Results]:
    recorded = [(Config(seed), [{"dead": value}]) for seed, value in enumerate(values)]
    return {"spiked": Results.from_records(recorded, "spiked", **state)}


def check(found: dict[str, Results]) -> Finding:
    """Ten percent is the smallest difference that the published plot shows."""
    mean, low, high = mean_interval(found["spiked"].table["dead"])
    return Finding(
        mean, low, high, len(found["spiked"].table), verdict_from_interval(low, high, supported_above=10), "why"
    )


CLAIM = Claim("C1", "More than 10 % die.", "table 1", "published", 47.4, "%", "spiked", "dead", check)


def judge(values, preset="default", **state) -> dict:
    (claim,) = evaluate([CLAIM], results(values, **state), preset)
    return claim


@pytest.mark.parametrize(
    "values, verdict",
    [([20, 21, 22], "supported"), ([1, 2, 3], "contradicted"), ([5, 10, 15], "inconclusive"), ([20], "inconclusive")],
)
def test_verdict_needs_the_whole_interval_on_one_side(values, verdict):
    assert judge(values)["verdict"] == verdict


def test_claim_is_recorded_with_value_interval_and_origin(tmp_path):
    claim = judge([20, 21, 22], provenance=tmp_path / "spiked" / "run.json")
    low, high = stats.t.interval(0.95, 2, 21, 1 / math.sqrt(3))
    assert claim == {
        "id": "C1",
        "statement": "More than 10 % die.",
        "source": "table 1",
        "kind": "published",
        "published": 47.4,
        "measured": 21,
        "low": pytest.approx(low),
        "high": pytest.approx(high),
        "unit": "%",
        "n": 3,
        "verdict": "supported",
        "why": "why",
        "preset": "default",
        "experiment": "spiked",
        "figure": "dead",
        "run": "spiked/run.json",
    }


@pytest.mark.parametrize("values", [[20, 21, 22], [1, 2, 3]])
def test_smoke_runs_the_check_but_proves_nothing(values):
    claim = judge(values, "smoke")
    assert claim["verdict"] == "inconclusive"
    assert claim["why"] == "smoke size proves the machinery, not the claim. why"
    assert claim["measured"] == np.mean(values)


def test_experiment_without_results_is_not_run():
    (claim,) = evaluate([CLAIM], {}, "default")
    assert (claim["verdict"], claim["measured"], claim["n"], claim["run"]) == ("not-run", None, 0, None)
    assert judge([])["verdict"] == "not-run"


def test_unfinished_experiment_is_not_judged():
    claim = judge([20, 21, 22], missing=2, reason="not run yet")
    assert claim["verdict"] == "not-run"
    assert claim["why"].startswith("2 cells of spiked are not there (not run yet): run `reproduce --preset default`")


def test_infinite_ends_are_null_in_json():
    claim = judge([20])
    assert (claim["low"], claim["high"]) == (None, None)
    assert '"low": null' in json.dumps(claim, allow_nan=False)


def test_a_check_that_raises_is_a_bug_and_not_a_verdict():
    with pytest.raises(ValueError, match="no NaN"):
        judge([20, math.nan])


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_mean_interval_agrees_with_scipy(confidence):
    sample = np.random.default_rng(0).normal(size=7)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(confidence)
    assert mean_interval(sample, confidence) == pytest.approx((sample.mean(), expected.low, expected.high))


def test_mean_interval_covers_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(2000, 4))
    covered = np.mean([low <= 0 <= high for _, low, high in map(mean_interval, draws)])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_mean_interval_of_one_is_unbounded_and_of_none_refused():
    assert mean_interval([3.0]) == (3.0, -math.inf, math.inf)
    with pytest.raises(ValueError, match="at least one number"):
        mean_interval([])


@pytest.mark.parametrize(
    "low, high, thresholds, verdict",
    [
        (11, 20, {"supported_above": 10}, "supported"),
        (10, 20, {"supported_above": 10}, "inconclusive"),  # touching the threshold decides nothing,
        (0, 0, {"supported_below": 0}, "inconclusive"),  # nor does a tie
        (9, 20, {"supported_above": 10}, "inconclusive"),
        (1, 9, {"supported_above": 10}, "contradicted"),
        (6, 9, {"supported_above": 10, "contradicted_below": 5}, "inconclusive"),
        (1, 4, {"supported_above": 10, "contradicted_below": 5}, "contradicted"),
        (1, 9, {"supported_below": 10}, "supported"),
        (11, 20, {"supported_below": 10}, "contradicted"),
        (11, 20, {"supported_below": 10, "contradicted_above": 15}, "inconclusive"),
        (16, 20, {"supported_below": 10, "contradicted_above": 15}, "contradicted"),
        (None, 20, {"supported_above": 10}, "inconclusive"),
        (12, None, {"supported_above": 10}, "supported"),
        (None, None, {"supported_below": 10}, "inconclusive"),
    ],
)
def test_verdict_from_interval(low, high, thresholds, verdict):
    assert verdict_from_interval(low, high, **thresholds) == verdict


@pytest.mark.parametrize("thresholds", [{}, {"supported_above": 1, "supported_below": 2}])
def test_verdict_needs_exactly_one_side(thresholds):
    with pytest.raises(ValueError, match="exactly one"):
        verdict_from_interval(0, 1, **thresholds)


@pytest.mark.parametrize(
    "fields", [(1, 2, 3, 1, "maybe", ""), (math.nan, 0, 1, 1, "supported", ""), (1, 3, 2, 1, "supported", "")]
)
def test_impossible_findings_are_refused(fields):
    with pytest.raises(ValueError):
        Finding(*fields)
