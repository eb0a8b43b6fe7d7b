"""The effective Hessian against autodiff and finite differences."""

import copy

import pytest
import torch
from lightly.models.modules import SimCLRProjectionHead
from small_heads import draws, largest, normal, simsiam
from torch import nn
from torch.func import hessian

from proj_heads import hessian as module
from proj_heads.affine_stack import affine_stack
from proj_heads.heads import build_head, pseudo_collapse_
from proj_heads.hessian import effective_hessian
from proj_heads.lanczos import hessian_product
from proj_heads.losses import CrossEntropy, NegativeCosine, SquaredError

ACTIVATIONS = ["linear", "relu", "gelu", "swish"]
LOSSES = {
    "squared": SquaredError,
    "cosine": NegativeCosine,
    "cross_entropy": lambda c: CrossEntropy(c.softmax(1), 0.3),
    "any": lambda c: lambda h: (h.sin() * c.to(h)).sum(1) + h.pow(4).sum(1),
}


def by_torch_func(head, z, loss_of, target):
    """Sample by sample, the Hessian of everything at once."""

    def value(x, c):
        loss = loss_of(c[None])
        return (loss(head(x[None])) if callable(loss) else loss.value(head(x[None])))[0]

    return torch.stack([hessian(value)(x, c) for x, c in zip(z, target, strict=True)]).detach()


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


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU, nn.ELU])  # ELU: by autodiff
def test_layers_that_work_in_place_change_nothing(activation, norm):
    def head(inplace):
        torch.manual_seed(0)
        norms = [[nn.BatchNorm1d(size)] if norm else [] for size in (9, 12)]
        first, second = activation(inplace=inplace), activation(inplace=inplace)
        layers = [first, nn.Linear(6, 9), *norms[0], second, nn.Linear(9, 12), *norms[1]]
        return nn.Sequential(*layers).double().eval()

    z, target = normal(4, 6), normal(4, 12, seed=1)
    before = z.clone()
    found = effective_hessian(head(True), z, SquaredError(target)).total
    expected = by_torch_func(head(False), z, SquaredError, target)
    assert torch.equal(z, before) and largest(found - expected) <= 1e-13 * largest(expected)


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


class _Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


MIXING = {
    "a head": (nn.Sequential(nn.Linear(6, 12), _Centred()).double(), lambda h: h.square().sum(1), "head mixes"),
    "a head, two samples": (_Centred(), lambda h: h.square().sum(1), "head mixes"),
    "a loss": (simsiam("swish"), lambda h: (h - h.mean(0)).square().sum(1), "loss mixes"),
    "a mean": (simsiam("swish"), lambda h: h.square().mean(), r"gave shape \(\) for 4 samples: return one number for"),
    "no sum": (simsiam("swish"), lambda h: h, r"gave shape \(4, 12\) for 4 samples"),
}


@pytest.mark.parametrize("name", MIXING)
def test_losses_and_heads_that_mix_samples_are_found_out(name):
    head, loss, message = MIXING[name]
    with pytest.raises(ValueError, match=message):
        effective_hessian(head, normal(4, 6), loss)


def test_a_head_that_is_not_finite_is_not_said_to_mix_samples():
    head = nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12)).double()
    nn.init.constant_(head[0].weight, float("nan"))
    assert effective_hessian(head, normal(4, 6), lambda h: h.square().sum(1)).total.isnan().all()


def test_sizes_that_do_not_fit_are_named(unchecked):
    with pytest.raises(ValueError, match=r"z has shape \(6,\); give \(batch, d\), z\[None\] for a single sample"):
        effective_hessian(simsiam("swish"), normal(6), SquaredError(normal(1, 12)))
    with pytest.raises(ValueError, match="z has 5 columns, but the head takes 6"):
        effective_hessian(simsiam("swish"), normal(4, 5), SquaredError(normal(4, 12)))
    with pytest.raises(ValueError, match=r"targets are \(3, 12\), outputs \(4, 12\)"):
        effective_hessian(simsiam("swish"), normal(4, 6), SquaredError(normal(3, 12)))


def test_pseudo_collapse_scales_the_hessian_of_a_homogeneous_head():
    """alpha on each of the D maps of a ReLU head: h scales by alpha^D, H under the cosine does not change."""
    head, z, target = simsiam("relu"), normal(4, 6), normal(4, 12, seed=1)
    before = effective_hessian(head, z, NegativeCosine(target)).total
    after = effective_hessian(pseudo_collapse_(copy.deepcopy(head)), z, NegativeCosine(target)).total
    torch.testing.assert_close(before, after, rtol=1e-9, atol=1e-12)
