"""Whitening, curvature of loss metrics, approximation thresholds, invariance and Fisher information against oracles."""

import math

import pytest
import torch
from torch import nn

from proj_heads.conditioning import (
    best_constant_head,
    conditioning_error_bound,
    conditioning_thresholds,
    constant_head_floor,
    fisher_information,
    fisher_rank,
    fit_path,
    hessian_metric_riemann,
    isotropic_path,
    isotropy_error,
    metric_along,
    orbit_derivatives,
    sectional_curvature,
    whitening_head,
)
from proj_heads.heads import build_head
from proj_heads.hessian import effective_hessian
from proj_heads.losses import SquaredError


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=draws(seed), dtype=torch.float64)


def orthonormal(n, r, seed=0):
    return torch.linalg.qr(normal(n, r, seed=seed))[0]


def norm2(matrix):
    return torch.linalg.matrix_norm(matrix, 2).item()


# ---- theorem 3.1


@pytest.mark.parametrize("k, d, r", [(32, 16, 5), (8, 8, 8), (6, 12, 6), (12, 6, 1)])
def test_whitening_is_exact_on_the_subspace_and_zero_off_it(k, d, r):
    frame = orthonormal(k, r)
    hessian = frame @ torch.diag(torch.logspace(-2, 1, r, dtype=torch.float64)) @ frame.T
    basis = orthonormal(d, r, seed=1)
    head = whitening_head(hessian, basis)
    error = isotropy_error(hessian, head, basis)
    assert error.on < 1e-13 and error.off < 1e-13
    torch.testing.assert_close(head.T @ hessian @ head, basis @ basis.T, rtol=0, atol=1e-13)
    if d > r:  # not elsewhere
        other = orthonormal(d, r, seed=2)
        assert isotropy_error(hessian, head, other).on > 0.1
    assert isotropy_error(2 * hessian, head, basis).on == pytest.approx(1)  # nor for another loss Hessian


def test_isotropy_errors_are_the_two_norms():
    hessian, jacobian, basis = torch.diag(torch.tensor([3.0, 1.0])), torch.eye(2), torch.tensor([[1.0], [0.0]])
    assert isotropy_error(hessian, jacobian, basis) == (2, 1)
    coupled = torch.tensor([[1.0, 0.5], [0.5, 0.0]])
    assert isotropy_error(coupled, jacobian, basis) == pytest.approx((0, 0.5))


def test_what_cannot_be_whitened_is_refused():
    basis = orthonormal(4, 2)
    with pytest.raises(ValueError, match="the eigenvalue -1 < 0, and no real W whitens it"):
        whitening_head(torch.diag(torch.tensor([1.0, -1, 0])).double(), basis)
    with pytest.raises(ValueError, match="H_L has rank 3: give a basis of as many columns, not 2"):
        whitening_head(torch.eye(3).double(), basis)
    with pytest.raises(ValueError, match="not orthonormal: take the Q"):
        whitening_head(torch.diag(torch.tensor([1.0, 1, 0])).double(), 2 * basis)


# ---- proposition 3.3


def gaussian(u):
    return -(u[0] ** 2) / (4 * u[1]) - 0.5 * torch.log(-2 * u[1])


def softmax(u):
    return torch.log1p(u.exp().sum())


def separable(u):
    return u.cosh().sum()


def quadratic(u):
    return u @ torch.diag(torch.arange(1.0, len(u) + 1, dtype=u.dtype)) @ u / 2


def riemann_by_christoffel(metric, u):
    """R_ijkl = g(R(d_k, d_l) d_j, d_i) from the definition, by derivatives of the Christoffel symbols of any metric."""

    def christoffel(u):  # Gamma^i_jk
        slope = torch.func.jacfwd(metric)(u)  # d_k g_ij at [i, j, k]
        lowered = (
            slope.transpose(1, 2) + slope - slope.permute(2, 0, 1)
        ) / 2  # at [i, j, k]: d_j g_ik + d_k g_ij - d_i g_jk
        return torch.linalg.solve(metric(u), lowered.flatten(1)).view_as(lowered)

    gamma, bent = christoffel(u), torch.func.jacfwd(christoffel)(u)  # bent[i, j, l, k] = d_k Gamma^i_jl
    up = bent.transpose(2, 3) - bent + torch.einsum("ikm,mlj->ijkl", gamma, gamma)
    up = up - torch.einsum("ilm,mkj->ijkl", gamma, gamma)
    return torch.einsum("im,mjkl->ijkl", metric(u), up)


@pytest.mark.parametrize("potential", [gaussian, softmax, separable, quadratic])
def test_riemann_tensor_is_the_one_of_the_definition(potential):
    u = torch.tensor([0.3, -0.7], dtype=torch.float64)
    found = hessian_metric_riemann(potential, u)
    expected = riemann_by_christoffel(torch.func.hessian(potential), u)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    three = torch.tensor([0.3, -0.7, 0.5], dtype=torch.float64)
    if potential is not gaussian:
        expected = riemann_by_christoffel(torch.func.hessian(potential), three)
        torch.testing.assert_close(hessian_metric_riemann(potential, three), expected, rtol=0, atol=1e-13)


def test_riemann_tensor_has_its_symmetries():
    r = hessian_metric_riemann(softmax, normal(3))
    assert r.abs().max() > 1e-4
    torch.testing.assert_close(r, -r.transpose(0, 1), rtol=0, atol=1e-16)
    torch.testing.assert_close(r, -r.transpose(2, 3), rtol=0, atol=1e-16)
    torch.testing.assert_close(r, r.permute(2, 3, 0, 1), rtol=0, atol=1e-16)
    assert (r + r.permute(0, 2, 3, 1) + r.permute(0, 3, 1, 2)).abs().max() < 1e-16


@pytest.mark.parametrize(
    "potential, k, expected",
    [(gaussian, 2, -0.5), (softmax, 2, 0.25), (softmax, 4, 0.25), (separable, 3, 0), (quadratic, 3, 0)],
)
def test_known_losses_have_their_known_curvature_in_every_plane(potential, k, expected):
    for seed in range(5):
        u, x, y = normal(3, k, seed=seed)
        u = torch.stack([u[0], -u[1].exp()]) if potential is gaussian else u
        assert sectional_curvature(potential, u, x, y).item() == pytest.approx(expected, abs=1e-11)


def test_one_constant_head_for_two_hessians_cannot_beat_its_floor():
    first, second = (a @ a.T for a in (normal(3, 3), normal(3, 3, seed=1)))
    floor = constant_head_floor(first, second).item()
    assert floor > 1.5

    def worst(head):
        return max(torch.linalg.cond(head.T @ h @ head).item() for h in (first, second))

    best = best_constant_head(first, second)
    assert worst(best) == pytest.approx(floor, rel=1e-12)
    for seed in range(200):
        near = best @ (torch.eye(3).double() + 0.1 * normal(3, 3, seed=seed))
        assert worst(near) >= floor * (1 - 1e-12) and worst(normal(3, 3, seed=seed)) >= floor
    assert constant_head_floor(first, 5 * first) == pytest.approx(1)


def test_curvature_off_the_range_does_not_stop_a_head_of_low_rank():
    """R != 0, and yet W = e_3 is isotropic everywhere: proposition 3.3 is about heads of full rank."""

    def potential(u):
        return softmax(u[:2]) + u[2] ** 2 / 2

    head = torch.tensor([[0.0], [0], [1]], dtype=torch.float64)
    assert hessian_metric_riemann(potential, normal(3)).abs().max() > 1e-3
    for z in normal(10, 1):
        metric = head.T @ torch.func.hessian(potential)(head @ z) @ head
        assert metric.item() == pytest.approx(1, abs=1e-14)


# ---- theorem 3.2


@pytest.mark.parametrize("potential", [gaussian, softmax])
def test_outputs_and_jacobians_of_the_path_agree_and_make_the_metric_the_identity(potential):
    path = isotropic_path(potential, torch.tensor([0.3, -0.7], dtype=torch.float64), 0.5)
    for u, jacobian in zip(path.outputs[::40], path.jacobians[::40], strict=True):
        metric = jacobian.T @ torch.func.hessian(potential)(u) @ jacobian
        torch.testing.assert_close(metric, torch.eye(2).double(), rtol=0, atol=1e-13)
    step = path.times[1] - path.times[0]
    slope = (path.outputs[2:] - path.outputs[:-2]) / (2 * step)
    assert (slope - path.jacobians[1:-1, :, 0]).abs().max() < 1e-3
    coarse = isotropic_path(potential, path.outputs[0], 0.5, 100)
    assert (coarse.outputs[-1] - path.outputs[-1]).abs().max() < 1e-9  # fourth order
    with pytest.raises(ValueError, match="length = 9: the path runs into the edge of the loss's domain"):
        isotropic_path(softmax, path.outputs[0], 9.0)


def test_a_wider_mlp_is_nearer_to_isotropy_along_the_path_than_any_constant_head():
    start = torch.tensor([0.3, -0.7], dtype=torch.float64)
    path, errors = isotropic_path(softmax, start, 1.0), {}
    z = nn.functional.pad(torch.rand(50, 1, generator=draws(), dtype=torch.float64), (0, 1))
    for width in (4, 16, 64):
        head = fit_path(path, width, draws())
        metric = effective_hessian(head, z, lambda h: torch.log1p(h.exp().sum(1))).metric
        errors[width] = torch.linalg.matrix_norm(metric - torch.eye(2).double(), 2).max().item()
    assert errors[64] < 1e-4 < errors[4] and errors[64] < errors[16] < 0.1
    ends = [torch.func.hessian(softmax)(path.outputs[end]) for end in (0, -1)]
    assert constant_head_floor(*ends) > 1.3  # what any constant W must leave


# ---- proposition 3.4 and corollary 3.5


def test_the_error_bound_holds_and_is_attained():
    for seed in range(300):
        hessian, target, error = normal(6, 6, seed=seed), normal(6, 4, seed=seed + 1), 0.3 * normal(6, 4, seed=seed + 2)
        hessian = hessian + hessian.T
        moved = (target + error).T @ hessian @ (target + error) - target.T @ hessian @ target
        assert norm2(moved) <= conditioning_error_bound(norm2(error), norm2(target), norm2(hessian))
    one = torch.ones(1, 1).double()
    moved = (2 * one + 0.5 * one).T @ (3 * one) @ (2 * one + 0.5 * one) - 4 * 3 * one
    assert norm2(moved) == pytest.approx(conditioning_error_bound(0.5, 2.0, 3.0), rel=1e-15)


def test_thresholds_are_ordered_and_solve_their_equations():
    for lowest, jacobian, hessian in [(0.1, 2.0, 3.0), (12.0, 2.0, 3.0), (1e-12, 1.0, 1.0)]:
        found = conditioning_thresholds(lowest, jacobian, hessian)
        assert found.bound < found.paper < found.semidefinite <= jacobian * (1 + 1e-15)
        assert conditioning_error_bound(found.bound, jacobian, hessian) == pytest.approx(lowest, rel=1e-12)
        assert 2 * jacobian * hessian * found.paper == pytest.approx(lowest, rel=1e-12)
        assert hessian * found.semidefinite**2 == pytest.approx(lowest, rel=1e-12)


def test_corollary_holds_for_indefinite_losses_although_the_bound_does_not_give_it():
    """x'Hx with H = diag(1, -1), x = J* = (1, 0)': J_phi = (1 - a, b)' loses positivity at eps = 1/sqrt(2) at first."""
    found = conditioning_thresholds(1.0, 1.0, 1.0)
    breaking = math.sqrt(0.5)
    assert found.bound < found.paper == 0.5 < breaking < found.semidefinite  # the last one needs H_L >= 0
    angles = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)
    for radius, safe in ((0.999 * breaking, True), (1.001 * breaking, False)):
        quadratic = (1 + radius * angles.cos()) ** 2 - (radius * angles.sin()) ** 2
        assert (quadratic.min() > 0) == safe


def test_the_semidefinite_threshold_is_sharp():
    """J* = diag(3, 1), H_L = I: an error of 1 kills the second direction."""
    assert conditioning_thresholds(1.0, 3.0, 1.0).semidefinite == 1.0


@pytest.mark.parametrize("wrong", [dict(lowest=0.0), dict(jacobian_norm=-1.0), dict(hessian_norm=math.nan)])
def test_bad_norms_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"{name} = .*; choose a number > 0"):
        conditioning_thresholds(**{"lowest": 1.0, "jacobian_norm": 1.0, "hessian_norm": 1.0} | wrong)
    with pytest.raises(ValueError, match="error = -0.1; choose a number >= 0"):
        conditioning_error_bound(-0.1, 1.0, 1.0)


# ---- section 5


class Invariant(nn.Module):
    """A head of |z_{1:2}|^2 and the other coordinates: it does not see rotations of the first two."""

    def __init__(self, d):
        super().__init__()
        self.head = build_head(d - 1, 20, d + 3, "swish", 2, False, draws()).double()

    def forward(self, z):
        return self.head(torch.cat([z[:, :2].square().sum(1, keepdim=True), z[:, 2:]], 1))


def turn(z, t):
    x, y = z[:, 0], z[:, 1]
    return torch.cat([torch.stack([x * t.cos() - y * t.sin(), x * t.sin() + y * t.cos()], 1), z[:, 2:]], 1)


def test_orbit_derivatives_of_a_rotation():
    z = normal(3, 5)
    found = orbit_derivatives(turn, z)
    tangent = torch.cat([torch.stack([-z[:, 1], z[:, 0]], 1), torch.zeros(3, 3)], 1)
    torch.testing.assert_close(found.tangent, tangent, rtol=0, atol=1e-15)
    torch.testing.assert_close(found.acceleration[:, :2], -z[:, :2], rtol=0, atol=1e-15)
    later = orbit_derivatives(turn, z, 0.5)
    torch.testing.assert_close(later.tangent, turn(tangent, torch.tensor(0.5).double()), rtol=0, atol=1e-15)


def test_an_invariant_head_has_a_singular_metric_along_the_orbit_and_no_singular_hessian():
    head, z = Invariant(5), normal(4, 5)
    assert (head(turn(z, torch.tensor(1.0).double())) - head(z)).abs().max() < 1e-15
    loss = SquaredError(normal(4, 8, seed=1))
    found, orbit = effective_hessian(head, z, loss), orbit_derivatives(turn, z)
    assert metric_along(found.metric, orbit.tangent).abs().max() < 1e-14
    along = torch.einsum("bi,bij,bj->b", orbit.tangent, found.interaction, orbit.tangent)
    slope = torch.func.grad(lambda x: loss.value(head(x)).sum())(z)
    torch.testing.assert_close(along, -(slope * orbit.acceleration).sum(1), rtol=0, atol=1e-14)
    assert along.abs().min() > 1e-3


def test_metric_along_is_one_on_average():
    metric = torch.diag(torch.tensor([1.0, 2, 3]))[None]
    directions = torch.eye(3)
    found = torch.cat([metric_along(metric, direction[None]) for direction in directions])
    assert found.tolist() == [0.5, 1, 1.5]
    assert metric_along(4 * metric, 7 * directions[:1]).item() == 0.5


def test_fisher_rank_falls_by_the_invariant_directions_that_carry_information():
    design = torch.cat([orthonormal(6, 6), torch.zeros(3, 6).double()])  # range: the first six axes of R^9
    for axes, lost in (((0, 1), 2), ((7, 8), 0), ((0, 8), 1)):
        rows = [axis for axis in range(9) if axis not in axes]
        head = normal(7, 7) @ torch.eye(9).double()[rows]  # kernel: the axes
        assert fisher_rank(fisher_information(design)) == 6
        assert fisher_rank(fisher_information(design, head)) == 6 - lost


def test_fisher_information_is_the_one_of_the_gaussian_likelihood():
    design, head = normal(9, 4), normal(3, 9, seed=1)
    expected = design.T @ head.T @ torch.linalg.inv(head @ head.T) @ head @ design
    torch.testing.assert_close(fisher_information(design, head), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(fisher_information(design, normal(9, 9)), fisher_information(design), rtol=0, atol=1e-11)
    repeated = torch.cat([head, head])  # W W' is singular: the pseudo-inverse
    torch.testing.assert_close(fisher_information(design, repeated), expected, rtol=0, atol=1e-13)
