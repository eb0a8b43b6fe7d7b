"""The effective Hessian against autodiff and finite differences; counts, critical residuals, the probe, Lanczos."""

import copy

import pytest
import torch
from lightly.models.modules import SimCLRProjectionHead
from torch import nn
from torch.func import hessian

from proj_heads import hessian as module
from proj_heads.affine_stack import affine_stack
from proj_heads.heads import build_head, pseudo_collapse_
from proj_heads.hessian import (
    HessianProbe,
    count_negative,
    critical_residual,
    effective_hessian,
    spectrum,
)
from proj_heads.lanczos import extreme_eigenvalues, hessian_product
from proj_heads.losses import CrossEntropy, NegativeCosine, SquaredError

ACTIVATIONS = ["linear", "relu", "gelu", "swish"]
LOSSES = {
    "squared": SquaredError,
    "cosine": NegativeCosine,
    "cross_entropy": lambda c: CrossEntropy(c.softmax(1), 0.3),
    "any": lambda c: lambda h: (h.sin() * c.to(h)).sum(1) + h.pow(4).sum(1),
}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=draws(seed), dtype=torch.float64)


def simsiam(activation, norm=False, d=6, width=20, k=12, hidden=9, seed=0):
    """Projector and predictor, batch norms with statistics and weights of their own."""
    generator = draws(seed)
    head = nn.Sequential(
        build_head(d, width, k, activation, 2, norm, generator),
        build_head(k, hidden, k, activation, 2, norm, generator),
    )
    for part in head.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.2, 2, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(part.bias, generator=generator)
    return head.double().eval()


def by_torch_func(head, z, loss_of, target):
    """Sample by sample, the Hessian of everything at once."""

    def value(x, c):
        loss = loss_of(c[None])
        return (loss(head(x[None])) if callable(loss) else loss.value(head(x[None])))[0]

    return torch.stack([hessian(value)(x, c) for x, c in zip(z, target, strict=True)]).detach()


def largest(x):
    return x.abs().max().item()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_closed_form_is_the_hessian_that_torch_func_finds(activation, norm, loss):
    head, z, target = simsiam(activation, norm), normal(4, 6), normal(4, 12, seed=1)
    found = effective_hessian(head, z, LOSSES[loss](target))
    expected = by_torch_func(head, z, LOSSES[loss], target)
    assert largest(found.total - expected) <= 1e-13 * largest(expected)
    if activation in ("linear", "relu"):
        assert not found.interaction.any()  # exactly
    else:
        assert largest(found.interaction) > 1e-4 * largest(expected)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [3, 30])
def test_any_depth_and_wide_or_narrow_outputs(depth, k):
    head = build_head(5, 11, k, "swish", depth, False, draws()).double()
    z, target = normal(3, 5), normal(3, k, seed=1)
    for loss in ("cosine", "cross_entropy"):
        expected = by_torch_func(head, z, LOSSES[loss], target)
        found = effective_hessian(head, z, LOSSES[loss](target))
        assert largest(found.total - expected) <= 1e-13 * largest(expected)


def test_the_split_is_the_one_of_equation_1():
    head, z, target = simsiam("gelu"), normal(1, 6), normal(1, 12, seed=1)
    loss = NegativeCosine(target)
    h, jacobian = head(z), torch.func.jacrev(lambda x: head(x[None])[0])(z[0])
    found = effective_hessian(head, z, loss)
    torch.testing.assert_close(found.metric[0], jacobian.T @ loss.hessian(h)[0] @ jacobian, rtol=0, atol=1e-15)
    second = hessian(lambda x: head(x[None])[0])(z[0])  # (k, d, d)
    expected = torch.einsum("k,kij->ij", loss.gradient(h)[0], second)
    torch.testing.assert_close(found.interaction[0], expected, rtol=0, atol=1e-15)


def test_central_differences_of_the_gradient_agree():
    head, z, target = simsiam("swish"), normal(1, 6), normal(1, 12, seed=1)

    def slope(x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(NegativeCosine(target).value(head(x)).sum(), x)[0][0]

    step = 1e-5
    differences = [(slope(z + step * e) - slope(z - step * e)) / (2 * step) for e in torch.eye(6, dtype=z.dtype)]
    total = effective_hessian(head, z, NegativeCosine(target)).total[0]
    assert largest(torch.stack(differences) - total) < 1e-8 * largest(total)


OTHER_HEADS = {
    "biases": lambda: nn.Sequential(nn.Linear(6, 9), nn.SiLU(), nn.Linear(9, 12)),
    "activation first": lambda: nn.Sequential(nn.SiLU(), nn.Linear(6, 12, bias=False)),
    "activation last": lambda: nn.Sequential(nn.Linear(6, 12), nn.GELU()),
    "two activations": lambda: nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.SiLU(), nn.BatchNorm1d(12)),
    "batch norm first": lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 12), nn.Identity()),
    "identity": lambda: nn.Sequential(nn.Identity()),
    "one map": lambda: nn.Linear(6, 12),
}
BY_AUTODIFF = {
    "tanh": lambda: nn.Sequential(nn.Linear(6, 12), nn.Tanh()),
    "GELU by tanh": lambda: nn.Sequential(nn.Linear(6, 12), nn.GELU(approximate="tanh")),
    "lightly": lambda: SimCLRProjectionHead(6, 9, 12),
    "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 12)), nn.SiLU()),
    "layer norm": lambda: nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12)),
}


@pytest.mark.parametrize("name", [*OTHER_HEADS, *BY_AUTODIFF])
def test_other_heads_have_the_hessian_that_torch_func_finds(name):
    torch.manual_seed(0)
    head = (OTHER_HEADS | BY_AUTODIFF)[name]().double().eval()
    assert (affine_stack(head, 6) is None) == (name in BY_AUTODIFF)
    z = normal(3, 6)
    target = normal(3, head(z).shape[1], seed=1)
    for loss in LOSSES.values():
        expected = by_torch_func(head, z, loss, target)
        assert largest(effective_hessian(head, z, loss(target)).total - expected) <= 1e-13 * largest(expected)


def test_hooks_send_a_head_to_autodiff():
    head = nn.Sequential(nn.Linear(6, 12), nn.SiLU()).double()
    head[0].register_forward_hook(lambda _, args, out: 2 * out)
    z, target = normal(3, 6), normal(3, 12, seed=1)
    assert affine_stack(head, 6) is None
    expected = by_torch_func(head, z, SquaredError, target)
    assert largest(effective_hessian(head, z, SquaredError(target)).total - expected) <= 1e-13 * largest(expected)


def test_autodiff_and_closed_form_split_alike_and_in_chunks_of_any_size(monkeypatch):
    head, z, target = simsiam("swish", norm=True), normal(7, 6), normal(7, 12, seed=1)
    loss = NegativeCosine(target)
    whole = effective_hessian(head, z, loss)
    monkeypatch.setattr(module, "_CHUNK", {"cpu": 1})
    pieces = effective_hessian(head, z, loss)
    monkeypatch.setattr(module, "affine_stack", lambda head, d: None)
    by_autodiff = effective_hessian(head, z, loss)
    for one, two, three in zip(whole, pieces, by_autodiff, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-15)
        torch.testing.assert_close(one, three, rtol=0, atol=1e-14)


def test_a_float32_head_is_measured_in_float64_and_left_alone():
    head = simsiam("swish").float()
    before = copy.deepcopy(head.state_dict())
    z, target = normal(3, 6).float(), normal(3, 12, seed=1).float()
    found = effective_hessian(head, z, NegativeCosine(target))
    exact = effective_hessian(copy.deepcopy(head).double(), z.double(), NegativeCosine(target.double()))
    assert found.total.dtype == torch.float64 and torch.equal(found.total, exact.total)
    assert all(torch.equal(before[name], value) and value.dtype == before[name].dtype for name, value in
               head.state_dict().items())  # fmt: skip


@pytest.mark.parametrize("measure", [effective_hessian, hessian_product])
def test_heads_that_mix_samples_are_refused(measure):
    z, loss = normal(4, 6), SquaredError(normal(4, 12))
    with pytest.raises(ValueError, match="depend on the other samples: call head.eval()"):
        measure(simsiam("swish", norm=True).train(), z, loss)
    with pytest.raises(ValueError, match="keep track_running_stats"):
        measure(nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12, track_running_stats=False)).eval(), z, loss)
    with pytest.raises(ValueError, match="a dropout in training mode makes h\\(z\\) random: call head.eval()"):
        measure(nn.Sequential(nn.Linear(6, 12), nn.Dropout()), z, loss)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="z has 5 columns, but the head takes 6"):
        effective_hessian(simsiam("swish"), normal(4, 5), SquaredError(normal(4, 12)))
    with pytest.raises(ValueError, match=r"targets are \(3, 12\), outputs \(4, 12\)"):
        effective_hessian(simsiam("swish"), normal(4, 6), SquaredError(normal(3, 12)))


# ---- spectra


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
    assert count_negative(values).tolist() == [1, 0, 2, 0]
    assert count_negative(1e-9 * values).tolist() == [1, 0, 2, 0]
    assert count_negative(values, 1e-3).tolist() == [1, 0, 0, 0]


def lowest(metric, interaction, t):
    return torch.linalg.eigvalsh(metric + t * interaction)[..., 0]


def test_semidefiniteness_ends_at_the_critical_residual():
    generator = draws()
    head = build_head(16, 64, 32, "swish", 2, False, generator).double()
    z, direction = normal(40, 16), nn.functional.normalize(normal(40, 32, seed=1))
    metric, interaction = effective_hessian(head, z, SquaredError(head(z).detach() - direction))  # ||rho|| = 1
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
    with pytest.raises(ValueError):
        probe.head.train()
        probe(1, z1, torch.zeros(8, 12))
    assert all(part.training for part in probe.head.modules())


def test_a_probe_outlives_a_training_that_has_diverged():
    head = simsiam("relu").float()
    with torch.no_grad():
        head[0][0].weight.fill_(float("inf"))
    row = HessianProbe(head)(3, normal(4, 6).float(), normal(4, 12).float())
    assert row.pop("step") == 3 and len(row) == 12 and all(value != value for value in row.values())
    with pytest.raises(ValueError, match="samples = 0; choose at least 1"):
        HessianProbe(head, samples=0)


# ---- large nets


def naive_two_step(matvec, n, generator, steps=20):
    """The authors' estimate of lambda_min: power iteration on H, then on H - lambda_first I, in float32."""

    def iterate(product):
        v = torch.randn(n, generator=generator)
        for _ in range(steps):
            v = product(v)
            v = v / (v.norm() + 1e-8)
        return v @ product(v)

    first = iterate(matvec)
    return float(iterate(lambda v: matvec(v) - first * v) + first)


def dense(matrix):
    return lambda v: matrix.to(v) @ v


def test_lanczos_finds_a_negative_end_that_the_two_step_power_iteration_misses():
    matrix = torch.diag(torch.tensor([-3.0, 1.0, 2.0]))
    assert naive_two_step(dense(matrix), 3, draws()) == pytest.approx(2, abs=1e-2)  # claims lambda_min = +2
    found = extreme_eigenvalues(dense(matrix), 3, draws())
    assert found.lowest == pytest.approx(-3, abs=1e-12) and found.highest == pytest.approx(2, abs=1e-12)


def test_lanczos_sees_the_scale_of_a_collapsed_head_where_the_power_iteration_dies():
    basis = torch.linalg.qr(normal(60, 60))[0]
    matrix = 1e-10 * basis @ torch.diag(torch.linspace(-4.2, 1, 60, dtype=torch.float64)) @ basis.T
    assert abs(naive_two_step(dense(matrix), 60, draws())) < 1e-20  # "exactly zero"
    found = extreme_eigenvalues(dense(matrix), 60, draws())
    assert found.lowest == pytest.approx(-4.2e-10, rel=1e-8) and found.highest == pytest.approx(1e-10, rel=1e-8)


def test_lanczos_brings_certificates():
    matrix = normal(80, 80)
    matrix = matrix + matrix.T
    exact = torch.linalg.eigvalsh(matrix)
    found = extreme_eigenvalues(dense(matrix), 80, draws())
    assert found.lowest == pytest.approx(exact[0].item(), abs=found.lowest_residual + 1e-12)
    assert found.highest == pytest.approx(exact[-1].item(), abs=found.highest_residual + 1e-12)
    assert max(found.lowest_residual, found.highest_residual) < 1e-8 and 20 < found.products < 400
    again = extreme_eigenvalues(dense(matrix), 80, draws())
    assert again == found
    zero = extreme_eigenvalues(torch.zeros_like, 80, draws())
    assert zero[:4] == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="did not reach tolerance = 1e-14 in 1 restarts: raise either"):
        extreme_eigenvalues(dense(torch.diag(torch.linspace(0, 1, 2000) ** 9)), 2000, draws(), 1e-14, 1)
    with pytest.raises(ValueError, match="n = 0; choose the operator's size"):
        extreme_eigenvalues(dense(matrix), 0, draws())


@pytest.mark.parametrize("activation", ["linear", "swish"])
def test_products_with_the_batch_hessian_are_the_blocks_over_the_batch_size(activation):
    head, z, target = simsiam(activation), normal(5, 6), normal(5, 12, seed=1)
    loss = NegativeCosine(target)
    product = hessian_product(head, z, loss)
    v = normal(30, seed=3)
    blocks = torch.block_diag(*effective_hessian(head, z, loss).total) / 5
    torch.testing.assert_close(product(v), blocks @ v, rtol=0, atol=1e-15)
    torch.testing.assert_close(product(2 * v), 2 * product(v), rtol=0, atol=1e-15)
    values = torch.linalg.eigvalsh(blocks)
    found = extreme_eigenvalues(product, 30, draws())
    assert found.lowest == pytest.approx(values[0].item(), abs=1e-10)
    assert found.highest == pytest.approx(values[-1].item(), abs=1e-10)
    flat = hessian_product(nn.Sequential(nn.Linear(6, 12)).double(), z, lambda h: h.sum(1))
    assert not flat(v).any()  # linear in z


def test_the_power_iteration_reports_a_positive_lowest_eigenvalue_on_a_relu_head_at_its_start():
    """Its targets point away from the outputs, so the eigenvalue of largest size is the negative one."""
    head = simsiam("relu", d=16, width=48, k=32, hidden=24).float()
    product = hessian_product(head, normal(8, 16), NegativeCosine(-normal(8, 32, seed=1)))
    exact = extreme_eigenvalues(product, 128, draws())
    assert exact.lowest == pytest.approx(-0.0376, abs=1e-3) and exact.lowest_residual < 1e-10
    for seed in range(5):
        assert naive_two_step(lambda v: product(v.double()).to(v), 128, draws(seed)) > 0.02


def test_pseudo_collapse_scales_the_hessian_of_a_homogeneous_head():
    """alpha on each of the D maps of a ReLU head: h scales by alpha^D, H under the cosine does not change."""
    head, z, target = simsiam("relu"), normal(4, 6), normal(4, 12, seed=1)
    before = effective_hessian(head, z, NegativeCosine(target)).total
    after = effective_hessian(pseudo_collapse_(copy.deepcopy(head)), z, NegativeCosine(target)).total
    torch.testing.assert_close(before, after, rtol=1e-9, atol=1e-12)
