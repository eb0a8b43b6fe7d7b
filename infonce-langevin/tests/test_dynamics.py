"""One step against the formula, and what many steps leave stationary."""

import math

import pytest
import torch
from states import states, within

from infonce_langevin.dynamics import Langevin, Metropolis
from infonce_langevin.energies import FrozenAnchor, gradient, hard, infonce
from infonce_langevin.langevin import acceptance, simulate
from infonce_langevin.noise import Constant, Equatorial, Isotropic
from infonce_langevin.oracles.fokker_planck import gibbs_law
from infonce_langevin.oracles.landscapes import circle
from infonce_langevin.schedules import Fixed
from infonce_langevin.spheres import tangent


def test_a_step_is_the_published_one():
    """Row by row: normalise(z - dt grad + sqrt(2 dt / beta) (I - z z^T) sqrt(A) xi)."""
    z, xi, beta = states(4, 3), states(4, 3, seed=1), torch.linspace(1, 50, 6, dtype=torch.float64)
    diagonal = torch.tensor([1.0, 1.0, 0.1], dtype=torch.float64)
    moved, u = Langevin(hard, Constant((1.0, 1.0, 0.1)), dt=0.02).step(z, xi, beta)
    g = gradient(hard, z)
    assert torch.equal(u, hard.value(z))
    for c in range(6):
        for i in range(4):
            kick = math.sqrt(0.04 / beta[c]) * diagonal.sqrt() * xi[i, :, c]
            at = z[i, :, c]
            expected = at - 0.02 * g[i, :, c] + kick - (kick @ at) * at
            assert (moved[i, :, c] - expected / expected.norm()).abs().max() <= 1e-12


@pytest.mark.parametrize("energy", [hard, infonce(0.5)])
def test_the_literal_step_has_one_beta_in_both_places(energy):
    """grad L = beta grad U at tau = 1 / beta."""
    z, xi, beta = states(4, 3), states(4, 3, seed=1), torch.linspace(1, 20, 6, dtype=torch.float64)
    moved, _ = Langevin(energy, dt=1e-3, coupling="literal").step(z, xi, beta)
    for c in range(6):
        one = slice(c, c + 1)
        sharp = energy.at(1 / float(beta[c]))
        w = -1e-3 * beta[c] * gradient(sharp, z[..., one]) + (2e-3 / beta[c]).sqrt() * tangent(z, xi)[..., one]
        expected = (z[..., one] + w) / (z[..., one] + w).norm(dim=1, keepdim=True)
        assert (moved[..., one] - expected).abs().max() <= 1e-12


def test_the_literal_coupling_is_the_decoupled_one_at_beta_squared_in_another_clock():
    z, xi, beta = states(4, 3), states(4, 3, seed=1), torch.full((6,), 5.0, dtype=torch.float64)
    literal, _ = Langevin(hard, dt=1e-3, coupling="literal").step(z, xi, beta)
    decoupled, _ = Langevin(hard, dt=5e-3).step(z, xi, beta**2)
    assert (literal - decoupled).abs().max() <= 1e-14


def test_the_mean_and_covariance_of_a_step_are_those_of_the_generator():
    """From one state: mean z - dt grad U - (d - 1) dt z / beta, tangent covariance 2 dt / beta (I - z z^T)."""
    count, dt = 200_000, 0.01
    z = states(4, 3, chains=1, seed=5).expand(-1, -1, count).contiguous()
    xi = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
    moved, _ = Langevin(hard, dt=dt).step(z, xi, torch.full((count,), 10.0, dtype=z.dtype))
    at = z[..., :1]
    change, error = (moved - z).mean(2), (moved - z).std(2) / math.sqrt(count)
    expected = (-dt * gradient(hard, at) - 2 * dt / 10 * at)[..., 0]
    assert ((change - expected).abs() <= 4 * error + 5e-5).all()
    for i in range(4):
        along = torch.eye(3, dtype=z.dtype) - at[i] @ at[i].T
        covariance = along @ torch.cov(moved[i]) @ along
        assert (covariance - 2 * dt / 10 * along).abs().max() < 0.03 * 2 * dt / 10


def circle_law(dynamics, beta, steps):
    """Shares of chains in eight sectors of the circle, and those of the Gibbs law."""
    run = simulate(dynamics, Fixed(beta), steps, (1, 2, 8000), seed=0)
    angles = torch.atan2(run.z[0, 1], run.z[0, 0]).double() % (2 * math.pi)
    landscape = circle(dynamics.energy, 1600)
    sector = ((landscape.angles[:, 0] + 1e-9) // (math.pi / 4)).astype(int)
    exact = [float(gibbs_law(landscape, beta)[sector == k].sum()) for k in range(8)]
    return torch.bincount((angles // (math.pi / 4)).long(), minlength=8) / 8000, exact


@pytest.mark.parametrize("move", ["project", "exponential"])
def test_both_moves_leave_the_gibbs_law_on_the_circle(move, unchecked):
    found, exact = circle_law(Langevin(FrozenAnchor(0.2), dt=0.01, move=move), 2.0, 800)
    assert within(found, exact, 8000, bias=0.003)


def test_the_metropolis_test_removes_the_bias_of_large_steps(unchecked):
    """dt = 1: the plain step's law is far from the Gibbs law, the corrected one's is it."""
    found, exact = circle_law(Metropolis(FrozenAnchor(0.2), dt=1.0), 2.0, 300)
    assert within(found, exact, 8000)
    with pytest.warns(UserWarning, match="it cannot for dt < 0.286"):
        plain, _ = circle_law(Langevin(FrozenAnchor(0.2), dt=1.0), 2.0, 300)
    assert not within(plain, exact, 8000, bias=0.02)


@pytest.mark.parametrize("d", [2, 3])
def test_metropolis_acceptance_is_detailed_balance(d):
    """q(z -> z') a(z -> z') exp(-beta U(z)) is symmetric, with the proposal's density written out."""
    dt, energy = 0.4, infonce(0.5)
    beta = torch.full((40,), 5.0, dtype=torch.float64)
    z, dynamics = states(4, d, chains=40), Metropolis(energy, dt)
    xi = torch.randn(z.shape, generator=torch.Generator().manual_seed(3), dtype=z.dtype)
    there, _ = dynamics.step(z, xi, beta, torch.zeros(40, dtype=z.dtype))  # log 0: always accepted
    assert (there != z).any(1).all()

    def log_flow(a, b):
        angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
        way = tangent(a, b)
        v = way * (angle / way.norm(dim=1, keepdim=True))
        density = -(v + dt * gradient(energy, a)).square().sum((0, 1)) * beta / (4 * dt)
        return density - beta * energy.value(a)

    expected = (log_flow(there, z) - log_flow(z, there)).clamp_max(0).exp()
    for share in (0.98, 1.02):
        moved, _ = dynamics.step(z, xi, beta, share * expected)
        accepted = (moved != z).any(1).any(0)
        decided = expected * share < 1
        assert (accepted[decided] == (share < 1)).all() and decided.sum() > 5


def test_moves_of_half_a_turn_are_refused():
    z = states(1, 3, chains=50)
    dynamics = Metropolis(FrozenAnchor(0.2, (1.0, 0.0, 0.0), ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))), dt=1.0)
    long = 10 * tangent(z, states(1, 3, chains=50, seed=1))
    beta = torch.full((50,), 1e-4, dtype=torch.float64)
    moved, _ = dynamics.step(z, long, beta, torch.zeros(50, dtype=z.dtype))
    assert torch.equal(moved, z)
    assert (
        float(acceptance(Metropolis(hard, 1e-4), states(4, 3, chains=500), torch.full((500,), 10.0).double(), 0)) > 0.99
    )


@pytest.mark.parametrize("noise", [Constant((1.5, 1.0, 0.3)), Equatorial(3.0, 0.3), Isotropic(0.5)])
def test_the_corrected_anisotropic_diffusion_keeps_the_gibbs_law_and_the_plain_one_does_not(noise, unchecked):
    """One free point on the sphere, beta = 3; P(z . p > .7) by quadrature. The plain one is off by 2 points or more."""
    energy = FrozenAnchor(0.5, (0.6, 0.0, 0.8), ((0.0, 1.0, 0.0), (0.0, -1.0, 0.0)))
    inclination, turn = torch.meshgrid(
        (torch.arange(400) + 0.5) * math.pi / 400, torch.arange(400) * math.pi / 200, indexing="ij"
    )
    sine = inclination.sin()
    points = torch.stack([sine * turn.cos(), sine * turn.sin(), inclination.cos()]).flatten(1)[None].double()
    weights = sine.flatten() * (-3 * energy.value(points)).exp()
    near = points[0, 0] * 0.6 + points[0, 2] * 0.8 > 0.7
    exact = float(weights[near].sum() / weights.sum())
    shares = []
    for gibbs in (True, False):
        z = simulate(Langevin(energy, noise, 0.01, gibbs=gibbs), Fixed(3.0), 1500, (1, 3, 8000), seed=0).z
        shares.append(float((z[0, 0] * 0.6 + z[0, 2] * 0.8 > 0.7).float().mean()))
    assert within(shares[0], exact, 8000, bias=0.005)
    assert abs(shares[1] - exact) > 0.02


def test_bad_dynamics_are_refused(unchecked):
    with pytest.raises(ValueError, match="dt = 0.0"):
        Langevin(hard, dt=0.0)
    with pytest.raises(ValueError, match="dt = -1.0"):
        Metropolis(hard, dt=-1.0)
    with pytest.raises(ValueError, match="gibbs = True is for the decoupled dynamics"):
        Langevin(hard, Constant((1.0, 1.0, 0.1)), coupling="literal", gibbs=True)
