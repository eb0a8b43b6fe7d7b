"""The study of trained networks' insides at smoke size: its numbers again, by loops and by other libraries."""

import copy
import itertools
import os
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from mechanism_worlds import mechanism_world
from scipy import stats
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from icl_lrt import mechanism as tools
from icl_lrt.checks.mechanism import no_network_shows_it
from icl_lrt.experiments import mechanism, trained
from icl_lrt.experiments.performance import fresh_episodes
from icl_lrt.experiments.trained import Kept
from icl_lrt.mechanism.probes import PENALTIES
from icl_lrt.tasks import Episodes
from repro_shared.results import Results

CELLS = {cell.task_name: replace(cell, seed=4, steps=100) for cell in mechanism.PRESETS["smoke"]}
FIGURES = {"layers", "patching", "attribution", "alignment", "votes", "ablation"}


class Ran(NamedTuple):
    """A cell's record, the network that it is of, and what that was asked."""

    record: dict
    kept: Kept
    episodes: Episodes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a cell, once for all tests; networks are kept for all of them."""
    done, folder = {}, tmp_path_factory.mktemp("networks")

    def ran(cell) -> Ran:
        if cell not in done:
            scratch = folder / str(len(done))
            scratch.mkdir()
            (record,) = mechanism.run(cell, scratch)
            done[cell] = Ran(record, trained.trained(cell, scratch), fresh_episodes(cell, cell.task()))
        return done[cell]

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, trained.MODELS_FOLDER, str(folder / "models"))
        yield ran


@pytest.fixture(params="AB")
def cell(request):
    return CELLS[request.param]


def pooled(values) -> np.ndarray:
    return values.double().flatten().numpy(force=True)


def test_the_lens_is_the_heads_answer_after_each_layer_against_each_target(run, cell):
    record, kept, episodes = run(cell)
    streams = tools.trace(kept.model, episodes).streams
    weight, bias = kept.model.head.weight[0].detach(), kept.model.head.bias.detach()
    targets = {"llr": episodes.llr, "cut": episodes.llr.clip(-10, 10), "label": episodes.label}
    for layer, stream in enumerate(streams):
        virtual = stream @ weight + bias
        for name, target in targets.items():
            for statistic, of in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
                expected = of(pooled(virtual), pooled(target)).statistic
                assert record[f"lens_{name}_{layer}_{statistic}"] == pytest.approx(expected, abs=1e-4)
        published = targets["llr" if cell.task_name == "A" else "label"]
        batches = [
            stats.pearsonr(virtual[start : start + 64, j], published[start : start + 64, j]).statistic
            for start in range(0, 64 * (cell.episodes // 64), 64) for j in range(cell.queries)
        ]  # fmt: skip
        assert record[f"lens_published_{layer}_pearson"] == pytest.approx(np.mean(batches), abs=1e-4)
    assert (cell.task_name == "B") == bool((episodes.llr.abs() > mechanism.CUT).any())


def test_a_probe_is_scikit_learns_ridge_for_the_cut_ratio_and_for_the_squared_norm(run, cell):
    record, kept, episodes = run(cell)
    streams, half = tools.trace(kept.model, episodes).streams.double(), cell.episodes // 2
    targets = {"cut": episodes.llr.clip(-10, 10), "norm": episodes.query.double().square().sum(-1)}
    for layer, stream in enumerate(streams):
        scaler = StandardScaler().fit(stream[:half].flatten(0, 1))
        fitted, asked = (scaler.transform(part.flatten(0, 1)) for part in (stream[:half], stream[half:]))
        for name, target in targets.items():
            ridge = RidgeCV(PENALTIES).fit(fitted, pooled(target[:half]))
            expected = stats.pearsonr(ridge.predict(asked), pooled(target[half:])).statistic
            assert record[f"probe_{name}_{layer}"] == pytest.approx(expected, abs=1e-4)
            assert 0 < record[f"probe_{name}_{layer}_null"] < 0.4
            assert 1 / (cell.permutations + 1) <= record[f"probe_{name}_{layer}_p"] <= 1


def test_what_is_lost_without_a_head_is_that_of_a_network_whose_columns_are_zero(run, cell):
    record, kept, episodes = run(cell)
    label = episodes.label > 0
    before = (tools.logits(kept.model, episodes) > 0) == label
    shape = (2, 2)
    for layer, head in itertools.product(*map(range, shape)):
        damaged = copy.deepcopy(kept.model)
        with torch.no_grad():
            damaged.layers[layer].out_proj.weight[:, 16 * head : 16 * (head + 1)] = 0
        after = (tools.logits(damaged, episodes) > 0) == label
        expected = before.double().mean() - after.double().mean()
        assert record["zero_drop"][layer, head] == pytest.approx(float(expected), abs=1e-12)
    assert record["zero_drop"].shape == record["mean_drop_se"].shape == record["vote_p"].shape == shape
    assert (record["zero_drop"] != record["mean_drop"]).any()


def test_the_heads_that_claims_are_about_are_those_of_the_arrays(run, cell):
    record = run(cell).record
    alignment, drop = record["alignment"], record["zero_drop"]
    assert record["first_alignment"] == max(abs(alignment[0]))
    assert record["last_alignment_for"] == max(alignment[1]) and record["last_alignment_against"] == -min(alignment[1])
    layer, head = max(itertools.product(range(2), range(2)), key=lambda place: drop[place])
    assert (record["costliest_drop"], record["costliest_layer"]) == (drop[layer, head], layer + 1)
    assert record["costliest_alignment"] == alignment[layer, head]
    for number, name in enumerate(("first", "last")):
        signed = [a * vote for a, vote in zip(alignment[number], record["vote_spearman"][number], strict=True)]
        assert record[f"{name}_aligned_vote"] == pytest.approx(np.mean(signed))
        assert record[f"{name}_vote"] == max(abs(record["vote_spearman"][number]))
    for kind in ("zero", "mean"):
        assert record[f"first_{kind}_bce"] == pytest.approx(sum(record[f"{kind}_bce"][0]))


def test_alignment_is_compared_with_the_loss_over_heads_by_all_their_orders(run, cell):
    record = run(cell).record
    for kind, (name, size), (statistic, of) in itertools.product(
        ("zero", "mean"), (("alignment", False), ("size", True)),
        (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)),
    ):  # fmt: skip
        lost = record[f"{kind}_drop"].ravel()
        given = abs(record["alignment"].ravel()) if size else record["alignment"].ravel()
        found = of(given, lost).statistic
        assert record[f"{kind}_{name}_{statistic}"] == pytest.approx(found)
        orders = [abs(of(given[list(order)], lost).statistic) for order in itertools.permutations(range(4))]
        assert record[f"{kind}_{name}_{statistic}_p"] == pytest.approx(np.mean(np.array(orders) > abs(found) - 1e-9))


def test_votes_are_the_attention_to_class_1_minus_that_to_class_0(run, cell):
    record, kept, episodes = run(cell)
    attention = tools.trace(kept.model, episodes).attention
    for layer, head in itertools.product(range(2), range(2)):
        vote = (attention[layer, :, :, head] * (2 * episodes.y - 1)[:, None]).sum(-1)
        expected = stats.spearmanr(pooled(vote), pooled(episodes.llr)).statistic
        assert record["vote_spearman"][layer, head] == pytest.approx(expected, abs=1e-3)


def test_patching_has_its_known_ends_and_between_them_the_slope_of_the_changes(run, cell):
    record, kept, episodes = run(cell)
    others = {"labels": episodes._replace(y=1 - episodes.y)}
    others["context"] = episodes._replace(x=torch.roll(episodes.x, -1, 0), y=torch.roll(episodes.y, -1, 0))
    base = pooled(tools.logits(kept.model, episodes))
    for donor, other in others.items():
        change = pooled(tools.logits(kept.model, other)) - base
        moved = pooled(tools.patched_logits(kept.model, episodes, other)[1]) - base
        (slope,) = np.linalg.lstsq(change[:, None], moved, rcond=None)[0]
        found = [record[f"patch_{donor}_{layer}"] for layer in range(3)]
        assert found == pytest.approx([0, slope, 1], abs=1e-4)


def test_shares_of_the_logits_variance_add_up_to_one(run, cell):
    record = run(cell).record
    parts = ["embedding", "biases", *(f"{part}_{layer}" for part in ("heads", "feedforward") for layer in (0, 1))]
    assert sum(record[f"share_{part}"] for part in parts) == pytest.approx(1, abs=1e-4)
    heads = [record["share_heads_0"], record["share_heads_1"]]
    assert record["share_head"].sum(1) == pytest.approx(heads, abs=1e-5)


def test_networks_of_the_published_training_are_studied_alike(run):
    published = run(replace(CELLS["A"], method="faithful", steps=5)).record
    assert published.keys() == run(CELLS["A"]).record.keys()


def test_equal_seeds_give_equal_records_and_others_different_ones(run, tmp_path):
    cell, record = CELLS["A"], run(CELLS["A"]).record
    torch.manual_seed(5)
    (again,) = mechanism.run(cell, tmp_path)
    assert all(np.array_equal(again[name], value, equal_nan=True) for name, value in record.items())
    other = run(replace(cell, seed=5)).record
    for name in ("lens_cut_1_pearson", "probe_cut_1", "patch_labels_1", "first_alignment", "share_heads_0"):
        assert other[name] != record[name]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"variant": "no_labels"}, "no_labels is not shown labels: choose one that is, task_A_regular"),
        ({"episodes": 100}, "episodes = 100, permutations = 20; choose at least 128"),
        ({"permutations": 0}, "permutations = 0; choose at least 128, which are two batches of 64, and 1"),
        ({"queries": 0}, "200 episodes of 0 queries"),
    ],
)
def test_impossible_settings_are_refused_with_advice(changes, says):
    with pytest.raises(ValueError, match=says):
        replace(CELLS["A"], **changes)


def test_a_correlation_that_is_not_there_is_no_evidence_of_chance():
    recorded = mechanism_world()
    (cell, (record,)), *others = recorded
    recorded = [(cell, [record | {"zero_alignment_pearson": np.nan, "zero_alignment_pearson_p": 1.0}]), *others]
    found = no_network_shows_it({"mechanism": Results.from_records(recorded)})
    assert (found.verdict, found.n) == ("inconclusive", 7) and "1 of 8 values are missing" in found.why


# ---- figures


def drawn(ax, label: str) -> np.ndarray:
    """The heights of the means with this label."""
    (bars,) = [held for held in ax.containers if held.get_label() == label]
    return np.asarray(bars.lines[0].get_ydata(), dtype=float)


@pytest.mark.parametrize("tasks", ["A", "B", "AB"])
def test_every_figure_is_there_with_a_caption_whichever_tasks_there_are(run, tasks, tmp_path):
    results = Results.from_records([(CELLS[task], [run(CELLS[task]).record]) for task in tasks])
    figures = mechanism.figures(results)
    assert figures.keys() == FIGURES
    for name, fig in figures.items():
        assert len(fig.get_label()) > 100 and "32 queries a context, 1 seed." in fig.get_label()
        fig.savefig(tmp_path / f"{name}.png")


def test_figures_draw_means_over_the_networks_that_the_claims_are_about(run):
    cell, record = CELLS["A"], run(CELLS["A"]).record
    recorded = [
        (replace(cell, seed=seed, method=method), [record | {"patch_labels_1": value, "share_heads_1": value}])
        for method, values in (("faithful", (0.2, 0.4)), ("multi_query", (5.0, 5.0)))
        for seed, value in enumerate(values)
    ]
    recorded.append((replace(cell, seed=2, method="faithful"), [record | {"diverged": True}]))
    figures = mechanism.figures(Results.from_records(recorded))
    assert drawn(figures["patching"].axes[0], "task A, shifted mean")[1] == pytest.approx(0.3)
    assert drawn(figures["attribution"].axes[0], "task A, shifted mean")[3] == pytest.approx(0.3)
    lens = drawn(figures["layers"].axes[0], "lens, LLR")
    assert lens == pytest.approx([record[f"lens_cut_{layer}_pearson"] for layer in range(3)])
    (votes, *_) = figures["votes"].axes
    assert [len(line.get_xdata()) for line in votes.lines[:2]] == [4, 4]  # of two networks
    assert mechanism.figures(Results.from_records(recorded[-1:])) == {}


def test_the_made_up_networks_of_the_claims_have_no_column_that_real_ones_have_not(run):
    real = run(CELLS["A"]).record
    for _, (record,) in mechanism_world():
        assert record.keys() <= real.keys()
