"""Contrastive training: the loss against lightly's and our energies, views, and resumed runs."""

import numpy as np
import pytest
import torch
from lightly.loss import NTXentLoss

from infonce_langevin import simclr
from infonce_langevin.energies import infonce
from infonce_langevin.seeds import generator
from infonce_langevin.simclr import Recipe, features, make_network, nt_xent, prepared, train, view

IMAGES = torch.randint(0, 256, (64, 1, 28, 28), generator=generator(0, "images"), dtype=torch.uint8)
COLOURED = torch.randint(0, 256, (40, 3, 32, 32), generator=generator(1, "images"), dtype=torch.uint8)


def pairs(count=8, d=5):
    return torch.randn(2, count, d, generator=generator(0, "pairs"), dtype=torch.float64)


@pytest.mark.parametrize("tau", [0.05, 0.5, 1.0])
def test_the_loss_is_lightlys(tau):
    z0, z1 = pairs()
    assert float(nt_xent(z0, z1, tau)) == pytest.approx(float(NTXentLoss(tau)(z0, z1)), rel=1e-6)


def test_the_loss_is_the_energy_of_the_embeddings_over_tau():
    z0, z1 = (torch.nn.functional.normalize(z, dim=1) for z in pairs(3))
    interleaved = torch.stack([z0, z1], 1).flatten(0, 1)[..., None]
    assert float(nt_xent(z0, z1, 0.2)) == pytest.approx(float(infonce(0.2).value(interleaved)) / 0.2, rel=1e-10)


def test_views_are_random_keep_the_shape_and_are_those_of_their_stream():
    for images in (IMAGES, COLOURED):
        x = prepared(images)
        first, again, other = (view(x, generator(seed, "view")) for seed in (0, 0, 1))
        assert first.shape == x.shape and torch.equal(first, again) and not torch.equal(first, other)
        assert not torch.isclose(first.flatten(1), x.flatten(1)).all(1).any()


def test_coloured_views_are_images_flipped_for_half_and_grey_for_a_fifth():
    x = torch.zeros(4000, 3, 32, 32)
    x[:, 0, :, :16] = 1.0  # red on the left
    moved = view(x, generator(0, "view"))
    assert 0 <= float(moved.min()) and float(moved.max()) <= 1
    left = moved[..., :16].sum((1, 2, 3)) > moved[..., 16:].sum((1, 2, 3))
    assert float(left.double().mean()) == pytest.approx(0.5, abs=0.04)
    grey = (moved.amax(1) - moved.amin(1)).amax((1, 2)) < 1e-6
    assert float(grey.double().mean()) == pytest.approx(0.2, abs=0.05)


def test_a_turn_of_the_hue_moves_red_to_green_in_a_third():
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    found = simclr._turned(red, torch.full((1, 1, 1, 1), 1 / 3))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.0, 1, 0]), rtol=0, atol=1e-6)


def test_weights_are_those_of_the_seed_and_touch_no_global_state():
    state = torch.random.get_rng_state()
    one, same, other = (make_network("small", 1, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.0.weight"], other["head.0.weight"])


@pytest.mark.parametrize("recipe", [Recipe(batch=32), Recipe("sgd", 0.05, 1e-6, 1.0, batch=32)])
def test_training_lowers_the_loss_and_goes_on_to_the_same_numbers(recipe, tmp_path, monkeypatch):
    betas = [2.0] * 12

    def run(scratch):
        network = make_network("small", 1, 0)
        losses = train(network, IMAGES, betas, recipe, 0, scratch)
        return losses, features(network, IMAGES)

    losses, held = run(None)
    assert losses[-3:].mean() < losses[:3].mean() and held.shape == (64, 128)
    save = simclr.Checkpoint.save
    monkeypatch.setattr(simclr.Checkpoint, "save", lambda self, tensors, due=0.0: save(self, tensors, due=0.0))
    steps = []

    def stopping(*arguments, loss=nt_xent):
        steps.append(None)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return loss(*arguments)

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(simclr, "nt_xent", stopping)
        run(tmp_path)
    done = []
    monkeypatch.setattr(simclr, "nt_xent", lambda *a: done.append(None) or nt_xent(*a))
    resumed, again = run(tmp_path)
    assert len(done) == 5 and torch.equal(resumed, losses) and torch.equal(again, held)


def test_small_steps_of_the_published_kind_are_clipped():
    """With steps of one unit and a tiny clip no weight moves by more than lr * clip."""
    network = make_network("small", 1, 0)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    train(network, IMAGES, [1e6], Recipe("sgd", 1.0, 0.0, 1e-3, batch=32), 0)
    moved = sum(float((value.detach() - before[name]).square().sum()) for name, value in network.named_parameters())
    assert 0 < np.sqrt(moved) < 1.001e-3


def test_senseless_recipes_are_refused():
    with pytest.raises(ValueError, match="choose batch >= 2"):
        Recipe(batch=1)
    with pytest.raises(ValueError, match="64 images for batches of 100: choose smaller batches"):
        train(make_network("small", 1, 0), IMAGES, [1.0], Recipe(batch=100), 0)
