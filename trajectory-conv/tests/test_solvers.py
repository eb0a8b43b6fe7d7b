"""Solvers against naive NumPy loops, the classical rates and definitions."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from trajectory_conv import (
    DESIGNS,
    Logistic,
    Problem,
    Quadratic,
    WeightedL1,
    box_qp,
    composite,
    find_optimum,
    lasso,
    measure,
    solve,
    solvers,
    working_set,
)
from trajectory_conv.designs import ReplayDraws, target
from trajectory_conv.geometry import steps_to


def naive(problem, steps, method, start=None):
    """x_0, ..., x_steps, written down as in the module's docstring."""
    step = 1 / float(problem.lipschitz)
    hessian, linear = np.asarray(problem.smooth.hessian), np.asarray(problem.smooth.linear)
    xs, t = [np.zeros(problem.dimension) if start is None else start], 1.0
    for _ in range(steps):
        x, previous = xs[-1], xs[max(len(xs) - 2, 0)]
        new_t = (1 + np.sqrt(1 + 4 * t**2)) / 2
        v = x if method == "ista" else x + (t - 1) / new_t * (x - previous)
        new = np.asarray(problem.regulariser.prox(v - step * (hessian @ v - linear), step))
        t = 1.0 if method == "restart" and (v - new) @ (new - x) > 0 else new_t
        xs.append(new)
    return np.array(xs)


def boxed(n=20):
    """A box-constrained quadratic with free and bound coordinates at the optimum."""
    random = np.random.default_rng(0)
    a = random.normal(size=(30, n))
    return box_qp(a.T @ a / 30, random.normal(size=n), 0.0, 0.5)


@pytest.mark.parametrize("method", ["ista", "fista", "restart"])
@pytest.mark.parametrize("name", ["gaussian", "ar1_0.9"])
def test_iterates_equal_a_naive_loop(regression, name, method):
    problem, optimum = regression(name)[2:]
    xs = naive(problem, 250, method)
    trace = solve(problem, 250, method, optimum)
    np.testing.assert_allclose(trace.x, xs[-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(trace.error, np.linalg.norm(xs[:-1] - optimum, axis=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["ista", "fista"])
def test_iterates_in_a_box_equal_a_naive_loop(method):
    problem = boxed()
    trace = solve(problem, 250, method)
    xs = naive(problem, 250, method)
    np.testing.assert_allclose(trace.error, np.linalg.norm(xs[:-1] - trace.optimum, axis=1), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(trace.faces[trace.face], [np.asarray(problem.regulariser.face(x)) for x in xs[:-1]])


@pytest.fixture
def working_sets(monkeypatch):
    """The number of coordinates in each compiled run of steps, in order."""
    sizes, original = [], solvers._advance

    def spy(problem, outside, optimum, state, method, steps):
        sizes.append(len(state.x))
        return original(problem, outside, optimum, state, method, steps)

    monkeypatch.setattr(solvers, "_advance", spy)
    return sizes


@pytest.mark.parametrize("method", ["ista", "fista", "restart", "restricted"])
@pytest.mark.parametrize("name", ["gaussian", "ar1_0.9", "low_rank"])
def test_compressed_runs_equal_plain_runs(regression, working_sets, name, method):
    problem, optimum = regression(name)[2:]
    working_sets.clear()
    plain = solve(problem, 500, method, optimum, compress=False)
    assert working_sets == [120, 120]
    compressed = solve(problem, 500, method, optimum)
    assert working_sets[-1] < 120  # the last steps saw few coordinates
    for field in ("gap", "error", "residual", "decrease", "off_face", "on_face", "x"):
        np.testing.assert_allclose(getattr(compressed, field), getattr(plain, field), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(compressed.faces[compressed.face], plain.faces[plain.face])


def test_a_working_set_grows_when_a_coordinate_outside_wakes_up(working_sets, monkeypatch):
    monkeypatch.setattr(solvers, "CHUNK", 10)
    draws = ReplayDraws(0)
    matrix = DESIGNS["low_rank"](draws, 60, 120)
    problem = lasso(matrix, matrix @ target(draws, 120, 4), 0.2)
    optimum = find_optimum(problem).x
    plain = solve(problem, 40, "fista", optimum, compress=False)
    working_sets.clear()
    compressed = solve(problem, 40, "fista", optimum)
    assert len(working_sets) == 5 and 32 in working_sets  # one of the four chunks was done again
    for field in ("error", "residual", "decrease"):
        np.testing.assert_allclose(getattr(compressed, field), getattr(plain, field), rtol=0, atol=1e-12)


def test_the_watch_looks_again_before_a_coordinate_outside_can_wake_up(regression):
    problem, optimum = regression("gaussian")[2:]
    *_, outside = working_set.working_set(problem, optimum, optimum != 0, 32)
    random = np.random.default_rng(0)
    x = optimum[np.argsort(optimum == 0, kind="stable")][:32]
    radius = float(outside.radius(jnp.asarray(x)))
    assert radius > 0
    for _ in range(100):
        move = random.normal(size=32)
        moved = jnp.asarray(x + 0.999 * radius * move / np.linalg.norm(move))
        assert (jnp.abs(moved @ outside.cross - outside.linear) <= outside.weights).all()
        watch = working_set.watched(outside, moved, (jnp.asarray(x), jnp.array(radius), jnp.array(False)))
        assert not watch[2] and float(watch[1]) == radius  # it has not looked
    woken = working_set.watched(outside, jnp.asarray(x + 1e4), (jnp.asarray(x), jnp.array(radius), jnp.array(False)))[2]
    assert woken and (jnp.abs((x + 1e4) @ outside.cross - outside.linear) > outside.weights).any()


@pytest.mark.parametrize(("linear", "expected"), [(0.0, True), (0.2, False)])
def test_a_coordinate_outside_is_seen_where_it_is_awake_at_x_but_not_at_v(linear, expected):
    """One coordinate in the set, one outside: grad_2 f = x_1 / 2 - c_2 against a weight of .4, at x = 1 and v = .5."""
    problem = Problem(Quadratic(jnp.eye(1), jnp.zeros(1), jnp.zeros(())), WeightedL1(jnp.full(1, 0.4)), jnp.array(1.5))
    outside = working_set.Outside(jnp.full((1, 1), 0.5), jnp.full(1, linear), jnp.full(1, 0.4))
    momentum = (2 - 1) / ((1 + np.sqrt(17)) / 2)
    x, before = jnp.ones(1), jnp.full(1, 1 + 0.5 / momentum)
    state = solvers._State(x, before, jnp.array(2.0), jnp.array(0), problem.lipschitz)
    *_, woken = solvers._advance(problem, outside, np.zeros(1), state, "fista", 1)
    assert outside.radius(x + momentum * (x - before)) > 0 and bool(woken) == (outside.radius(x) < 0) == expected


def test_traces_follow_their_definitions(regression):
    problem, optimum = regression("ar1_0.7")[2:]
    lipschitz, xs = float(problem.lipschitz), naive(problem, 250, "ista")
    trace = solve(problem, 250, optimum=optimum)
    free = optimum != 0
    for k in (0, 1, 5, 30, 100, 249):
        x, y = xs[k], np.asarray(problem.step(xs[k]))
        gradient = np.asarray(problem.gradient(x))
        g = lambda z: float(problem.regulariser.value(z))  # noqa: E731
        assert trace.gap[k] == pytest.approx(float(problem.value(x)) - float(problem.value(optimum)), abs=1e-13)
        assert trace.residual[k] == pytest.approx(lipschitz * np.linalg.norm(x - y), abs=1e-12)
        model = gradient @ (y - x) + lipschitz / 2 * ((y - x) @ (y - x)) + g(y) - g(x)
        assert trace.decrease[k] == pytest.approx(-2 * lipschitz * model, abs=1e-11)
        assert trace.on_face[k] == pytest.approx(np.abs(x - optimum)[free].sum())
        assert trace.off_face[k] == pytest.approx(np.abs(x - optimum)[~free].sum(), abs=1e-13)
        np.testing.assert_array_equal(trace.faces[trace.face[k]], np.sign(x))
    assert len(np.unique(trace.faces, axis=0)) == len(trace.faces)


def test_the_decrease_is_a_minimum_over_all_moves():
    problem, optimum = boxed(), find_optimum(boxed()).x
    x = np.asarray(problem.regulariser.prox(np.random.default_rng(1).uniform(size=20), 0.0))
    gradient, lipschitz = np.asarray(problem.gradient(x)), float(problem.lipschitz)
    best = minimize(
        lambda y: gradient @ (y - x) + lipschitz / 2 * ((y - x) @ (y - x)),
        x,
        jac=lambda y: gradient + lipschitz * (y - x),
        bounds=[(0.0, 0.5)] * 20,
        tol=1e-14,
    )
    assert float(measure(problem, x[None], optimum).decrease[0]) == pytest.approx(-2 * lipschitz * best.fun, rel=1e-9)


def test_the_decrease_is_at_least_the_squared_residual(regression):
    problem, optimum = regression("gaussian")[2:]
    points = optimum + np.random.default_rng(0).normal(size=(1000, 120)) * np.logspace(-4, 1, 1000)[:, None]
    measured = measure(problem, points, optimum)
    assert (measured.decrease >= measured.residual**2 * (1 - 1e-9)).all()


def test_the_gap_keeps_its_relative_accuracy_where_the_objective_has_none_left(regression):
    problem, optimum = regression("gaussian")[2:]
    e = np.zeros(120)
    e[np.flatnonzero(optimum)] = 1e-12
    gap = float(measure(problem, (optimum + e)[None], optimum).gap[0])
    e = (optimum + e) - optimum  # as rounded
    assert gap == pytest.approx(e @ np.asarray(problem.smooth.hessian) @ e / 2, rel=1e-3)


@pytest.mark.parametrize("name", ["gaussian", "spiked_0.7", "power_law"])
def test_ista_and_fista_keep_their_classical_rates(regression, name):
    problem, optimum = regression(name)[2:]
    k = np.arange(1, 500)
    scale = float(problem.lipschitz) * (optimum @ optimum)
    ista, fista = (solve(problem, 500, method, optimum).gap for method in ("ista", "fista"))
    assert (np.diff(ista) <= 1e-15).all()
    assert (ista[1:] <= scale / (2 * k) + 1e-15).all()
    assert (fista[1:] <= 2 * scale / (k + 1) ** 2 + 1e-15).all()
    assert (np.diff(fista) > 1e-15).any()  # FISTA is not monotone


def test_errors_of_ista_never_grow_and_residuals_vanish(regression):
    problem, optimum = regression("gaussian")[2:]
    trace = solve(problem, 500, optimum=optimum)
    assert (np.diff(trace.error) <= 1e-15).all() and trace.residual[-1] < 1e-13 * trace.residual[0]


def test_an_orthonormal_design_is_solved_in_one_step(regression):
    problem, optimum = regression("orthonormal", 120, 60)[2:]
    trace = solve(problem, 2, optimum=optimum)
    assert trace.error[0] > 1 and trace.error[1] < 1e-14


def test_a_diagonal_gram_contracts_each_coordinate_by_its_own_rate():
    g = np.linspace(0.1, 1.0, 6)
    problem = lasso(np.diag(np.sqrt(6 * g)), 3 * np.sqrt(6 * g), 0.1)  # c = 3 g > lambda
    optimum = 3 - 0.1 / g
    start = optimum + 1.0
    errors = np.array([solve(problem, k, optimum=optimum, start=start).x - optimum for k in (1, 5, 20)])
    np.testing.assert_allclose(errors, [(1 - g / g.max()) ** k for k in (1, 5, 20)], rtol=0, atol=1e-14)


def test_the_restricted_step_decreases_the_objective_faster_and_ends_in_the_same_optimum(regression):
    problem, optimum = regression("spiked_0.3")[2:]
    restricted, ista = (solve(problem, 2000, method, optimum) for method in ("restricted", "ista"))
    assert (np.diff(restricted.gap) <= 1e-15).all()
    np.testing.assert_allclose(restricted.x, optimum, rtol=0, atol=1e-13)
    assert steps_to(restricted.gap, 1e-10) < 0.5 * steps_to(ista.gap, 1e-10)


def restricted_step(problem, x, age, smoothness):
    """One restricted step from x, as the solver makes it."""
    state = solvers._State(x, x, jnp.array(1.0), jnp.array(age), jnp.array(smoothness))
    image = problem.smooth.image(x)
    return solvers._restricted(problem, state, image, problem.smooth.gradient(image), problem.step(x))


def test_a_step_that_exceeds_the_trusted_curvature_is_rejected_and_mends_it(regression):
    problem, optimum = regression("gaussian")[2:]
    regulariser, x = problem.regulariser, jnp.asarray(optimum * 1.01)
    face = np.flatnonzero(optimum)
    largest = np.linalg.eigvalsh(np.asarray(problem.smooth.hessian)[np.ix_(face, face)])[-1]
    accepted, image, age, trusted, products = restricted_step(problem, x, solvers.PATIENCE + 1, largest)
    expected = regulariser.prox(x - problem.gradient(x) / largest, 1 / largest)
    np.testing.assert_allclose(accepted, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(image, problem.smooth.image(accepted), rtol=0, atol=1e-15)
    assert float(jnp.abs(accepted - problem.step(x)).max()) > 1e-4
    assert (int(age), float(trusted), int(products)) == (solvers.PATIENCE + 2, largest, 1)
    rejected, image, age, trusted, products = restricted_step(problem, x, solvers.PATIENCE + 1, largest / 10)
    np.testing.assert_array_equal(rejected, problem.step(x))
    np.testing.assert_allclose(image, problem.smooth.image(rejected), rtol=0, atol=1e-15)
    assert (int(age), int(products)) == (solvers.PATIENCE + 2, 2) and largest / 10 < float(trusted) <= largest


def test_the_trusted_curvature_is_that_of_the_face_after_some_patience(regression):
    problem, optimum = regression("gaussian")[2:]
    face, x, lipschitz = np.flatnonzero(optimum), jnp.asarray(optimum * 1.01), float(problem.lipschitz)
    largest = np.linalg.eigvalsh(np.asarray(problem.smooth.hessian)[np.ix_(face, face)])[-1]
    *_, early, products = restricted_step(problem, x, solvers.PATIENCE - 2, lipschitz)
    assert (float(early), int(products)) == (lipschitz, 1)
    *_, trusted, products = restricted_step(problem, x, solvers.PATIENCE - 1, lipschitz)
    assert 0.9 * largest < float(trusted) <= largest * (1 + 1e-12) and int(products) == 1 + solvers.POWER_STEPS


def test_products_are_counted(regression):
    problem, optimum = regression("spiked_0.3")[2:]
    assert solve(problem, 100, "restart", optimum).products.tolist() == [1] * 100
    products = solve(problem, 500, "restricted", optimum).products
    assert set(products.tolist()) <= {1, 2, 1 + solvers.POWER_STEPS, 2 + solvers.POWER_STEPS}
    assert 1 + solvers.POWER_STEPS in products.tolist()


@pytest.mark.parametrize("compress", [True, False])
def test_a_start_is_taken_as_it_is_and_runs_can_be_continued(regression, compress):
    problem, optimum = regression("ar1_0.9")[2:]
    straight = solve(problem, 500, optimum=optimum, compress=compress)
    first = solve(problem, 250, optimum=optimum, compress=compress)
    second = solve(problem, 250, optimum=optimum, start=first.x, compress=compress)
    assert second.error[0] == pytest.approx(np.linalg.norm(first.x - optimum), rel=1e-12)
    for field in ("gap", "error", "residual", "on_face"):
        joined = np.concatenate([getattr(first, field), getattr(second, field)])
        np.testing.assert_allclose(joined, getattr(straight, field), rtol=0, atol=1e-13)
    np.testing.assert_allclose(second.x, straight.x, rtol=0, atol=1e-13)


def test_a_start_outside_the_box_is_projected():
    problem = boxed()
    trace = solve(problem, 1, start=np.full(20, 3.0))
    assert trace.error[0] == pytest.approx(np.linalg.norm(0.5 - trace.optimum))


@pytest.mark.parametrize("method", ["fista", "restart", "restricted"])
def test_chunk_boundaries_do_not_matter(regression, monkeypatch, method):
    problem, optimum = regression("ar1_0.9")[2:]
    straight = solve(problem, 500, method, optimum, compress=False)
    monkeypatch.setattr(solvers, "CHUNK", 50)
    pieces = solve(problem, 500, method, optimum, compress=False)
    np.testing.assert_allclose(pieces.error, straight.error, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(pieces.faces[pieces.face], straight.faces[straight.face])


def test_a_run_stops_after_the_chunk_in_which_the_residual_is_small(regression):
    problem, optimum = regression("ar1_0.9")[2:]
    trace = solve(problem, 10_000, optimum=optimum, stop=1e-6)
    assert len(trace.gap) % solvers.CHUNK == 0 and trace.residual[-1] <= 1e-6 < trace.residual[-solvers.CHUNK - 1]


def test_equal_runs_give_equal_bits(regression):
    problem = regression("spiked_0.5").problem
    one, two = (solve(problem, 500, "restart") for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimum": np.zeros(120)}, "the optimum given is none: its KKT violation is .*find_optimum"),
        ({"optimum": np.zeros(3)}, "optimum has 3 entries: give 120 numbers"),
        ({"optimum": np.full(120, np.nan)}, "optimum has entries that are not finite"),
        ({"start": np.zeros((120, 1))}, "start has 2 dimensions: give 1"),
        ({"start": np.full(120, np.inf)}, "start has entries that are not finite"),
    ],
)
def test_points_that_do_not_fit_are_refused(regression, unchecked, arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(regression("gaussian").problem, 10, **arguments)


def test_a_method_that_does_not_exist_or_does_not_fit_is_refused(regression, unchecked):
    problem = regression("gaussian").problem
    logistic = composite(Logistic(jnp.ones(3)), np.eye(3), WeightedL1(jnp.ones(3)))
    with pytest.raises(ValueError, match="choose from ista, fista, restart, restricted"):
        solve(problem, 10, "newton")
    for iterations in (0, 2.5, np.nan):
        with pytest.raises(ValueError, match="choose a whole number >= 1"):
            solve(problem, iterations)
    with pytest.raises(ValueError, match="needs a quadratic f"):
        solve(logistic, 10, "restricted")
