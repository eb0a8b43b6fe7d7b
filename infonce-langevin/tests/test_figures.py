"""Figures draw the numbers that they are given, whichever cells there are."""

from importlib import import_module

import numpy as np
import pytest
from worlds import WORLDS

from infonce_langevin.experiments.appearance import mean_of
from repro_shared.runlog import Results

DRAWN = {
    "toy": {"rates", "hitting", "shapes", "landscape"},
    "noise": {"noise"},
    "traps": {"time", "transition", "landscapes"},
    "shapes": {"exact", "budget"},
    "bound": {"bound"},
    "contrastive": {"accuracy"},
}


def results(experiment: str, keep=lambda cell: True) -> Results:
    return Results.from_records([pair for pair in WORLDS[experiment]() if keep(pair[0])], experiment)


def draw(experiment: str, *arguments):
    return import_module(f"infonce_langevin.experiments.{experiment}").figures(results(experiment, *arguments))


@pytest.mark.parametrize("experiment", DRAWN)
@pytest.mark.parametrize("seeds", [1, 4])
def test_every_figure_is_there_with_a_caption(experiment, seeds, tmp_path):
    figures = draw(experiment, lambda cell: getattr(cell, "seed", 0) < seeds)
    assert figures.keys() == DRAWN[experiment]
    for name, fig in figures.items():
        assert len(fig.get_label()) > 100
        fig.savefig(tmp_path / f"{name}.png")
        assert all(ax.get_ylabel() or ax.get_title() or ax.get_shared_y_axes().get_siblings(ax) for ax in fig.axes)


@pytest.mark.parametrize(
    "experiment, part",
    [("toy", "rates"), ("toy", "hitting"), ("traps", "depth"), ("noise", "rates"), ("noise", "fixed")],
)
def test_one_part_alone_can_be_drawn(experiment, part, tmp_path):
    for name, fig in draw(experiment, lambda cell: cell.part == part).items():
        fig.savefig(tmp_path / f"{name}.png")


def heights(ax, label: str) -> np.ndarray:
    """The heights of the means with this label."""
    (bars,) = [held for held in ax.containers if held.get_label() == label]
    return np.asarray(bars.lines[0].get_ydata(), dtype=float)


def test_the_transition_is_that_of_the_records():
    left, right = draw("traps")["transition"].axes
    assert heights(right, "four free points") == pytest.approx(
        [1e-4] * 3 + [1 - 1 / r for r in (1.5, 2, 3, 4, 8)], rel=1e-2
    )
    assert heights(left, "chains, tau = 0, early")[-1] == pytest.approx(1 - 1 / 8, rel=1e-2)
    assert [line for line in left.lines if list(line.get_xdata()) == [1, 1]]


def test_published_points_stand_beside_the_curve():
    left, right = draw("toy")["rates"].axes
    (published,) = [line for line in left.lines if line.get_marker() == "D"]
    assert heights(left, "at beta = 10") == pytest.approx(published.get_ydata(), abs=2e-3)
    assert heights(right, "at beta = 20")[0] > 0.9 > 0.1 > heights(right, "at beta = 20")[-1]


def test_gains_are_paired_with_the_untrained_network():
    left, _ = draw("contrastive")["accuracy"].axes
    gains = heights(left, "SGD")
    assert gains == pytest.approx([-3, -1, 1, 1.1], abs=0.05)


def test_runs_that_diverged_are_left_out_and_counted():
    held = results("contrastive")
    held.table.loc[held.table["seed"] == 1, "diverged"] = True
    fig = import_module("infonce_langevin.experiments.contrastive").figures(held)["accuracy"]
    assert "9 runs that diverged are left out" in fig.get_label() and "3 seeds" in fig.get_label()


def test_means_leave_out_what_is_missing():
    mean, low, high = mean_of([2.0, np.nan, 8.0])
    assert mean == pytest.approx(5) and low < 5 < high
    assert np.isnan(mean_of([5.0])[1:]).all() and np.isnan(mean_of([np.nan])).all()
