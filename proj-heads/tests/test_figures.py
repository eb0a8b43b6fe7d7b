"""Figures draw the numbers that they are given, whichever cells there are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from proj_heads.experiments import geometry, geometry_figures, hessian, hessian_figures
from proj_heads.experiments.appearance import ACTIVATIONS, PROBES, mean_of, nearest
from proj_heads.pair_orbits import OrbitStatistics
from repro_shared.runlog import Results

SIMCLR = geometry.Config(width=16, steps=8)
SWISH = [replace(SIMCLR, activation="swish", depth=depth, seed=seed) for depth in (1, 2, 3) for seed in (0, 1)]
DINO = [replace(SIMCLR, objective="dino", norm=norm) for norm in (True, False)]
FIGURES = {"guillotine", "probe_gap", "curvature", "compression", "orbits", "depth", "objectives", "spectrum"}


def pair(**planted) -> dict:
    """A record of `geometry` with the places z, layer1 and h; numbers near 1 unless planted."""
    columns = [f"{task}_{probe}_{place}" for task in ("rotation", "class") for probe in ("linear", "mlp")
               for place in ("z", "layer1", "h")]  # fmt: skip
    columns += [f"rotation_published_{probe}_{place}" for probe in ("linear", "mlp") for place in ("z", "h")]
    columns += ["rank_z", "rank_h", "curvature_ratio", "length_ratio", "turning_ratio", "metric_rank"]
    columns += ["along_augmentation", "along_semantic", "centred_curvature_ratio"]
    columns += ["isometry_compression", "isometry_curvature_ratio"]
    of_space = ("compression", "compression_total", "class_gain", "raw_class_gain")
    columns += [f"{given}{name}" for given in ("", "unit_") for name in of_space]
    columns += [f"{orbit}_{name}" for orbit in ("turn", "blur") for name in OrbitStatistics._fields]
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)[:, None] * np.ones((1, 3, 1))
    arrays = {"plane_z": circle, "plane_h": 2 * circle, "plane_class": np.arange(3), "spectrum": np.array([4.0, 2, 0])}
    numbers = {name: 1.0 + 0.01 * number for number, name in enumerate(columns)}
    return numbers | arrays | {"diverged": False} | planted


def drawn(ax, label: str) -> np.ndarray:
    """The heights of the means with this label."""
    (bars,) = [held for held in ax.containers if held.get_label() == label]
    return np.asarray(bars.lines[0].get_ydata(), dtype=float)


@pytest.mark.parametrize("cells", [[SIMCLR], SWISH, DINO, DINO[1:], [SIMCLR, *SWISH, *DINO]])
def test_every_geometry_figure_is_there_with_a_caption(cells, tmp_path):
    figures = geometry_figures.draw(Results.from_records([(cell, [pair()]) for cell in cells]))
    assert figures.keys() == FIGURES
    for name, fig in figures.items():
        assert len(fig.get_label()) > 100 and "small CNN, Fashion-MNIST" in fig.get_label()
        fig.savefig(tmp_path / f"{name}.png")
        assert all(ax.get_ylabel() or ax.get_title() or ax.get_shared_y_axes().get_siblings(ax) for ax in fig.axes)


def test_the_gap_is_that_of_z_over_h_by_range_and_by_task():
    gaps = {0.0: 3.0, 45.0: -2.0, 180.0: 7.0}
    cells = [
        (replace(SIMCLR, rotation=angle, seed=seed),
         [pair(rotation_mlp_z=50 + gap + seed, rotation_mlp_h=50.0, class_mlp_z=50.0, class_mlp_h=50 + gap)])
        for angle, gap in gaps.items() for seed in (0, 2)
    ]  # fmt: skip
    fig = geometry_figures.draw(Results.from_records(cells[::-1]))["probe_gap"]
    assert drawn(fig.axes[0], PROBES["mlp"][0]) == pytest.approx([4, -1, 8])
    assert drawn(fig.axes[1], PROBES["mlp"][0]) == pytest.approx([-3, 2, -7])
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["none", "±45°", "±180°"]


def test_compression_is_drawn_for_both_inputs_as_geometric_means_by_head():
    for column, place in (("compression_total", 0), ("compression", 1), ("class_gain", 2)):
        planted = [{column: 0.1 * 4**cell.seed, f"unit_{column}": 3.0 * cell.depth} for cell in SWISH]
        cells = [(cell, [pair(**numbers)]) for cell, numbers in zip(SWISH, planted, strict=True)]
        ax = geometry_figures.draw(Results.from_records(cells))["compression"].axes[place]
        assert drawn(ax, "given z (raw)") == pytest.approx([0.2, 0.2, 0.2])
        assert drawn(ax, "given z / ||z|| (published)") == pytest.approx([3, 6, 9])
        assert ax.get_yscale() == "log"


def test_the_isometry_stands_beside_every_head_and_published_probes_only_where_they_were_trained():
    cells = [(cell, [pair(isometry_compression=0.1 * cell.depth)]) for cell in SWISH]
    ax = geometry_figures.draw(Results.from_records(cells))["compression"].axes[1]
    crosses = [line.get_ydata()[0] for held in ax.containers for line in [held.lines[0]] if line.get_marker() == "x"]
    assert crosses == pytest.approx([0.1, 0.2, 0.3])
    without = {name: np.nan for name in pair() if "published" in name}
    fig = geometry_figures.draw(Results.from_records([(SIMCLR, [pair(**without)])]))["guillotine"]
    assert {held.get_label() for held in fig.axes[0].containers} == {PROBES["linear"][0], PROBES["mlp"][0]}


def test_dino_without_batch_norms_is_a_head_of_its_own():
    cells = [(cell, [pair(turning_ratio=2.0 if cell.norm else 0.5)]) for cell in DINO]
    (ax,) = geometry_figures.draw(Results.from_records(cells))["curvature"].axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["DINO", "DINO\nwithout BN"]
    assert drawn(ax, "turning") == pytest.approx([2, 0.5])


@pytest.mark.parametrize("others", [[], [SIMCLR]])
def test_the_head_that_decides_whether_the_metric_is_singular_stands_beside_the_swish_heads(others):
    """C13-trained is about the authors' ReLU head, C11 about Swish heads."""
    cells = [(cell, [pair(along_augmentation=0.5)]) for cell in SWISH]
    cells += [(cell, [pair(along_augmentation=0.07)]) for cell in others]
    fig = geometry_figures.draw(Results.from_records(cells))["depth"]
    metric, rank = fig.axes[2:]
    lines = [held.lines[0] for held in metric.containers]
    open_ones = [value for line in lines if line.get_markerfacecolor() == "white" for value in line.get_ydata()]
    assert drawn(metric, "along rotations") == pytest.approx([0.5, 0.5, 0.5])
    assert any(value == pytest.approx(0.07) for value in open_ones) == bool(others)
    assert ("open markers: ReLU" in fig.get_label()) == bool(others)
    kinds = [text.get_text() for text in rank.get_legend().get_texts()]
    assert sorted(kinds) == ["ReLU", "Swish"][len(kinds) < 2 :]
    assert any(list(line.get_ydata()) == [0.1, 0.1] for line in metric.lines)  # the threshold


def test_orbits_of_z_and_h_are_closed_and_on_one_scale():
    axes = geometry_figures.draw(Results.from_records([(SIMCLR, [pair()])]))["orbits"].axes
    for ax, radius in zip(axes, (1, 2), strict=True):
        path = ax.lines[0].get_xydata()
        assert len(path) == 13 and (path[0] == path[-1]).all()
        assert np.linalg.norm(path, axis=1) == pytest.approx(np.full(13, radius))
        assert ax.get_xlim() == pytest.approx((-2.16, 2.16))


def test_the_hessian_figures_draw_the_median_over_seeds_by_head_and_reading():
    cells = []
    for activation in ("relu", "swish"):
        for seed, value in enumerate((10.0, 12.0, 20.0)):
            curves = {f"{reading}_{name}": np.full(3, 0.1) for reading in ("cosine", "squared")
                      for name in ("negative", "metric_negative", "lowest", "share")}  # fmt: skip
            curves["squared_negative"] = np.full(3, value if activation == "swish" else 0.0)
            curves["squared_lowest"] = -curves["squared_negative"]
            spread = {"std": np.array([0.1, 0.2, 0.3]), "condition": np.array([0.0, 40, 50]),
                      "lambda_max": np.array([1.0, 3.0, 2.0]), "effective_rank": np.array([9.0, 9.0, 8.0])}  # fmt: skip
            record = {"step": np.array([0, 4, 8]), "d": 64} | curves | spread
            cells.append((replace(hessian.PRESETS["smoke"][0], activation=activation, seed=seed), [record]))
    figures = hessian_figures.draw(Results.from_records(cells))
    assert figures.keys() == {"negative", "lowest", "spread"}
    for name, sign in (("negative", 1), ("lowest", -1)):
        lines = {line.get_color(): line.get_ydata() for line in figures[name].axes[1].lines if line.get_ls() == "-"}
        assert lines[ACTIVATIONS["swish"][1]] == pytest.approx([12 * sign] * 3)
        assert lines[ACTIVATIONS["relu"][1]] == pytest.approx([0] * 3)
    first, second = figures["lowest"].axes[:2]
    assert first.get_ylim() == second.get_ylim() and list(first.get_yticks()) == list(second.get_yticks())
    points = [line for line in figures["spread"].axes[2].lines if line.get_marker() == "o"]
    assert np.array([line.get_ydata() for line in points]) == pytest.approx(  # without step 0
        np.array(2 * [[1.0] * 3, [-1.0] * 3, [-1.0] * 3])
    )
    assert all(len(fig.get_label()) > 100 and "3 seeds" in fig.get_label() for fig in figures.values())


def test_nearest_takes_what_there_is_and_means_leave_out_what_is_missing():
    table = pd.DataFrame({"depth": [1, 3, 3], "seed": [0, 0, 1]})
    assert list(nearest(table, depth=3)["seed"]) == [0, 1] and list(nearest(table, depth=2)["depth"]) == [1]
    mean, low, high = mean_of([2.0, np.nan, 8.0], log=True)
    assert mean == pytest.approx(4) and low < 4 < high
    assert np.isnan(mean_of([5.0])[1:]).all() and np.isnan(mean_of([np.nan])).all()
