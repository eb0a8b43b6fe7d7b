"""Parallel tempering and restarts: their laws, their budgets, and resuming."""

import math

import pytest
import torch
from states import square, within

from infonce_langevin.checkpoints import Checkpoint
from infonce_langevin.competitors import parallel_tempering, restarts
from infonce_langevin.dynamics import Langevin, Metropolis
from infonce_langevin.energies import FrozenAnchor, hard
from infonce_langevin.langevin import simulate
from infonce_langevin.oracles.fokker_planck import gibbs_law
from infonce_langevin.oracles.landscapes import circle
from infonce_langevin.schedules import Fixed, Log
from infonce_langevin.spheres import on_circle


@pytest.fixture(autouse=True)
def _quick(unchecked):
    """Shapes of what a step does are checked in the tests of dynamics; here there are many thousands of steps."""


def test_every_replica_has_the_gibbs_law_of_its_temperature():
    """From the trap, where the coldest alone would stay: exp(beta d*) is 63 at beta = 10."""
    betas, energy = (1.0, 2.5, 5.0, 10.0), FrozenAnchor()
    start = on_circle(torch.full((1, 2000), math.pi))
    found = parallel_tempering(Metropolis(energy, 0.05), betas, 60, 10, start, seed=0)
    landscape = circle(energy, 1600)
    for replica, beta in enumerate(betas):
        pi = gibbs_law(landscape, beta)
        exact = [pi[landscape.energy < level].sum() for level in (-0.5, 0.5, 1.2)]
        shares = [float((found.energy[replica] < level).float().mean()) for level in (-0.5, 0.5, 1.2)]
        assert within(shares, exact, 2000)
    assert torch.equal(found.energy[2], energy.value(found.z[2]))
    assert (found.accepted > 0.2).all() and (found.accepted < 1).all()
    alone = simulate(Metropolis(energy, 0.05), Fixed(10.0), 600, start, seed=0)
    assert float((alone.energy < -0.5).float().mean()) < 0.9 * float((found.energy[3] < -0.5).float().mean())


def test_swaps_have_the_acceptance_of_the_two_laws():
    """One round from the Gibbs laws of two temperatures: mean of min(1, exp(gain)) by quadrature."""
    landscape, betas = circle(FrozenAnchor(), 400), (1.0, 3.0)
    hot, cold = (gibbs_law(landscape, beta) for beta in betas)
    gain = 2.0 * (landscape.energy[:, None] - landscape.energy[None])  # U of the cold one minus that of the hot one
    exact = float(cold @ (torch.from_numpy(gain).clamp_max(0).exp().numpy() @ hot))
    found = parallel_tempering(Metropolis(FrozenAnchor(), 0.1), betas, 400, 5, (1, 2, 400), seed=0)
    assert float(found.accepted[0]) == pytest.approx(exact, abs=0.02)


def test_a_resumed_tempering_is_the_straight_one(tmp_path, monkeypatch):
    work = dict(betas=(1.0, 3.0, 9.0), rounds=9, steps=4, start=(4, 3, 10), seed=0)
    straight = parallel_tempering(Langevin(hard), **work)
    save, stops = Checkpoint.save, 0

    def stop_sometimes(self, tensors, due=0.0):
        nonlocal stops
        save(self, tensors, due=0.0)
        stops += 1
        if stops % 4 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stop_sometimes)
    for _ in range(5):
        try:
            resumed = parallel_tempering(Langevin(hard), **work, scratch=tmp_path)
            break
        except KeyboardInterrupt:
            continue
    assert stops > 4 and torch.equal(straight.z, resumed.z) and torch.equal(straight.accepted, resumed.accepted)


def test_restarts_keep_the_lowest_of_independent_annealings():
    dynamics, schedule = Langevin(hard), Log(5.0)
    all_runs = simulate(dynamics, schedule, 60, (4, 3, 3 * 50), seed=0)
    best = restarts(dynamics, schedule, 60, 3, (4, 3, 50), seed=0)
    assert torch.equal(best.energy, all_runs.energy.view(3, 50).amin(0))
    assert torch.equal(hard.value(best.z), best.energy)


def test_bad_ladders_are_refused():
    for betas in ((1.0,), (2.0, 1.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match="give two or more that increase"):
            parallel_tempering(Langevin(hard), betas, 1, 1, (4, 3, 2), seed=0)
    with pytest.raises(ValueError, match="choose finite numbers > 0"):
        parallel_tempering(Langevin(hard), (0.0, 1.0), 1, 1, (4, 3, 2), seed=0)
    assert parallel_tempering(Langevin(hard), (1.0, 2.0), 1, 1, square(3, torch.float32), 0).z.shape == (2, 4, 2, 3)
