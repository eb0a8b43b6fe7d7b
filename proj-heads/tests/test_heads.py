"""Heads: their shape and start, the activations' derivatives, and what scaling the linear maps does to the output."""

import math

import pytest
import torch
from torch import nn

from proj_heads.heads import DERIVATIVES, MODULES, build_head, pseudo_collapse_
from proj_heads.seeds import generator

D, WIDTH, K = 5, 7, 3


def head(activation="swish", depth=2, norm=True, seed=0, d=D, width=WIDTH, k=K):
    return build_head(d, width, k, activation, depth, norm, generator(seed, "head"))


def kinds(module):
    return [type(part).__name__ for part in module]


# ---- structure


@pytest.mark.parametrize("activation", ["linear", "relu", "gelu", "swish"])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("norm", [True, False])
def test_a_head_has_so_many_bias_free_maps_of_the_widths_asked_for(activation, depth, norm):
    module = head(activation, depth, norm)
    maps = [part for part in module if isinstance(part, nn.Linear)]
    widths = [D, *[WIDTH] * (depth - 1), K]
    assert [(part.in_features, part.out_features) for part in maps] == list(zip(widths, widths[1:], strict=False))
    assert all(part.bias is None for part in maps)
    assert module(torch.randn(6, D)).shape == (6, K)


def test_activations_are_between_maps_and_batch_norms_after_each_map_the_last_one_included():
    assert kinds(head("relu", 3)) == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d",
    ]  # fmt: skip
    assert [part.num_features for part in head("relu", 3) if isinstance(part, nn.BatchNorm1d)] == [WIDTH, WIDTH, K]
    assert kinds(head("gelu", 2, norm=False)) == ["Linear", "GELU", "Linear"]
    assert kinds(head("swish", 1)) == ["Linear", "BatchNorm1d"]


@pytest.mark.parametrize("norm", [True, False])
def test_a_linear_head_is_one_matrix_without_batch_norms(norm):
    module = head("linear", 3, norm)
    assert kinds(module) == ["Linear"] * 3
    z = torch.randn(4, D, generator=generator(1))
    first, second, third = (part.weight for part in module)
    torch.testing.assert_close(module(z), z @ (third @ second @ first).T)


def test_a_two_map_head_is_its_formula():
    z = torch.randn(4, D, generator=generator(1), dtype=torch.float64)
    formulas = {
        "relu": lambda a: a.clamp_min(0),
        "swish": lambda a: a / (1 + torch.exp(-a)),
        "gelu": lambda a: a * (1 + torch.erf(a / math.sqrt(2))) / 2,
    }
    for activation, formula in formulas.items():
        module = head(activation, norm=False).double()
        first, second = module[0].weight, module[2].weight
        torch.testing.assert_close(module(z), formula(z @ first.T) @ second.T, rtol=1e-14, atol=1e-15)


# ---- initial values


def test_initial_values_are_uniform_within_one_over_the_root_of_the_fan_in():
    module = head(d=100, width=400, k=300)
    for linear in (part for part in module if isinstance(part, nn.Linear)):
        bound = linear.in_features**-0.5
        assert linear.weight.abs().max() <= bound and linear.weight.abs().max() > 0.999 * bound
        assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)  # of a uniform distribution
        assert abs(linear.weight.mean().item()) < 0.02 * bound


def test_the_range_is_that_of_torch():
    ours, theirs = head(d=100, width=50).state_dict()["0.weight"], nn.Linear(100, 50, bias=False).weight
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.05)
    assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.01)


def test_equal_seeds_give_equal_heads_and_others_different_ones():
    first, again, other = (head(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.isin(first["0.weight"], other["0.weight"]).any()
    assert not torch.isin(first["0.weight"][:, :K], first["3.weight"]).any()  # maps of a head are drawn one by one


def test_initial_values_do_not_depend_on_activation_and_norms():
    """So that heads of one seed differ in nothing but what they are compared for."""
    weights = [
        [part.weight for part in head(activation, norm=norm) if isinstance(part, nn.Linear)]
        for activation, norm in (("linear", False), ("relu", True), ("gelu", False))
    ]
    for first, second in weights[1:]:
        assert torch.equal(first, weights[0][0]) and torch.equal(second, weights[0][1])


# ---- derivatives


@pytest.mark.parametrize("module", [nn.Identity, nn.ReLU, nn.GELU, nn.SiLU])
def test_derivatives_are_those_of_autograd(module):
    x = torch.cat([torch.linspace(-8, 8, 161), torch.tensor([-40.0, 40.0])]).double()
    x = x[x != 0].requires_grad_()  # ReLU has no derivative at 0
    (first,) = torch.autograd.grad(module()(x).sum(), x, create_graph=True)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), x, allow_unused=True)
    else:
        second = None
    second = torch.zeros_like(x) if second is None else second
    torch.testing.assert_close(DERIVATIVES[module].first(x), first, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(DERIVATIVES[module].second(x), second, rtol=1e-11, atol=1e-13)
    assert DERIVATIVES[module].first(x.float()).dtype == torch.float32


def test_second_derivatives_are_differences_of_first_ones():
    x, step = torch.linspace(-4, 4, 80).double(), 1e-5  # none within a step of 0
    for first, second in DERIVATIVES.values():
        difference = (first(x + step) - first(x - step)) / (2 * step)
        torch.testing.assert_close(second(x), difference, rtol=1e-6, atol=1e-8)


def test_every_activation_of_a_head_has_derivatives():
    assert set(MODULES.values()) | {nn.Identity} == set(DERIVATIVES)


# ---- pseudo-collapse


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


def outputs(activation, alpha, norm=False):
    """Unit outputs of a head before and after its maps are scaled, and the heads' outputs themselves."""
    z = 3 * torch.randn(50, 16, generator=generator(1), dtype=torch.float64)
    module = head(activation, 3, norm, d=16, width=32, k=8).double()
    before = module(z)
    assert pseudo_collapse_(module, alpha) is module
    return before, module(z)


@pytest.mark.parametrize("alpha", [0.1, 0.01, 5.0])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_scaling_changes_no_direction_of_a_homogeneous_heads_output(activation, alpha):
    before, after = outputs(activation, alpha)
    torch.testing.assert_close(after, alpha**3 * before, rtol=1e-10, atol=0)  # one factor a map
    torch.testing.assert_close(unit(after), unit(before), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["gelu", "swish"])
def test_scaling_moves_a_smooth_head_into_its_linear_regime(activation):
    before, after = outputs(activation, 1e-3)
    assert (unit(after) - unit(before)).norm(dim=1).median() > 0.1
    linear = head("linear", 3, d=16, width=32, k=8).double()  # equal weights
    z = 3 * torch.randn(50, 16, generator=generator(1), dtype=torch.float64)
    torch.testing.assert_close(unit(after), unit(linear(z)), rtol=0, atol=0.01)  # s(a) = a / 2 + ... near 0


def test_behind_a_batch_norm_scaling_changes_next_to_nothing():
    before, after = outputs("relu", 0.1, norm=True)
    assert (unit(after) - unit(before)).norm(dim=1).max() < 0.05  # but for the eps in the batch norm


def test_scaling_leaves_biases_and_batch_norms_as_they_are():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 2)))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    pseudo_collapse_(module, 0.25)
    for name, value in module.state_dict().items():
        scaled = name in ("0.weight", "2.0.weight")
        assert torch.equal(value, before[name] * 0.25 if scaled else before[name]), name


# ---- errors


def test_an_unknown_activation_says_which_there_are(unchecked):
    with pytest.raises(ValueError, match="unknown activation 'tanh': choose from linear, relu, gelu, swish"):
        build_head(4, 4, 4, "tanh")


@pytest.mark.parametrize("sizes", [(0, 4, 4, 2), (4, 0, 4, 2), (4, 4, 0, 2), (4, 4, 4, 0)])
def test_sizes_below_one_are_refused(sizes):
    d, width, k, depth = sizes
    with pytest.raises(ValueError, match=f"d = {d}, width = {width}, k = {k}, depth = {depth}: choose numbers >= 1"):
        build_head(d, width, k, depth=depth)
