"""Hessians at exact collapse: closed forms against autodiff of lightly's losses; the linearised stop-gradient field."""

import copy

import pytest
import torch
from lightly.loss import NTXentLoss, VICRegLoss
from torch import nn

from proj_heads.collapse_spectra import (
    LEVELS,
    abscissa,
    at_collapse,
    eigenvalues_of,
    equilibrate_,
    info_nce_levels,
    initial_growth,
    linearise,
    negative_cosine_levels,
    nt_xent_levels,
    published_loss,
    simsiam_field,
    simsiam_linearisation,
    vicreg_levels,
)
from proj_heads.heads import build_head
from proj_heads.losses import info_nce

ACTIVATIONS = ["linear", "relu", "gelu", "swish"]


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=draws(seed), dtype=torch.float64)


def largest(x):
    return x.abs().max().item()


@pytest.mark.parametrize("n, k", [(2, 2), (5, 4), (4, 7)])
@pytest.mark.parametrize("objective", LEVELS)
def test_closed_forms_are_the_spectra_of_the_published_losses(objective, n, k):
    point = 3 * normal(k)
    found = at_collapse(published_loss(objective), point, n)
    expected = eigenvalues_of(LEVELS[objective](n, k, point.norm().item()))
    assert len(expected) == 2 * n * k
    assert largest(torch.linalg.eigvalsh(found.hessian) - expected) < 1e-12 * largest(expected)
    assert largest(found.gradient) < 1e-13  # rho = 0: theorem 4.1 has nothing to say


@pytest.mark.parametrize(
    "loss, levels",
    [
        (lambda a, b: info_nce(a, b, 0.7), lambda n, k, r: info_nce_levels(n, k, r, 0.7)),
        (NTXentLoss(0.2), lambda n, k, r: nt_xent_levels(n, k, r, 0.2)),
        (VICRegLoss(3.0, 2.0, eps=0.04), lambda n, k, r: vicreg_levels(n, k, r, 3.0, 2.0, 0.04)),
    ],
)
def test_closed_forms_follow_the_parameters(loss, levels):
    point = normal(4)
    found = torch.linalg.eigvalsh(at_collapse(loss, point, 5).hessian)
    expected = eigenvalues_of(levels(5, 4, point.norm().item()))
    assert largest(found - expected) < 1e-12 * largest(expected)


def test_the_fact_sheets_lowest_eigenvalues():
    assert info_nce_levels(8, 5, 2.0)[0][:2] == (pytest.approx(-1 / (0.1 * 8 * 4)), 7 * 4)
    assert nt_xent_levels(8, 5, 2.0)[0].value == pytest.approx(-2 / (0.5 * 15 * 4))
    assert vicreg_levels(8, 5)[0].value == pytest.approx(-25 / (2 * 5 * 1e-2 * 7))
    assert min(level.value for level in negative_cosine_levels(8, 5)) == 0


@pytest.mark.parametrize("mode", ["shared", "views"])
@pytest.mark.parametrize("objective", LEVELS)
def test_modes_are_named_after_what_moves(objective, mode):
    n, k, point = 4, 3, torch.tensor([2.0, 0, 0], dtype=torch.float64)
    hessian = at_collapse(published_loss(objective), point, n).hessian
    values = {level.mode: level.value for level in LEVELS[objective](n, k, 2.0)}
    pattern, axis = torch.tensor([1.0, -1, 0, 0]).double(), torch.tensor([0.0, 1, 0]).double()  # zero mean, tangent
    direction = torch.stack([pattern, pattern if mode == "shared" else -pattern])[..., None] * axis
    direction = direction.flatten()
    expected = values.get(mode, 0.0) * direction
    assert largest(hessian @ direction - expected) < 1e-12 * max(1, largest(expected))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "objective, saddle", [("InfoNCE", True), ("NT-Xent", True), ("VICReg", True), ("SimSiam", False)]
)
def test_a_strict_saddle_of_the_loss_is_one_behind_every_head(objective, saddle, activation):
    head = build_head(5, 12, 4, activation, 2, False, draws()).double()
    point, n = normal(5), 4
    found = at_collapse(published_loss(objective), point, n, head)
    values = torch.linalg.eigvalsh(found.hessian)
    assert largest(found.gradient) < 1e-13
    assert (values[0] < -1e-3 * values[-1]) == saddle
    jacobian = torch.func.jacrev(lambda x: head(x[None])[0])(point).detach()
    lifted = torch.block_diag(*[jacobian] * (2 * n))
    outer = at_collapse(published_loss(objective), head(point[None])[0], n).hessian
    assert largest(found.hessian - lifted.T @ outer @ lifted) < 1e-12 * largest(values)  # no interaction term


def test_bad_sizes_and_names_are_refused():
    with pytest.raises(ValueError, match="n = 1, k = 4: choose at least 2 samples and 2 dimensions"):
        info_nce_levels(1, 4)
    with pytest.raises(ValueError, match="temperature = 0.0; choose a number > 0"):
        nt_xent_levels(4, 4, temperature=0.0)
    with pytest.raises(ValueError, match="eps = 1.0: the hinge is off at collapse; choose eps < 1"):
        vicreg_levels(4, 4, eps=1.0)
    with pytest.raises(ValueError, match="unknown objective 'BYOL': choose from InfoNCE, NT-Xent"):
        published_loss("BYOL")
    with pytest.raises(ValueError, match="one sample has no differences"):
        linearise(lambda z: z, normal(3), 1)


# ---- the stop-gradient field


def pair(activation, hidden=9, seed=0):
    generator = draws(seed)
    projector = build_head(6, 20, 8, activation, 2, False, generator).double()
    return projector, build_head(8, hidden, 8, activation, 2, False, generator).double()


def test_the_field_is_simsiams_gradient_with_detached_targets():
    projector, predictor = pair("swish")
    z = normal(2, 4, 6).requires_grad_()
    p = projector(z.flatten(0, 1)).view(2, 4, 8)
    h = predictor(p.flatten(0, 1)).view(2, 4, 8)
    loss = (
        -(torch.cosine_similarity(h[0], p[1].detach()).mean() + torch.cosine_similarity(h[1], p[0].detach()).mean()) / 2
    )
    (gradient,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(simsiam_field(projector, predictor)(z.detach()), -gradient, rtol=0, atol=1e-15)


@pytest.mark.parametrize("state", ["drawn", "equilibrium"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linearisation_is_the_one_of_finite_differences_and_of_the_closed_form(activation, state):
    projector, predictor = pair(activation, 30)
    point, n = normal(6), 3
    if state == "equilibrium":
        equilibrate_(projector, predictor, point)
    field = simsiam_field(projector, predictor)
    found, closed = linearise(field, point, n), simsiam_linearisation(projector, predictor, point, n)
    size = max(largest(found.within), largest(found.across))
    for one, two in zip(found, closed, strict=True):
        assert largest(one - two) < 1e-12 * size
    z, step = point.expand(2, n, -1).clone(), 1e-5
    pattern = torch.tensor([2.0, -1, -1]).double()  # any pattern with sum zero is an eigenvector over the samples
    for sign, block in ((1, found.shared), (-1, found.views)):
        for axis in torch.eye(6, dtype=torch.float64)[::3]:
            moved = step * torch.stack([torch.outer(pattern, axis), sign * torch.outer(pattern, axis)])
            change = (field(z + moved) - field(z - moved)) / (2 * step)
            expected = torch.outer(pattern, block @ axis)
            assert largest(change - torch.stack([expected, sign * expected])) < 1e-8 * size


def test_the_whole_derivative_has_these_blocks_and_no_others():
    projector, predictor = pair("swish")
    point, n = normal(6), 3
    field = simsiam_field(projector, predictor)
    z = point.expand(2, n, -1).contiguous()
    whole = torch.func.jacfwd(field)(z).reshape(36, 36)
    found = linearise(field, point, n)
    blocks = torch.cat([torch.linalg.eigvals(found.shared), torch.linalg.eigvals(found.views)])
    expected = torch.cat([blocks] * n)  # samples do not meet without batch norm: the mean mode has the same blocks
    values = torch.linalg.eigvals(whole)
    assert largest(torch.sort(values.real).values - torch.sort(expected.real).values) < 1e-10


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_without_a_predictor_differences_between_samples_are_neutral(activation):
    projector, _ = pair(activation)
    found = linearise(simsiam_field(projector, nn.Identity()), normal(6), 4)
    assert largest(found.shared) < 1e-14 * largest(found.within) and largest(found.within) > 1e-4
    assert abscissa(found.views) < 1e-12  # and the views come together


def test_a_linear_predictor_lets_directions_grow_that_it_shrinks():
    """x (1 - x) / (2 N ||p||^2) for eigenvalue x of a symmetric predictor that keeps p_0: linear, and escaping."""
    n, ratios = 5, torch.tensor([1.0, 0.5, 0.9, 1.5, -0.5], dtype=torch.float64)
    predictor = nn.Sequential(nn.Linear(5, 5, bias=False)).double()
    with torch.no_grad():
        predictor[0].weight.copy_(torch.diag(ratios))
    point = torch.tensor([2.0, 0, 0, 0, 0], dtype=torch.float64)
    field = simsiam_field(nn.Identity(), predictor)
    found = linearise(field, point, n)
    rates = ratios * (1 - ratios) / (2 * n * 4)
    torch.testing.assert_close(found.shared.diagonal(), rates, rtol=0, atol=1e-16)
    assert abscissa(found.shared) == pytest.approx(0.25 / 40, rel=1e-12)
    assert largest(field(point.expand(2, n, -1).contiguous())) < 1e-16  # a rest point, and unstable
    frozen = torch.linalg.eigvalsh(found.within)
    assert frozen[-1] < 1e-16  # one sample's effective Hessian is semidefinite there: it sees nothing of this


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equilibrium_is_a_rest_point_reached_by_the_last_map_alone(activation):
    projector, predictor = pair(activation, 30)
    before, point = copy.deepcopy(predictor), normal(6)
    assert equilibrate_(projector, predictor, point) is predictor
    p = projector(point[None])
    torch.testing.assert_close(predictor(p), p, rtol=0, atol=1e-14)
    assert torch.equal(before[0].weight, predictor[0].weight)
    change = predictor[-1].weight - before[-1].weight
    assert torch.linalg.matrix_rank(change.detach(), rtol=1e-9) == 1
    field = simsiam_field(projector, predictor)
    assert largest(field(point.expand(2, 3, -1).contiguous())) < 1e-14
    with pytest.raises(ValueError, match="the predictor must end in a linear map"):
        equilibrate_(projector, nn.Sequential(nn.Linear(8, 8), nn.ReLU()), point)


@pytest.mark.parametrize("objective", ["InfoNCE", "VICReg"])
def test_gradient_fields_grow_at_the_rate_of_the_lowest_eigenvalue(objective):
    loss, point = published_loss(objective), normal(4)
    found = linearise(torch.func.grad(lambda z: -loss(z[0], z[1])), point, 5)
    lowest = LEVELS[objective](5, 4, point.norm().item())[0].value
    assert abscissa(found.shared) == pytest.approx(-lowest, rel=1e-12)
    assert initial_growth(found.shared) == pytest.approx(-lowest, rel=1e-12)


def test_growth_rates_of_a_matrix_that_is_not_normal():
    matrix = torch.tensor([[-1.0, 10.0], [0.0, -2.0]])
    assert abscissa(matrix) == pytest.approx(-1) and initial_growth(matrix) == pytest.approx(-1.5 + 0.5 * 101**0.5)
    turning = torch.tensor([[0.5, -3.0], [3.0, 0.5]])
    assert abscissa(turning) == pytest.approx(0.5)
