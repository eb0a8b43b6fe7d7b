"""The study of training: its curves again by other libraries, and of networks that are known to be what they are."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from mechanism_worlds import dynamics_world
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import SplineTransformer

from icl_lrt.checks.mechanism import peak_comes_first, smoother_before_bayes, smoother_is_left, smoother_peaks
from icl_lrt.experiments import dynamics, trained
from icl_lrt.experiments.smoothers import BANDWIDTHS, smoothers
from icl_lrt.oracles import kernels
from icl_lrt.oracles.kernels import nadaraya_watson
from repro_shared.results import Results

CELLS = {cell.task_name: replace(cell, seed=4, steps=100) for cell in dynamics.PRESETS["smoke"]}
CURVES = {"accuracy", "bce", "bayes"} | {
    name.format(kernel) for kernel in ("dot", "fair") for name in ("{}", "{}_given_bayes", "bayes_given_{}")
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a cell, once for all tests, and what was kept of its network."""
    done, folder = {}, tmp_path_factory.mktemp("networks")

    def ran(cell):
        if cell not in done:
            scratch = folder / str(len(done))
            scratch.mkdir()
            (record,) = dynamics.run(cell, scratch)
            done[cell] = record, trained.trained(cell, scratch)
        return done[cell]

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, trained.MODELS_FOLDER, str(folder / "models"))
        yield ran


def rules(cell) -> dict[str, np.ndarray]:
    """Scores of Bayes and of the smoothers for the watched queries."""
    episodes = trained.watched_episodes(cell)
    given = episodes.x, episodes.y, episodes.query
    scores = {"bayes": cell.task().log_odds(*given)} | smoothers(cell, *given)
    return {name: score[:, 0].numpy() for name, score in scores.items()}


def adjusted(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What a cubic spline of the given's normal scores leaves of the values."""
    normal = stats.norm.ppf(stats.rankdata(given) / (len(given) + 1))[:, None]
    basis = SplineTransformer(20, knots="quantile").fit_transform(normal)
    return values - LinearRegression(fit_intercept=False).fit(basis, values).predict(basis)


@pytest.mark.parametrize("task", "AB")
def test_curves_are_scipys_correlations_of_the_watched_logits(run, task):
    record, kept = run(CELLS[task])
    by, label = rules(CELLS[task]), trained.watched_episodes(CELLS[task]).label[:, 0].numpy()
    np.testing.assert_array_equal(record["step"], kept.watched_step)
    assert record["step"][0] == 0 and record["step"][-1] == 100
    for watch in (0, 11, -1):
        logit = kept.watched_logit[watch].astype(float)
        assert record["accuracy"][watch] == pytest.approx(((logit > 0) == (label > 0)).mean())
        expected = np.mean(np.logaddexp(0, -logit * (2 * label - 1)))
        assert record["bce"][watch] == pytest.approx(expected)
        for name, score in by.items():
            assert record[name][watch] == pytest.approx(stats.pearsonr(logit, score).statistic)
        for kernel in ("dot", "fair"):
            for name, of, given in (
                (f"{kernel}_given_bayes", kernel, "bayes"),
                (f"bayes_given_{kernel}", "bayes", kernel),
            ):
                rest = [adjusted(values, by[given]) for values in (logit, by[of])]
                assert record[name][watch] == pytest.approx(stats.pearsonr(*rest).statistic, abs=1e-6)
    for kernel in ("dot", "fair"):
        assert record[f"bayes_{kernel}"] == pytest.approx(stats.pearsonr(by["bayes"], by[kernel]).statistic)
        assert record[f"{kernel}_accuracy"] == pytest.approx(((by[kernel] > 0) == (label > 0)).mean())


def test_smoothers_are_the_published_one_and_the_best_of_the_tasks_own():
    for task, score in (("A", kernels.rbf), ("B", kernels.norm_kernel)):
        episodes = trained.watched_episodes(CELLS[task])
        given = episodes.x, episodes.y, episodes.query
        found = smoothers(CELLS[task], *given)
        weight = np.exp(
            np.einsum("bmd,bnd->bmn", *(v.double().numpy() for v in (episodes.query, episodes.x))) / 32**0.5
        )
        expected = (weight * (2 * episodes.y.numpy() - 1)[:, None]).sum(-1) / weight.sum(-1)
        np.testing.assert_allclose(found["dot"].numpy(), expected, atol=1e-9)
        some = [nadaraya_watson(score(episodes.x, episodes.query, h), episodes.y) for h in BANDWIDTHS[task]]
        assert sum(torch.equal(found["fair"], one) for one in some) == 1


def test_logits_that_are_chance_then_a_smoother_then_bayes_are_found_to_be_that(run, monkeypatch, tmp_path):
    cell = CELLS["A"]
    by, chance = rules(cell), np.random.default_rng(0).normal(size=trained.WATCHED)
    logit = np.stack([chance, by["dot"], 3 * by["dot"] + 0.1 * chance, np.tanh(by["bayes"]), by["bayes"]])
    kept = run(cell)[1]._replace(watched_step=np.arange(5), watched_logit=logit)
    monkeypatch.setattr(dynamics, "trained", lambda *_: kept)
    (record,) = dynamics.run(cell, tmp_path)
    noise = 0.15
    for curve, expected in {
        "dot": [0, 1, 1, record["dot"][3], record["bayes_dot"]], "dot_given_bayes": [0, 1, 1, 0, 0],
        "bayes_given_dot": [0, 0, 0, 0.9, 1], "bayes": [0, record["bayes_dot"], record["bayes_dot"], 0.95, 1],
    }.items():  # fmt: skip
        assert record[curve] == pytest.approx(expected, abs=noise)


def test_a_training_that_diverged_has_no_curves_that_count(run, monkeypatch, tmp_path):
    record, kept = run(CELLS["A"])
    logit = np.where(np.arange(len(kept.watched_step))[:, None] < 3, kept.watched_logit, np.nan)
    monkeypatch.setattr(dynamics, "trained", lambda *_: kept._replace(diverged=True, watched_logit=logit))
    (lost,) = dynamics.run(CELLS["A"], tmp_path)
    assert lost["diverged"] and lost.keys() == record.keys()
    for curve in CURVES - {"accuracy"}:
        assert np.isnan(lost[curve][3:]).all() and lost[curve][:3] == pytest.approx(record[curve][:3])
    recorded = [(cell, [real | {"diverged": cell.seed != 1}]) for cell, (real,) in dynamics_world()]
    found = smoother_peaks({"dynamics": Results.from_records(recorded, "dynamics")})
    assert (found.verdict, found.n) == ("inconclusive", 1) and "3 of 4 values are missing" in found.why


def test_the_made_up_networks_of_the_claims_have_no_column_that_real_ones_have_not(run):
    real = run(CELLS["A"])[0]
    assert real.keys() >= CURVES
    for _, (record,) in dynamics_world():
        assert record.keys() <= real.keys()


# ---- checks on curves


def results(**planted) -> dict[str, Results]:
    """The made-up world, with curves of task A replaced in its seeds 0 and 1."""
    recorded = []
    for cell, (record,) in dynamics_world():
        if cell.task_name == "A" and cell.seed < 2:
            record = record | planted
        recorded.append((cell, [record]))
    return {"dynamics": Results.from_records(recorded, "dynamics")}


def test_a_curve_with_a_gap_or_without_an_end_near_bayes_is_missing():
    gap = np.full(24, 0.3)
    gap[7] = np.nan
    for check, curve in (
        (smoother_peaks, {"dot": gap}), (smoother_before_bayes("A", "dot"), {"bayes_given_dot": gap}),
        (peak_comes_first, {"bayes": np.full(24, 0.89)}), (smoother_is_left, {"dot": np.full(24, np.nan)}),
    ):  # fmt: skip
        found = check(results(**curve))
        assert (found.verdict, found.n) == ("inconclusive", 2) and "2 of 4 values are missing" in found.why


def test_networks_of_the_published_training_decide_where_there_are_any():
    recorded = dynamics_world()
    for cell, (record,) in dynamics_world():
        recorded.append((replace(cell, method="faithful"), [record | {"dot": 0.5 * record["dot"]}]))
    found = smoother_peaks({"dynamics": Results.from_records(recorded, "dynamics")})
    assert found.verdict == "contradicted" and found.n == 4


# ---- figure


@pytest.mark.parametrize("tasks", ["A", "B", "AB"])
def test_the_figure_has_a_row_of_panels_for_each_task(run, tasks, tmp_path):
    recorded = [(CELLS[task], [run(CELLS[task])[0]]) for task in tasks]
    recorded.append((replace(CELLS[tasks[0]], seed=0), [run(CELLS["A"])[0] | {"diverged": True}]))
    fig = dynamics.figures(Results.from_records(recorded))["dynamics"]
    fig.savefig(tmp_path / "dynamics.png")
    assert len(fig.axes) == 3 * len(tasks) and "32 queries a context, 1 seed." in fig.get_label()
    for task, ax in zip(tasks, fig.axes[::3], strict=True):
        (line,) = [line for line in ax.lines if line.get_label() == "dot"]
        np.testing.assert_allclose(line.get_ydata(), run(CELLS[task])[0]["dot"])


def test_the_figure_draws_means_over_seeds():
    (cell, (record,)), *_ = recorded = dynamics_world()
    axes = dynamics.figures(Results.from_records(recorded))["dynamics"].axes
    (line,) = [line for line in axes[0].lines if line.get_label() == "dot"]
    step, mean = line.get_data()
    assert step[np.argmax(mean)] == 500 and max(mean) == pytest.approx(0.57, abs=0.01)
    assert dynamics.figures(Results.from_records([(cell, [record | {"diverged": True}])])) == {}
