"""The studies at toy size: what they feed, what they measure, and that they go on where they were stopped."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from icl_lrt.cli import EXPERIMENTS
from icl_lrt.comparison import bce, right
from icl_lrt.experiments import ablations, context_length, depth, ood, performance, plateau, regular, trained
from icl_lrt.mechanism import logits
from icl_lrt.recipe import PUBLISHED
from icl_lrt.seeds import generator
from icl_lrt.stacked import Stack
from icl_lrt.training import History, Trained, shuffled, train

TINY = {"size": "tiny", "steps": 20, "episodes": 200, "queries": 2}


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty scratch folder; networks are kept beside it."""
    monkeypatch.setenv(trained.MODELS_FOLDER, str(tmp_path / "models"))
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def another(scratch):
    """A folder for a cell of its own, as each has."""
    folder = scratch / str(len(list(scratch.iterdir())))
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_have_no_cell_twice(name):
    module = import_module(f"icl_lrt.experiments.{name}")
    for cells in module.PRESETS.values():
        assert len(set(cells)) == len(cells) > 0
        assert all(isinstance(cell, module.Config) for cell in cells)


def test_the_networks_of_default_are_shared():
    def networks(*names):
        presets = [import_module(f"icl_lrt.experiments.{name}").PRESETS["default"] for name in names]
        return {(repr(cell.recipe()), cell.seed) for cells in presets for cell in cells}

    assert networks("ood", "mechanism", "dynamics") <= networks("regular")
    assert len(networks("regular")) == 6 and len(networks("ablations", "context_length", "depth")) == 48 + 21 + 24


# ---- moved inputs


def test_all_shifts_have_the_same_draws_and_the_rules_that_know_them_lose_nothing(scratch):
    cell = ood.Config("task_A_regular", shift=(0.0, 1.0, 9.0), **TINY)
    records = ood.run(cell, scratch)
    assert [record["shift"] for record in records] == [0, 1, 9]
    oracle, lda, wrapped = (
        {record[f"{rule}_accuracy"] for record in records} for rule in ("oracle", "plugin", "wrapped")
    )
    assert len(oracle) == len(lda) == len(wrapped) == 1
    assert max(record["wrapped_moved"] for record in records) < 1e-3
    assert len({record["accuracy"] for record in records}) == 3  # the network itself does move
    assert records[1]["bayes_bce"] == records[1]["prior_bce"] < records[2]["prior_bce"]  # trained at sigma_k = 1


def test_factors_change_nothing_but_the_scale(scratch):
    cell = ood.Config("task_B_regular", shift=(1.0, 4.0), **TINY)
    one, four = ood.run(cell, scratch)
    for rule in ("oracle", "bayes", "plugin", "wrapped"):
        assert one[f"{rule}_bce"] == pytest.approx(four[f"{rule}_bce"], abs=1e-5)
    assert one["bayes_bce"] == pytest.approx(one["prior_bce"]) and four["prior_bce"] > four["bayes_bce"] + 0.01
    assert one["bce"] != pytest.approx(four["bce"], abs=1e-4)


def test_rescaled_contexts_have_the_root_mean_square_of_training():
    task = ood.Config("task_B_regular", **TINY).task()
    x = task.sample(4000, 16, 1, generator(0, "rms")).x
    assert float(x.square().mean().sqrt()) == pytest.approx(ood._root_mean_square(task), rel=0.02)


# ---- context length


def test_as_many_points_are_fed_as_are_said(scratch, monkeypatch):
    fed = []

    def spy(model, episodes, logits=logits):
        fed.append((episodes.x.shape[1], model.architecture.context, model.architecture.positions))
        return logits(model, episodes)

    monkeypatch.setattr("icl_lrt.mechanism.logits", spy)
    (four,) = context_length.run(context_length.Config(points=4, **TINY), scratch)
    assert fed.pop() == (4, 4, "learned") and (four["tested"], four["trained"]) == (4, 4)
    both = context_length.run(context_length.Config("no_pos", tested=(4, 64), **TINY), another(scratch))
    assert [n for n, *_ in fed] == [4, 64] and [record["tested"] for record in both] == [4, 64]
    assert both[0]["trained"] == 16
    assert both[0]["bayes_bce"] == four["bayes_bce"]  # the same episodes
    assert both[1]["bayes_accuracy"] > both[0]["bayes_accuracy"] + 0.05


# ---- ablations


@pytest.mark.parametrize("row", ["shuffled_labels", "shuffled_context"])
def test_permuted_rows_are_asked_as_they_were_trained(row, scratch):
    """By one permutation for every 64 episodes."""
    cell = ablations.Config(row, **TINY)
    (record,) = ablations.run(cell, scratch)
    kept, episodes = trained.trained(cell, scratch, watched=False), performance.fresh_episodes(cell, cell.task())
    stream, losses = generator(cell.seed, "permutations"), []
    for start in range(0, cell.episodes, 64):
        part = type(episodes)(*(values[start : start + 64] for values in episodes))
        losses.append(bce(logits(kept.model, shuffled(part, cell.recipe().shuffle, stream)), part.label))
    assert record["bce"] == pytest.approx(float(torch.cat(losses).mean()), rel=1e-6)
    plain = bce(logits(kept.model, episodes), episodes.label)
    assert record["bce"] != pytest.approx(float(plain.mean()), rel=1e-6)


def test_without_labels_a_network_answers_alike_whichever_class_is_which(scratch):
    cell = ablations.Config("no_labels", **TINY)
    (record,) = ablations.run(cell, scratch)
    assert record["accuracy"] == pytest.approx(0.5, abs=0.1)
    kept, episodes = trained.trained(cell, scratch, watched=False), performance.fresh_episodes(cell, cell.task())
    assert torch.equal(logits(kept.model, episodes), logits(kept.model, episodes._replace(y=1 - episodes.y)))


def test_every_published_row_and_the_repaired_one_are_in_every_preset():
    for preset in ("smoke", "default", "paper"):
        rows = {cell.variant for cell in ablations.PRESETS[preset]}
        assert rows == {*PUBLISHED, "context_increase_repaired"}
    faithful = {cell.recipe() for cell in ablations.PRESETS["paper"]}
    assert len(faithful) == 16 and all(recipe.queries == 1 and not recipe.architecture.masked for recipe in faithful)


def test_rows_of_a_seed_are_asked_the_same_but_for_the_length(scratch):
    regular_row, longer = (
        ablations.run(ablations.Config(row, **TINY), another(scratch))[0]
        for row in ("task_A_regular", "context_increase_repaired")
    )
    (noisy,) = ablations.run(ablations.Config("noisy_labels_p0.4", **TINY), another(scratch))
    assert regular_row["bayes_bce"] == noisy["bayes_bce"] != longer["bayes_bce"]


# ---- depth


def test_depth_is_the_number_of_layers_and_the_way_is_from_guessing_to_bayes(scratch):
    cell = depth.Config(layers=3, **TINY)
    (record,) = depth.run(cell, scratch)
    assert len(trained.trained(cell, scratch, watched=False).model.layers) == 3
    way = (np.log(2) - record["bce"]) / (np.log(2) - record["bayes_bce"])
    assert record["recovered"] == pytest.approx(way)
    assert record["step"][-1] == 20 and record["validation_loss"].shape == record["step"].shape


# ---- plateau

RUN = plateau.Config(members=2, seed=3, every=5, **TINY)


def test_members_are_the_networks_of_their_seeds(scratch):
    records = plateau.run(RUN, scratch)
    assert [record["seed"] for record in records] == [3, 4]
    for record in records:
        alone = train(RUN.recipe(), record["seed"])
        np.testing.assert_array_equal(record["validation_loss"], alone.history.validation_loss)
        assert list(record["step"]) == [5, 10, 15, 20]
        episodes = performance.fresh_episodes(replace(RUN, seed=record["seed"]), RUN.task())
        assert record["accuracy"] == pytest.approx(float(right(logits(alone.model, episodes), episodes.label).mean()))


def test_a_plateau_that_was_interrupted_goes_on_to_the_same_numbers(scratch, monkeypatch):
    whole = plateau.run(RUN, scratch)
    for file in scratch.iterdir():
        file.unlink()
    steps = []

    def stopping(stack, *arguments, step=Stack.step):
        steps.append(None)
        if len(steps) == 33:  # of 40: in the second member
            raise KeyboardInterrupt
        return step(stack, *arguments)

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(Stack, "step", stopping)
        plateau.run(RUN, scratch)
    resumed = plateau.run(RUN, scratch)
    for before, after in zip(whole, resumed, strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(value, after[name], err_msg=name)


def history(losses: list[float]) -> Trained:
    step = 25 * np.arange(1, len(losses) + 1)
    return Trained(None, History(step, *[np.array(losses)] * 4), False)


@pytest.mark.parametrize(
    "losses, escaped, step", [([0.69, 0.64, 0.66], True, 50), ([0.69, 0.66], False, None), ([0.5], True, 25)]
)
def test_a_run_escapes_at_the_first_validation_below_065_nats(losses, escaped, step):
    record = performance.progress(history(losses))
    assert (record["escaped"], record["escape_step"], record["steps_done"]) == (escaped, step, 25 * len(losses))


# ---- the store


def test_a_damaged_network_is_named_with_what_to_do(scratch):
    cell = regular.Config(**TINY)
    trained.trained(cell, scratch)
    for suffix in ("safetensors", "npz"):
        (path,) = (scratch.parent / "models").glob(f"*.{suffix}")
        whole = path.read_bytes()
        path.write_bytes(whole[:200])
        with pytest.raises(trained.UserError, match="is damaged: remove it and run the same command again"):
            trained.trained(cell, scratch)
        path.write_bytes(whole)
    trained.trained(cell, scratch)


def test_a_kept_network_takes_no_more_hours(scratch):
    cell = regular.Config(**TINY)
    asked = cell.cpu_hours()
    assert asked > 0
    trained.trained(cell, scratch)
    assert cell.cpu_hours() == 0
    assert replace(cell, steps=40).cpu_hours() == pytest.approx(2 * asked)
    assert plateau.Config(members=3, **TINY).cpu_hours() > 3 * asked * 0.9
