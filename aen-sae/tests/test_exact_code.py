"""The exact coding map against third-party solvers, closed forms, its own certificate and the Lipschitz theorem."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import ElasticNet
from torch.nn.functional import normalize

from aen_sae.exact_code import (
    active_atoms,
    amortisation_gap,
    coding_map,
    half_square,
    kkt_residual,
    lipschitz_bound,
    local_lipschitz,
    most_sensitive_direction,
    objective,
)
from aen_sae.irrepresentable import equicoherent_dictionary
from aen_sae.spiked import spiked_dictionary

L1, L2 = 0.05, 0.1


def problem(rho=0.5, rows=12, n=32, d=64, seed=0):
    """(x, dictionary, weights) in float64, from sparse codes plus noise."""
    random = torch.Generator().manual_seed(seed)
    dictionary = normalize(spiked_dictionary(n, d, rho, random).double(), dim=1)
    codes = torch.rand(rows, d, generator=random, dtype=torch.float64) * (torch.rand(rows, d, generator=random) < 0.1)
    x = 3 * codes @ dictionary + 0.05 * torch.randn(rows, n, generator=random, dtype=torch.float64)
    return x, dictionary, 0.5 + 1.5 * torch.rand(d, generator=random, dtype=torch.float64)


def solve(*arguments, tol=1e-12, max_iterations=100_000):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # not converged
        return coding_map(*arguments, tol=tol, max_iterations=max_iterations)


def nnls_oracle(x, dictionary, l1, l2, weights):
    """The same minimiser by scipy's active-set solver: ||C h - c||^2, C^T C = D D^T + a2 I, C^T c = D x - a1 omega."""
    D = dictionary.numpy()
    C = np.linalg.cholesky(D @ D.T + l2 * np.eye(len(D))).T
    return torch.tensor(
        np.stack(
            [nnls(C, np.linalg.solve(C.T, D @ row - l1 * weights.numpy()), maxiter=10_000)[0] for row in x.numpy()]
        )
    )


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_codes_equal_the_nnls_oracle(rho):
    x, dictionary, weights = problem(rho)
    found = solve(x, dictionary, L1, L2, weights)
    torch.testing.assert_close(found.codes, nnls_oracle(x, dictionary, L1, L2, weights), rtol=0, atol=1e-8)
    assert 1 < (found.codes > 0).sum(1).double().mean() < 60  # neither trivial


@pytest.mark.parametrize("l2", [0.02, 0.5])
def test_codes_equal_scikit_learns_elastic_net(l2):
    x, dictionary, _ = problem(0.3)
    n = dictionary.shape[1]  # scikit-learn divides the squared error by its number of rows
    model = ElasticNet(
        alpha=(L1 + l2) / n, l1_ratio=L1 / (L1 + l2), positive=True, fit_intercept=False, tol=1e-13, max_iter=1_000_000
    )
    expected = np.stack([model.fit(dictionary.T.numpy(), row).coef_ for row in x.numpy()])
    torch.testing.assert_close(solve(x, dictionary, L1, l2).codes, torch.tensor(expected), rtol=0, atol=1e-7)


def test_orthonormal_atoms_have_the_closed_form():
    x, _, weights = problem(n=32, d=32)
    atoms = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    expected = torch.relu(x @ atoms.T - L1 * weights) / (1 + L2)
    torch.testing.assert_close(solve(x, atoms, L1, L2, weights, tol=1e-15).codes, expected, rtol=0, atol=1e-14)


def test_codes_satisfy_the_optimality_conditions_one_by_one():
    x, dictionary, weights = problem(0.9)
    for row, h in zip(x, solve(x, dictionary, L1, L2, weights).codes, strict=True):
        pull = dictionary @ (row - h @ dictionary) - L2 * h
        torch.testing.assert_close(pull[h > 0], L1 * weights[h > 0], rtol=0, atol=1e-9)
        assert (pull[h == 0] <= L1 * weights[h == 0] + 1e-9).all()


def test_the_reported_residual_is_that_of_the_codes():
    x, dictionary, weights = problem()
    found = solve(x, dictionary, L1, L2, weights, tol=1e-6)
    recomputed = kkt_residual(x, found.codes, dictionary, L1, L2, weights)
    torch.testing.assert_close(found.kkt_residual, recomputed, rtol=1e-6, atol=1e-15)
    assert found.converged.all() and (recomputed <= 1e-6).all() and (recomputed > 1e-12).any()


def test_the_residual_bounds_the_distance_from_the_optimum():
    x, dictionary, weights = problem()
    best = solve(x, dictionary, L1, L2, weights).codes
    wrong = torch.relu(
        best + 0.1 * torch.randn(best.shape, generator=torch.Generator().manual_seed(2), dtype=best.dtype)
    )
    ceiling = (x @ dictionary.T).abs().amax(1)
    # undo the normalisation; the 2-norm is at most sqrt(d) times the largest entry
    r = kkt_residual(x, wrong, dictionary, L1, L2, weights) * ceiling * math.sqrt(len(dictionary))
    constant = (1 + torch.linalg.matrix_norm(dictionary, 2) ** 2 + L2) / L2
    assert ((wrong - best).norm(dim=1) <= constant * r).all()
    assert (kkt_residual(x, -best, dictionary, L1, L2, weights) > 0.1).all()  # infeasible codes are not optimal


def test_the_residual_does_not_depend_on_the_unit_of_x():
    x, dictionary, weights = problem()
    codes = solve(x, dictionary, L1, L2, weights, tol=1e-3).codes
    scaled = kkt_residual(100 * x, 100 * codes, dictionary, 100 * L1, L2, weights)
    torch.testing.assert_close(scaled, kkt_residual(x, codes, dictionary, L1, L2, weights))


def test_each_sample_is_solved_for_itself():
    x, dictionary, weights = problem(0.9)
    together = solve(x, dictionary, L1, L2, weights)
    alone = [solve(row, dictionary, L1, L2, weights) for row in x]
    torch.testing.assert_close(together.codes, torch.stack([one.codes for one in alone]), rtol=0, atol=1e-10)
    assert len(set(together.iterations.tolist())) > 1  # samples stop at different times
    assert alone[0].codes.shape == (64,) and alone[0].converged.shape == ()


def test_float32_equals_float64_to_its_tolerance():
    x, dictionary, weights = problem(0.9)
    single = solve(x.float(), dictionary.float(), L1, L2, weights.float(), tol=1e-5)
    assert single.codes.dtype == single.kkt_residual.dtype == torch.float32
    torch.testing.assert_close(single.codes.double(), solve(x, dictionary, L1, L2, weights).codes, rtol=0, atol=1e-3)


def test_leading_dimensions_empty_batches_and_zero_samples():
    x, dictionary, _ = problem(rows=12)
    torch.testing.assert_close(
        solve(x.reshape(3, 4, -1), dictionary, L1, L2).codes, solve(x, dictionary, L1, L2).codes.reshape(3, 4, -1)
    )
    assert coding_map(x[:0], dictionary, L1, L2).codes.shape == (0, 64)
    silent = solve(torch.zeros_like(x), dictionary, L1, L2)
    assert silent.converged.all() and not silent.codes.any()


def test_unconverged_samples_are_reported_with_what_to_do():
    x, dictionary, _ = problem(0.9)
    with pytest.warns(
        RuntimeWarning, match=r"12 of 12 samples.*tol = 1e-12 \(worst .*after 30 iterations: raise max_iter"
    ):
        found = coding_map(x, dictionary, L1, L2, tol=1e-12, max_iterations=30)
    assert not found.converged.any() and (found.iterations == 30).all()
    torch.testing.assert_close(found.kkt_residual, kkt_residual(x, found.codes, dictionary, L1, L2))
    assert objective(x, found.codes, dictionary, L1, L2).sum() < objective(x, 0 * found.codes, dictionary, L1, L2).sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(3, 5)}, "atoms are rows"),
        ({"weights": torch.ones(2, 64)}, "one per atom"),
        ({"l1": -0.1}, ">= 0"),
        ({"l2": float("nan")}, ">= 0"),
        ({"x": torch.full((2, 32), float("inf"))}, "nan or inf"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message, unchecked):
    x, dictionary, weights = problem()
    good = {"x": x, "dictionary": dictionary, "l1": L1, "l2": L2, "weights": weights}
    with pytest.raises(ValueError, match=message):
        coding_map(**good | change)


def test_the_minimiser_is_unique_so_equal_atoms_share_equally():
    x, dictionary, _ = problem(0.5)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(3))
    codes = solve(x, dictionary, L1, L2).codes
    torch.testing.assert_close(solve(x, dictionary[order], L1, L2).codes, codes[:, order], rtol=0, atol=1e-9)
    twice = solve(x, torch.cat([dictionary, dictionary]), L1, L2).codes
    torch.testing.assert_close(twice[:, :64], twice[:, 64:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("l2", [0.01, 0.1, 1.0])
def test_no_pair_of_inputs_exceeds_the_lipschitz_bound(l2):
    x, dictionary, weights = problem(0.9, rows=40)
    near = x + 1e-3 * normalize(torch.randn(x.shape, generator=torch.Generator().manual_seed(4), dtype=x.dtype), dim=1)
    inputs = torch.cat([x, near])
    quotients = torch.pdist(solve(inputs, dictionary, L1, l2, weights).codes) / torch.pdist(inputs)
    assert quotients.max() <= lipschitz_bound(l2) * (1 + 1e-6)
    assert quotients.max() > 0.3 * lipschitz_bound(l2)  # and the bound is not idle


def test_the_lipschitz_bound_is_attained_at_a_singular_value_of_sqrt_a2():
    rho, l2 = 0.9, 0.1  # two atoms: s^2 = 1 - rho = a2 along their difference
    dictionary = equicoherent_dictionary(2, rho)
    x = torch.tensor([[2.0, 2.0]], dtype=torch.float64) @ dictionary
    dx = 1e-3 * normalize(dictionary[:1] - dictionary[1:], dim=1)
    h, moved = (solve(inputs, dictionary, L1, l2, tol=1e-15).codes for inputs in (x, x + dx))
    assert (h > 0).all() and (moved > 0).all()
    assert (moved - h).norm() / dx.norm() == pytest.approx(lipschitz_bound(l2), rel=1e-9)
    assert lipschitz_bound(0.0) == math.inf and lipschitz_bound(0.25) == 1.0


@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_local_constants_equal_a_loop_over_singular_values(l2):
    _, dictionary, _ = problem(0.5, n=16, d=40)
    active = torch.rand(6, 40, generator=torch.Generator().manual_seed(5)) < torch.linspace(0.0, 0.3, 6).unsqueeze(1)
    expected = [0.0 if len(s) == 0 else (s / (s**2 + l2)).max() for s in map(np_singular_values(dictionary), active)]
    assert not active[0].any()
    torch.testing.assert_close(local_lipschitz(dictionary, active, l2), torch.tensor(expected, dtype=torch.float64))
    both = local_lipschitz(dictionary, active.reshape(2, 3, 40), l2)
    torch.testing.assert_close(both.flatten(), torch.tensor(expected, dtype=torch.float64))


def np_singular_values(dictionary):
    return lambda on: np.linalg.svd(dictionary[on].numpy(), compute_uv=False) if on.any() else np.empty(0)


def test_without_l2_equal_cosines_give_one_over_sqrt_one_minus_rho():
    active = torch.arange(10).unsqueeze(0) < torch.tensor([[2], [5]])
    constants = local_lipschitz(equicoherent_dictionary(10, 0.75), active, 0.0)
    torch.testing.assert_close(constants, torch.full((2,), 2.0, dtype=torch.float64))


@pytest.mark.parametrize("l2", [0.02, 0.3])
def test_codes_move_fastest_in_the_most_sensitive_direction_at_the_local_rate(l2):
    x, dictionary, weights = problem(0.7)
    h = solve(x, dictionary, L1, l2, weights).codes
    direction = most_sensitive_direction(dictionary, h > 0, l2)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(12, dtype=torch.float64))
    moved = solve(x + 1e-6 * direction, dictionary, L1, l2, weights, tol=1e-14).codes
    same = ((moved > 0) == (h > 0)).all(1)
    assert same.sum() > 6
    rate = (moved - solve(x, dictionary, L1, l2, weights, tol=1e-14).codes).norm(dim=1) / 1e-6
    torch.testing.assert_close(rate[same], local_lipschitz(dictionary, h > 0, l2)[same], rtol=1e-4, atol=0)


def test_a_quotient_is_at_most_the_largest_local_constant_on_the_segment():
    x, dictionary, weights = problem(0.9, rows=8)
    for a, b in zip(x[:4], x[4:], strict=True):
        path = torch.lerp(a, b, torch.linspace(0, 1, 500, dtype=a.dtype).unsqueeze(1))
        codes = solve(path, dictionary, L1, 0.02, weights, tol=1e-9).codes
        largest = local_lipschitz(dictionary, codes > 0, 0.02).max()
        assert (codes[-1] - codes[0]).norm() / (b - a).norm() <= largest <= lipschitz_bound(0.02) * (1 + 1e-9)


def test_active_atoms_are_gathered_and_padded_with_zeros():
    _, dictionary, _ = problem(n=16, d=40)
    active = torch.zeros(3, 40, dtype=torch.bool)
    active[0, [3, 30]], active[1, 7] = True, True
    indices, present, atoms = active_atoms(dictionary, active)
    assert indices[0].tolist() == [3, 30] and indices[1, 0] == 7 and present.sum(1).tolist() == [2, 1, 0]
    assert torch.equal(atoms[0], dictionary[[3, 30]]) and not atoms[1, 1].any() and not atoms[2].any()


def test_the_papers_loss_is_two_nths_of_the_half_square_form():
    x, dictionary, weights = problem()
    codes = solve(x, dictionary, L1, L2, weights).codes
    n, lambda1, lambda2 = x.shape[1], 1e-3, 5e-4
    loss = (
        (x - codes @ dictionary).square().mean(1) + lambda1 * (codes * weights).sum(1) + lambda2 * codes.square().sum(1)
    )
    l1, l2 = half_square(lambda1, lambda2, n)
    torch.testing.assert_close(loss, 2 / n * objective(x, codes, dictionary, l1, l2, weights))
    assert half_square(0.001, 0.0001, 256) == pytest.approx((0.128, 0.0256))


def test_the_amortisation_gap_is_zero_for_exact_codes_and_the_excess_objective_for_others():
    x, dictionary, weights = problem()
    dictionary = torch.nn.Parameter(dictionary)  # as it comes from a trained SAE
    encoder = torch.relu(x @ dictionary.T - 0.3).detach()
    gap = amortisation_gap(x, encoder, dictionary, L1, L2, weights, tol=1e-10)
    exact = solve(x, dictionary.detach(), L1, L2, weights).codes
    excess = objective(x, encoder, dictionary, L1, L2, weights) - objective(x, exact, dictionary, L1, L2, weights)
    torch.testing.assert_close(gap.achieved - gap.optimal, excess.detach())
    assert (excess > 0).all() and gap.total.item() == pytest.approx(excess.mean().item())
    assert gap.relative.item() == pytest.approx((excess.mean() / gap.optimal.mean()).item())
    assert gap.distance.item() == pytest.approx(((encoder - exact).norm() / exact.norm()).item(), rel=1e-6)
    assert not gap.total.requires_grad
    assert amortisation_gap(x, exact, dictionary, L1, L2, weights, tol=1e-10).relative.abs() < 1e-12


def test_pre_activations_are_refused_as_codes():
    x, dictionary, _ = problem(0.0)
    with pytest.raises(ValueError, match="after the ReLU"):
        amortisation_gap(x, x @ dictionary.T, dictionary, L1, L2)
