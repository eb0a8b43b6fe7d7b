"""The irrepresentable condition against the solver, its closed form, and hand-counted supports."""

import pytest
import torch
from torch.nn.functional import normalize

from aen_sae.exact_code import coding_map, kkt_residual
from aen_sae.irrepresentable import (
    equicoherent_candidate,
    equicoherent_dictionary,
    equicoherent_lhs,
    exact_codes,
    global_support,
    irrepresentable_lhs,
    starvation_forecast,
    support_margin,
)
from aen_sae.spiked import sample_supports, spiked_dictionary

L1 = 0.1


def sparse(rows, d, k, seed=0):
    """True codes with k amplitudes from U[1, 3], float64."""
    random = torch.Generator().manual_seed(seed)
    support = sample_supports(rows, d, k, random)
    amplitude = 1 + 2 * torch.rand(support.shape, generator=random, dtype=torch.float64)
    return torch.zeros(rows, d, dtype=torch.float64).scatter(1, support, amplitude)


def spiked(n, d, rho, seed=0):
    return normalize(spiked_dictionary(n, d, rho, torch.Generator().manual_seed(seed)).double(), dim=1)


def solve(*arguments, tol=1e-10):
    found = coding_map(*arguments, tol=tol, max_iterations=100_000)
    assert found.converged.all()
    return found.codes


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.95])
def test_equicoherent_atoms_have_equal_cosines(rho):
    atoms = equicoherent_dictionary(12, rho)
    expected = (1 - rho) * torch.eye(12, dtype=torch.float64) + rho
    torch.testing.assert_close(atoms @ atoms.T, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("l2", "lhs"), [(0.005, 0.9411), (0.02, 1.1915), (0.1, 2.4828), (0.2, 4.0)])
@pytest.mark.parametrize("holds", [False, True])
def test_recovery_flips_exactly_where_the_closed_form_says(l2, lhs, holds):
    rho, k, d = 0.6, 4, 12
    codes = torch.zeros(1, d, dtype=torch.float64)
    codes[0, :k] = torch.tensor([1.0, 1.5, 2.5, 3.0])  # sum 8
    threshold = equicoherent_lhs(rho, k, codes.sum(1), L1, l2).item()
    assert threshold == pytest.approx(lhs, abs=1e-4)
    weights = torch.ones(d, dtype=torch.float64)
    weights[k:] = threshold * (1.001 if holds else 0.999)
    found = solve(codes @ equicoherent_dictionary(d, rho), equicoherent_dictionary(d, rho), L1, l2, weights)
    assert torch.equal(found > 0, codes > 0) == holds


def test_the_closed_forms_equal_the_general_ones():
    rho, l2, k, d = 0.7, 0.15, 3, 9
    codes, atoms = sparse(20, d, k), equicoherent_dictionary(d, rho)
    active = codes > 0
    lhs = irrepresentable_lhs(codes, atoms, L1, l2)
    expected = equicoherent_lhs(rho, k, codes.sum(1), L1, l2).unsqueeze(1).expand_as(lhs)
    torch.testing.assert_close(lhs[~active], expected[~active])
    candidate = support_margin(codes @ atoms, active, atoms, L1, l2)[active]
    torch.testing.assert_close(candidate, equicoherent_candidate(rho, codes[active].reshape(-1, k), L1, l2).flatten())


def test_the_general_form_equals_its_definition_sample_by_sample():
    codes, atoms, l2 = sparse(5, 40, 4), spiked(16, 40, 0.5), 0.05
    weights = 0.5 + torch.rand(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gram = atoms @ atoms.T
    for h, lhs in zip(codes, irrepresentable_lhs(codes, atoms, L1, l2, weights), strict=True):
        on = h > 0
        inverse = torch.linalg.inv(gram[on][:, on] + l2 * torch.eye(4, dtype=torch.float64))
        torch.testing.assert_close(lhs, gram[:, on] @ inverse @ (weights[on] + l2 / L1 * h[on]))


def test_slack_of_a_noiseless_sample_is_the_irrepresentable_condition():
    codes, atoms, l2 = sparse(30, 40, 4), spiked(24, 40, 0.6), 0.05
    weights = 0.5 + torch.rand(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    slack = support_margin(codes @ atoms, codes > 0, atoms, L1, l2, weights)
    expected = L1 * (weights - irrepresentable_lhs(codes, atoms, L1, l2, weights))
    torch.testing.assert_close(slack[codes == 0], expected[codes == 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_margins_are_positive_exactly_where_the_solver_finds_the_support(l2):
    codes, atoms = sparse(300, 40, 2), spiked(32, 40, 0.1)
    noise = 0.005 * torch.randn(300, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = torch.full((40,), 1.5, dtype=torch.float64)
    weights[:10] = 0.7
    x = codes @ atoms + noise
    predicted = (support_margin(x, codes > 0, atoms, L1, l2, weights) > 0).all(1)
    found = ((solve(x, atoms, L1, l2, weights) > 0) == (codes > 0)).all(1)
    assert torch.equal(predicted, found)
    assert 30 < found.sum() < 270  # both cases occur


@pytest.mark.parametrize("l2", [0.0, 0.01, 0.1])
def test_exact_codes_are_exact_to_rounding(l2):
    atoms = spiked(32, 64, 0.9)
    x = sparse(20, 64, 4) @ atoms
    rough = solve(x, atoms, L1, l2, tol=1e-7)
    codes, certified = exact_codes(x, rough, atoms, L1, l2)
    assert certified.sum() > 15
    assert kkt_residual(x, codes, atoms, L1, l2)[certified].max() < 1e-14 < kkt_residual(x, rough, atoms, L1, l2).max()


def test_codes_with_a_wrong_support_are_not_certified_and_stay_as_they_are():
    atoms = spiked(32, 64, 0.5)
    x = sparse(4, 64, 4) @ atoms
    codes = solve(x, atoms, L1, 0.1)
    extra, missing = codes.clone(), codes.clone()
    extra[0, (codes[0] == 0).nonzero()[0]] = 0.5
    missing[1, codes[1].argmax()] = 0.0
    for wrong, row in ((extra, 0), (missing, 1)):
        result, certified = exact_codes(x, wrong, atoms, L1, 0.1)
        assert certified.tolist() == [i != row for i in range(4)]
        assert torch.equal(result[row], wrong[row])


def test_global_support_equals_hand_counts():
    codes = torch.zeros(200, 5)
    codes[:, 0] = 1.0  # used
    codes[:3, 3] = 1.0  # outside, 1.5 %
    codes[:1, 4] = 1.0  # outside, 0.5 %
    used = torch.tensor([True, True, True, False, False])
    overall = global_support(codes, used)
    assert overall.false_share.item() == pytest.approx(4 / 204)
    assert (overall.false_positives, overall.lost) == (1, 2)
    assert global_support(torch.zeros(10, 5), used).false_share == 0


def test_an_overweighted_latent_is_forecast_to_starve_and_does():
    atoms, codes = spiked(32, 48, 0.3), sparse(400, 48, 4)
    weights = torch.ones(48, dtype=torch.float64)
    weights[7] = 40.0  # a1 omega = 4 > the largest amplitude
    x = codes @ atoms
    forecast = starvation_forecast(x, codes > 0, atoms, L1, 0.02, weights)
    found = solve(x, atoms, L1, 0.02, weights) > 0
    assert (forecast.missed == 1).nonzero().flatten().tolist() == [7]
    assert (~found.any(0)).nonzero().flatten().tolist() == [7]


def test_the_forecast_is_exact_when_only_one_latent_can_go_wrong():
    k, d = 3, 4  # one latent off the support
    codes = torch.nn.functional.pad(sparse(200, k, k), (0, 1))
    atoms = equicoherent_dictionary(d, 0.5)
    weights = torch.tensor([1.0, 1.0, 1.0, 1.5], dtype=torch.float64)
    forecast = starvation_forecast(codes @ atoms, codes > 0, atoms, L1, 0.05, weights)
    fires = (solve(codes @ atoms, atoms, L1, 0.05, weights) > 0).double().mean(0)
    assert 0.1 < fires[3] < 0.9
    assert forecast.spurious[3].item() == pytest.approx(fires[3].item())
    assert forecast.missed[:3].tolist() == [0, 0, 0]
    assert forecast.missed[3].isnan() and forecast.spurious[:3].isnan().all()


@pytest.mark.parametrize("rho", [-0.1, 1.0])
def test_impossible_cosines_are_refused(rho):
    with pytest.raises(ValueError, match=r"not in \[0, 1\)"):
        equicoherent_dictionary(5, rho)
