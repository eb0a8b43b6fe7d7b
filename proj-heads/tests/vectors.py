"""Random vectors and orthogonal maps for the tests of geometry."""

import torch

from proj_heads.seeds import generator


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "normal"), dtype=torch.float64)


def orthogonal(dim, seed=0):
    return torch.linalg.qr(normal(dim, dim, seed=seed)).Q
