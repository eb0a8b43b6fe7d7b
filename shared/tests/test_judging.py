"""Findings by hand: intervals over seeds, factors, the worst value, missing values."""

import math

import numpy as np
import pandas as pd
import pytest

from repro_shared.judging import by_seed, factor, judge, present, share, within, worst


def test_interval_of_one_number_per_seed_by_hand():
    """1, 2, 3: mean 2, s = 1, so 2 -+ t / sqrt 3 with t = .95 sqrt(2 / (4 x .975 x .025)) = 4.30265."""
    half = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025)) / math.sqrt(3)
    found = judge([1.0, 2.0, 3.0], "", supported_above=-2.5)
    assert (found.measured, found.n, found.verdict) == (2.0, 3, "supported")
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=1e-12)
    assert judge([1.0, 2.0, 3.0], "", supported_above=5.0).verdict == "contradicted"
    assert judge([1.0, 2.0, 3.0], "", supported_above=1.0).verdict == "inconclusive"
    assert judge([1.0, 2.0, 3.0], "", supported_below=5.0).verdict == "supported"
    assert judge([np.nan], "", supported_below=5.0).measured is None


def test_interval_of_factors_is_that_of_their_logarithms_by_hand():
    """1/2, 1, 2 (log 2 in the unit of s): mean 1, ends 2^(-+ 4.30265 / sqrt 3) = 0.17873 and 5.59496."""
    found = factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=0.17)
    assert found.measured == pytest.approx(1.0, abs=1e-15) and found.verdict == "supported"
    assert (found.low, found.high) == pytest.approx((0.17873, 5.59496), rel=1e-4)
    assert factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=5.6).verdict == "contradicted"
    assert factor(pd.Series([0.5, 1.0, 2.0]), "", supported_above=1.0).verdict == "inconclusive"
    assert factor(pd.Series([0.5, 2.0]), "", supported_above=1e-9).verdict == "inconclusive"
    single = factor(pd.Series([3.0]), "", supported_above=1.0)
    assert (single.low, single.high) == (0.0, math.inf)


def test_interval_of_a_share_is_wilsons_by_hand():
    """8 of 8, z = 1.96: low = 8 / (8 + z^2), high = 1; Student's has no width there."""
    z = 1.959963984540054
    found = share(pd.Series([1.0] * 8), "", supported_above=60.0)
    assert (found.measured, found.n, found.verdict) == (100.0, 8, "supported")
    assert (found.low, found.high) == pytest.approx((800 / (8 + z**2), 100.0))
    assert share(pd.Series([0.0] * 8), "", supported_above=50.0).verdict == "contradicted"
    assert share(pd.Series([1.0] * 5 + [0.0] * 3), "", supported_above=50.0).verdict == "inconclusive"
    assert share(pd.Series([1.0] * 8 + [np.nan]), "", supported_above=60.0).verdict == "inconclusive"
    assert share(pd.Series([1.0, 1.0]), "", supported_above=1.0).verdict == "inconclusive"


def test_within_a_margin_needs_the_whole_interval_inside_and_outside_contradicts():
    values = pd.Series([1.0, 2.0, 3.0])  # from -.48 to 4.48
    assert within(values, 2.0, 3.0, "").verdict == "supported"
    assert within(values, 2.0, 1.0, "").verdict == within(values, 4.0, 3.0, "").verdict == "inconclusive"
    assert within(values, 9.0, 3.0, "").verdict == within(values, -9.0, 3.0, "").verdict == "contradicted"
    assert within(pd.Series([2.0, 2.0, np.nan, 2.0]), 2.0, 3.0, "").verdict == "inconclusive"
    assert within(values[:2], 9.0, 1.0, "").verdict == "inconclusive"


def test_the_worst_value_decides_and_the_limit_itself_is_kept():
    assert worst(np.array([1.0, 3.0]), "", most=3.0).verdict == "supported"
    assert worst(np.array([1.0, 3.0]), "", most=2.9).verdict == "contradicted"
    assert worst(np.array([1.0, 3.0]), "", least=1.0).measured == 1.0
    assert worst(np.array([1.0, 3.0]), "", least=1.1).verdict == "contradicted"
    assert worst(np.array([np.nan]), "", least=1.1).verdict == "inconclusive"


def test_missing_values_are_counted_and_support_nothing():
    seeds = [1.0, 2.0, np.nan, 3.0]
    found = judge(seeds, "As said.", supported_above=-10.0)
    assert (found.measured, found.n, found.verdict) == (2.0, 3, "inconclusive")
    assert found.why == "As said. 1 of 4 values are missing, which supports nothing."
    assert judge(seeds, "", supported_above=10.0).verdict == "contradicted"
    assert judge([1.0, 2.0, 3.0], "As said.", supported_above=-10.0).why == "As said."
    assert factor(pd.Series(seeds), "", supported_above=1e-9).verdict == "inconclusive"
    found = worst(np.array([1.0, np.nan, np.nan]), "As said.", most=3.0)
    assert (found.measured, found.n, found.verdict) == (1.0, 1, "inconclusive") and "2 of 3 values" in found.why
    assert worst(np.array([1.0, np.nan]), "", most=0.5).verdict == "contradicted"  # one violation is enough


def test_a_seed_with_a_missing_run_has_no_mean_and_what_is_left_out_is_counted_by_name():
    table = pd.DataFrame({"seed": [0, 0, 1, 1], "ratio": [2.0, 8.0, 4.0, np.nan]})
    means = by_seed(table, "ratio")
    assert means[0] == pytest.approx(5.0) and np.isnan(means[1])
    assert by_seed(table, "ratio", "max").tolist()[0] == 8 and np.isnan(by_seed(table, "ratio", "max")[1])
    kept, said = present(table["ratio"], "no end in sight")
    assert kept.tolist() == [2, 8, 4] and said == " 1 of 4 are left out: no end in sight."
    assert present(table["seed"], "no end in sight")[1] == ""
