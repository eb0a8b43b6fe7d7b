"""Figures draw the numbers that they are given."""

from importlib import import_module

import numpy as np
import pytest
from worlds import claimed

from pinn_scaling.claims import CLAIMS
from pinn_scaling.experiments import decay_figures, decisive_figures, kdv_figures, published_figures


@pytest.fixture(scope="module")
def world():
    results = claimed()
    for row, held in enumerate(results["kernel"].arrays):
        held["eigenvalues"] = 100.0 / (1 + row) * 0.5 ** np.arange(20)
    times, x = np.linspace(0, 5, 6), np.linspace(-20, 20, 401)
    for held in results["truth"].arrays:
        held |= {"x": x, "times": times, "claimed": np.zeros((6, 401)), "computed": np.ones((6, 401))}
    return results


@pytest.mark.parametrize("experiment", ["truth", "published", "kdv", "decay", "decisive", "kernel"])
def test_every_figure_that_a_claim_names_is_drawn_with_a_caption(experiment, world, tmp_path):
    figures = import_module(f"pinn_scaling.experiments.{experiment}").figures(world[experiment])
    assert {claim.figure for claim in CLAIMS if claim.experiment == experiment} <= set(figures)
    for name, fig in figures.items():
        assert len(fig.get_label()) > 50
        fig.savefig(tmp_path / f"{name}.png")


def line(ax, label: str) -> np.ndarray:
    (drawn,) = [held for held in ax.lines if held.get_label() == label]
    return drawn.get_xydata()


def test_errors_are_arithmetic_means_and_widths_geometric_ones(world):
    table = world["kdv"].table
    axes = kdv_figures.draw(world["kdv"])["kdv"].axes
    own = table[(table["width"] == 32) & (table["kappa"] == 4.0)]["error"]
    (drawn,) = [y for x, y in line(axes[0], "N = 32") if x == 4.0]
    assert drawn == pytest.approx(own.mean())
    (drawn,) = [y for x, y in line(axes[2], "4") if x == 32]
    assert drawn == pytest.approx(np.exp(np.log(own).mean()))


def test_exponents_are_those_of_the_errors(world):
    (middle,) = [ax for ax in kdv_figures.draw(world["kdv"])["kdv"].axes if "alpha" in ax.get_ylabel()]
    (bars,) = middle.containers
    x, alpha = bars.lines[0].get_xydata().T
    slope = np.polyfit(np.log(x), alpha, 1)[0]
    assert slope == pytest.approx(-0.08, rel=0.05) and np.interp(2.0, x, alpha) == pytest.approx(0.05, abs=0.02)


def test_a_run_that_diverged_leaves_the_others_in_the_figure(world):
    results = claimed()
    table = results["decay"].table
    table.loc[(table["pde"] == "poisson") & (table["width"] == 32), "error"] = np.nan
    ax = decay_figures.draw(results["decay"])["decay"].axes[0]
    assert [x for x, _ in line(ax, "1")] == [16, 64]


def test_the_split_ends_at_the_best_optimiser(world):
    ax = decisive_figures.draw(world["decisive"])["split"].axes[0]
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    place = names.index("Allen-Cahn, 16")
    bars = [patch for patch in ax.patches if abs(patch.get_y() + patch.get_height() / 2 - place) < 0.1]
    noise, optimisation = sorted(bars, key=lambda bar: -bar.get_x())
    assert noise.get_x() == pytest.approx(0.3, rel=0.03) and noise.get_width() == pytest.approx(0.7, rel=0.03)
    assert optimisation.get_x() == pytest.approx(1e-5, rel=0.03)


def test_fidelity_has_a_point_per_cell(world):
    ax = published_figures.draw(world["published"])["fidelity"].axes[0]
    points = sum(len(held.get_xdata()) for held in ax.lines if "," in str(held.get_label()))
    assert points == 2 * (3 * 7 * 3 + 3)
