"""Studies at their limits: no settings at all, fewer images than asked for, training that diverges."""

import re
import warnings
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from proj_heads.cli import EXPERIMENTS
from proj_heads.experiments import geometry, geometry_figures, hessian, hessian_figures
from proj_heads.experiments.pretrained import images
from repro_shared import UserError
from repro_shared.results import Results

PAIR = replace(geometry.PRESETS["smoke"][0], steps=3, seed=1)
TRACKED = replace(hessian.PRESETS["smoke"][0], steps=6, every=2, samples=2)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_settings_of_every_study_have_defaults_that_fit_each_other(name):
    module = import_module(f"proj_heads.experiments.{name}")
    assert isinstance(module.Config(), module.Config)


def test_the_tracker_follows_the_authors_by_default(unchecked):
    assert hessian.Config() in [replace(cell, activation="relu", seed=0) for cell in hessian.PRESETS["default"]]
    with pytest.raises(ValueError, match="objective = 'dino'; only simsiam has the predictor"):
        hessian.Config(objective="dino")


# ---- too few images


def test_a_batch_that_is_larger_than_the_data_is_the_users_to_mend(tmp_path):
    cell = replace(PAIR, batch=2000)
    with pytest.raises(UserError, match="batch = 2000, but digits has 1347 images; choose a smaller batch"):
        images(cell)
    for module, settings in ((geometry, cell), (hessian, replace(TRACKED, batch=2000))):
        with pytest.raises(UserError, match="batch = 2000, but digits has 1347 images"):
            module.run(settings, tmp_path)
    with pytest.raises(UserError, match="batch = 451, but digits has 450 test images; choose a smaller batch"):
        hessian.run(replace(TRACKED, batch=451), tmp_path)


def test_fewer_images_than_asked_for_are_said_and_recorded(tmp_path):
    asked = replace(PAIR, probe_train=5000, probe_test=451, orbit_images=24)
    with pytest.warns(UserWarning, match="digits has fewer images .* probe_train = 1347 instead of 5000") as seen:
        (record,) = geometry.run(asked, tmp_path / "asked")
    (said,) = [str(warning.message) for warning in seen if "digits has" in str(warning.message)]
    assert said.endswith("probe_train = 1347 instead of 5000, probe_test = 450 instead of 451")
    assert (record["probe_train"], record["probe_test"], record["orbit_images"]) == (1347, 450, 24)
    results = Results.from_records([(asked, [record])])
    assert results.table["probe_train"].tolist() == [1347]  # the label of the tables, too
    caption = geometry_figures.draw(results)["guillotine"].get_label()
    assert "probes are trained on 1,347 images" in caption and "tested on 450" in caption
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="digits has")
        (same,) = geometry.run(replace(asked, probe_train=1347, probe_test=450), tmp_path / "same")
    assert record["rotation_linear_h"] == same["rotation_linear_h"]


# ---- divergence


@pytest.mark.parametrize("objective", ["simclr", "vicreg", "dino"])
def test_a_pair_that_diverges_is_recorded_as_diverged_and_not_measured(objective, tmp_path):
    (record,) = geometry.run(replace(PAIR, objective=objective, lr=1e30), tmp_path)
    assert record.pop("diverged") is True and np.isfinite(record.pop("loss_first"))
    assert np.isnan(record.pop("loss_last"))
    assert record.keys() == {"probe_train", "published_train", "probe_test", "orbit_images"}


def test_figures_leave_out_what_has_diverged_and_say_so(tmp_path):
    cells = [PAIR, replace(PAIR, seed=2), replace(PAIR, lr=1e30)]
    records = [(cell, geometry.run(cell, tmp_path / str(i))) for i, cell in enumerate(cells)]
    assert [record["diverged"] for _, (record,) in records] == [False, False, True]
    for name, fig in geometry_figures.draw(Results.from_records(records[::-1])).items():
        assert "Left out: 1 of 3 networks, whose training has diverged." in fig.get_label(), name
        fig.savefig(tmp_path / f"{name}.png")
    assert geometry_figures.draw(Results.from_records(records[2:])) == {}


@pytest.mark.parametrize("activation", ["relu", "swish"])
def test_the_tracker_goes_on_after_divergence(activation, monkeypatch):
    """Weights that are NaN from step 3 on, as after a loss that was."""
    from proj_heads import pretraining

    pretrain = pretraining.pretrain

    def diverging(images, recipe, seed, device, watch):
        def broken(step, networks):
            if step == 3:
                for part in networks:
                    for weight in part.parameters():
                        weight.data.fill_(float("nan"))
            watch(step, networks)

        return pretrain(images, recipe, seed, device, broken)

    monkeypatch.setattr(pretraining, "pretrain", diverging)
    cell = replace(TRACKED, activation=activation)
    (record,) = hessian.run(cell, Path("not written to"))
    assert record["diverged"] is True and record["step"].tolist() == [0, 2, 4, 6]
    for name in {"squared_negative", "cosine_lowest", "std", "lambda_max"}:
        assert np.isfinite(record[name][:2]).all() and np.isnan(record[name][2:]).all(), name
    for fig in hessian_figures.draw(Results.from_records([(cell, [record])])).values():
        assert re.search(r"SimSiam|condition number|Negative|lowest", fig.get_label())


def test_nothing_has_diverged_at_ordinary_settings(tmp_path):
    assert geometry.run(PAIR, tmp_path)[0]["diverged"] is False
    assert hessian.run(TRACKED, tmp_path)[0]["diverged"] is False
