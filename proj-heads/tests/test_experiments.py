"""Presets and settings of the studies that pretrain networks."""

import re
from dataclasses import replace

import pytest

from proj_heads import cli
from proj_heads.experiments import geometry, hessian
from proj_heads.experiments.pretrained import DATA_FOLDER, FRESH_SEEDS, Pretraining, images
from repro_shared import UserError


@pytest.mark.parametrize("module", [geometry, hessian])
def test_presets_have_three_seeds_of_everything_and_no_cell_twice(module):
    assert set(module.PRESETS) == {"smoke", "default", "paper"}
    for name, cells in module.PRESETS.items():
        assert len(set(cells)) == len(cells)
        if name != "smoke":
            settings = [replace(cell, seed=0) for cell in cells]
            assert {settings.count(cell) for cell in settings} == {3}
            assert {cell.seed for cell in cells} == set(FRESH_SEEDS if name == "default" else range(3))
    assert {cell.data for cell in module.PRESETS["smoke"]} == {"digits"}
    assert {cell.data for cell in module.PRESETS["default"]} == {"fashion-mnist"}
    assert {cell.device for cell in module.PRESETS["default"]} == {"cpu"}
    assert {cell.device for cell in module.PRESETS["paper"]} == {"cuda"}
    assert {cell.batch * cell.steps for cell in module.PRESETS["paper"] if cell.objective == "simsiam"} <= {4_992_000}


def test_data_and_device_are_overridden_for_all_cells_and_nothing_else_is():
    for module in (geometry, hessian):
        for cell in module.PRESETS["default"]:
            changed = cli._with(cell, data="digits", device="cuda")
            assert (changed.data, changed.device) == ("digits", "cuda")
            assert replace(changed, data=cell.data, device=cell.device) == cell
            assert cli._with(cell, data=None, device=None) == cell
    from proj_heads.experiments import theory

    (first, *_) = theory.PRESETS["smoke"]
    assert cli._with(first, data="digits", device="cuda") == first  # it has neither


def test_core_hours_are_views_over_views_a_second():
    """Of the authors' tracker: 100 epochs of 195 batches of 256, two views, 54 of which take a second."""
    (cell, *_) = hessian.PRESETS["paper"]
    assert cell.cpu_hours() == pytest.approx(100 * 195 * 256 * 2 / 54 / 3600) == pytest.approx(51.4, abs=0.1)
    assert replace(cell, steps=2 * cell.steps).cpu_hours() == pytest.approx(2 * cell.cpu_hours())
    assert replace(cell, backbone="small_cnn").cpu_hours() < cell.cpu_hours() / 100
    assert sum(cell.cpu_hours() for cell in geometry.PRESETS["default"] + hessian.PRESETS["default"]) < cli.CPU_LIMIT
    for module in (geometry, hessian):
        assert sum(cell.cpu_hours() for cell in module.PRESETS["paper"]) > cli.CPU_LIMIT


def test_data_come_from_the_folder_that_was_given(tmp_path, monkeypatch):
    cell = Pretraining(data="fashion-mnist")
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    with pytest.raises(UserError, match=re.escape(f"no Fashion-MNIST found in {tmp_path}")):
        images(cell)
    train, test = images(replace(cell, data="digits"))  # which are scikit-learn's
    assert (len(train), len(test)) == (1347, 450) and train.name == "digits"


SIMSIAM_ONLY = {"objective": "simsiam"}


@pytest.mark.parametrize(
    "config, settings, says",
    [
        (Pretraining, {"seed": -1}, "seed = -1; choose a seed >= 0 and < 2^32"),
        (Pretraining, {"seed": 2**32}, "choose a seed >= 0 and < 2^32"),
        (Pretraining, {"steps": 0}, "steps = 0; choose a number > 0"),
        (geometry.Config, {"probe_train": 19}, "probe_train = 19; choose at least 20 images"),
        (geometry.Config, {"probe_test": 0}, "probe_test = 0; choose at least 20 images"),
        (geometry.Config, {"orbit_images": 5}, "orbit_images = 5; choose at least 20 images"),
        (geometry.Config, {"objective": "byol"}, "objective = 'byol'; choose from simclr"),
        (geometry.Config, {"batch": 1}, "batch = 1; choose at least 2 images"),
        (geometry.Config, {"seed": -1}, "seed = -1; choose a seed >= 0"),
        (hessian.Config, {"objective": "dino"}, "objective = 'dino'; only simsiam has the predictor"),
        (hessian.Config, SIMSIAM_ONLY | {"every": 0}, "every = 0; choose a number from 1 to steps = 600"),
        (hessian.Config, SIMSIAM_ONLY | {"every": 601}, "every = 601; choose a number from 1 to steps = 600"),
        (hessian.Config, SIMSIAM_ONLY | {"samples": 0}, "samples = 0; choose a number from 1 to batch = 128"),
        (hessian.Config, SIMSIAM_ONLY | {"samples": 129}, "samples = 129; choose a number from 1 to batch = 128"),
        (hessian.Config, SIMSIAM_ONLY | {"lr": 0.0}, "lr = 0.0; choose a number > 0"),
    ],
)
def test_impossible_settings_are_refused_with_advice(config, settings, says, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        config(**settings)
