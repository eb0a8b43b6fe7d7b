"""Adaptive weights against a naive loop and the identities that follow from their definition."""

import math
from fractions import Fraction

import pytest
import torch

from aen_sae.weights import STATISTICS, Activity, adaptive_weights, ramp, update_activity


def positive(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) + 1e-3


def naive_weights(activity, gamma, q, low, high):
    """The definition, one latent at a time, in exact counts."""
    e = [max(a, 1e-5) for a in activity.tolist()]
    count = max(1, math.floor(len(e) * Fraction(str(q))))
    reference = sum(sorted(e, reverse=True)[:count]) / count
    return torch.tensor([min(max((reference / value) ** gamma, low), high) for value in e])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("d", "q"), [(1024, 0.05), (256, 0.05), (200, 0.01), (300, 0.01), (7, 0.01), (20, 0.05), (40, 1.0)]
)
def test_weights_equal_the_naive_loop(d, q, gamma):
    activity = positive(d) ** 6  # spread over many decades, so that the upper cap is met
    expected = naive_weights(activity, gamma, q, 0.01, 10.0)
    torch.testing.assert_close(adaptive_weights(activity, gamma, q), expected)


def test_equal_activities_give_weight_one():
    assert torch.equal(adaptive_weights(torch.full((256,), 0.5)), torch.ones(256))


def test_gamma_zero_is_the_plain_elastic_net():
    assert torch.equal(adaptive_weights(positive(256), gamma=0.0), torch.ones(256))


def test_weights_do_not_depend_on_the_unit_of_activity():
    activity = positive(64)
    torch.testing.assert_close(adaptive_weights(8 * activity, 1.0), adaptive_weights(activity, 1.0))


def test_weights_below_one_occur_only_among_the_reference_latents():
    activity = positive(200)
    light = adaptive_weights(activity, 1.0, 0.05) < 1
    assert 0 < light.sum() <= 10
    assert set(light.nonzero().flatten().tolist()) <= set(activity.topk(10).indices.tolist())


def test_caps_hold_and_a_silent_latent_reaches_the_upper_one():
    activity = torch.tensor([1e9, 1.0, 1.0, 0.0])
    assert adaptive_weights(activity, 1.0, 1.0, 0.5, 3.0).tolist() == [0.5, 3.0, 3.0, 3.0]
    assert adaptive_weights(torch.tensor([1.0, 0.0]), 1.0, 0.01, 0.01, 1e9)[1].item() == pytest.approx(
        1e5
    )  # floor 1e-5


def test_members_with_hyper_parameters_of_their_own_equal_single_saes():
    activity, gamma, q = positive(4, 100), torch.tensor([0.0, 0.5, 1.0, 2.0]), torch.tensor([0.05, 0.01, 0.05, 0.3])
    together = adaptive_weights(activity, gamma, q)
    for m in range(4):
        alone = adaptive_weights(activity[m], gamma[m].item(), round(q[m].item(), 6))
        torch.testing.assert_close(together[m], alone)


def test_ramp_is_zero_before_the_delay_then_linear_then_one():
    assert [ramp(t, 10, 4) for t in (1, 9, 10, 11, 12, 14, 99)] == [0, 0, 0, 0.25, 0.5, 1, 1]
    assert [ramp(t, 10, 0) for t in (9, 10)] == [0, 1]


def test_update_is_the_moving_average():
    activity = torch.tensor([1.0, 2.0])
    assert update_activity(activity, torch.tensor([3.0, 0.0]), 0.75) is activity
    assert activity.tolist() == [1.5, 1.5]


def test_a_silent_latent_keeps_beta_to_the_t_of_pseudo_activity():
    activity = Activity((3,), 0.99, "published")
    for _ in range(200):
        activity.update(torch.zeros(8, 3))
    torch.testing.assert_close(activity.value(200), torch.full((3,), 0.99**200), rtol=1e-4, atol=0)


def test_debiased_activity_of_a_constant_stream_is_its_mean_from_the_first_step():
    codes = positive(16, 5)
    activity = Activity((5,), 0.999, "debiased")
    for step in range(1, 60):
        activity.update(codes)
        if step in (1, 2, 59):
            torch.testing.assert_close(activity.value(step), codes.mean(0), rtol=1e-4, atol=0)


def test_conditional_activity_is_the_mean_of_the_positive_codes_whatever_the_firing_rate():
    fires = (torch.arange(1000).unsqueeze(1) % torch.tensor([1, 10, 100])) == 0  # rates 1, 1/10, 1/100
    amplitude = torch.tensor([2.0, 2.0, 5.0])
    activity = Activity((3,), 0.9, "conditional")
    for _ in range(200):
        activity.update(fires * amplitude)
    torch.testing.assert_close(activity.value(200), amplitude, rtol=1e-4, atol=0)


def test_conditional_activity_keeps_the_ratio_of_a_latent_that_falls_silent():
    activity = Activity((1,), 0.99, "conditional")
    for _ in range(50):
        activity.update(torch.tensor([[4.0], [0.0]]))
    before = activity.value(50).clone()
    for _ in range(500):
        activity.update(torch.zeros(2, 1))
    torch.testing.assert_close(activity.value(550), before, rtol=1e-4, atol=0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_stacked_activity_equals_single_ones_and_survives_a_round_trip(statistic):
    decay = torch.tensor([0.9, 0.99])
    together = Activity((2, 4), decay, statistic)
    alone = [Activity((4,), beta.item(), statistic) for beta in decay]
    for step in range(1, 30):
        codes = (positive(2, 8, 4, seed=step) - 0.4).relu()
        together.update(codes)
        for m in range(2):
            alone[m].update(codes[m])
    for m in range(2):
        torch.testing.assert_close(together.value(29)[m], alone[m].value(29))
    fresh = Activity((2, 4), decay, statistic)
    fresh.load({name: tensor.clone() for name, tensor in together.state.items()})
    assert torch.equal(fresh.value(29), together.value(29))


def test_an_unknown_statistic_names_the_known_ones():
    with pytest.raises((ValueError, TypeError), match=r"published\W+debiased\W+conditional"):  # TypeError: beartype
        Activity((4,), 0.9, "median")
