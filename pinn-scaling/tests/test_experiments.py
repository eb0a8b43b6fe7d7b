"""Presets, settings, and what the records of a cell are."""

import re

import jax
import numpy as np
import pytest

from pinn_scaling.experiments import adam, decay, decisive, kdv, kernel, published, truth
from pinn_scaling.measures import band_errors, grid, published_grid, relative_error, values
from pinn_scaling.pdes import PDES
from pinn_scaling.published import WIDTHS
from pinn_scaling.training import Recipe, train

MODULES = (truth, published, kdv, decay, decisive, kernel)


@pytest.mark.parametrize("module", MODULES)
def test_presets_have_no_cell_twice(module):
    assert set(module.PRESETS) == {"smoke", "default", "paper"}
    for cells in module.PRESETS.values():
        assert cells and len(set(cells)) == len(cells)


def test_the_paper_preset_is_the_published_grid():
    runs = [
        (cell.pde, cell.activation, cell.width, kappa, seed)
        for cell in published.PRESETS["paper"] for kappa in cell.kappa for seed in cell.seed
    ]  # fmt: skip
    assert len(set(runs)) == len(runs) == 3 * 7 * 8 * 2 * 5 + 8 * 2 * 5
    assert {cell.steps for cell in published.PRESETS["paper"]} == {25_000}
    assert {run[2] for run in runs} == set(WIDTHS) and {run[4] for run in runs} == {1, 2, 3, 4, 5}
    default = [
        (cell.pde, cell.activation, cell.width, kappa, seed)
        for cell in published.PRESETS["default"] for kappa in cell.kappa for seed in cell.seed
    ]  # fmt: skip
    assert set(default) == {run for run in runs if run[2] <= 64}


def test_every_run_with_a_falling_rate_has_its_twin_with_a_constant_one():
    twins = {(c.pde, c.width, k, s, c.steps) for c in published.PRESETS["default"] if c.activation == "tanh"
             for k in c.kappa for s in c.seed}  # fmt: skip
    for cell in decay.PRESETS["default"]:
        assert cell.schedule == "cosine"
        assert {(cell.pde, cell.width, k, s, cell.steps) for k in cell.kappa for s in cell.seed} <= twins


def test_a_record_is_that_of_its_own_run(tmp_path):
    cell = kdv.Config(width=4, kappa=(1.0, 4.0), seed=(7, 3), steps=100)
    records = kdv.run(cell, tmp_path)
    assert [(r["kappa"], r["seed"]) for r in records] == [(1.0, 7), (1.0, 3), (4.0, 7), (4.0, 3)]
    pde = PDES["kdv"]
    alone = train(pde, 4, [4.0], [3], Recipe(steps=100))
    network = jax.tree.map(lambda leaf: leaf[0].astype(float), alone.parameters)
    for place, name in ((published_grid(pde), "error"), (grid(pde, 41, 2001), "fine_error")):
        expected = relative_error(values(network, place), pde.truth(place, 4.0))
        assert records[3][name] == pytest.approx(float(expected), rel=1e-5)
    modes = grid(pde, 21, 512, midpoints=True)
    expected = band_errors(values(network, modes), pde.truth(modes, 4.0))
    np.testing.assert_allclose(records[3]["bands"], expected, rtol=1e-4)
    assert records[3]["step"].tolist() == [50, 100] and records[3]["diverged"] is None
    np.testing.assert_allclose(records[3]["error_curve"], alone.error[0], rtol=1e-6)


def test_own_measures_are_asked_of_their_problem_only():
    cells = {
        "vacuum_share": adam.Training(pde="sine_gordon", kappa=(16.0,), seed=(1,)),
        "without_diffusion": adam.Training(activation="relu", seed=(1,)),
        "reference_error": adam.Training(pde="kdv_published", kappa=(0.25, 16.0), seed=(1,)),
    }
    for name, cell in cells.items():
        pde = PDES[cell.pde]
        flat = jax.tree.map(lambda leaf: 0 * leaf, train(pde, 2, cell.kappa, [1] * len(cell.kappa), SHORT).parameters)
        found = adam._own_measures(cell, pde, flat, cell.kappa)
        assert set(found) == {name}
        if name == "vacuum_share":  # u = 0 is a vacuum, wrong where the kink is up
            assert found[name] == pytest.approx([1.0])
        if name == "reference_error":  # u = 0 errs by 100 %; beyond kappa = 4 nothing is computed
            assert found[name][0] == pytest.approx(1.0) and np.isnan(found[name][1])
    assert adam._own_measures(adam.Training(), PDES["allen_cahn"], flat, (16.0,)) == {}


SHORT = Recipe(steps=1, log_every=1)


@pytest.mark.parametrize(
    "module, settings, says",
    [
        (published, {"pde": "heat"}, "unknown pde 'heat'; choose from poisson"),
        (published, {"kappa": (1.0,)}, "kappa = 1 is out of range for allen_cahn"),
        (published, {"kappa": ()}, "kappa = (); choose one or more"),
        (published, {"seed": ()}, "seed = (); choose one seed or more"),
        (published, {"seed": (-1,)}, "choose one seed or more, all different, >= 0"),
        (published, {"steps": 120}, "steps = 120; choose a multiple of 50"),
        (kdv, {"width": 0}, "width = 0; choose numbers > 0"),
        (decay, {"seed": (2, 2)}, "all different"),
        (decisive, {"method": ("sgd",)}, "choose from features, adam"),
        (decisive, {"method": ()}, "choose from features, adam"),
        (decisive, {"steps": -1}, "choose >= 0, a multiple of 50"),
        (kernel, {"width": ()}, "width is empty; choose at least one number > 0"),
        (truth, {"kappa": (1.0, 1.0)}, "all different"),
    ],
)
def test_impossible_settings_say_what_to_choose(module, settings, says, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        module.Config(**settings)
