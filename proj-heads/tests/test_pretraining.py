"""Pretraining against loops that are written out step by step; seeds, batches, the teacher."""

import math
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from recipes import RECIPES, SIMSIAM, TINY
from torch import nn

from proj_heads import pretraining
from proj_heads.augment import Views
from proj_heads.data import load
from proj_heads.pretraining import Networks, networks, pretrain
from proj_heads.seeds import generator


@pytest.fixture(scope="module")
def digits():
    """50 images: three batches of 16 an epoch, two images left out."""
    return load("digits", True).x[:50]


def state(*modules: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{i}.{name}": value for i, module in enumerate(modules) for name, value in module.state_dict().items()}


def result(images, recipe, seed=0) -> dict[str, torch.Tensor]:
    trained = pretrain(images, recipe, seed)
    return state(trained.backbone, trained.head) | {"losses": trained.losses}


# ---- losses, pair by pair


def cosine(a, b):
    return (a * b).sum() / (a.norm() * b.norm())


def simclr(first, second, temperature):
    total = 0.0
    for i, u in enumerate(first):
        similar = torch.stack([cosine(u, v) for v in second]) / temperature
        total = total - torch.log(similar[i].exp() / similar.exp().sum())
    return total / len(first)


def simsiam(predicted, targets):
    total = 0.0
    for p, target in ((predicted[0], targets[1]), (predicted[1], targets[0])):
        for mine, theirs in zip(p, target.detach(), strict=True):
            total = total - cosine(mine, theirs) / 2
    return total / len(targets[0])


def covariance(h):
    centred = h - h.mean(0)
    return centred.T @ centred / (len(h) - 1)


def vicreg(first, second):
    """25 (mean squared error) + 25 (hinge of the deviations, mean of both views) + 1 (squared covariances over k)."""
    loss = 25 * ((first - second) ** 2).mean()
    for h in (first, second):
        c = covariance(h)
        loss = loss + 25 / 2 * (1 - (c.diagonal() + 1e-4).sqrt()).clamp_min(0).mean()
        loss = loss + ((c**2).sum() - (c.diagonal() ** 2).sum()) / h.shape[1]
    return loss


def barlow(first, second):
    a, b = ((h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt() for h in (first, second))
    c = a.T @ b / len(a)
    return ((1 - c.diagonal()) ** 2).sum() + 5e-3 * ((c**2).sum() - (c.diagonal() ** 2).sum())


def dino(student, teacher, centre):
    total = 0.0
    for i, j in ((0, 1), (1, 0)):  # never a view with itself
        target = ((teacher[i] - centre) / 0.04).softmax(1)
        total = total - (target * (student[j] / 0.1).log_softmax(1)).sum(1).mean() / 2
    return total


# ---- the loop


def reference(images, recipe, seed):
    """Losses of all steps, the networks that result, and the student after each step."""
    nets, teacher = (networks(recipe, tuple(images.shape[1:]), seed) for _ in range(2))
    nets = [part.train() for part in nets]
    order, draws = generator(seed, "batches"), generator(seed, "views")
    if recipe.objective == "simsiam":
        views = Views(28, scale=(0.2, 1.0))
    else:
        views = Views(28, rotation=recipe.rotation, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    weights = [w for part in nets for w in part.parameters() if w.requires_grad]
    memory = [[torch.zeros_like(w), torch.zeros_like(w)] for w in weights]
    centre, losses, rows = torch.zeros(recipe.width), [], torch.empty(0, dtype=torch.int64)
    for step in range(recipe.steps):
        if len(rows) < recipe.batch:
            rows = torch.randperm(len(images), generator=order)
        now, rows = rows[: recipe.batch], rows[recipe.batch :]
        pair = views(images[now].float() / 255, draws)
        h = [nets[1](nets[0](view)) for view in pair]
        if recipe.objective == "simclr":
            loss = simclr(*h, recipe.temperature)
        elif recipe.objective == "simsiam":
            loss = simsiam([nets[2](part) for part in h], h)
        elif recipe.objective == "dino":
            with torch.no_grad():
                targets = [teacher.head(teacher.backbone(view)) for view in pair]
            loss = dino(h, targets, centre)
            centre = 0.9 * centre + 0.1 * torch.cat(targets).mean(0)
        else:
            loss = {"vicreg": vicreg, "barlow": barlow}[recipe.objective](*h)
        losses.append(loss.item())
        for w, g, (m, v) in zip(weights, torch.autograd.grad(loss, weights), memory, strict=True):
            with torch.no_grad():
                if recipe.objective == "simsiam":  # SGD with momentum
                    m.mul_(0.9).add_(g)
                    w -= recipe.lr * m
                else:  # Adam
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.999).add_(0.001 * g**2)
                    w -= recipe.lr * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        if recipe.objective == "dino":
            stay = 1 - (1 - recipe.momentum) * (math.cos(math.pi * step / recipe.steps) + 1) / 2
            with torch.no_grad():
                for mine, theirs in zip(teacher[:2], nets[:2], strict=True):
                    for old, new in zip(mine.parameters(), theirs.parameters(), strict=True):
                        old.copy_(stay * old + (1 - stay) * new)
    return torch.tensor(losses), teacher[:2] if recipe.objective == "dino" else nets[:2]


@pytest.mark.parametrize("name", RECIPES)
def test_training_is_the_written_out_loop(digits, name):
    recipe = RECIPES[name]
    losses, expected = reference(digits, recipe, seed=3)
    trained, start = pretrain(digits, recipe, seed=3), networks(recipe, (1, 28, 28), 3)
    torch.testing.assert_close(trained.losses, losses, rtol=2e-4, atol=2e-5)
    for mine, theirs, initial in zip(trained[:2], expected, start[:2], strict=True):
        assert not mine.training
        initial, theirs = initial.state_dict(), theirs.state_dict()
        for key, value in mine.state_dict().items():
            if recipe.objective in ("vicreg", "barlow") and mine is trained.head and key == "layers.6.bias":
                continue  # shifts both views alike: its gradient is nothing but rounding, which Adam blows up
            moved = (theirs[key] - initial[key]).float().norm()
            assert (value - theirs[key]).float().norm() <= 0.01 * moved + 1e-7, key


@pytest.mark.parametrize(
    "name, change",
    [
        ("simclr", {"rotation": 21.0}),
        ("simclr", {"temperature": 0.31}),
        ("simsiam", {"lr": 0.051}),
        ("vicreg", {"objective": "barlow"}),
        ("dino", {"momentum": 0.72}),
    ],
)
def test_the_comparison_above_notices_a_small_change_of_any_setting(digits, name, change):
    losses, _ = reference(digits, replace(RECIPES[name], **change), seed=3)
    trained = pretrain(digits, RECIPES[name], seed=3)
    assert not torch.allclose(trained.losses, losses, rtol=2e-4, atol=2e-5)


# ---- seeds


@pytest.mark.parametrize("name", ["simclr", "simsiam", "vicreg", "barlow", "dino"])
def test_equal_seeds_give_equal_weights_bit_by_bit_and_others_different_ones(digits, name):
    recipe = replace(RECIPES[name], steps=4)
    torch.manual_seed(1)
    first = result(digits, recipe, 0)
    torch.manual_seed(2)  # nobody's business
    again, other = result(digits, recipe, 0), result(digits, recipe, 1)
    assert first.keys() == again.keys() == other.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.isin(first["losses"], other["losses"]).any()
    assert not torch.isin(first["0.0.weight"], other["0.0.weight"]).any()


@pytest.mark.parametrize("backbone", ["small_cnn", "resnet18_cifar", "vit_tiny"])
def test_the_seed_decides_the_initial_values_of_every_part(backbone):
    recipe = replace(SIMSIAM, backbone=backbone)
    first, again, other = (networks(recipe, (1, 28, 28), seed) for seed in (0, 0, 1))
    for part, same, different in zip(first, again, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(part.parameters(), same.parameters(), strict=True))
        matrices = [(a, b) for a, b in zip(part.parameters(), different.parameters(), strict=True) if a.ndim > 1]
        assert matrices and not any(torch.equal(a, b) for a, b in matrices)


def test_the_seed_decides_batches_and_views(digits, seen):
    """Also where the networks are the same."""
    draws = []
    for seed in (0, 0, 1):
        seen.clear()
        pretrain(digits, TINY, seed)
        draws.append((torch.cat(seen.rows), torch.stack(seen.views)))
    (rows, views), (same_rows, same_views), (other_rows, other_views) = draws
    assert torch.equal(rows, same_rows) and torch.equal(views, same_views)
    assert not torch.equal(rows, other_rows) and not torch.equal(views, other_views)


@pytest.mark.parametrize("name", ["simclr", "simsiam", "vicreg", "barlow", "dino"])
def test_the_global_stream_is_left_as_it_was(digits, name):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    pretrain(digits, replace(RECIPES[name], steps=2), 0)
    assert torch.equal(torch.get_rng_state(), before)


# ---- batches and views


class Seen(NamedTuple):
    """Which images each step was given, and the views that were made of them."""

    rows: list[torch.Tensor]
    views: list[torch.Tensor]

    def clear(self):
        self.rows.clear()
        self.views.clear()


@pytest.fixture
def seen(monkeypatch, digits):
    found, flat = Seen([], []), digits.flatten(1)

    class Watching(Views):
        def __call__(self, x, generator, views=2):
            index = (flat[None] == (x * 255).round().byte().flatten(1)[:, None]).all(2).long()
            assert (index.sum(1) == 1).all()  # no two images are alike
            found.rows.append(index.argmax(1))
            found.views.append(super().__call__(x, generator, views))
            return found.views[-1]

    monkeypatch.setattr(pretraining, "Views", Watching)
    return found


def test_batches_are_permutations_without_repetition_within_an_epoch(digits, seen):
    pretrain(digits, replace(TINY, steps=9, batch=16), 0)
    epochs = [torch.cat(seen.rows[start : start + 3]) for start in (0, 3, 6)]  # 50 // 16 batches each
    assert len(seen.rows) == 9 and all(len(rows) == 16 for rows in seen.rows)
    for rows in epochs:
        assert len(rows.unique()) == 48  # and two are left out
    assert not torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[1], epochs[2])
    assert len(torch.cat(epochs).unique()) == 50  # not always the same two


def test_a_batch_of_all_images_is_all_images(digits, seen):
    pretrain(digits, replace(TINY, steps=2, batch=50), 0)
    assert [sorted(rows.tolist()) for rows in seen.rows] == [list(range(50))] * 2


def test_both_views_are_other_pictures_of_the_same_images(digits, seen):
    pretrain(digits, replace(TINY, steps=5), 0)
    for rows, (first, second) in zip(seen.rows, seen.views, strict=True):
        assert first.shape == second.shape == (16, 1, 28, 28)
        original = digits[rows].float() / 255
        for a, b in ((first, second), (first, original), (second, original)):
            assert not any(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ---- watching, the teacher, and what comes out


@pytest.mark.parametrize("name", ["simclr", "simsiam", "dino"])
def test_watch_is_called_before_each_step_and_after_the_last_and_changes_nothing(digits, name):
    recipe, calls, first = RECIPES[name], [], []

    def watch(step, nets):
        assert isinstance(nets, Networks) and all(part.training for part in nets)
        calls.append(step)
        first.append(nets.backbone[0].weight.detach().clone())

    watched = pretrain(digits, recipe, 0, watch=watch)
    assert calls == list(range(recipe.steps + 1))
    assert torch.equal(first[0], networks(recipe, (1, 28, 28), 0).backbone[0].weight)  # before the first step
    assert not any(torch.equal(a, b) for a, b in zip(first, first[1:], strict=False))
    assert torch.equal(first[-1], watched.backbone[0].weight) is (name != "dino")  # which gives its teacher
    unwatched = result(digits, recipe, 0)
    assert all(torch.equal(value, unwatched[key]) for key, value in state(*watched[:2]).items())


@pytest.mark.parametrize("norm", [True, False])
def test_dino_gives_the_teacher_a_moving_average_of_the_student(digits, norm):
    """From the student's weights alone; its momentum goes from .7 to 1 along a cosine, which it would reach at T."""
    recipe, students = replace(RECIPES["dino"], norm=norm), []
    trained = pretrain(digits, recipe, 0, watch=lambda _, nets: students.append(parameters(nets)))
    average, total = students[0], recipe.steps
    momenta = [1 - 0.3 * (1 + math.cos(math.pi * step / total)) / 2 for step in range(total)]
    assert momenta[0] == pytest.approx(0.7) and momenta == sorted(momenta) and momenta[-1] < 1
    for momentum, student in zip(momenta, students[1:], strict=True):
        average = [momentum * old + (1 - momentum) * new for old, new in zip(average, student, strict=True)]
    for mine, expected in zip(parameters(trained), average, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-7)
    student, start = students[-1], students[0]
    assert any((a - b).norm() > 0.02 * (b - c).norm() > 0 for a, b, c in zip(student, average, start, strict=True))


def parameters(nets) -> list[torch.Tensor]:
    return [w.detach().clone() for part in nets[:2] for w in part.parameters()]


def test_dinos_teacher_has_batch_norm_statistics_of_its_own(digits):
    statistics = []

    def watch(step, nets):
        statistics.append(nets.backbone[1].running_mean.clone())

    teacher = pretrain(digits, RECIPES["dino"], 0, watch=watch).backbone
    assert teacher[1].num_batches_tracked == 2 * RECIPES["dino"].steps  # one view at a time
    assert not torch.equal(teacher[1].running_mean, statistics[-1]) and teacher[1].running_mean.abs().max() > 0


@pytest.mark.parametrize("name", ["simclr", "simsiam", "vicreg", "barlow", "dino"])
def test_the_loss_falls_on_digits(name):
    images = load("digits", True).x[:512]
    recipe = replace(RECIPES[name], cnn_width=8, width=64, predictor=16, steps=48, batch=64, depth=2)
    if name != "simsiam":
        recipe = replace(recipe, lr=3e-3, momentum=0.996, temperature=0.1)
    losses = pretrain(images, recipe, 0).losses
    assert losses.shape == (48,) and losses.isfinite().all()
    first, last = losses[:8], losses[-8:]
    assert last.mean() < first.mean() - 2 * first.std(), (first, last)
