"""Small heads and random numbers for the tests of Hessians."""

import torch
from torch import nn

from proj_heads.heads import build_head


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=draws(seed), dtype=torch.float64)


def simsiam(activation, norm=False, d=6, width=20, k=12, hidden=9, seed=0):
    """Projector and predictor, batch norms with statistics and weights of their own."""
    generator = draws(seed)
    head = nn.Sequential(
        build_head(d, width, k, activation, 2, norm, generator),
        build_head(k, hidden, k, activation, 2, norm, generator),
    )
    for part in head.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.2, 2, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(part.bias, generator=generator)
    return head.double().eval()


def largest(x):
    return x.abs().max().item()
