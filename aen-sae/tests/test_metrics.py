"""Metrics at their fixed points and against naive counts."""

import itertools
import math

import pandas as pd
import pytest
import torch

from aen_sae import metrics
from aen_sae.experiments.matched import at_l0, interpolate
from aen_sae.seeds import generator
from aen_sae.spiked import Spiked


@pytest.fixture
def world():
    teacher = Spiked.draw(32, 16, 0.6, 3, generator=generator(0, "teacher"))
    x, support, magnitude = teacher.sample(400, generator(0, "data"))
    return teacher, x, teacher.dense_codes(support, magnitude)


def test_explained_variance_is_one_for_a_copy_and_zero_for_the_mean(world):
    _, x, _ = world
    assert metrics.explained_variance(x, x) == 1
    assert metrics.explained_variance(x, x.mean(0).expand_as(x)) == pytest.approx(0, abs=1e-6)


def test_explained_variance_orthogonal_to_v_ignores_what_lies_along_v(world):
    teacher, x, _ = world
    along = (x @ teacher.spike)[:, None] * teacher.spike
    assert metrics.explained_variance(x, along) > 0.1
    assert metrics.explained_variance(x, along, teacher.spike) == pytest.approx(0, abs=1e-5)


def test_dead_and_l0_are_counts():
    codes = torch.tensor([[1.0, 0.0, 1e-13, 2.0], [0.5, 0.0, 0.0, 0.0]])
    assert metrics.dead_fraction(codes) == 0.5
    assert metrics.l0(codes) == 1.5


def test_the_true_code_recovers_everything_under_any_order_of_latents(world):
    teacher, _, codes = world
    order = torch.randperm(16, generator=generator(0, "order"))
    scores = metrics.recovery(codes[:, order] * 0.7, teacher.atoms[order], codes, teacher.atoms, teacher.spike)
    assert scores.pop("amplitude_ratio") == pytest.approx(0.7, abs=1e-6)
    assert all(value == pytest.approx(1, abs=1e-5) for value in scores.values()), scores


def test_amplitudes_are_compared_in_the_space_without_the_shared_direction(world):
    teacher, _, codes = world
    centred = metrics.remove_direction(teacher.atoms, teacher.spike)
    norms = centred.norm(dim=1)  # an SAE whose b_dec holds v has the centred atoms, scaled to norm 1
    scores = metrics.recovery(codes * norms, centred / norms[:, None], codes, teacher.atoms, teacher.spike)
    assert scores["amplitude_ratio"] == pytest.approx(1, abs=1e-5)


def test_hungarian_matching_is_the_best_of_all_permutations():
    atoms, learned = (torch.randn(5, 3, generator=generator(0, name)) for name in ("a", "b"))
    unit = torch.nn.functional.normalize
    cosines = unit(atoms, dim=1) @ unit(learned, dim=1).T
    best = max(sum(cosines[i, j].item() for i, j in enumerate(p)) for p in itertools.permutations(range(5)))
    assert metrics.match(learned, atoms).cosine.sum().item() == pytest.approx(best, abs=1e-5)


def test_centred_cosines_are_not_fooled_by_the_shared_direction(world):
    teacher, _, _ = world
    lazy = teacher.spike.expand(16, 32) + 0.01 * torch.randn(16, 32, generator=generator(0, "noise"))
    assert metrics.match(lazy, teacher.atoms).best.mean() > 0.7  # looks like recovery
    assert metrics.match(lazy, teacher.atoms, teacher.spike).best.mean() < 0.5  # is not


def test_latents_without_an_atom_count_as_false_positives(world):
    teacher, _, codes = world
    extra = torch.ones(400, 1)
    learned = torch.cat([teacher.atoms, torch.randn(1, 32, generator=generator(0, "extra"))])
    scores = metrics.recovery(torch.cat([codes, extra], 1), learned, codes, teacher.atoms, teacher.spike)
    assert scores["recall"] == pytest.approx(1)
    assert scores["precision"] == pytest.approx(3 / 4)  # 3 true latents and the extra one in every sample
    assert scores["f1"] == pytest.approx(2 * 0.75 / 1.75)
    assert scores["contribution_ratio"] < 1


def test_support_scores_equal_hand_counts():
    true = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    found = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    scores = metrics.support_scores(found, true)
    assert scores.precision.tolist() == pytest.approx([1 / 3, 1, 1, 1])
    assert scores.recall.tolist() == pytest.approx([1 / 2, 0, 1, 1])
    assert scores.f1.tolist() == pytest.approx([2 / 5, 0, 1, 1])


def test_interpolation_is_exact_on_a_line_in_log_l0_and_never_extrapolates():
    l0 = pd.Series([16.0, 2.0, 4.0])
    values = l0.map(math.log2)
    assert interpolate(l0, values, 8.0) == pytest.approx(3)
    assert interpolate(l0, values, 4.0) == pytest.approx(2)
    assert math.isnan(interpolate(l0, values, 1.9)) and math.isnan(interpolate(l0, values, 16.5))
    assert interpolate(l0, values, 16.1) == pytest.approx(4)  # within 2 %: the end of the range itself
    assert math.isnan(interpolate(pd.Series([0.0]), pd.Series([1.0]), 8.0))


def test_matching_keeps_curves_apart():
    table = pd.DataFrame({
        "method": ["l1"] * 4, "seed": [0, 0, 1, 1], "l2": [None] * 4,
        "l0": [4.0, 16.0, 4.0, 16.0], "f1": [0.0, 1.0, 1.0, 0.0],
    })  # fmt: skip
    matched = at_l0(table, 8.0, ["f1"])
    assert matched["seed"].tolist() == [0, 1] and matched["f1"].tolist() == pytest.approx([0.5, 0.5])
    assert at_l0(table, 20.0, ["f1"])["f1"].isna().all()
