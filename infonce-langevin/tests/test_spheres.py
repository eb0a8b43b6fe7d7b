"""The manifold: moves stay on it, geodesics are geodesics, and what is not on it is refused."""

import math

import pytest
import torch
from scipy import stats
from states import states

from infonce_langevin.seeds import generator
from infonce_langevin.spheres import (
    check_states,
    exponential_step,
    on_circle,
    project_step,
    tangent,
    uniform,
)


@pytest.mark.parametrize("d", [2, 3, 7])
def test_tangents_are_orthogonal_and_tangents_of_tangents_are_themselves(d):
    z, v = states(5, d), states(5, d, seed=1)
    along = tangent(z, v)
    assert (z * along).sum(1).abs().max() <= 1e-14
    assert (tangent(z, along) - along).abs().max() <= 1e-14


@pytest.mark.parametrize("move", [project_step, exponential_step])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_moves_stay_on_the_spheres_however_long(move, dtype, tolerance):
    z, w = (states(4, 3, 100, seed).to(dtype) for seed in (0, 1))
    for length in (1e-3, 1.0, 100.0):
        assert ((move(z, length * w).norm(dim=1) - 1).abs() <= tolerance).all()


def test_the_exponential_map_goes_as_far_as_its_argument_along_a_great_circle():
    z, w = states(3, 4), 0.3 * states(3, 4, seed=1)
    v = tangent(z, w)
    there = exponential_step(z, w)
    angle = (z * there).sum(1).acos()
    assert (angle - v.norm(dim=1)).abs().max() <= 1e-12
    assert (tangent(z, there) - v * (angle.sin() / angle)[:, None]).abs().max() <= 1e-12
    assert (exponential_step(z, torch.zeros_like(z)) - z).abs().max() <= 1e-15


def test_on_the_circle_the_exponential_map_adds_angles():
    phi, step = torch.tensor([[0.3, 2.0]], dtype=torch.float64), torch.tensor([[1.7, -2.6]], dtype=torch.float64)
    forward = torch.stack([-phi.sin(), phi.cos()], 1)
    assert (exponential_step(on_circle(phi), step[:, None] * forward) - on_circle(phi + step)).abs().max() <= 1e-14


def test_moves_agree_to_second_order():
    z, w = states(4, 3), states(4, 3, seed=1)
    gaps = [float((project_step(z, h * w) - exponential_step(z, h * w)).abs().max()) for h in (0.02, 0.01)]
    assert gaps[0] / gaps[1] == pytest.approx(8, rel=0.05)


def test_uniform_states_are_uniform():
    """A coordinate of a uniform point of the sphere in R^3 is uniform on [-1, 1]."""
    z = uniform(2, 3, 5000, generator(0))
    for coordinate in z.flatten(0, 1).numpy():
        assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-4
    assert (z[0] * z[1]).sum(0).mean().abs() < 4 / math.sqrt(3 * 5000)


def test_bad_states_are_refused(unchecked):
    with pytest.raises(ValueError, match=r"shape \(4, 3\): give \(n, d, chains\)"):
        check_states(torch.ones(4, 3), pairs=True)
    with pytest.raises(ValueError, match="5 embeddings: give an even number, 4 or more"):
        check_states(states(5, 3), pairs=True)
    with pytest.raises(ValueError, match="2 embeddings: give an even number, 4 or more"):
        check_states(states(2, 3), pairs=True)
    with pytest.raises(ValueError, match="must have norm 1"):
        check_states(1.01 * states(4, 3), pairs=True)
    broken = states(4, 3)
    broken[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="must have norm 1"):
        check_states(broken, pairs=True)
    check_states(states(1, 2), pairs=False)
