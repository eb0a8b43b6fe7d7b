"""The study of trained networks at smoke size, and the files that it keeps them in."""

from dataclasses import replace

import numpy as np
import pytest

from icl_lrt import checkpoints, mechanism
from icl_lrt.experiments import regular, trained
from icl_lrt.training import train


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty scratch folder; networks are kept beside it."""
    monkeypatch.setenv(trained.MODELS_FOLDER, str(tmp_path / "models"))
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


CELL = replace(regular.PRESETS["smoke"][0], steps=40)


@pytest.mark.parametrize("cell", regular.PRESETS["smoke"])
def test_no_rule_beats_bayes_and_bayes_not_the_oracle(cell, scratch):
    (record,) = regular.run(cell, scratch)
    for rule in ("", "plugin_"):
        assert record[f"{rule}bce"] > record["bayes_bce"] > record["oracle_bce"]
    assert record["bayes_bce_gap"] == pytest.approx(record["bce"] - record["bayes_bce"], rel=1e-6)
    assert record["shown_logit"].shape == record["shown_bayes"].shape == (cell.episodes,)


def test_a_network_is_trained_once_and_is_that_of_its_recipe_and_seed(scratch, monkeypatch):
    first = trained.trained(CELL, scratch)
    monkeypatch.setattr(trained, "_train", None)  # a second training would fail
    again = trained.trained(CELL, scratch)
    plain = train(CELL.recipe(), CELL.seed)
    for name, value in plain.model.state_dict().items():
        assert (first.model.state_dict()[name] == value).all() and (again.model.state_dict()[name] == value).all()
    np.testing.assert_array_equal(again.history.validation_loss, plain.history.validation_loss)
    assert again.watched_logit.shape == (len(again.watched_step), trained.WATCHED)
    assert again.watched_step[0] == 0 and again.watched_step[-1] == 40


def test_an_interrupted_training_goes_on_to_the_same_file(scratch, monkeypatch):
    cell = replace(CELL, steps=250)  # validated, and so saved, at 100 and 200
    whole = trained.trained(cell, scratch)
    (kept,) = (scratch.parent / "models").glob("*.safetensors")
    bytes_of_all = kept.read_bytes()
    kept.unlink()
    for file in scratch.iterdir():
        file.unlink()

    asked = []

    def stopping(model, episodes, logits=mechanism.logits):
        asked.append(None)
        if len(asked) == 15:  # of 24
            raise KeyboardInterrupt
        return logits(model, episodes)

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(mechanism, "logits", stopping)
        trained.trained(cell, scratch)
    assert not kept.exists()
    resumed = trained.trained(cell, scratch)
    assert kept.read_bytes() == bytes_of_all
    np.testing.assert_array_equal(resumed.watched_step, whole.watched_step)
    np.testing.assert_array_equal(resumed.watched_logit, whole.watched_logit)


def test_the_file_says_what_it_is_and_another_seed_or_size_has_another_one(scratch):
    for number, cell in enumerate((CELL, replace(CELL, seed=1), replace(CELL, layers=1))):
        folder = scratch / str(number)  # a cell's scratch folder is its own
        folder.mkdir()
        trained.trained(cell, folder)
    files = sorted((scratch.parent / "models").glob("*.safetensors"))
    assert len(files) == 3
    assert sorted(checkpoints.metadata(file)["seed"] for file in files) == [0, 0, 1]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"seed": -1}, "seed = -1; choose a seed >= 0"),
        ({"steps": 0}, "steps = 0: choose a whole number >= 1"),
        ({"episodes": 5}, "5 episodes of 2 queries; choose at least 100 of 1"),
        ({"points": 0}, "context = 0: choose a whole number >= 1"),
    ],
)
def test_impossible_settings_are_refused_with_advice(changes, says):
    with pytest.raises(ValueError, match=says):
        replace(CELL, **changes)
