"""Counts of negative eigenvalues, critical residuals, and the probe that measures them during training."""

import pytest
import torch
from small_heads import draws, largest, normal, simsiam
from torch import nn

from proj_heads.heads import build_head
from proj_heads.hessian import HessianProbe, count_negative, critical_residual, effective_hessian, spectrum
from proj_heads.losses import NegativeCosine, SquaredError

ACTIVATIONS = ["linear", "relu", "gelu", "swish"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_only_smooth_heads_add_negative_eigenvalues_to_those_of_the_loss(activation):
    head, z, target = simsiam(activation, d=16, width=48, k=32, hidden=24), normal(20, 16), normal(20, 32, seed=1)
    squared = spectrum(effective_hessian(head, z, SquaredError(20 * target)))
    cosine = spectrum(effective_hessian(head, z, NegativeCosine(target)))
    assert (squared.metric_negative == 0).all()
    smooth = activation in ("gelu", "swish")
    assert (squared.negative > 0).all() if smooth else (squared.negative == 0).all()
    assert (squared.critical < 1).all() if smooth else squared.critical.isinf().all()
    assert (cosine.values[:, 0] < 0).all()  # the bare sign separates nothing
    if not smooth:
        assert torch.equal(cosine.negative, cosine.metric_negative) and not cosine.share.any()
    assert (cosine.metric_negative >= 1).all() and (cosine.critical == 0).all()


def test_counting_ignores_rounding_around_zero():
    values = torch.tensor([[-1.0, 0.0, 1.0], [-1e-12, 0.0, 1.0], [-2e-10, -2e-10, 1.0], [0.0, 0.0, 0.0]])
    assert count_negative(values, torch.full((4,), 1e-10)).tolist() == [1, 0, 2, 0]
    assert count_negative(1e-9 * values, torch.full((4,), 1e-19)).tolist() == [1, 0, 2, 0]
    assert count_negative(values, torch.tensor([1e-3, 1e-3, 1e-3, 0.0])).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_rounding_behind_a_nearly_dead_relu_head_is_not_counted(scale):
    """One unit is alive: the output keeps its direction whatever z is, and the terms of H cancel, but for rounding."""
    head = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 12, bias=False)).double()
    with torch.no_grad():
        head[0].weight.copy_(scale * normal(20, 6))
        head[0].bias.copy_(torch.tensor([100.0] + 19 * [-100.0]) * scale)
        head[2].weight.copy_(normal(12, 20, seed=1))
    found = effective_hessian(head, normal(8, 6, seed=2), NegativeCosine(normal(8, 12, seed=3)))
    assert 0 < largest(found.total) < 1e-14 * found.scale.min()  # H = 0
    seen = spectrum(found)
    assert (seen.values[:, 0] < 0).all()
    assert not seen.negative.any() and not seen.metric_negative.any() and seen.critical.isinf().all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_counts_do_not_depend_on_the_scale_of_the_loss(activation):
    """All terms of H, and its rounding, grow with it."""
    head, z, target = simsiam(activation), normal(8, 6), normal(8, 12, seed=1)
    plain, large = (
        spectrum(effective_hessian(head, z, lambda h, c=c: c * (h - target).square().sum(1) / 2)) for c in (1, 1e6)
    )
    assert torch.equal(plain.negative, large.negative) and torch.equal(plain.metric_negative, large.metric_negative)


def lowest(metric, interaction, t):
    return torch.linalg.eigvalsh(metric + t * interaction)[..., 0]


def test_semidefiniteness_ends_at_the_critical_residual():
    generator = draws()
    head = build_head(16, 64, 32, "swish", 2, False, generator).double()
    z, direction = normal(40, 16), nn.functional.normalize(normal(40, 32, seed=1))
    metric, interaction, _ = effective_hessian(head, z, SquaredError(head(z).detach() - direction))  # ||rho|| = 1
    t = critical_residual(metric, interaction)
    assert t.isfinite().all() and (t > 0.1).all() and (t < 20).all()
    at = [lowest(metric, interaction, s * t[:, None, None]) for s in (0.99, 1.0, 1.01)]
    assert (at[0] > 0).all() and (at[2] < 0).all() and largest(at[1]) < 1e-14


def test_a_narrow_head_is_unstable_for_any_residual():
    head = build_head(16, 64, 8, "swish", 2, False, draws()).double()
    z, rho = normal(20, 16), 1e-3 * nn.functional.normalize(normal(20, 8, seed=1))
    found = spectrum(effective_hessian(head, z, SquaredError(head(z).detach() - rho)))
    assert (found.critical == 0).all() and (found.negative > 0).all() and (found.metric_negative == 0).all()


@pytest.mark.parametrize(
    "metric, interaction, expected",
    [
        ([[2, 0], [0, 1]], [[-1, 0], [0, -1]], 1),
        ([[2, 0], [0, 1]], [[1, 0], [0, 3]], float("inf")),
        ([[2, 0], [0, 1]], [[0, 0], [0, 0]], float("inf")),
        ([[1, 0], [0, 0]], [[0, 0], [0, 0]], float("inf")),
        ([[1, 0], [0, -1]], [[0, 0], [0, 9]], 0),  # G itself is indefinite
        ([[1, 0], [0, 0]], [[5, 0], [0, -1]], 0),  # negative on the kernel
        ([[1, 0], [0, 0]], [[5, 1], [1, 0]], 0),  # coupled to the kernel
        ([[1, 0], [0, 0]], [[-2, 0], [0, 1]], 0.5),
        ([[1, 0], [0, 0]], [[-1, 1], [1, 1]], 0.5),  # Schur complement -1 - 1 = -2
        ([[0, 0], [0, 0]], [[1, 0], [0, 1]], float("inf")),
        ([[0, 0], [0, 0]], [[1, 0], [0, -1]], 0),
    ],
)
def test_critical_residuals_by_hand(metric, interaction, expected):
    metric, interaction = (torch.tensor([m], dtype=torch.float64) for m in (metric, interaction))
    assert critical_residual(metric, interaction).item() == pytest.approx(expected, rel=1e-12)
    if 0 < expected < float("inf"):
        assert lowest(metric, interaction, 0.99 * expected) >= 0 > lowest(metric, interaction, 1.01 * expected)
    rotation = torch.linalg.qr(normal(2, 2))[0]
    turned = [(rotation @ m @ rotation.T) for m in (metric, interaction)]
    assert critical_residual(*turned).item() == pytest.approx(expected, rel=1e-7)


# ---- the probe


def training(probe_every=None, norm=False):
    """Ten steps of SimSiam on fixed vectors; the probe if asked for."""
    projector, predictor = simsiam("swish", norm).float().train()
    probe = HessianProbe(nn.Sequential(projector, predictor), samples=3)
    optimiser = torch.optim.SGD([*projector.parameters(), *predictor.parameters()], 0.05, momentum=0.9)
    z1, z2 = normal(8, 6).float(), normal(8, 6, seed=1).float()
    for step in range(10):
        if probe_every and step % probe_every == 0:
            probe(step, z1, projector(z2))
        optimiser.zero_grad()
        loss = -torch.cosine_similarity(predictor(projector(z1)), projector(z2).detach()).mean()
        loss.backward()
        optimiser.step()
    return projector, predictor, probe, (z1, z2)


def test_a_probe_changes_nothing_in_training_and_keeps_a_history():
    plain, _, unused, _ = training()
    probed, predictor, probe, (z1, z2) = training(probe_every=5)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), probed.parameters(), strict=True))
    assert unused.history == [] and [row["step"] for row in probe.history] == [0, 5]
    target = probed(z2).detach()
    row = probe(10, z1, probed(z2))
    head = nn.Sequential(probed, predictor)
    for name, loss in (("cosine", NegativeCosine), ("squared", SquaredError)):
        seen = spectrum(effective_hessian(head, z1[:3], loss(target[:3])))
        assert row[f"{name}_negative"] == pytest.approx(seen.negative.double().mean().item())
        assert row[f"{name}_lowest"] == pytest.approx(seen.values[:, 0].mean().item())
        assert row[f"{name}_highest"] == pytest.approx(seen.values[:, -1].mean().item())
        assert row[f"{name}_below_zero"] == (seen.negative > 0).double().mean()
        assert row[f"{name}_metric_negative"] == seen.metric_negative.double().mean()
        assert row[f"{name}_share"] == pytest.approx(seen.share.mean().item()) and row[f"{name}_share"] > 0
    assert row["squared_metric_negative"] == 0 and probe.history[-1] is row


def test_a_probe_measures_batch_norms_in_evaluation_mode_and_puts_every_mode_back():
    projector, predictor, probe, (z1, z2) = training(norm=True)
    predictor[1].eval()
    modes = [part.training for part in probe.head.modules()]
    mean = projector[1].running_mean.clone()
    target = normal(8, 12, seed=2)
    row = probe(0, z1, target)
    assert [part.training for part in probe.head.modules()] == modes and not all(modes)
    assert torch.equal(projector[1].running_mean, mean)
    expected = spectrum(effective_hessian(probe.head.eval(), z1[:3], NegativeCosine(target[:3])))
    assert row["cosine_lowest"] == expected.values[:, 0].mean()
    probe.head.train()
    with pytest.raises(ValueError, match="targets are"):
        probe(1, z1, torch.ones(8, 13))
    assert all(part.training for part in probe.head.modules())


def test_a_probe_outlives_a_training_that_has_diverged():
    head = simsiam("relu").float()
    with torch.no_grad():
        head[0][0].weight.fill_(float("inf"))
    row = HessianProbe(head)(3, normal(4, 6).float(), normal(4, 12).float())
    assert row.pop("step") == 3 and len(row) == 14 and all(value != value for value in row.values())
    with pytest.raises(ValueError, match="samples = 0; choose at least 1"):
        HessianProbe(head, samples=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_spectrum_of_what_is_not_finite_is_refused(bad):
    z = normal(4, 6)
    z[2, 3] = bad
    with pytest.raises(ValueError, match="H has NaN or infinite entries: look for them in z and in the weights"):
        spectrum(effective_hessian(simsiam("swish"), z, SquaredError(normal(4, 12))))


def test_a_probe_outlives_a_head_whose_output_is_zero():
    """It has no cosine to its target; under the squared error all is well."""
    head = simsiam("relu").float()
    with torch.no_grad():
        head[1][2].weight.zero_()
    row = HessianProbe(head)(3, normal(4, 6).float(), normal(4, 12).float())
    unknown = {name for name, value in row.items() if value != value}
    assert unknown == {name for name in row if name.startswith("cosine")} and len(unknown) == 7
    assert row["squared_negative"] == row["squared_below_zero"] == 0 and row["squared_critical"] == float("inf")


def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle():
    head, z, target = simsiam("swish", d=16, width=48, k=32, hidden=24), normal(2, 16), 20 * normal(2, 32, seed=1)
    row = HessianProbe(head)(0, z, target)
    both = spectrum(effective_hessian(head, z, SquaredError(target))).critical
    assert 0 < both.min() < both.max() < float("inf")
    assert row["squared_critical"] == pytest.approx(both.mean().item())
