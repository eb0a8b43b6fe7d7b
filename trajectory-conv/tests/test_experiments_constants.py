"""Constants, recovery and pruning at smoke size: their numbers again, by whole matrices and closed forms."""

import numpy as np
import pytest
from oracles import cells, iterates, kkt_norms, objective

from repro_shared import UserError
from trajectory_conv.designs import DESIGNS, normalise, target
from trajectory_conv.experiments import hoffman, leverage, phase
from trajectory_conv.hoffman import affine_hoffman
from trajectory_conv.leverage import cross_leverage
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import find_optimum

# ---- hoffman


@pytest.mark.parametrize("stream", ["replay", "keys"])
def test_constants_for_growing_dimension_are_those_of_the_whole_matrix(stream):
    """No padding, no blocks: the inverse of M itself."""
    cell, found = cells(hoffman, part="ambient", stream=stream)[-1]
    draws = hoffman._draws(cell)
    matrix = DESIGNS["gaussian"](draws, 50, 80)
    support = np.flatnonzero(target(draws, 80, 4))
    for record, d in zip(found, (80, 100, 120), strict=True):
        if d > 80:
            matrix = np.hstack([matrix, normalise(draws.normal(50, 20))])
        expected = kkt_norms(matrix, support, 0.1)
        np.testing.assert_allclose([record[name] for name in ("h2", "h1", "hinf")], expected, rtol=1e-11)
        assert record["d"] == d and record["lower2"] <= record["h2"] <= record["upper2"]
        assert record["h1"] <= record["upper1"] * (1 + 1e-12) and record["hinf"] == pytest.approx(record["upperinf"])


@pytest.mark.parametrize("stream", ["replay", "keys"])
def test_constants_over_random_supports_are_those_of_each_support(stream):
    cell, found = cells(hoffman, part="supports", stream=stream)[0]
    draws, matrices = hoffman._draws(cell), {}
    for name in cell.design:
        matrices[name] = DESIGNS[name](draws, 50, 80)
        target(draws, 80, 1)
    for record in found:
        supports = hoffman._subsets(cell, draws, 80, record["s"])
        assert supports.shape == (50, record["s"]) and all(len(set(support)) == record["s"] for support in supports)
        assert set(supports.ravel()) <= set(range(80)) and len(set(supports.ravel())) > 40
        matrix, values = matrices[record["design"]], record["constants"]
        gram = matrix.T @ matrix / 50
        for support, value in list(zip(supports, values, strict=True))[:5]:
            assert value == pytest.approx(kkt_norms(matrix, support, 0.1)[0], rel=1e-10)
        others = np.delete(np.arange(80), supports[-1])
        last = affine_hoffman(gram[np.ix_(supports[-1], supports[-1])], gram[np.ix_(others, supports[-1])], 0.1, 0.0)
        assert values[-1] == pytest.approx(float(last.h2), rel=1e-10)
        moments = ((values - values.mean()) ** np.arange(5)[:, None]).mean(1)
        assert record["variance"] == pytest.approx(moments[2]) and record["max"] == values.max()
        assert record["skewness"] == pytest.approx(moments[3] / moments[2] ** 1.5)
        assert record["excess_kurtosis"] == pytest.approx(moments[4] / moments[2] ** 2 - 3)
        assert record["max_over_median"] == pytest.approx(values.max() / np.median(values), rel=1e-14)


@pytest.mark.parametrize("stream", ["replay", "keys"])
def test_bound_ratios_are_at_least_one_and_those_of_the_whole_matrix(stream):
    cell, found = cells(hoffman, part="tightness", stream=stream)[-1]
    draws = hoffman._draws(cell)
    for record in found:
        trials = {"upper": [], "cross": [], "leverage": []}
        for _ in range(cell.trials):
            matrix = DESIGNS[record["design"]](draws, 50, 80)
            target(draws, 80, 4)
            support = draws.subset(80, 4)
            gram = matrix.T @ matrix / 50
            active, cross = gram[np.ix_(support, support)], np.delete(gram[:, support], support, axis=0)
            p = np.linalg.inv(active)
            size = np.sqrt(np.linalg.norm(p, 2) ** 2 + 100 + np.linalg.norm(cross @ p / 0.1, 2) ** 2)
            trials["upper"].append(size / kkt_norms(matrix, support, 0.1)[0])
            trials["cross"].append(np.linalg.norm(cross, 2))
            projected = matrix[:, support] @ np.linalg.pinv(matrix[:, support]) @ np.delete(matrix, support, axis=1)
            bound = np.sqrt(np.linalg.norm(active, 2)) * np.linalg.norm(projected) / np.sqrt(50)
            trials["leverage"].append(bound / trials["cross"][-1])
        for norm, values in (("2", trials["upper"]), ("cross", trials["cross"]), ("leverage", trials["leverage"])):
            expected = [np.median(values), min(values), max(values)]
            np.testing.assert_allclose([record[f"{of}_{norm}"] for of in ("median", "min", "max")], expected, rtol=1e-9)
        for norm in ("1", "2", "inf", "2_lower", "leverage"):
            assert 1 - 1e-12 <= record[f"min_{norm}"] <= record[f"median_{norm}"] <= record[f"max_{norm}"]
        assert record["max_inf"] == pytest.approx(1, rel=1e-12)
        assert record["min_cross"] > 0.1 and record["weyl_finite"] == 0  # ||G_(S^c S)|| < lambda would make it finite


def test_weyls_bound_is_finite_where_active_and_inactive_columns_are_orthogonal(tmp_path):
    settings = dict(part="tightness", n=(60,), d=(40,), s=(4,), trials=2)
    orthogonal, gaussian = hoffman.run(hoffman.Config(design=("orthonormal", "gaussian"), **settings), tmp_path)
    assert (orthogonal["weyl_finite"], gaussian["weyl_finite"]) == (100, 0)
    (whole,) = hoffman.run(hoffman.Config(**settings | {"d": (4,)}), tmp_path)  # no inactive column
    assert whole["weyl_finite"] == 100 and whole["max_leverage"] == whole["max_2"] == 1


@pytest.mark.parametrize("part", ["ambient", "supports", "tightness", "stability"])
def test_a_singular_support_is_refused_with_advice(part, tmp_path):
    cell = hoffman.Config(part=part, design=("low_rank",), n=(50,), d=(80,), s=(20,), trials=2)
    if part == "stability":  # a LASSO optimum has no more non-zeros than the design has dimensions
        assert hoffman.run(cell, tmp_path)
        return
    with pytest.raises(UserError, match="design low_rank: G_SS is singular on a support of s = 20.*a smaller s"):
        hoffman.run(cell, tmp_path)


def test_perturbed_solutions_move_less_than_the_bound_and_exactly_as_predicted():
    ((cell, found),) = cells(hoffman, part="stability")
    assert [(r["design"], r["size"]) for r in found] == [(n, s) for n in cell.design for s in (1e-3, 1e-2, 1e-1)]
    for record in found:
        assert record["kept_face"] <= cell.trials and (record["kept_face"] == cell.trials or record["size"] > 1e-3)
        if record["kept_face"]:
            assert 0 < record["worst_ratio"] < 1 and record["identity_error"] < 1e-12


# ---- phase


def test_the_witness_decides_as_ista_does():
    ((cell, (record,)),) = cells(phase, stream="replay")
    assert cell.iterations > 0 and record["ista_mismatches"] == 0
    assert record["ista_share"] == record["recovered_share"] == record["recovered"].mean()
    assert 0 < record["recovered_share"] < 1


@pytest.mark.parametrize("stream", ["replay", "keys"])
def test_shares_of_the_rule_and_of_the_paths_follow_from_the_maps(stream):
    ((cell, (record,)),) = cells(phase, stream=stream)
    matrix, b, y, noise = phase._data(cell)
    support = b != 0
    gram, linear = matrix.T @ matrix / cell.n, matrix.T @ y / cell.n
    assert record["floor"] == pytest.approx(np.abs(matrix[:, ~support].T @ noise).max() / cell.n)
    assert 3 <= record["ceiling"] == np.abs(b[support]).min() and record["recovered"].shape == (6, 7)
    agrees, promised, denied = (record[f"rule_{kind}"] for kind in ("agrees", "false_positive", "false_negative"))
    assert agrees + promised + denied == pytest.approx(100)

    def recovers(lam1, lam2) -> bool:
        active = np.linalg.inv(gram[np.ix_(support, support)] + lam2 * np.eye(cell.s))
        x = active @ (linear[support] - lam1 * np.sign(b[support]))
        dual = np.abs(linear[~support] - gram[np.ix_(~support, support)] @ x).max()
        return bool((x * b[support] > 0).all() and dual < lam1)

    def attains(budget) -> bool:
        return any(recovers(share * budget, (1 - share) * budget) for share in np.linspace(0.01, 0.99, 50))

    grid = [[recovers(lam1, lam2) for lam1 in record["lam1"]] for lam2 in record["lam2"]]
    np.testing.assert_array_equal(record["recovered"], grid)
    attainable = [budget for budget in record["budgets"] if attains(budget)]
    assert record["attainable"] == pytest.approx(100 * len(attainable) / cell.budgets)
    for name in ("naive", "constrained", "coupled"):
        path = dict(zip(record["budgets"], record[f"path_{name}"], strict=True))
        share = np.mean([recovers(path[budget], budget - path[budget]) for budget in attainable])
        assert record[f"recovered_{name}"] == pytest.approx(100 * share)
        assert record[f"excess_{name}"] > 0.9


# ---- leverage


def test_zeroed_columns_are_as_good_as_deleted_ones():
    cell, found = cells(leverage, data="breast_cancer", seed=0)[0]
    data = leverage._load(cell)
    full = find_optimum(lasso(data.x, data.y, cell.alpha)).x
    support = full != 0
    values = cross_leverage(data.x, support)
    assert [record["tau"] for record in found] == [1.0, *cell.tau] and found[0]["dropped"] == 0
    np.testing.assert_array_equal(found[0]["leverage"], values[~support])
    for record in found:
        kept = support | (values <= record["tau"]) | (record["tau"] == 1)
        x = data.x[:, kept]
        assert record["dropped"] == (~kept).sum() and record["active"] == support.sum()
        assert record["difference"] < 1e-9 and record["jaccard"] == 1
        problem = lasso(x, data.y, cell.alpha)
        np.testing.assert_allclose(find_optimum(problem, start=full[kept]).x, full[kept], rtol=0, atol=1e-10)
        assert record["lipschitz"] == pytest.approx(np.linalg.norm(x, 2) ** 2 / cell.rows, rel=1e-12)
        at = np.flatnonzero(support[kept])
        assert record["h2"] == pytest.approx(kkt_norms(x, at, cell.alpha)[0], rel=1e-9)
        assert record["h2_published_units"] == pytest.approx(kkt_norms(x, at, cell.alpha * cell.rows)[0], rel=1e-9)
        path = iterates(x, data.y, cell.alpha, cell.iterations)
        gap = objective(x, data.y, cell.alpha, path) - objective(x, data.y, cell.alpha, full[kept])
        assert record["steps"] == (int((gap <= leverage.EPS).argmax()) if (gap <= leverage.EPS).any() else None)
    assert found[1]["dropped"] < found[2]["dropped"] and found[2]["h2"] <= found[1]["h2"] <= found[0]["h2"]


def test_the_control_drops_as_many_features_and_another_seed_drops_others():
    first, second = (found for _, found in cells(leverage, data="breast_cancer"))
    for records in (first, second):
        assert records[0]["random_lipschitz"] == records[0]["lipschitz"] and records[0]["random_h2"] == records[0]["h2"]
        assert records[2]["random_lipschitz"] < records[0]["lipschitz"]
    assert first[2]["random_lipschitz"] != second[2]["random_lipschitz"]
