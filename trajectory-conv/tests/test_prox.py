"""Proximal maps against a numerical minimiser, and the words about faces against their definitions."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from trajectory_conv import Box, WeightedL1, soft_threshold

D = 7
X = np.array([-2.0, -0.3, 0.0, 0.2, 0.5, 1.0, 3.0])
WEIGHTS = np.array([0.5, 0.5, 0.1, 0.2, 1.0, 0.0, 2.0])
LOWER = np.array([-1.0, -1.0, 0.0, 0.2, -np.inf, 1.0, -1.0])
UPPER = np.array([1.0, np.inf, 0.0, 1.0, 0.5, 1.0, 2.5])  # coordinates 2 and 5 are fixed
L1, BOX = WeightedL1(jnp.asarray(WEIGHTS)), Box(jnp.asarray(LOWER), jnp.asarray(UPPER))
INSIDE = np.array([-1.0, 4.0, 0.0, 0.2, 0.5, 1.0, 0.5])  # lower, free, fixed, lower, upper, fixed, free


def gradients(count=50, seed=0):
    return np.random.default_rng(seed).normal(size=(count, D))


def numerical_prox(x, step, g, low, high):
    """argmin_y g(y) + (y - x)^2 / (2 step) on [low, high] by golden section."""
    return minimize_scalar(
        lambda y: g(y) + (y - x) ** 2 / (2 * step), bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    ).x


@pytest.mark.parametrize("step", [0.1, 1.0, 3.0])
def test_proximal_maps_minimise_what_they_should(step):
    soft = [numerical_prox(x, step, lambda y, w=w: w * abs(y), -9, 9) for x, w in zip(X, WEIGHTS, strict=True)]
    np.testing.assert_allclose(L1.prox(X, step), soft, atol=1e-6)
    low, high = np.maximum(LOWER, -9), np.minimum(UPPER, 9)
    boxed = [numerical_prox(x, step, lambda y: 0.0, a, b + 1e-12) for x, a, b in zip(X, low, high, strict=True)]
    np.testing.assert_allclose(BOX.prox(X, step), boxed, atol=1e-6)


def test_moreau_splits_a_point_into_prox_and_projection():
    for x in 3 * gradients():  # the conjugate of step * w |.| is the indicator of [-step w, step w]
        np.testing.assert_allclose(L1.prox(x, 0.7) + np.clip(x, -0.7 * WEIGHTS, 0.7 * WEIGHTS), x, atol=1e-15)


def test_soft_threshold_is_exactly_zero_up_to_the_threshold_and_the_identity_at_threshold_zero():
    x = jnp.asarray([[0.3, -0.3, 0.2, 0.1 + 0.2, -1.0]])
    assert soft_threshold(x, jnp.asarray([0.3])).tolist() == [[0.0, 0.0, 0.0, 0.1 + 0.2 - 0.3, -0.7]]
    np.testing.assert_array_equal(soft_threshold(x, jnp.zeros(1)), x)


def test_one_threshold_serves_a_batch_and_each_row_may_have_its_own():
    x, thresholds = jnp.asarray(gradients(4)), jnp.asarray([0.1, 0.5, 1.0, 9.0])
    rows = jnp.stack([soft_threshold(row, threshold[None]) for row, threshold in zip(x, thresholds, strict=True)])
    np.testing.assert_array_equal(soft_threshold(x, thresholds[:, None]), rows)
    assert not rows[-1].any()


def test_proximal_maps_are_firmly_nonexpansive():
    for x, y in zip(3 * gradients(), 3 * gradients(seed=1), strict=True):
        for regulariser in (L1, BOX):
            moved = np.asarray(regulariser.prox(x, 0.7) - regulariser.prox(y, 0.7))
            assert moved @ moved <= moved @ (x - y) + 1e-14


def test_values_are_the_weighted_norm_and_the_indicator():
    assert float(L1.value(X)) == pytest.approx(sum(w * abs(x) for w, x in zip(WEIGHTS, X, strict=True)))
    assert float(BOX.value(INSIDE)) == 0.0 and float(BOX.value(X)) == np.inf
    for j in range(D):
        outside = INSIDE.copy()
        outside[j] = LOWER[j] - 1e-9 if np.isfinite(LOWER[j]) else UPPER[j] + 1e-9
        assert float(BOX.value(outside)) == np.inf


def test_faces_are_signs_or_bounds_and_a_fixed_coordinate_is_never_free():
    assert L1.face(X).tolist() == [-1, -1, 0, 1, 1, 1, 1]
    assert L1.free(L1.face(X)).tolist() == [True, True, False, True, True, True, True]
    assert BOX.free(BOX.face(INSIDE)).tolist() == [False, True, False, False, False, False, True]
    movable = LOWER < UPPER
    assert np.asarray(BOX.face(INSIDE))[movable].tolist() == [-1, 0, -1, 1, 0]
    batch = np.stack([L1.face(X), L1.face(-X)])
    np.testing.assert_array_equal(L1.free(batch), batch != 0)


def test_the_slope_is_the_derivative_of_g_along_the_face():
    h = 1e-6
    for regulariser, x in ((L1, X), (BOX, INSIDE)):
        for j in np.flatnonzero(regulariser.free(regulariser.face(x))):
            e = h * np.eye(D)[j]
            numerical = (float(regulariser.value(x + e)) - float(regulariser.value(x - e))) / (2 * h)
            assert float(regulariser.slope(x)[j]) == pytest.approx(numerical, abs=1e-8)
        assert not regulariser.slope(x)[~regulariser.free(regulariser.face(x))].any()


def test_room_is_how_far_a_free_coordinate_can_move_and_keep_its_face():
    for regulariser, x in ((L1, X), (BOX, INSIDE)):
        face, room = np.asarray(regulariser.face(x)), np.asarray(regulariser.room(x))
        for j in np.flatnonzero(regulariser.free(face)):
            if np.isinf(room[j]):
                continue
            kept = [(np.asarray(regulariser.face(x + move * np.eye(D)[j])) == face).all()
                    for move in (-0.999 * room[j], 0.999 * room[j], -1.001 * room[j], 1.001 * room[j])]  # fmt: skip
            assert kept[0] and kept[1] and not (kept[2] and kept[3])
    assert float(BOX.room(INSIDE)[1]) == 5.0  # the upper bound is infinite


def test_slack_and_violation_of_l1_follow_from_the_subdifferential():
    for gradient in gradients():
        inside = [w - abs(g) if x == 0 else np.inf for x, w, g in zip(X, WEIGHTS, gradient, strict=True)]
        np.testing.assert_allclose(L1.slack(X, gradient), inside, atol=1e-15)
        distance = [max(abs(g) - w, 0) if x == 0 else abs(g + w * np.sign(x))
                    for x, w, g in zip(X, WEIGHTS, gradient, strict=True)]  # fmt: skip
        assert float(L1.violation(X, gradient)) == pytest.approx(max(distance))


def test_slack_and_violation_of_a_box_follow_from_the_normal_cone():
    for gradient in gradients():
        multiplier, distance = np.full(D, np.inf), np.zeros(D)
        for j, (x, low, high, g) in enumerate(zip(INSIDE, LOWER, UPPER, gradient, strict=True)):
            if low == high:
                continue  # its normal cone is the whole line
            if x in (low, high):
                multiplier[j] = g if x == low else -g
                distance[j] = max(-multiplier[j], 0.0)
            else:
                distance[j] = abs(g)
        np.testing.assert_allclose(BOX.slack(INSIDE, gradient), multiplier)
        assert float(BOX.violation(INSIDE, gradient)) == pytest.approx(distance.max())
    assert float(BOX.violation(X, np.zeros(D))) == np.inf


@pytest.mark.parametrize("regulariser", [L1, BOX])
def test_excess_is_the_bregman_distance_of_g_at_an_optimum(regulariser):
    """-grad f(x*) has to be a subgradient of g at x*: take it as (z - x*) / step for x* = prox(z)."""
    for z, x in zip(3 * gradients(), 3 * gradients(seed=1), strict=True):
        optimum, x = np.asarray(regulariser.prox(z, 1.0)), np.asarray(regulariser.prox(x, 0.5))
        gradient = optimum - z
        naive = float(regulariser.value(x)) - float(regulariser.value(optimum)) + gradient @ (x - optimum)
        excess = float(regulariser.excess(x, optimum, gradient))
        assert excess >= 0 and excess == pytest.approx(naive, abs=1e-13)
        assert float(regulariser.excess(optimum, optimum, gradient)) == 0.0


def test_change_is_the_difference_of_values_and_keeps_its_digits():
    for moved in gradients():
        assert float(L1.change(X, moved)) == pytest.approx(float(L1.value(X + moved)) - float(L1.value(X)))
    large, tiny = np.full(D, 1e8), np.full(D, 1e-4)
    assert float(L1.change(large, tiny)) == pytest.approx(WEIGHTS.sum() * 1e-4, rel=1e-3)
    assert float(BOX.change(INSIDE, np.zeros(D))) == 0.0
