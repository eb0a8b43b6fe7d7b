"""The experiments at smoke size: their numbers again, by textbook loops; instances, presets and settings."""

import re
from importlib import import_module

import numpy as np
import pytest
from oracles import cells, iterates, objective

from repro_shared import UserError
from trajectory_conv.cli import EXPERIMENTS
from trajectory_conv.experiments import cone, convergence, hoffman, leverage, phase, rates, svm, theory
from trajectory_conv.experiments.instances import Instances, instances, thinned
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import find_optimum

# ---- theory


@pytest.mark.parametrize("scale", (1e-2, 1e-1, 1.0, 10.0))
def test_implications_hold_at_random_points(scale):
    ((cell, found),) = cells(theory, part="pointwise")
    rows = [record for record in found if record["scale"] == scale]
    assert {row["implication"] for row in rows} == {"pl_from_growth", "pl_from_error_bound", "decrease", "contraction"}
    for row in rows:
        assert row["slack"] >= -1e-9 and row["slack"] < 1 + 1e3 * scale
        assert 0.9 * cell.points < row["checked"] <= cell.points


def test_measured_constants_exceed_the_implied_ones():
    ((_, found),) = cells(theory, part="invariant")
    assert [record["implication"] for record in found] == ["growth_from_pl", "error_bound_from_pl"]
    assert all(1 <= record["ratio"] < 100 for record in found)


def test_descent_in_the_span_of_k_eigenvectors_contracts_as_the_kth_eigenvalue_says():
    ((cell, found),) = cells(theory, part="descent")
    for record, k in zip(found, cell.leading, strict=True):
        assert record["leading"] == k and record["mu"] == pytest.approx(1e-6 ** ((k - 1) / (cell.d - 1)), rel=1e-12)
        assert record["predicted"] == pytest.approx((1 - record["mu"]) ** 2, rel=1e-12)
        assert record["measured"] <= record["predicted"] * (1 + 1e-6) < record["certified"] < record["global"]
        assert record["measured"] == pytest.approx(
            record["predicted"], rel=0.02
        )  # the slowest direction is in the start


def test_the_scalar_example_has_a_better_constant_on_smaller_intervals_and_keeps_its_promise():
    ((_, found),) = cells(theory, part="scalar")
    constants = [record["pl"] for record in found]
    assert constants == sorted(constants, reverse=True) and constants[-1] > 0
    assert constants[0] == pytest.approx(8, rel=0.05)  # f''(0) = 8
    for record in found:
        assert record["stayed"] and record["measured"] <= record["certified"] == 1 - record["pl"] / 8


def test_the_error_bound_degrades_in_proportion_to_the_move_along_the_null_space():
    ((cell, found),) = cells(theory, part="null_space")
    assert tuple(record["distance"] for record in found) == cell.distance
    ratios = [record["ratio"] for record in found]
    assert ratios[3] / ratios[2] == pytest.approx(10, rel=0.05) and ratios[3] > 100 * ratios[0]


def test_tiny_settings_of_the_theory_end_in_numbers_or_in_advice(tmp_path):
    one_step, two = theory.run(theory.Config(part="descent", n=5, d=30, leading=(1, 2), points=500), tmp_path)
    assert one_step["measured"] == one_step["predicted"] == 0  # the leading eigenvalue is L: over after one step
    assert two["measured"] == pytest.approx(two["predicted"], rel=1e-6) and 0 < two["predicted"] < 1
    with pytest.raises(UserError, match=r"scale = 1e-09: no point has a gap above 1e-09; choose a larger scale"):
        theory.run(theory.Config(points=20, scale=(1e-9,)), tmp_path)


# ---- convergence, cone and rates: against textbook loops


@pytest.mark.parametrize("stream", ["replay", "keys"])
def test_hit_times_are_those_of_a_textbook_ista(stream):
    ((cell, found),) = cells(convergence, part="rip", stream=stream)
    data = list(instances(cell, cell.noise, reference_solve=True))
    assert [record["designs"] for record in found] == list(cell.designs)
    for record, instance in zip(found, data, strict=True):
        path = iterates(instance.matrix, instance.y, cell.lam, cell.iterations)
        values = objective(instance.matrix, instance.y, cell.lam, path)
        gap = values - record["f_star"]
        assert -1e-14 < gap.min() and record["kkt_violation"] < 1e-12
        for level in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10):
            expected = int((gap <= level).argmax()) if (gap <= level).any() else None
            assert record[f"steps_{level:.0e}"] == expected
        best = find_optimum(lasso(instance.matrix, instance.y, cell.lam)).x
        slope = instance.matrix.T @ (instance.matrix @ best - instance.y) / cell.n
        exact = ((path - best) @ instance.matrix.T) ** 2 / (2 * cell.n)  # F(x) - F* as a sum of terms >= 0
        below = exact.sum(1) + (cell.lam * (np.abs(path) - np.abs(best)) + slope * (path - best)).sum(1) <= 1e-15
        assert record["steps_1e-15"] == (int(below.argmax()) if below.any() else None)
        np.testing.assert_allclose(record["gap"], gap[record["step"]], rtol=1e-9, atol=1e-14)
        assert record["last_objective"] == pytest.approx(values[-1], abs=1e-14)
        assert record["step"][-1] == cell.iterations - 1 and record["gap_start"] == pytest.approx(gap[0], rel=1e-12)
        support = np.flatnonzero(find_optimum(lasso(instance.matrix, instance.y, cell.lam)).x)
        eigenvalues = np.linalg.eigvalsh(instance.matrix[:, support].T @ instance.matrix[:, support] / cell.n)
        assert record["active"] == len(support) and record["mu"] == pytest.approx(eigenvalues[0], rel=1e-10)
        assert record["condition"] == pytest.approx(np.linalg.norm(instance.matrix, 2) ** 2 / cell.n / record["mu"])


def test_every_penalty_of_the_spiked_study_has_its_own_record():
    for cell, found in cells(convergence, part="spiked"):
        assert [(r["designs"], r["solver"]) for r in found] == [(d, s) for d in cell.designs for s in cell.solver]
        assert len({record["f_star"] for record in found}) == len(found)
        for record in found:
            assert record["kkt_violation"] < 1e-12 and record["gap_end"] >= 0
            assert record["last_objective"] == pytest.approx(record["f_star"] + record["gap_end"], rel=1e-15)
        plain, net = (next(r for r in found if r["solver"] == name) for name in ("lasso", "elastic_net"))
        assert net["f_star"] > plain["f_star"]  # one more penalty
        assert net["lipschitz"] == pytest.approx(plain["lipschitz"] + cell.lam2, rel=1e-12)


@pytest.mark.parametrize("algorithm", ["ista", "fista"])
def test_cone_percentages_are_those_of_textbook_iterates(algorithm):
    for cell, found in cells(cone, algorithm=algorithm):
        for record, instance in zip(found, instances(cell), strict=True):
            optimum = find_optimum(lasso(instance.matrix, instance.y, cell.lam)).x
            path = iterates(instance.matrix, instance.y, cell.lam, cell.iterations, algorithm == "fista")
            moves, support = np.abs(path - optimum), optimum != 0
            inside, outside = moves[:, support].sum(1), moves[:, ~support].sum(1)
            ratio = np.where(inside > 1e-12, outside / np.maximum(inside, 1e-12), 0)
            found_here = ((path != 0) == support).all(1)
            first = int(found_here.argmax()) if found_here.any() else None
            assert record["first"] == first and record["active"] == support.sum()
            for a in (1, 3):
                assert record[f"within_{a}"] == pytest.approx(100 * (ratio <= a).mean(), abs=1e-9)
                assert record[f"within_{a}_before"] == pytest.approx(100 * (ratio[:first] <= a).mean(), abs=1e-9)
            assert record["permanent"] == (None if not found_here[-1] else len(path) - found_here[::-1].argmin())
            assert record["max_ratio"] == pytest.approx(ratio.max(), rel=1e-9)
            at = record["step"]
            np.testing.assert_allclose(record["ratio"], ratio[at], rtol=1e-6, atol=1e-9)
            np.testing.assert_array_equal(record["size"], (path[at] != 0).sum(1))
            union = ((path[at] != 0) | support).sum(1)
            np.testing.assert_allclose(record["jaccard"], ((path[at] != 0) & support).sum(1) / union, rtol=1e-14)
            assert record["target_found"] == np.array_equal(support, instance.target != 0)


def test_the_certificate_holds_and_predicts_the_rate():
    ((cell, found),) = cells(rates)
    for record, instance in zip(found, instances(cell), strict=True):
        assert 0 < record["bound_ratio"] <= 1 + 1e-6 and 0 < record["step_ratio"] <= 1 + 1e-6
        assert 0 < record["bound_ratio_restricted"] <= 1 + 1e-6
        assert record["first"] <= record["permanent"] <= record["face_identified"] <= record["promised"]
        assert 0.99 < record["rate_ratio"] < 1.1 and record["margin"] > 0
        assert record["measured_rate"] == pytest.approx(record["predicted_rate"], rel=0.01)
        assert record["predicted_rate"] == pytest.approx(1 - 1 / record["condition_end"], rel=1e-12)
        assert record["condition_start"] == pytest.approx(record["condition_end"])  # x_0 = 0: the face of x* again
        assert record["mu_before"] <= record["mu"] * (1 + 1e-9)  # interlacing
        assert record["bound_at_end"] > 1 and (record["gap_ista"] <= record["bound"] * (1 + 1e-6) + 1e-13).all()
        path = iterates(instance.matrix, instance.y, cell.lam, len(record["gap_ista"]) and record["step"][-1] + 1)
        values = objective(instance.matrix, instance.y, cell.lam, path)
        gap = values - objective(
            instance.matrix, instance.y, cell.lam, find_optimum(lasso(instance.matrix, instance.y, cell.lam)).x
        )
        np.testing.assert_allclose(record["gap_ista"], gap[record["step"]], rtol=1e-7, atol=1e-13)
        assert record["steps_ista"] == (gap <= rates.EPS).argmax()
        assert record["largest_face"] == (path != 0).sum(1).max()
        assert record["singular_steps"] == sum(
            np.linalg.matrix_rank(instance.matrix[:, moved]) < moved.sum()
            for moved in (path != 0) | (path[-1] != 0)  # the last iterate is on the final face
            if moved.any()
        )


def test_contraction_before_and_after_is_the_median_of_the_steps():
    ((cell, found),) = cells(rates)
    instance, record = next(instances(cell)), found[0]
    best = find_optimum(lasso(instance.matrix, instance.y, cell.lam)).x
    path = iterates(instance.matrix, instance.y, cell.lam, 200)
    gap = objective(instance.matrix, instance.y, cell.lam, path) - objective(
        instance.matrix, instance.y, cell.lam, best
    )
    gap = gap[: (gap <= rates.RESOLVED).argmax()]
    speed, at = record["lipschitz"] * (1 - gap[1:] / gap[:-1]), record["face_identified"]
    assert record["speed_before"] == pytest.approx(np.median(speed[:at]), rel=1e-6)
    assert record["slowest_before"] == pytest.approx(speed[:at].min(), rel=1e-6)
    assert record["speed_after"] == pytest.approx(np.median(speed[at:]), rel=1e-4)  # differences of F have few digits


def test_a_run_that_is_over_after_one_step_is_a_run(tmp_path):
    """Orthogonal columns: H = I, one step of ISTA is the solution; with a single iteration nothing else is seen."""
    (record,) = rates.run(rates.Config(("orthonormal",), n=60, d=40, s=3, iterations=300), tmp_path)
    assert record["face_identified"] == record["steps_ista"] == 1 and record["condition_end"] == pytest.approx(1)
    (record,) = cone.run(cone.Config(designs=("gaussian",), n=60, d=120, s=4, iterations=1), tmp_path)
    assert record["first"] is None and list(record["step"]) == [0]


# ---- svm


def test_the_svm_dual_is_solved_and_its_certificate_holds():
    ((cell, found),) = cells(svm)
    assert [record["tasks"] for record in found] == list(cell.tasks)
    for record in found:
        assert 0 <= record["duality_gap"] < 1e-10 and record["bound_ratio"] <= 1 + 1e-6
        assert 0 < record["free"] and record["free"] + record["at_c"] <= cell.rows
        assert (np.diff(record["error"]) <= 1e-12).all() and (np.diff(record["gap"]) <= 1e-12).all()
        assert (record["gap"] <= record["bound"] * (1 + 1e-6) + 1e-13).all()
        if record["rate_ratio"] is not None:
            assert 0.99 < record["rate_ratio"] < 1.2 and record["first"] <= record["identified"]
    assert any(record["rate_ratio"] is not None for record in found)


def test_the_linear_svm_is_that_of_liblinear():
    from sklearn.svm import LinearSVC

    ((cell, found),) = cells(svm)
    record = next(record for record in found if record["tasks"] == "linear_soft")
    x, labels = svm._data(cell, "synthetic")
    model = LinearSVC(loss="hinge", C=0.05, fit_intercept=False, tol=1e-10, max_iter=1_000_000, random_state=0)
    margins = labels * model.fit(x, labels).decision_function(x)
    assert record["at_c"] == (margins < 1 - 1e-5).sum() and record["free"] == (np.abs(margins - 1) < 1e-5).sum()


# ---- instances, curves, presets, settings


def test_an_instance_of_our_own_does_not_depend_on_the_others_and_a_replayed_one_does():
    both = Instances(designs=("uniform", "gaussian"), n=20, d=30, s=3)
    for stream, equal in (("keys", True), ("replay", False)):
        alone, second = (
            next(i for i in instances(Instances(names, 20, 30, 3, stream=stream)) if i.design == "gaussian")
            for names in (("gaussian",), both.designs)
        )
        assert np.array_equal(alone.matrix, second.matrix) is equal
        np.testing.assert_array_equal(alone.y, alone.matrix @ alone.target)  # no noise
    seeds = [next(instances(Instances(n=20, d=30, s=3, seed=seed))).matrix for seed in (0, 1)]
    assert not np.array_equal(*seeds)


def test_a_reference_solve_takes_one_word_from_the_replayed_stream_alone():
    for stream, equal in (("keys", True), ("replay", False)):
        cell = Instances(("gaussian", "uniform"), 20, 30, 3, stream=stream)
        without, with_solve = (list(instances(cell, 0.1, solve)) for solve in (False, True))
        np.testing.assert_array_equal(without[0].y, with_solve[0].y)
        assert np.array_equal(without[1].matrix, with_solve[1].matrix) is equal


@pytest.mark.parametrize("steps, points", [(1, 300), (2, 300), (10, 300), (500, 40), (10_000, 300), (10_000, 1)])
def test_a_thinned_curve_has_both_ends_and_all_of_the_first_steps(steps, points):
    kept = thinned(steps, points)
    assert kept[0] == 0 and len(kept) <= points + 1 and kept.dtype.kind == "i"
    assert (np.diff(kept) > 0).all() and kept[-1] <= steps - 1
    assert kept[-1] == steps - 1 or points == 1
    np.testing.assert_array_equal(thinned(10), np.arange(10))
    if points == 300:
        np.testing.assert_array_equal(kept[:20], np.arange(min(20, steps)))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_presets_have_eight_and_thirty_seeds_of_our_own_and_no_cell_twice(experiment):
    presets = import_module(f"trajectory_conv.experiments.{experiment}").PRESETS
    assert set(presets) == {"smoke", "default", "paper"}
    for preset, seeds in (("default", 8), ("paper", 30)):
        own = [cell for cell in presets[preset] if getattr(cell, "stream", "keys") == "keys"]
        assert {cell.seed for cell in own} == set(range(seeds))
    assert all(len(set(cells)) == len(cells) for cells in presets.values())


@pytest.mark.parametrize(
    "module, settings, says",
    [
        (rates, {"designs": ("nothing",)}, "unknown design 'nothing'; choose from gaussian"),
        (rates, {"designs": ()}, "designs is empty; choose at least one"),
        (rates, {"s": 401}, "choose 1 <= s <= d"),
        (rates, {"lam": float("nan")}, "lam = nan; choose numbers > 0"),
        (rates, {"lam": float("inf")}, "lam = inf; choose numbers > 0"),
        (rates, {"iterations": 0}, "iterations = 0; choose numbers > 0"),
        (rates, {"curve": -1}, "curve = -1; choose numbers > 0"),
        (rates, {"seed": -1}, "seed = -1; choose a seed >= 0"),
        (cone, {"algorithm": "sgd"}, "unknown algorithm 'sgd'; choose ista or fista"),
        (cone, {"stream": "torch"}, "unknown stream 'torch'; choose replay or keys"),
        (convergence, {"solver": ("ridge",)}, "unknown solver 'ridge'; choose from lasso"),
        (convergence, {"part": "cone"}, "unknown part 'cone'; choose rip or spiked"),
        (convergence, {"noise": -0.1}, "noise = -0.1; choose a standard deviation >= 0"),
        (convergence, {"lam2": 0.0}, "lam2 = 0.0; choose numbers > 0"),
        (theory, {"part": "nothing"}, "unknown part 'nothing'; choose from pointwise"),
        (theory, {"points": 1}, "points = 1: there is no step to judge; choose at least 2"),
        (theory, {"leading": (5, 61)}, "choose numbers up to d = 60"),
        (theory, {"leading": ()}, "leading.*choose"),
        (theory, {"radius": (0.0,)}, "radius = (0.0,); choose numbers > 0"),
        (theory, {"part": "null_space", "d": 40}, "d = 40 <= n = 40: null(A) is trivial; choose d > n"),
        (svm, {"tasks": ("nothing",)}, "unknown task 'nothing'; choose from linear_soft"),
        (svm, {"tasks": ()}, "choose at least one"),
        (svm, {"cancer_rows": 570}, "breast cancer has 569 rows"),
        (svm, {"seed": -1}, "seed = -1; choose a seed >= 0"),
        (hoffman, {"part": "nothing"}, "unknown part 'nothing'; choose from ambient"),
        (hoffman, {"design": ("nothing",)}, "unknown design 'nothing'"),
        (hoffman, {"s": (201,)}, "s = 201: G_SS is singular beyond min(n, d) = 200"),
        (hoffman, {"d": (500, 400)}, "d = (500, 400); choose increasing numbers"),
        (hoffman, {"n": ()}, "at least one"),
        (hoffman, {"trials": 0}, "trials = 0; choose numbers > 0"),
        (hoffman, {"seed": -1}, "seed = -1; choose a seed >= 0"),
        (phase, {"s": 500}, "s = 500 of d = 500 features; choose 1 <= s < d"),
        (phase, {"iterations": -1}, "iterations = -1; choose a number >= 0"),
        (phase, {"noise": 0.0}, "noise = 0.0; choose numbers > 0"),
        (phase, {"seed": -1}, "seed = -1; choose a seed >= 0"),
        (leverage, {"data": "mnist"}, "unknown data 'mnist'; choose from synthetic"),
        (leverage, {"data": "golub"}, "data = golub is not shipped; give the path of your copy as file (--file)"),
        (leverage, {"tau": ()}, "choose thresholds in (0, 1)"),
        (leverage, {"tau": (1.0,)}, "choose thresholds in (0, 1)"),
        (leverage, {"rows": 2}, "choose 3 to 569"),
        (leverage, {"alpha": -1.0}, "alpha = -1.0; choose numbers > 0"),
        (leverage, {"seed": -1}, "seed = -1; choose a seed >= 0"),
    ],
)
def test_impossible_settings_are_refused_with_advice(module, settings, says, unchecked):
    pattern = says if ".*" in says else re.escape(says)
    with pytest.raises(ValueError, match=pattern):
        module.Config(**settings)
