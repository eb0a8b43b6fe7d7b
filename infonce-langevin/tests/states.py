"""States and energies that several tests need."""

import math

import torch

from infonce_langevin.energies import FrozenAnchor, dcl, hard, hard_incl, infonce
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import on_circle, uniform

CONTRASTIVE = [infonce(0.5), infonce(0.1), dcl(0.2), hard, hard_incl]
ENERGIES = [*CONTRASTIVE, FrozenAnchor(), FrozenAnchor(0.2)]


def states(n, d, chains=6, seed=0):
    return uniform(n, d, chains, generator(seed, "test"), torch.float64)


def square(chains=1, dtype=torch.float64):
    """The interleaved square: partners opposite, a strict local minimum of four points on the circle."""
    return on_circle(torch.tensor([0, math.pi, math.pi / 2, 3 * math.pi / 2], dtype=dtype)[:, None].repeat(1, chains))


def doublets():
    """Two antipodal pairs: the global minimum of four points."""
    return on_circle(torch.tensor([0, 0, math.pi, math.pi], dtype=torch.float64)[:, None])


def within(shares, expected, count, sigmas=4.0, bias=0.0):
    """Whether shares of `count` chains agree with probabilities, by the binomial error and a stated bias."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    error = (expected * (1 - expected) / count).sqrt()
    return bool(((torch.as_tensor(shares).double() - expected).abs() <= sigmas * error + bias + 1e-12).all())
