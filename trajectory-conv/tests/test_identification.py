"""When the face of the optimum is found, and how close to the optimum that is certain."""

import numpy as np
import pytest
from traces import svm, trace_of

from trajectory_conv import box_qp, find_optimum, lasso, margin, solve
from trajectory_conv.geometry import identification, identification_radius

NAMES = ["gaussian", "ar1_0.7", "spiked_0.3", "power_law"]


@pytest.mark.parametrize(
    ("supports", "expected"),
    [
        ([[0, 0], [1, 0], [1, 1], [1, 0], [1, 0]], (1, 3, 3)),
        ([[1, 0], [1, 0], [1, 0]], (0, 0, 0)),
        ([[0, 0], [1, 0], [0, 0]], (1, None, None)),
        ([[0, 0], [0, 1]], (None, None, None)),
        ([[0, 0], [-1, 0], [1, 0]], (1, 1, 2)),  # the support comes before the sign
        ([[1, 0], [0, 0], [1, 0]], (0, 2, 2)),
    ],
)
def test_identification_of_hand_made_traces(supports, expected):
    problem = lasso(np.eye(2), np.array([2.0, 0.0]), 0.1)
    assert identification(problem, trace_of(supports, [1.8, 0.0])) == expected


def test_fista_may_lose_the_face_that_it_has_found(regression):
    problem, optimum = regression("ar1_0.9")[2:]
    found = identification(problem, trace := solve(problem, 1000, "fista", optimum))
    same = (trace.faces != 0)[trace.face] == (optimum != 0)
    assert same[found.first].all() and same[found.permanent :].all() and not same[found.permanent - 1].all()
    assert 0 < found.first < found.permanent


def test_the_margin_is_the_smallest_slack_of_a_zero_coordinate(regression):
    problem, optimum = regression("gaussian")[2:]
    gradient = np.asarray(problem.gradient(optimum))
    assert margin(problem, optimum) == pytest.approx(min(0.2 - abs(g) for g in gradient[optimum == 0]), rel=1e-12)
    free = lasso(np.eye(2), np.array([5.0, 5.0]), 0.1)
    assert margin(free, find_optimum(free).x) == np.inf
    dual = svm()
    a, multipliers = find_optimum(dual).x, np.asarray(dual.gradient(find_optimum(dual).x))
    assert margin(dual, a) == pytest.approx(np.abs(multipliers[(a == 0) | (a == 0.05)]).min())


@pytest.mark.parametrize("name", NAMES + ["svm"])
def test_ista_is_on_the_face_once_its_error_is_below_the_identification_radius(regression, name):
    problem = svm() if name == "svm" else regression(name).problem
    trace = solve(problem, 10_000, stop=1e-12)
    radius = identification_radius(problem, trace.optimum)
    close = int((trace.error < radius).argmax())
    assert radius > 0 and 0 < close < len(trace.error) - 1
    assert identification(problem, trace).face <= close + 1


@pytest.mark.parametrize("radius", [0.5, 0.999])
def test_the_identification_radius_is_enough_in_every_direction(regression, radius):
    problem, optimum = regression("gaussian")[2:]
    moves = np.random.default_rng(0).normal(size=(200, 120))
    moves[::2, optimum == 0] = 0
    moves *= radius * identification_radius(problem, optimum) / np.linalg.norm(moves, axis=1, keepdims=True)
    for x in optimum + moves:
        np.testing.assert_array_equal(np.sign(problem.step(x)), np.sign(optimum))


@pytest.mark.parametrize("name", NAMES + ["svm"])
def test_the_identification_radius_is_not_too_large(regression, name):
    """The direction that moves (x - grad f(x) / L)_j most is row j of I - H / L: the worst one for coordinate j."""
    problem = svm() if name == "svm" else regression(name).problem
    optimum, lipschitz = find_optimum(problem).x, float(problem.lipschitz)
    face, radius = np.asarray(problem.regulariser.face(optimum)), identification_radius(problem, optimum)
    rows = np.eye(len(optimum)) - np.asarray(problem.smooth.hessian) / lipschitz
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for move in np.vstack([rows, -rows]):
        np.testing.assert_array_equal(problem.regulariser.face(problem.step(optimum + 0.99 * radius * move)), face)


@pytest.mark.parametrize("name", ["kink", "room", "bound", "room in a box"])
def test_the_identification_radius_is_exact_where_the_step_does_not_shrink_the_worst_direction(name):
    """x_2 has (almost) no curvature of its own, so e_2 = (0, 1) is carried over whole by the step."""
    flat = 1e-9
    problem, optimum, way = {
        "kink": (lasso(np.diag([2.0, 0.0]), np.array([2.0, 0.0]), 0.3), [0.85, 0.0], 1),
        "room": (
            lasso(
                np.sqrt(2) * np.diag([1.0, np.sqrt(flat)]),
                np.sqrt(2) * np.array([9.0, (0.3 + 0.2 * flat) / np.sqrt(flat)]),
                0.3,
            ),
            [8.7, 0.2],
            -1,
        ),
        "bound": (box_qp(np.diag([1.0, flat]), np.array([0.5, -0.1]), 0.0, 1.0), [0.5, 0.0], 1),
        "room in a box": (box_qp(np.diag([1.0, flat]), np.array([0.5, 0.1 * flat]), 0.0, 1.0), [0.5, 0.1], -1),
    }[name]
    optimum = np.array(optimum)
    assert float(problem.violation(optimum)) < 1e-14
    radius, face = identification_radius(problem, optimum), np.asarray(problem.regulariser.face(optimum))
    for share, kept in ((0.99, True), (1.01, False)):
        moved = problem.step(optimum + share * radius * np.array([0.0, way]))
        assert np.array_equal(problem.regulariser.face(moved), face) == kept
