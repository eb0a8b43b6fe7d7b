"""What a recipe makes: networks and their starts, divergence, what a GPU changes, and what is refused."""

import re
from dataclasses import replace

import pytest
import torch
from recipes import RECIPES, SIMSIAM, TINY
from torch import nn

from proj_heads.data import load
from proj_heads.pretraining import networks, pretrain
from proj_heads.recipe import Recipe


@pytest.fixture(scope="module")
def digits():
    """50 images: three batches of 16 an epoch, two images left out."""
    return load("digits", True).x[:50]


# ---- starts


def test_alpha_scales_the_maps_of_the_head_and_nothing_else():
    full, small = (networks(replace(SIMSIAM, alpha=alpha), (1, 28, 28), 0) for alpha in (1.0, 0.1))
    for (name, a), (_, b) in zip(full.head.named_parameters(), small.head.named_parameters(), strict=True):
        assert torch.equal(b, 0.1 * a if a.ndim == 2 else a), name
    for part in ("backbone", "predictor"):
        pairs = zip(getattr(full, part).parameters(), getattr(small, part).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "objective, k", [("simclr", 16), ("simsiam", 16), ("vicreg", 16), ("barlow", 16), ("dino", 16)]
)
@pytest.mark.parametrize("norm", [True, False])
def test_networks_are_those_of_the_recipe(objective, k, norm):
    recipe = replace(TINY, objective=objective, norm=norm)
    nets = networks(recipe, (3, 32, 32), 0)
    z = nets.backbone(torch.rand(4, 3, 32, 32))
    assert z.shape == (4, 8) and nets.head(z).shape == (4, k)  # d is four times cnn_width
    if objective != "simsiam":
        assert isinstance(nets.predictor, nn.Identity)
    else:
        assert [tuple(w.shape) for w in nets.predictor.parameters() if w.ndim == 2] == [(8, 16), (16, 8)]
    batch_norms = sum(isinstance(part, nn.BatchNorm1d) for part in nets.head.modules())
    if objective in ("vicreg", "barlow"):
        assert batch_norms == 2  # lightly's heads as published
    else:
        assert (batch_norms > 0) is norm


# ---- divergence


@pytest.mark.parametrize("name", ["simclr", "barlow", "dino"])
def test_training_says_that_it_has_diverged(digits, name):
    assert not pretrain(digits, replace(RECIPES[name], steps=2), 0).diverged
    assert pretrain(digits, replace(RECIPES[name], steps=3, lr=1e30), 0).diverged


def test_a_single_weight_or_statistic_that_is_not_finite_is_divergence(digits):
    trained = pretrain(digits, replace(TINY, steps=1), 0)
    for broken in (trained.head[0].weight, trained.backbone[1].running_var, trained.losses):
        kept = broken.detach().clone()
        with torch.no_grad():
            broken.view(-1)[-1] = float("inf")
            assert trained.diverged
            broken.copy_(kept)
    assert not trained.diverged


# ---- on a GPU


def test_on_a_cpu_nothing_is_rounded_to_bfloat16(digits):
    seen = []

    def watch(step, nets):
        channels_last = nets.backbone[3].weight.is_contiguous(memory_format=torch.channels_last)
        seen.append((channels_last, nets.backbone(torch.rand(2, 1, 28, 28)).dtype))

    pretrain(digits, replace(TINY, steps=1), 0, watch=watch)
    assert set(seen) == {(True, torch.float32)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", ["simclr", "simsiam", "barlow", "dino"])
def test_on_a_gpu_training_is_the_same_but_for_the_rounding_of_bfloat16(digits, name):
    recipe, laid_out = replace(RECIPES[name], steps=3), []

    def watch(step, nets):
        laid_out.append(nets.backbone[3].weight.is_contiguous(memory_format=torch.channels_last))

    trained, expected = pretrain(digits, recipe, 0, "cuda", watch), pretrain(digits, recipe, 0)
    assert all(laid_out) and next(trained.head.parameters()).dtype == torch.float32
    torch.testing.assert_close(trained.losses, expected.losses, rtol=0.05, atol=0.05)


# ---- what is refused


def test_a_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(ValueError, match="batch = 51 of 50 images; choose a smaller batch"):
        pretrain(digits, replace(TINY, batch=51), 0)


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"objective": "byol"}, "objective = 'byol'; choose from simclr, simsiam, vicreg, barlow, dino"),
        ({"backbone": "resnet50"}, "backbone = 'resnet50'; choose from small_cnn, resnet18_cifar, vit_tiny"),
        ({"activation": "tanh"}, "activation = 'tanh'; choose from linear, relu, gelu, swish"),
        ({"cnn_width": 0}, "cnn_width = 0; choose a number > 0"),
        ({"depth": 0}, "depth = 0; choose a number > 0"),
        ({"alpha": 0.0}, "alpha = 0.0; choose a number > 0"),
        ({"width": -3}, "width = -3; choose a number > 0"),
        ({"predictor": 0}, "predictor = 0; choose a number > 0"),
        ({"steps": 0}, "steps = 0; choose a number > 0"),
        ({"lr": -1e-3}, "lr = -0.001; choose a number > 0"),
        ({"lr": float("nan")}, "lr = nan; choose a number > 0"),
        ({"lr": float("inf")}, "lr = inf; choose a number > 0"),
        ({"alpha": float("inf")}, "alpha = inf; choose a number > 0"),
        ({"temperature": 0.0}, "temperature = 0.0; choose a number > 0"),
        ({"rotation": 200.0}, "rotation = 200.0; choose 0 to 180 degrees"),
        ({"rotation": -1.0}, "rotation = -1.0; choose 0 to 180 degrees"),
        ({"rotation": float("nan")}, "rotation = nan; choose 0 to 180 degrees"),
        ({"momentum": 1.0}, "momentum = 1.0; choose 0 <= momentum < 1"),
        ({"momentum": -0.1}, "momentum = -0.1; choose 0 <= momentum < 1"),
        ({"momentum": float("nan")}, "momentum = nan; choose 0 <= momentum < 1"),
        ({"batch": 1}, "batch = 1; choose at least 2 images, there are no negatives otherwise"),
        ({"objective": "dino", "width": 3}, "width = 3; choose at least 4, DINO's bottleneck is a quarter of it"),
    ],
)
def test_impossible_settings_are_refused_with_advice(settings, says, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        Recipe(**settings)
