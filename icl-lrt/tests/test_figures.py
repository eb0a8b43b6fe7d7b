"""Figures draw the numbers that they are given, whichever cells there are."""

import numpy as np
import pytest
from worlds import WORLDS

from icl_lrt.experiments import (
    ablations_figures,
    context_length_figures,
    depth_figures,
    ood_figures,
    plateau_figures,
    regular_figures,
)
from icl_lrt.experiments.appearance import RULES, mean_of, standard
from repro_shared.runlog import Results

STEP = np.arange(100, 600, 100)
CURVES = ("training_loss", "training_accuracy", "validation_loss", "validation_accuracy")
DRAWN = {
    "regular": (regular_figures, {"scatter", "performance", "kernels", "learning"}),
    "ood": (ood_figures, {"shift"}),
    "context_length": (context_length_figures, {"length"}),
    "ablations": (ablations_figures, {"regret", "learning"}),
    "depth": (depth_figures, {"depth"}),
    "plateau": (plateau_figures, {"escape"}),
}


def completed(record: dict) -> dict:
    """A record of the made-up world with what else figures draw."""
    scores = np.linspace(-5, 5, 50)
    record = {"bayes_pearson": 0.97, "bayes_spearman": 0.97, "plugin_accuracy": 0.78, "wrapped_oracle_pearson": 0.86,
              "oracle_pearson": 0.8, "escape_step": None} | record  # fmt: skip
    record |= {f"shown_{name}": scores for name in ("logit", "llr", "bayes")}
    return record | {"step": STEP} | {name: np.linspace(0.69, 0.5, len(STEP)) for name in CURVES}


def results(experiment: str, keep=lambda cell: True, change=lambda cell, record: record) -> Results:
    recorded = [
        (cell, [change(cell, completed(record)) for record in records])
        for cell, records in WORLDS[experiment]()
        if keep(cell)
    ]
    return Results.from_records(recorded, experiment)


def drawn(ax, label: str) -> np.ndarray:
    """The heights of the means with this label."""
    (bars,) = [held for held in ax.containers if held.get_label() == label]
    return np.asarray(bars.lines[0].get_ydata(), dtype=float)


@pytest.mark.parametrize("experiment", DRAWN)
@pytest.mark.parametrize("seeds", [1, 4])
def test_every_figure_is_there_with_a_caption(experiment, seeds, tmp_path):
    module, names = DRAWN[experiment]
    figures = module.draw(results(experiment, lambda cell: cell.seed < seeds))
    assert figures.keys() == names
    for name, fig in figures.items():
        caption = fig.get_label()
        count = 8 if experiment == "plateau" else seeds
        assert len(caption) > 100 and f"{count} seed{'s' if count > 1 else ''}." in caption
        fig.savefig(tmp_path / f"{name}.png")
        assert all(ax.get_ylabel() or ax.get_title() or ax.get_shared_y_axes().get_siblings(ax) for ax in fig.axes)


@pytest.mark.parametrize("task", ["A", "B"])
@pytest.mark.parametrize("experiment", ["regular", "ood", "depth"])
def test_one_task_alone_can_be_drawn(experiment, task, tmp_path):
    module, names = DRAWN[experiment]
    figures = module.draw(results(experiment, lambda cell: cell.task_name == task))
    assert figures.keys() == names
    for name, fig in figures.items():
        fig.savefig(tmp_path / f"{name}.png")


def test_performance_is_that_of_each_task_and_the_published_training_is_drawn_where_it_was_run():
    def of_task(cell, record):
        return record | {"accuracy": 0.7 if cell.task_name == "A" else 0.8, "bayes_bce_gap": 0.03}

    fig = regular_figures.draw(results("regular", change=of_task))["performance"]
    left, middle, right = fig.axes
    assert drawn(left, RULES["network"][0]) == pytest.approx([0.7, 0.8])
    assert [tick.get_text().split("\n")[0] for tick in left.get_xticklabels()] == ["task A", "task B"]
    assert any(line.get_ydata() == pytest.approx([0.7833]) for line in left.lines if len(line.get_ydata()) == 1)
    assert right.containers[0].lines[0].get_ydata() == pytest.approx([0.03, 0.03])
    assert drawn(middle, f"to the {RULES['oracle'][0]}")[0] == pytest.approx(5.8)


def test_the_scatter_is_of_one_network_with_its_correlations_in_the_title():
    fig = regular_figures.draw(results("regular", change=lambda cell, r: r | {"oracle_pearson": 0.5 + cell.seed}))
    titles = [ax.get_title() for ax in fig["scatter"].axes]
    assert "r = 0.500" in titles[0] and "r = 0.970" in titles[1]  # seed 0


def test_shifts_are_drawn_with_the_repair_and_the_published_points():
    fig = ood_figures.draw(results("ood"))["shift"]
    top, bottom = fig.axes[0], fig.axes[2]
    network = drawn(top, "network")
    assert len(network) == 8 and network[2] == pytest.approx(0.783) and network[5] == pytest.approx(0.646, abs=0.002)
    assert drawn(top, "network, centred inputs") == pytest.approx(np.full(8, 0.781), abs=1e-3)
    published = [line for line in bottom.lines if line.get_marker() == "D"]
    assert list(published[0].get_xdata()) == [3, 9] and list(published[0].get_ydata()) == [0.859, 0.567]
    assert not [line for line in fig.axes[1].lines if line.get_marker() == "D"]  # nothing was published of task B


def test_lengths_are_drawn_for_both_kinds_of_networks():
    fig = context_length_figures.draw(results("context_length"))["length"]
    left, right = fig.axes
    for label in ("network", context_length_figures.ANY[0], RULES["bayes"][0]):
        assert len(drawn(left, label)) == 6 and (np.diff(drawn(left, label)) > 0).all()
    assert "trained with n = 16" in fig.get_label()
    assert drawn(right, "a network for each n") == pytest.approx(np.full(6, 0.02))


def test_every_row_has_its_accuracy_and_its_published_one():
    fig = ablations_figures.draw(results("ablations"))["regret"]
    left, right = fig.axes
    labels = [tick.get_text() for tick in left.get_yticklabels()]
    assert len(labels) == 16 and labels[-1] == "regular" and labels[0] == "no labels"
    means = [float(held.lines[0].get_xdata()[0]) for held in left.containers]
    assert means[-1] == pytest.approx(0.7833, abs=1e-3) and means[0] == pytest.approx(0.5, abs=1e-3)
    assert len([line for line in left.lines if line.get_marker() == "D"]) == 15
    assert [float(held.lines[0].get_xdata()[0]) for held in right.containers] == pytest.approx([0.01] * 16)


def test_depth_is_drawn_for_both_tasks():
    left, right = depth_figures.draw(results("depth"))["depth"].axes
    assert drawn(left, "task A, shifted mean") == pytest.approx([0.05, 0.01, 0.01, 0.01], rel=0.02)
    assert drawn(right, "task B, variance")[0] == pytest.approx(100 * 0.04 / 0.24, rel=0.2)


def test_the_share_that_has_escaped_rises_at_each_escape_and_stays_below_all_where_some_never_do():
    def late(cell, record):
        if record["seed"] < 6:
            return record
        return record | {"escaped": False, "escape_step": None}

    left, right = plateau_figures.draw(results("plateau", change=late))["escape"].axes
    clean, noisy = right.lines[:2]
    assert list(clean.get_xdata()) == [0, 100, 115, 130, 145, 160, 175, 600]
    assert list(clean.get_ydata()) == pytest.approx([0, 12.5, 25, 37.5, 50, 62.5, 75, 75])
    assert "6 of 8" in noisy.get_label() and list(noisy.get_xdata())[1] == 200
    assert len(left.lines) == 2 * 8 + 2


def test_means_leave_out_what_is_missing_and_the_published_training_stands_alone():
    mean, low, high = mean_of([2.0, np.nan, 8.0])
    assert mean == pytest.approx(5) and low < 5 < high
    assert np.isnan(mean_of([5.0])[1:]).all() and np.isnan(mean_of([np.nan])).all()
    table = results("regular").table
    assert len(standard(table)) == len(table)
    table.loc[0, "method"] = "faithful"
    assert len(standard(table)) == 1
