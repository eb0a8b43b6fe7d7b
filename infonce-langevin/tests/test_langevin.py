"""Many chains at once: each is what it would be alone, records and hits are right, and runs resume bit for bit."""

import math
import shutil
import subprocess
import sys

import pytest
import torch
from states import square, states

from infonce_langevin import langevin
from infonce_langevin.checkpoints import Checkpoint
from infonce_langevin.dynamics import Langevin, Metropolis
from infonce_langevin.energies import FrozenAnchor, hard, infonce
from infonce_langevin.langevin import Hitting, simulate
from infonce_langevin.noise import Constant, Equatorial, Isotropic, Matched
from infonce_langevin.schedules import Exponential, Fixed, Log
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import on_circle
from repro_shared import UserError

SMALL = (4, 3, 32)


@pytest.fixture(autouse=True)
def _quick(unchecked):
    """Shapes of what a step does are checked in the tests of dynamics; here there are many thousands of steps."""


def test_the_loop_does_the_steps_of_the_dynamics():
    """By hand, with the streams that the docstring names."""
    dynamics, schedule = Langevin(hard), Log(5.0)
    run = simulate(dynamics, schedule, 3, SMALL, seed=7)
    z = langevin.uniform(*SMALL, generator(7, "start"))
    xi = torch.empty(3, *SMALL).normal_(generator=generator(7, "noise", 0, 0))
    for k in range(3):
        beta = schedule(torch.tensor(k * 0.01)).clamp_min(1e-6).expand(32)
        z, _ = dynamics.step(z, xi[k], beta)
    assert torch.equal(run.z, z) and torch.equal(run.energy, hard.value(z))
    assert (run.hit == -1).all() and run.records.shape == (0, 32)


def test_equal_seeds_give_equal_runs_and_others_do_not():
    one, two, other = (simulate(Langevin(hard), Log(5.0), 20, SMALL, seed).z for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.isclose(one, other).all(0).all(0).any()


def test_chains_with_schedules_and_lengths_of_their_own_end_where_they_should():
    """Without noise a chain is the descent of so many steps, whatever else is in the batch."""
    steps = torch.tensor([1, 7, 7, 30]).repeat(8)
    run = simulate(Langevin(hard, Isotropic(0.0)), Fixed(1.0), steps, SMALL, seed=0, record_at=(5, 20))
    start = langevin.uniform(*SMALL, generator(0, "start"))
    for count in (1, 7, 30):
        alone = simulate(Langevin(hard, Isotropic(0.0)), Fixed(1.0), count, start, seed=3)
        assert torch.equal(run.z[..., steps == count], alone.z[..., steps == count])
    assert torch.equal(run.records[0].isnan(), steps < 5) and torch.equal(run.records[1].isnan(), steps < 20)
    five = simulate(Langevin(hard, Isotropic(0.0)), Fixed(1.0), 5, start, seed=3).energy
    assert torch.equal(run.records[0, steps > 5], five[steps > 5])


def test_per_chain_parameters_follow_their_chains():
    """Hot and cold chains in turns, some of which leave early, are as hot and cold as batches of their own."""
    beta, steps = torch.tensor([2.0, 50.0]).repeat(1000), torch.tensor([300, 300, 900, 900]).repeat(500)
    run = simulate(Langevin(hard), Fixed(beta), steps, (4, 3, 2000), seed=0)
    shares = (run.energy < -1.5).view(1000, 2).float().mean(0)
    assert shares[0] < 0.15 and shares[1] > 0.9  # Gibbs masses .064 and 1
    diagonal = torch.tensor([[1.0, 20.0], [1.0, 20.0], [0.1, 10.0]]).repeat(1, 1000)
    run = simulate(Langevin(hard, Constant(diagonal)), Fixed(10.0), steps, (4, 3, 2000), seed=0)
    small, large = (run.energy < -1.5).view(1000, 2).float().mean(0)
    assert small > 0.9 and large < 0.05
    inner = langevin.chosen(Langevin(hard, Matched(Constant(diagonal))), torch.tensor([1, 3]), 2000)
    assert torch.equal(inner.noise.other.diagonal, diagonal[:, [1, 3]])


def test_tiles_do_not_share_numbers_and_groups_do(monkeypatch):
    monkeypatch.setattr(langevin, "TILE", 8)
    z = simulate(Langevin(hard), Log(5.0), 10, SMALL, seed=0).z
    assert len(torch.unique(z[0, 0])) == 32
    start = states(4, 3, chains=1).float().repeat(1, 1, 32)
    kicked = simulate(Langevin(hard), Fixed(5.0), 10, start, seed=0).z
    assert len(torch.unique(kicked[0, 0])) == 32
    pair = simulate(Langevin(hard), Fixed(torch.tensor([5.0]).repeat(32)), 10, SMALL, seed=0, common=2).z
    assert torch.equal(pair[..., :16], pair[..., 16:]) and len(torch.unique(pair[0, 0])) == 16
    close = Fixed(torch.tensor([5.0, 5.01]).repeat_interleave(16))
    apart = simulate(Langevin(hard), close, 10, SMALL, seed=0, common=2).z
    assert 0 < (apart[..., :16] - apart[..., 16:]).abs().max() < 0.02


def test_hitting_times_are_those_of_the_energies_seen():
    """Against a loop over the energies of the same run, recorded at every step."""
    fixed = Fixed(10.0)
    straight = simulate(Langevin(hard), fixed, 400, SMALL, seed=0, record_at=range(400))
    for level, count in ((-1.5, 5), (-1.0, 1)):
        expected = []
        for u in (straight.records < level).T.tolist():
            begins = [k for k in range(400 - count + 1) if all(u[k : k + count])]
            expected.append(begins[0] if begins else -1)
        seen = simulate(Langevin(hard), fixed, 400, SMALL, seed=0, record_at=range(400), hitting=Hitting(level, count))
        first = seen.hit[torch.argsort(seen.hit)[:2]]  # until chains leave, the numbers are those of the straight run
        assert sorted(expected)[:2] == first.tolist() and max(expected) > 20


def test_hitting_times_of_the_toy_agree_with_the_published_ones():
    """Fixed beta = 10, 2048 runs: mean 159.3 (error 2.1), median 141.5, 95 % 335.7; ours has 4096 chains, so 1.5."""
    hit = simulate(Langevin(hard), Fixed(10.0), 20_000, (4, 3, 4096), seed=0, hitting=Hitting(-1.5)).hit.double()
    assert (hit >= 0).all()
    assert float(hit.mean()) == pytest.approx(159.3, abs=4 * math.hypot(2.1, 1.5))
    assert float(hit.median()) == pytest.approx(141.5, abs=12) and float(hit.quantile(0.95)) == pytest.approx(
        335.7, abs=25
    )


def test_success_of_the_published_toy_at_four_rates():
    """Experiment 1, beta to 10, 1024 runs and twice as many of ours: c and steps, mean share of the two files."""
    c, steps = torch.tensor([5.177, 7.828, 14.37, 25.0]), torch.tensor([591, 259, 101, 50])
    schedule = Log(c.repeat_interleave(2048))
    run = simulate(Langevin(hard), schedule, steps.repeat_interleave(2048), (4, 3, 8192), seed=0)
    shares = (run.energy < -1.5).view(4, 2048).float().mean(1)
    expected = torch.tensor([0.8445, 0.643, 0.190, 0.056])
    error = (expected * (1 - expected) * (1 / 2048 + 1 / 2048)).sqrt()
    assert ((shares - expected).abs() < 4 * error).all()


def test_state_dependent_noise_gives_the_published_success():
    """Experiment 3, log to beta = 100 in 296 steps, 512 runs: .707."""
    schedule = Log(100 / math.log(3.96))
    run = simulate(Langevin(hard, Equatorial()), schedule, 296, (4, 3, 2048), seed=0)
    assert float((run.energy < -1.5).float().mean()) == pytest.approx(
        0.707, abs=4 * math.sqrt(0.21 / 512 + 0.21 / 2048)
    )


def test_chains_in_the_trap_of_the_circle_agree_with_fokker_planck():
    """K = 2, T = 10, from the trap: .186, .427 and .873 at c / c* = 1, 1.5 and 3; .02 for dt and 4096 chains."""
    c = (math.sqrt(2) + 1) * torch.tensor([1.0, 1.5, 3.0])
    start = on_circle(torch.full((1, 3 * 4096), math.pi))
    run = simulate(Langevin(FrozenAnchor(), dt=0.01), Log(c.repeat_interleave(4096), 2.0), 1000, start, seed=0)
    trapped = (run.z[0, 0] < -math.sqrt(0.5)).view(3, 4096).float().mean(1)
    assert (trapped - torch.tensor([0.186, 0.427, 0.873])).abs().max() < 0.02


def test_four_points_leave_the_square_in_the_time_of_the_prototype():
    """beta = 40, from the interleaved square to U < .5: 7.69 +- .14 with dt = .005 in a prototype."""
    start = square(1024, torch.float32)
    hit = simulate(Langevin(hard, dt=0.005), Fixed(40.0), 20_000, start, seed=0, hitting=Hitting(0.5, 1)).hit
    times = hit.double() * 0.005
    error = math.hypot(0.14, float(times.std()) / math.sqrt(1024))
    assert (hit >= 0).all() and float(times.mean()) == pytest.approx(7.69, abs=4 * error)


@pytest.mark.parametrize("dynamics", [Langevin(hard), Metropolis(infonce(0.5))])
def test_a_resumed_run_is_the_straight_one(dynamics, tmp_path, monkeypatch):
    monkeypatch.setattr(langevin, "TILE", 16)
    monkeypatch.setattr(langevin, "_NUMBERS", 4 * 12 * 16)
    steps = torch.tensor([40, 90, 90, 130]).repeat(8)
    schedule = Log(torch.linspace(1, 5, 32))
    work = dict(steps=steps, start=SMALL, seed=0, record_at=(10, 100), hitting=Hitting(-1.0))
    straight = simulate(dynamics, schedule, **work)
    save, count = Checkpoint.save, 0

    def stop_sometimes(self, tensors, due=0.0):
        nonlocal count
        save(self, tensors, due=0.0)
        count += 1
        if count % 7 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stop_sometimes)
    resumed, stops = None, 0
    while resumed is None:
        try:
            resumed = simulate(dynamics, schedule, **work, scratch=tmp_path)
        except KeyboardInterrupt:
            stops += 1
    assert stops >= 3
    for one, two in zip(straight, resumed, strict=True):
        assert torch.equal(one.nan_to_num(-9.0), two.nan_to_num(-9.0))


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path, monkeypatch):
    save = Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", lambda self, tensors, due=0.0: save(self, tensors, due=0.0))
    simulate(Langevin(hard), Log(5.0), 10, SMALL, 0, scratch=tmp_path)
    for other in (dict(seed=1), dict(schedule=Log(5.1)), dict(dynamics=Langevin(hard, dt=0.02)), dict(steps=11)):
        work = dict(dynamics=Langevin(hard), schedule=Log(5.0), steps=10, start=SMALL, seed=0) | other
        with pytest.raises(UserError, match="belongs to another run: remove it"):
            simulate(**work, scratch=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(UserError, match="is damaged .*: remove it and the run starts anew"):
        simulate(Langevin(hard), Log(5.0), 10, SMALL, 0, scratch=tmp_path)


COMPILED = """
import torch
from infonce_langevin import Fixed, FrozenAnchor, Langevin, langevin, simulate
torch.set_num_threads(1)
langevin._FUSED = 1  # quicker to compile
runs = [simulate(Langevin(FrozenAnchor(0.2)), Fixed(5.0), 21, (1, 2, 300), 0, compiled=c).z for c in (False, True)]
assert not torch.equal(runs[0], torch.zeros_like(runs[0]))
torch.testing.assert_close(*runs, rtol=0, atol=1e-5)
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_steps_are_the_eager_ones_to_rounding():
    """In a process of its own: what checks annotations in tests does not compile."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_cannot_be_simulated_is_refused():
    start = square(4, torch.float32)
    with pytest.raises(ValueError, match=r"beta is 0 at first, .* use Log\(c, offset=2\)"):
        simulate(Langevin(hard), Log(5.0), 10, start, 0)
    simulate(Langevin(hard), Log(5.0, 2.0), 10, start, 0)
    with pytest.raises(ValueError, match="a schedule of 3 chains for 4"):
        simulate(Langevin(hard), Fixed(torch.ones(3)), 10, start, 0)
    with pytest.raises(ValueError, match="5 embeddings: give an even number"):
        simulate(Langevin(hard), Log(5.0), 10, (5, 3, 4), 0)
    with pytest.raises(ValueError, match="must have norm 1"):
        simulate(Langevin(hard), Fixed(5.0), 10, 2 * start, 0)
    with pytest.raises(ValueError, match="4 chains in 3 equal groups"):
        simulate(Langevin(hard), Fixed(5.0), 10, start, 0, common=3)
    with pytest.raises(ValueError, match="0 steps: choose 1 or more"):
        simulate(Langevin(hard), Fixed(5.0), 0, start, 0)
    with pytest.warns(UserWarning, match=r"dt = 0.2: without noise the energy may rise; it cannot for dt < 0.087"):
        simulate(Langevin(infonce(0.1), dt=0.2), Fixed(5.0), 1, start, 0)
    with pytest.warns(UserWarning, match=r"it cannot for dt < 0.0167"):  # drift of 40 grad U
        simulate(Langevin(hard, dt=0.02, coupling="literal"), Exponential(40.0, 0.02), 1, start, 0)
