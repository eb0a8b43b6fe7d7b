"""Grids and critical depths against closed forms, a naive minimax, and merge trees that are known."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from states import square

from infonce_langevin.energies import FrozenAnchor, hard, infonce
from infonce_langevin.oracles.landscapes import Landscape, circle, critical_depth, torus
from infonce_langevin.spheres import on_circle


def of_values(values, dims=1):
    values = np.asarray(values, float)
    size = round(len(values) ** (1 / dims))
    angles = np.stack(np.meshgrid(*[2 * np.pi / size * np.arange(size)] * dims, indexing="ij"), -1).reshape(-1, dims)
    return Landscape(size, angles, values, np.eye(dims, dtype=int))


def naive_depth(landscape):
    """By flooding: for each node the lowest level at which a lower node can be reached, minus its energy."""
    u, size, dims = landscape.energy, landscape.size, landscape.angles.shape[1]
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * dims, indexing="ij"), -1).reshape(-1, dims)
    index = np.stack(np.unravel_index(np.arange(len(u)), (size,) * dims), -1)
    around = [np.ravel_multi_index(tuple(((index + step) % size).T), (size,) * dims) for step in steps]
    depth = 0.0
    for start in np.flatnonzero(u > u.min() + 1e-9):
        reached, level, frontier = {int(start)}, u[start], {int(a[start]) for a in around}
        while True:
            node = min(frontier - reached, key=lambda k: u[k])
            level = max(level, u[node])
            if u[node] < u[start]:
                break
            reached.add(node)
            frontier |= {int(a[node]) for a in around}
        depth = max(depth, level - u[start])
    return depth


def test_energies_on_the_grids_are_those_of_the_states():
    landscape = torus(infonce(0.2), 16)
    for node in (0, 5, 777, 4095):
        at = torch.from_numpy(np.concatenate([[0.0], landscape.angles[node]]))[:, None]
        assert landscape.energy[node] == pytest.approx(float(infonce(0.2).value(on_circle(at))[0]), abs=1e-12)
        assert landscape.node(landscape.angles[node]) == node


def test_moving_goes_to_the_node_at_the_shifted_angles():
    landscape = torus(hard, 8)
    step = np.array([1, 0, -1])
    shifted = (landscape.angles + step * landscape.spacing) % (2 * np.pi)
    assert np.allclose(landscape.angles[landscape.moved(step)], shifted, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dims, size", [(1, 60), (2, 9), (3, 8)])
def test_depths_of_random_landscapes_are_those_of_flooding(dims, size, seed):
    landscape = of_values(np.random.default_rng(seed).normal(size=size**dims), dims)
    assert critical_depth(landscape).depth == pytest.approx(naive_depth(landscape), abs=1e-12)


def test_a_known_merge_tree():
    """Minima 0, 1 and 3 behind barriers 2, 7 and 5: 1 leaves over 2, 3 over 5; both global minima are 7 or 5 apart."""
    found = critical_depth(of_values([0, 2, 1, 7, 3, 5, 6, 6]))
    assert (found.depth, found.trap, found.saddle) == (3.0, 4, 6.0)
    twice = critical_depth(of_values([0, 5, 1, 4, 0, 9, 9, 9]))
    assert (twice.depth, twice.barrier, twice.trap) == (3.0, 5.0, 2)


def test_depth_of_the_anchor_circle():
    found = critical_depth(circle(FrozenAnchor(), 480))
    assert found.depth == pytest.approx(math.sqrt(2) - 1, abs=1e-12) == found.barrier
    assert found.critical_rate == pytest.approx(math.sqrt(2) + 1) and found.trap == 240


@pytest.mark.parametrize("tau, depth", [(0.1, 0.3446), (0.2, 0.27575), (0.3, 0.2089), (0.5, 0.0992)])
def test_depth_of_the_smooth_anchor_circle(tau, depth):
    """By maximising U, and the prototype's on a coarser grid; for tau = .2 also the saddle and the trap themselves."""
    found = critical_depth(circle(FrozenAnchor(tau), 1600))
    top = minimize_scalar(lambda phi: np.cos(phi) - tau * np.log(2 * np.cosh(np.sin(phi) / tau)), (2.0, 2.4, 3.0))
    exact = -top.fun - 1 - tau * math.log(2)
    assert found.depth == pytest.approx(exact, abs=2e-6) and exact == pytest.approx(depth, abs=4e-4)
    if tau == 0.2:
        assert found.saddle == pytest.approx(1.41438, abs=1e-5)
        assert found.saddle - found.depth == pytest.approx(1 + 0.2 * math.log(2), abs=1e-9)


def test_depth_of_four_points_on_the_circle():
    """1 / 16, c* = 16, in closed form; grids that have the saddle's angles nearly are within 2e-4 of it."""
    landscape = torus(hard, 48)
    found = critical_depth(landscape)
    assert found.depth == pytest.approx(1 / 16, abs=2e-4) and found.critical_rate == pytest.approx(16, abs=0.05)
    assert landscape.energy[found.trap] == pytest.approx(float(hard.value(square())[0]), abs=1e-9)


@pytest.mark.parametrize("energy, depth", [(infonce(0.1), 0.02805), (infonce(0.05), 0.04509)])
def test_depth_of_smooth_energies_of_four_points(energy, depth):
    """A prototype's, whose grid has 144 a turn, a multiple of ours."""
    assert critical_depth(torus(energy, 48)).depth == pytest.approx(depth, abs=1e-3)


def test_without_traps_the_critical_rate_is_infinite():
    """The trap of four points disappears at tau = .252, as the Hessian there says."""
    for landscape in (torus(infonce(0.3), 48), circle(FrozenAnchor(1.5), 200), of_values(np.arange(8) * 0.0)):
        found = critical_depth(landscape)
        assert found.depth == 0 and found.critical_rate == math.inf and found.trap == -1


def test_small_grids_are_refused():
    with pytest.raises(ValueError, match="a grid of 4 points a turn: choose 8 or more"):
        circle(FrozenAnchor(), 4)
