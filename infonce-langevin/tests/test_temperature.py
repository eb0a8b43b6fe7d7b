"""The temperature scheduler on lightly's loss, and the measures of representations against loops."""

import math

import pytest
import torch
from lightly.loss import NTXentLoss
from torch.nn.functional import normalize

from infonce_langevin.schedules import Log, ending_at
from infonce_langevin.seeds import generator
from infonce_langevin.temperature import Adaptive, TemperatureScheduler, measure


def views(batch=12, d=5):
    return torch.randn(2, batch, d, generator=generator(0, "views")).unbind(0)


def test_the_loss_is_that_at_the_temperature_of_the_moment():
    loss, (z0, z1) = NTXentLoss(temperature=0.5), views()
    scheduler = TemperatureScheduler(loss, Log(3.0, offset=2.0))
    for step in range(20):
        tau = min(1.0, 1 / (3 * math.log(step + 2)))
        assert loss.temperature == pytest.approx(tau, rel=1e-12)
        assert float(loss(z0, z1)) == pytest.approx(float(NTXentLoss(temperature=tau)(z0, z1)), rel=1e-6)
        scheduler.step()


@pytest.mark.parametrize("shape", ["log", "sqrt", "linear", "exponential", "cosine"])
def test_all_shapes_end_at_the_lowest_temperature(shape):
    loss = NTXentLoss()
    scheduler, seen = TemperatureScheduler(loss, ending_at(shape, 20.0, 50.0), lowest=0.05, highest=2.0), []
    for _ in range(60):
        seen.append(loss.temperature)
        scheduler.step()
    assert seen[0] == pytest.approx(2.0) and loss.temperature == pytest.approx(0.05)
    assert all(later <= earlier for earlier, later in zip(seen, seen[1:], strict=False))


def test_a_resumed_scheduler_goes_on_as_the_straight_one():
    def run(scheduler, steps):
        for k in range(steps):
            scheduler.step(spread=0.5 + 0.1 * k)
        scheduler.log(*views())

    for schedule in (Log(2.0), Adaptive(1.0, 30.0, 0.7)):
        straight = TemperatureScheduler(NTXentLoss(), schedule)
        run(straight, 5)
        resumed = TemperatureScheduler(NTXentLoss(), schedule)
        resumed.load_state_dict(straight.state_dict())
        assert resumed.loss.temperature == straight.loss.temperature
        run(straight, 4)
        run(resumed, 4)
        assert resumed.state_dict() == straight.state_dict() and len(resumed.rows) == 2


def test_adaptive_annealing_takes_steps_of_equal_length():
    loss = NTXentLoss()
    scheduler = TemperatureScheduler(loss, Adaptive(1.0, 5.0, 0.6))
    betas = [scheduler.beta]
    for spread in (0.3, 0.6, 1.2):
        scheduler.step(spread)
        betas.append(scheduler.beta)
    assert betas == pytest.approx([1.0, 3.0, 4.0, 4.5])
    scheduler.step(0.1)
    assert scheduler.beta == 5.0 and loss.temperature == pytest.approx(0.2)


def test_measures_are_those_of_the_definitions():
    z0, z1 = views()
    u0, u1 = (normalize(z.double(), dim=1) for z in (z0, z1))
    found = measure(z0, z1)
    assert float(found.alignment) == pytest.approx(
        sum(float((a - b).square().sum()) for a, b in zip(u0, u1, strict=True)) / 12, rel=1e-12
    )
    spread = [
        sum(math.exp(-2 * float((u[i] - u[j]).square().sum())) for i in range(12) for j in range(i)) / 66
        for u in (u0, u1)
    ]
    assert float(found.uniformity) == pytest.approx(sum(map(math.log, spread)) / 2, rel=1e-12)
    values = torch.linalg.eigvalsh(torch.cov(torch.cat([u0, u1]).T))
    share = (values / values.sum()).tolist()
    assert float(found.effective_rank) == pytest.approx(math.exp(-sum(p * math.log(p) for p in share)), rel=1e-9)


def test_measures_at_collapse_and_at_the_simplex():
    same = torch.ones(6, 3)
    collapsed = measure(same, same)
    assert float(collapsed.alignment) == 0 == float(collapsed.uniformity) and math.isnan(
        float(collapsed.effective_rank)
    )
    axes = torch.cat([torch.eye(4), -torch.eye(4)])
    assert float(measure(axes, axes).effective_rank) == pytest.approx(4)


def test_what_cannot_be_annealed_is_refused(unchecked):
    with pytest.raises(ValueError, match="Linear has no attribute temperature"):
        TemperatureScheduler(torch.nn.Linear(1, 1), Log(1.0))
    with pytest.raises(ValueError, match="choose lowest <= highest"):
        TemperatureScheduler(NTXentLoss(), Log(1.0), lowest=0.5, highest=0.1)
    scheduler = TemperatureScheduler(NTXentLoss(), Adaptive(1.0, 5.0, 0.6))
    with pytest.raises(ValueError, match=r"needs step\(spread=...\)"):
        scheduler.step()
    with pytest.raises(ValueError, match="spread = 0.0"):
        scheduler.step(0.0)
    assert scheduler.steps == 0
    with pytest.raises(ValueError, match="give two equal ones"):
        measure(torch.ones(3, 2), torch.ones(4, 2))
