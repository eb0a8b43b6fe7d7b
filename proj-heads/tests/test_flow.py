"""The stabilised integrator against exact solutions and scipy; gradient flow against conservation laws and descent."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from proj_heads import rkc
from proj_heads.flow import descend, flow
from proj_heads.heads import build_head, pseudo_collapse_
from proj_heads.seeds import generator
from proj_heads.siamese import Program, Siamese, mean_shift_, unit
from proj_heads.stacked import Stack, representation_std

# ---- the integrator


def relaxation(rates):
    """y' = -rate (y - cos t) with t as a last coordinate, and its solution from y = 0."""
    rates = torch.as_tensor(rates, dtype=torch.float64)

    def field(y):
        t = y[:, -1:]
        return torch.cat([-rates * (y[:, :-1] - t.cos()), torch.ones_like(t)], 1)

    def solution(t):
        steady = (rates**2 * math.cos(t) + rates * math.sin(t)) / (1 + rates**2)
        return steady - rates**2 / (1 + rates**2) * torch.exp(-rates * t)

    return field, torch.zeros(1, len(rates) + 1, dtype=torch.float64), solution


def test_rates_that_differ_by_a_million_are_followed_at_a_small_price():
    field, start, solution = relaxation([0.5, 1.0, 30.0, 1e3, 5e5])
    found = rkc.integrate(field, start, [0.0, 0.3, 2.0, 6.0], tolerance=1e-4)
    for state, time in zip(found.states[1:], (0.3, 2.0, 6.0), strict=True):
        torch.testing.assert_close(state[0, :-1], solution(time), atol=3e-4, rtol=0)
        assert state[0, -1] == pytest.approx(time, abs=1e-9)
    assert 5e5 <= found.stiffness.item() < 1.3 * 5e5
    explicit = 6.0 * 5e5 / 3.3 * 6  # of a Runge-Kutta pair of order 5 at the edge of its stability
    assert found.evaluations < explicit / 50


@pytest.mark.parametrize("stages", [2, 5, 12])
def test_a_step_is_of_second_order(stages):
    def field(y):
        return -(y**3) + y.flip(1)

    start = torch.tensor([[1.0, 0.3]], dtype=torch.float64)
    exact = solve_ivp(lambda _, y: -(y**3) + y[::-1], (0, 0.4), start[0].numpy(), rtol=1e-12, atol=1e-13).y[:, -1]
    errors = []
    for count in (8, 16, 32):
        y = start
        for _ in range(count):
            y = rkc.chebyshev_step(field, y, field(y), 0.4 / count, stages)
        errors.append(np.abs(y[0].numpy() - exact).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25) and errors[1] / errors[2] == pytest.approx(4, rel=0.25)


@pytest.mark.parametrize("stages", [2, 3, 10, 50])
def test_a_step_is_stable_as_far_as_its_stages_promise(stages):
    reach = 0.65 * (stages**2 - 1)
    rates = torch.linspace(0, reach, 400, dtype=torch.float64)[None]
    factor = rkc.chebyshev_step(lambda y: -rates * y, torch.ones_like(rates), -rates, 1.0, stages)
    assert (factor.abs() <= 1 + 1e-12).all() and rkc.stages(reach) == stages
    beyond = rkc.chebyshev_step(
        lambda y: -1.2 * reach * y, torch.ones(1, 1), -1.2 * reach * torch.ones(1, 1), 1.0, stages
    )
    assert beyond.abs() > 1


def test_the_spectral_radius_is_that_of_the_jacobian():
    matrix = torch.randn(6, 6, generator=generator(0), dtype=torch.float64)
    matrix = -matrix @ matrix.T
    y = torch.randn(2, 6, generator=generator(1), dtype=torch.float64)
    radius, _ = rkc.spectral_radius(lambda y: y @ matrix, y, y @ matrix, torch.ones_like(y))
    exact = torch.linalg.eigvalsh(matrix).abs().max()
    torch.testing.assert_close(radius, 1.1 * exact.expand(2), rtol=0.05, atol=0)


def test_a_row_that_becomes_too_stiff_is_left_and_the_others_go_on():
    """y' = -1 / y ends at t = y(0)^2 / 2 in a singularity; its Jacobian is 1 / y^2."""
    start = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    found = rkc.integrate(lambda y: -1 / y, start, [0.0, 0.3, 1.0, 2.0], tolerance=1e-5, stiffest=(10.0, 1e3))
    assert 0.45 < found.end[0] <= 0.5 + 1e-6 and found.end[1] == 2
    assert torch.isnan(found.states[2:, 0]).all() and found.states[1, 0].item() == pytest.approx(0.4**0.5, rel=1e-3)
    for limit, met_at, met in zip((10.0, 1e3), found.met_at, found.met, strict=True):
        assert met_at[0] <= found.end[0] and 1 / met[0].item() ** 2 > limit / 1.2
        assert met[0].item() ** 2 + 2 * met_at[0].item() == pytest.approx(1, abs=1e-3)
    assert found.met_at[0, 0] < found.met_at[1, 0] == found.end[0] and (found.met[1, 0] == found.last[0]).all()
    assert torch.isnan(found.met_at[:, 1]).all() and torch.isnan(found.met[:, 1]).all()
    np.testing.assert_allclose(found.states[:, 1, 0], np.sqrt(9 - 2 * np.array([0, 0.3, 1, 2])), rtol=1e-4)


def test_rows_are_left_when_it_takes_too_long():
    calls = []

    def field(y):
        calls.append(1)
        return -1e4 * (y - torch.tensor([[1.0], [2.0]], dtype=torch.float64))

    found = rkc.integrate(
        field, torch.zeros(2, 1, dtype=torch.float64), [0.0, 1e-5, 10.0, 20.0], tolerance=1e-6, limit=60
    )
    assert 60 < found.evaluations == len(calls) < 120
    assert 1e-6 < found.end[0] == found.end[1] < 10 and torch.isnan(found.states[2:]).all()
    exact = 1 - torch.exp(-1e4 * found.end)
    torch.testing.assert_close(
        found.last[:, 0], exact * torch.tensor([1.0, 2.0], dtype=torch.float64), rtol=1e-3, atol=0
    )


def test_times_must_ascend(unchecked):
    with pytest.raises(ValueError, match="times must ascend"):
        rkc.integrate(lambda y: -y, torch.ones(1, 1), [0.0, 1.0, 1.0])


# ---- gradient flow


def problem(activation="swish", start="pseudo", seeds=(0, 1), n=6):
    """A program with two small members, their parameters and a batch."""
    members = []
    x = torch.randn(len(seeds), 5, 2, n, generator=generator(0, "x"), dtype=torch.float64)
    x[:, :, 1] = x[:, :, 0] + 0.3 * x[:, :, 1]
    for i, seed in enumerate(seeds):
        stream = generator(seed, "init")
        backbone = torch.nn.Sequential(torch.nn.Linear(5, 4))
        with torch.no_grad():
            for p in backbone.parameters():
                p.uniform_(-1, 1, generator=stream)
        networks = (
            backbone,
            build_head(4, 8, 4, activation, 2, False, stream),
            build_head(4, 3, 4, activation, 2, False, stream),
        )
        members.append(Siamese(*(network.double() for network in networks)))
        if start == "pseudo":
            pseudo_collapse_(members[-1].head, 0.5)
        else:
            mean_shift_(members[-1].backbone, x[i].flatten(1).T, 0.1)
    program = Program(members[0])
    return program, program.pack(members, torch.float64), x


@pytest.mark.parametrize("activation", ["linear", "swish", "gelu"])
def test_the_flow_is_scipys(activation):
    program, theta, x = problem(activation, "mean_shift")
    times = [0.0, 0.5, 2.0]
    found = flow(program, theta, x, times, tolerance=1e-5)

    def field(_, state):
        return -program.gradient(torch.from_numpy(state).view_as(theta), x)[1].flatten().numpy()

    exact = solve_ivp(field, (0, 2), theta.flatten().numpy(), "DOP853", times, rtol=1e-9, atol=1e-11)
    expected = torch.from_numpy(exact.y.T.copy()).view(3, *theta.shape)
    torch.testing.assert_close(found.theta, expected, atol=2e-4, rtol=0)
    for i in range(3):
        outputs = program.outputs(expected[i], x)
        torch.testing.assert_close(found.std[i], representation_std(unit(outputs.h)), atol=0, rtol=1e-3)
        torch.testing.assert_close(found.std_backbone[i], representation_std(unit(outputs.z)), atol=0, rtol=1e-3)
    assert (found.end == 2).all() and (found.stiffness > 0).all()


@pytest.mark.parametrize("activation", ["linear"])
def test_the_flow_conserves_the_norms_of_scale_free_maps_and_descent_does_not(activation):
    """The loss of a homogeneous head does not change with the length of any of its maps: g is orthogonal to each."""
    program, theta, x = problem(activation, "mean_shift", seeds=(2, 3, 4))
    times = [0.0, 1.0, 3.0]
    found, coarse = flow(program, theta, x, times, tolerance=1e-5), descend(program, theta, x, times, 0.2)
    starts = np.cumsum([0, *(shape.numel() for shape in program.shapes)])
    for begin, end in list(zip(starts, starts[1:], strict=False))[2:]:  # behind the backbone's weight and bias
        norms, grown = (path.theta[:, :, begin:end].norm(dim=2) for path in (found, coarse))
        torch.testing.assert_close(norms, norms[:1].expand_as(norms), atol=0, rtol=1e-3)
        assert (grown[-1] >= grown[0] - 1e-12).all() and (grown[-1] > 1.0001 * grown[0]).any()


def test_descent_approaches_the_flow_in_proportion_to_its_step():
    program, theta, x = problem("swish", "mean_shift")
    exact = flow(program, theta, x, [0.0, 1.0], tolerance=1e-7).theta[-1]
    errors = [(descend(program, theta, x, [0.0, 1.0], step).theta[-1] - exact).norm() for step in (0.01, 0.005, 0.0025)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15) and errors[1] / errors[2] == pytest.approx(2, rel=0.15)


def test_descent_is_sgd_without_momentum_on_one_batch():
    program, theta, x = problem()
    found = descend(program, theta, x, [0.0, 0.5, 1.0], 0.1)
    members = [program.unpack_(row, copy.deepcopy(program.networks)) for row in theta]
    stack = Stack(members, lr=0.1, momentum=0.0, dtype=torch.float64)
    for _ in range(10):
        stack.step(x)
    torch.testing.assert_close(found.theta[-1], stack.theta, atol=1e-12, rtol=1e-9)
    assert found.evaluations == 10 and found.time.tolist() == [0.0, 0.5, 1.0] and (found.end == 1).all()


def test_the_predictors_zero_is_a_singularity_of_the_loss():
    """The rate at which one output p turns grows as 1 / ||p||^2; a member near p = 0 is left."""
    program, theta, x = problem("linear", "mean_shift")
    last = theta.shape[1] - 12  # the predictor's last map, 3 -> 4
    theta[1, last:] *= 1e-4
    found = flow(program, theta, x, [0.0, 0.01, 0.1], tolerance=1e-3, stiffest=(1e3, 1e4))
    assert found.end[0] == 0.1 and found.end[1] < 0.1
    assert torch.isnan(found.std[-1, 1]) and torch.isfinite(found.std[:, 0]).all()
    assert torch.isnan(found.met_at[:, 0]).all() and (found.met_at[-1, 1] == found.end[1])
