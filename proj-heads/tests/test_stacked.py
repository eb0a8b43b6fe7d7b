"""Seed-batched SimSiam against plain torch loops with lightly's loss, single members and textbook formulas."""

import numpy as np
import pytest
import torch
from lightly.loss import NegativeCosineSimilarity
from torch import nn

from proj_heads import stacked
from proj_heads.augment import Views
from proj_heads.backbones import initialised_from
from proj_heads.heads import pseudo_collapse_
from proj_heads.seeds import generator
from proj_heads.siamese import Program, Siamese, Sizes, mean_shift_, siamese, simsiam_loss, unit
from proj_heads.stacked import (
    CURVES,
    MemberViews,
    Stack,
    condition_number,
    covariance_spectrum,
    representation_std,
    train,
)

HEADS = pytest.mark.parametrize(
    ("activation", "norm"),
    [("linear", False), ("relu", False), ("gelu", False), ("swish", False), ("relu", True), ("swish", True)],
)
SEEDS = (3, 0, 7)


def sizes(activation="swish", norm=False, **changed) -> Sizes:
    small = {"inputs": 16, "backbone": (12, 6), "width": 10, "k": 8, "predictor": 4}
    return Sizes(**(small | {"activation": activation, "norm": norm} | changed))


def images(n=100, side=8):
    return torch.randint(256, (n, 1, side, side), generator=generator(0, "images"), dtype=torch.uint8)


def views(seeds=SEEDS, batch=10, data=None):
    return MemberViews(images() if data is None else data, seeds, batch, size=4)


def members(of: Sizes, seeds=SEEDS, alpha=0.3):
    made = [Siamese(*(network.double() for network in siamese(of, generator(seed, "init")))) for seed in seeds]
    for member in made:
        pseudo_collapse_(member.head, alpha)
    return made


def stack(of: Sizes, seeds=SEEDS, lr=0.2, **options) -> Stack:
    return Stack(members(of, seeds), lr, dtype=torch.float64, **options)


def plain_training(member: Siamese, batches, lr: float) -> tuple[Siamese, list[dict]]:
    """One member as one would write it: modules, one view at a time, lightly's loss, torch's SGD."""
    parameters = [p for network in member for p in network.parameters()]
    optimizer = torch.optim.SGD(parameters, lr, momentum=0.9)
    criterion, log = NegativeCosineSimilarity(), []
    for x in batches:  # (inputs, 2, batch)
        first, second = (x[:, v].T.double() for v in (0, 1))
        z1, z2 = member.backbone(first), member.backbone(second)
        h1, h2 = member.head(z1), member.head(z2)
        p1, p2 = member.predictor(h1), member.predictor(h2)
        loss = (criterion(p1, h2.detach()) + criterion(p2, h1.detach())) / 2
        optimizer.zero_grad()
        loss.backward()
        point = {"loss": loss.item()}
        for name, network, outputs in (("head", member.head, (h1, h2)), ("backbone", member.backbone, (z1, z2))):
            weight, gradient = (
                torch.cat([value.flatten() for value in values])
                for values in ([p.detach() for p in network.parameters()], [p.grad for p in network.parameters()])
            )
            point[f"grad_{name}"] = gradient.norm().item()
            point[f"update_{name}"] = lr * gradient.norm().item() / (weight.norm().item() + 1e-7)
            normalised = torch.nn.functional.normalize(torch.cat(outputs).detach(), dim=1)
            point["std" if name == "head" else "std_backbone"] = normalised.std(0).mean().item()
            before = weight
            point[f"moved_{name}"] = (network, before)
        optimizer.step()
        for name in ("head", "backbone"):
            network, before = point[f"moved_{name}"]
            after = torch.cat([p.detach().flatten() for p in network.parameters()])
            point[f"moved_{name}"] = ((after - before).norm() / (before.norm() + 1e-7)).item()
        log.append(point)
    return member, log


def flat(member: Siamese) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for network in member for p in network.parameters()])


# ---- training


@HEADS
def test_a_member_equals_a_plain_training_loop(activation, norm):
    of, steps = sizes(activation, norm), 12
    trained = stack(of, every=1)
    seen = [next(batches) for batches in [views()] for _ in range(steps + 1)]
    train(trained, iter(seen), steps)
    curves = trained.curves()
    for i, seed in enumerate(SEEDS):
        (start,) = members(of, (seed,))
        member, log = plain_training(start, [x[i] for x in seen[:steps]], lr=0.2)
        torch.testing.assert_close(trained.theta[i], flat(member), atol=1e-11, rtol=1e-8)
        assert set(log[0]) < set(CURVES)
        for name in log[0]:
            expected = torch.tensor([point[name] for point in log], dtype=torch.float64)
            torch.testing.assert_close(curves[name][:steps, i], expected, atol=1e-11, rtol=1e-6, msg=name)


@HEADS
def test_a_member_is_the_same_alone(activation, norm):
    together = stack(sizes(activation, norm), every=5)
    train(together, views(), 40)
    for i, seed in enumerate(SEEDS):
        alone = stack(sizes(activation, norm), (seed,), every=5)
        train(alone, views((seed,)), 40)
        torch.testing.assert_close(alone.theta[0], together.theta[i], atol=1e-10, rtol=1e-8)
        for name in CURVES[:6]:
            torch.testing.assert_close(
                alone.curves()[name][:, 0], together.curves()[name][:, i], atol=1e-9, rtol=1e-6, equal_nan=True
            )


def test_single_precision_follows_double_precision():
    single = Stack(members(sizes()), 0.05, every=5)
    double = Stack(members(sizes()), 0.05, every=5, dtype=torch.float64)
    for trained in (single, double):
        train(trained, views(), 20)
    torch.testing.assert_close(single.theta.double(), double.theta, atol=1e-5, rtol=1e-3)


def test_equal_seeds_give_equal_members_and_others_do_not():
    def trained(seeds):
        result = stack(sizes(), seeds)
        train(result, views(seeds), 5)
        return result.theta

    first = trained((0, 1, 1))
    assert torch.equal(first, trained((0, 1, 1)))
    torch.testing.assert_close(first[1], first[2], atol=1e-12, rtol=1e-9)
    assert not torch.isclose(first[0], first[1]).all()


def test_records_are_every_so_many_steps_and_after_the_last_one():
    trained = stack(sizes(), every=10)
    train(trained, views(), 25)
    curves = trained.curves()
    assert curves["step"].tolist() == [0, 10, 20, 25] and trained.steps == 25
    assert set(curves) == {"step", *CURVES} and all(curves[name].shape == (4, 3) for name in CURVES)
    assert torch.isfinite(torch.stack([curves[name] for name in CURVES])).all()


def test_observing_changes_nothing_and_mean_updates_are_over_all_steps():
    every_step, rarely = stack(sizes(), every=1), stack(sizes(), every=100)
    for trained in (every_step, rarely):
        train(trained, views(), 15)
    assert torch.equal(every_step.theta, rarely.theta)
    for part in ("head", "backbone"):
        expected = every_step.curves()[f"update_{part}"][:15].mean(0)
        torch.testing.assert_close(rarely.mean_updates()[part], expected)
    before = rarely.theta.clone(), rarely.velocity.clone()
    rarely.observe(next(views()))
    assert torch.equal(before[0], rarely.theta) and torch.equal(before[1], rarely.velocity) and rarely.steps == 15


def test_members_come_back_as_modules():
    of = sizes("swish", True)
    trained = stack(of)
    train(trained, views(), 5)
    member = trained.member(1, Siamese(*(network.double() for network in siamese(of, generator(99)))))
    x = next(views()).double()
    outputs = trained.program.outputs(trained.theta, x)
    for v in (0, 1):
        z = member.backbone(x[1, :, v].T)
        torch.testing.assert_close(z, outputs.z[1, :, v].T)
        torch.testing.assert_close(member.head.eval()(z), outputs.h[1, :, v].T)  # the batch's statistics, always


def test_members_of_different_layers_are_refused():
    program = Program(siamese(sizes(), generator(0)))
    with pytest.raises(ValueError, match="equal layers"):
        program.pack([siamese(sizes(), generator(0)), siamese(sizes(width=12), generator(0))])


# ---- the objective and what is measured


def test_the_loss_is_lightlys_and_its_gradient_is_finite_at_zero():
    h, p = (torch.randn(2, 5, 2, 7, generator=generator(0, name), dtype=torch.float64) for name in "hp")
    criterion = NegativeCosineSimilarity()
    for i, loss in enumerate(simsiam_loss(h, p)):
        one, two = (criterion(p[i, :, v].T, h[i, :, 1 - v].T) for v in (0, 1))
        torch.testing.assert_close(loss, (one + two) / 2)
    p[:, :, :, 0] = 0
    p.requires_grad_()
    simsiam_loss(h, p).sum().backward()
    assert torch.isfinite(p.grad).all()


def test_spread_and_spectrum_are_the_textbook_ones():
    for k, n in ((9, 6), (6, 20)):
        u = unit(torch.randn(2, k, 2, n // 2, generator=generator(0), dtype=torch.float64))
        for i, rows in enumerate(u.flatten(2).mT.numpy()):  # (n, k)
            covariance = np.cov(rows, rowvar=False)
            expected = np.linalg.eigvalsh(covariance)
            spectrum = covariance_spectrum(u)[i].numpy()
            np.testing.assert_allclose(spectrum, expected[-len(spectrum) :].clip(0), atol=1e-15)
            assert (expected[: k - len(spectrum)] < 1e-15).all() and len(spectrum) == min(n, k)
            assert representation_std(u)[i] == pytest.approx(rows.std(0, ddof=1).mean(), rel=1e-12)
            condition = condition_number(covariance_spectrum(u), k, n)[i].item()
            assert condition == pytest.approx(expected[-1] / max(expected[0], 1e-7), rel=1e-8)


def test_the_published_condition_number_of_few_samples_is_the_largest_eigenvalue():
    """As many samples as coordinates: rank n - 1, the smallest eigenvalue is the floor."""
    u = unit(torch.randn(1, 8, 2, 4, generator=generator(0)))
    spectrum = covariance_spectrum(u)
    assert condition_number(spectrum, 8, 8).item() == pytest.approx(1e7 * spectrum[0, -1].item(), rel=1e-12)


# ---- views


def test_every_member_sees_all_images_once_an_epoch_in_an_order_of_its_own(monkeypatch):
    monkeypatch.setattr(Views, "draw", lambda self, n, image, generator: _no_change(n, image))
    data = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1).expand(50, 1, 8, 8)
    stream = views((0, 1), batch=16, data=data)
    seen = torch.stack([next(stream) for _ in range(30)]) * 255  # (steps, m, inputs, 2, batch)
    numbers = seen.amax(2)
    torch.testing.assert_close(numbers[:, :, 0], numbers[:, :, 1])  # both views show the same image
    epochs = numbers[:, :, 0].round().view(10, 3, 2, 16).permute(0, 2, 1, 3).flatten(2)
    assert all(len(set(order.tolist())) == 48 for order in epochs.flatten(0, 1))
    assert not torch.equal(epochs[0, 0], epochs[0, 1]) and not torch.equal(epochs[0, 0], epochs[1, 0])


def _no_change(n, image):
    from proj_heads.augment import Drawn

    box = torch.tensor([[0.0, 0.0, image[1], image[2]]]).expand(n, 4)
    return Drawn(box, torch.zeros(n, dtype=torch.bool), None, None, None, None, None)


def test_the_view_of_a_whole_image_is_its_two_by_two_means(monkeypatch):
    monkeypatch.setattr(Views, "draw", lambda self, n, image, generator: _no_change(n, image))
    data = images()
    stream = views((0,), batch=100, data=data)
    x = next(stream)[0, :, 0].T.view(100, 4, 4)
    rows = next(stacked._batches(100, 100, generator(0, "batches")))
    means = torch.nn.functional.avg_pool2d(data[rows].float() / 255, 2)[:, 0]
    torch.testing.assert_close(x, means, atol=1e-6, rtol=0)


def test_a_members_views_do_not_depend_on_the_others_and_are_augment_views():
    together, alone = views((4, 5)), views((5,))
    for _ in range(MemberViews.block + 2):
        last, single = next(together), next(alone)
        torch.testing.assert_close(last[1], single[0], atol=1e-6, rtol=0)
    stream = views((5,), batch=10)
    drawn = Views.simsiam(4).draw(2 * MemberViews.block * 10, (1, 8, 8), generator(5, "views"))
    rows = next(stacked._batches(100, 10, generator(5, "batches")))
    x = next(stream)
    for v in (0, 1):
        expected = drawn.rows(slice(10 * v, 10 * v + 10)).apply(images()[rows].float() / 255, 4)
        torch.testing.assert_close(x[0, :, v].T, expected.flatten(1), atol=1e-6, rtol=0)


def test_a_batch_that_does_not_fit_is_refused(unchecked):
    with pytest.raises(ValueError, match="batch = 200 of 100 images; choose 2 <= batch <= 100"):
        views(batch=200)


# ---- starts


def affine_backbone():
    with initialised_from(generator(2, "init")):
        return nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 6))


@pytest.mark.parametrize("kind", ["norm", "relu", "affine"])
def test_a_mean_shift_leaves_small_differences_on_a_common_vector_of_the_old_size(kind):
    backbone = siamese(sizes(), generator(1, "init")).backbone if kind == "norm" else affine_backbone()
    backbone = (nn.Sequential(*backbone, nn.ReLU()) if kind == "relu" else backbone).double()
    x = torch.randn(40, 16, generator=generator(0), dtype=torch.float64)
    before, a = backbone(x).detach(), (backbone if kind == "affine" else backbone[:-1])(x).detach()
    mu = before.mean(0) * (before.square().sum(1).mean().sqrt() / before.mean(0).norm())
    z = mean_shift_(backbone, x, 0.02)(x).detach()
    expected = mu + 0.02 * (a - a.mean(0))
    torch.testing.assert_close(z, expected if kind == "affine" else expected.relu(), atol=1e-6, rtol=0)
    assert z.norm(dim=1).mean() == pytest.approx(before.square().sum(1).mean().sqrt().item(), rel=0.02)
    assert representation_std(unit(z.T[None])) < 0.1 * representation_std(unit(before.T[None]))


def test_a_mean_shift_needs_a_bias(unchecked):
    with pytest.raises(ValueError, match="ends in an affine layer with a bias, or that and a ReLU"):
        mean_shift_(nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU()), torch.rand(3, 4))


@pytest.mark.parametrize("activation", ["linear", "relu", "gelu", "swish"])
def test_pseudo_collapse_collapses_no_representation(activation):
    of = sizes(activation)
    plain, shrunk = members(of, alpha=1.0), members(of, alpha=0.1)
    x = next(views()).double()
    program = Program(plain[0])
    std = [representation_std(unit(program.outputs(program.pack(m, torch.float64), x).h)) for m in (plain, shrunk)]
    if activation in ("linear", "relu"):  # homogeneous: unit outputs are the same
        torch.testing.assert_close(*std, atol=1e-12, rtol=1e-9)
    assert (std[1] > 0.5 * std[0]).all()


def test_settings_that_make_no_sense_are_refused(unchecked):
    with pytest.raises(ValueError, match="a linear head has no batch norms"):
        Sizes(activation="linear", norm=True)
    with pytest.raises(ValueError, match="widths >= 1"):
        Sizes(backbone=())
