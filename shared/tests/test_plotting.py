"""Figures: what is drawn is what was given, files are reproducible and say where they come from."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from repro_shared.plotting import PALETTE, WIDTHS, band, figure, heat_map, loglog_slope, paper_versus_ours, save


@pytest.mark.parametrize("width", ["single", "double"])
def test_figures_have_the_papers_column_width(width):
    fig, axes = figure(width, rows=2, cols=3)
    assert fig.get_figwidth() == WIDTHS[width]
    assert axes.shape == (2, 3)


def test_files_are_equal_bytes_and_carry_their_provenance(tmp_path):
    provenance = {"paper": "toy", "cells": "abc"}
    made = []
    for folder in ("one", "two"):
        fig, ax = figure(caption="A line.")
        ax.plot([1, 2], [3, 4])
        made.append([path.read_bytes() for path in save(fig, tmp_path / folder, "line", provenance)])
    assert made[0] == made[1]
    with Image.open(tmp_path / "one" / "line.png") as image:
        assert image.width == round(200 * WIDTHS["single"])
        assert json.loads(image.text["Description"]) == provenance
        assert image.text["Title"] == "A line."
    assert b'"cells": "abc"' in made[0][1]


def test_band_is_the_mean_with_its_t_interval():
    samples = np.random.default_rng(0).normal(size=(5, 3))
    _, ax = figure()
    band(ax, [1, 2, 3], samples, "ours")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), samples.mean(axis=0))
    low, high = stats.t.interval(0.95, 4, samples.mean(axis=0), stats.sem(samples))
    outline = ax.collections[0].get_paths()[0].vertices
    for x, bottom, top in zip([1, 2, 3], low, high, strict=True):
        at_x = outline[outline[:, 0] == x, 1]
        np.testing.assert_allclose([at_x.min(), at_x.max()], [bottom, top])


def test_band_of_one_seed_is_a_line_alone():
    _, ax = figure()
    band(ax, [1, 2], [3.0, 4.0])
    assert len(ax.collections) == 0
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [3, 4])


def test_loglog_slope_of_a_power_law_is_its_exponent():
    _, ax = figure()
    x = np.array([1.0, 3.0, 10.0])
    assert loglog_slope(ax, x, 5 * x**-1.5, "loss") == pytest.approx(-1.5)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.lines[1].get_label() == "loss: slope -1.50"
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [5, 5 * 10**-1.5])
    with pytest.raises(ValueError, match="positive"):
        loglog_slope(ax, [0, 1], [1, 1])


def test_heat_map_shows_the_values_and_the_asked_contours():
    fig, ax = figure()
    values = np.add.outer([0.0, 1.0, 2.0], [0.0, 1.0])
    heat_map(ax, [10, 20], [1, 2, 3], values, "dead %", contours=[1.0])
    np.testing.assert_array_equal(ax.collections[0].get_array().reshape(3, 2), values)
    assert [text.get_text() for text in ax.texts] == ["1"]
    assert fig.axes[1].get_ylabel() == "dead %"


def test_paper_versus_ours_draws_both_values_and_only_finite_intervals():
    _, ax = figure()
    paper_versus_ours(ax, ["a", "b"], [1.0, None], [2.0, 3.0], [1.5, None], [2.5, np.inf])
    heights = [bar.get_height() for bar in ax.patches]
    assert heights[0] == 1 and np.isnan(heights[1]) and heights[2:] == [2, 3]
    drawn = [segment[:, 1] for segment in ax.collections[0].get_segments() if segment.size]
    np.testing.assert_allclose(drawn, [[1.5, 2.5]])


def test_palette_colours_are_distinct_for_colour_blind_readers():
    """Okabe-Ito under simulated deuteranopia (Machado et al. 2009, severity 1) stay apart."""
    matrix = np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    )
    rgb = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in PALETTE])
    seen = np.clip(rgb @ matrix.T, 0, 1)
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.1
