"""The published training written plainly in PyTorch: nested automatic differentiation, one run, one step at a time.

As a PINN is usually written: `autograd.grad` with `create_graph` for every derivative, Adam, fresh points at every
step, as many as published.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pinn_scaling.pdes import PDES
from pinn_scaling.points import published_counts


class Network(nn.Module):
    """One hidden layer of tanh with the published initial law."""

    def __init__(self, width: int, d: int):
        super().__init__()
        self.hidden, self.out = nn.Linear(d, width), nn.Linear(width, 1)
        for layer in (self.hidden, self.out):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(torch.tanh(self.hidden(z)))[:, 0]


def partials(u: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Of u at the points with respect to their coordinates."""
    return (*torch.autograd.grad(u.sum(), z, create_graph=True)[0].T,)


def points(pde: str, width: int) -> tuple[Tensor, ...]:
    """Uniform ones inside, at t = 0 and at both ends; Poisson's are a scrambled Sobol net."""
    domain, counts = PDES[pde].domain, published_counts(PDES[pde], width)
    if len(domain) == 1:
        inside = torch.quasirandom.SobolEngine(1, scramble=True).draw(counts.interior)
        return inside.requires_grad_(), torch.empty(0), torch.tensor([[0.0]]), torch.tensor([[1.0]])
    (t0, t1), (left, right) = domain

    def uniform(n: int, t: tuple[float, float], x: tuple[float, float]) -> Tensor:
        low, high = torch.tensor([t[0], x[0]]), torch.tensor([t[1], x[1]])
        return (low + (high - low) * torch.rand(n, 2)).requires_grad_()

    return (
        uniform(counts.interior, (t0, t1), (left, right)),
        uniform(counts.initial, (t0, t0), (left, right)),
        uniform(counts.boundary, (t0, t1), (left, left)),
        uniform(counts.boundary, (t0, t1), (right, right)),
    )


def poisson(net: Network, kappa: float, inside: Tensor, start: Tensor, left: Tensor, right: Tensor) -> Tensor:
    (slope,) = partials(net(inside), inside)
    (u_xx,) = partials(slope, inside)
    return ((u_xx + torch.sin(math.pi * inside[:, 0])) ** 2).mean() + net(left)[0] ** 2 + net(right)[0] ** 2


def allen_cahn(net: Network, kappa: float, inside: Tensor, start: Tensor, left: Tensor, right: Tensor) -> Tensor:
    u = net(inside)
    u_t, u_x = partials(u, inside)
    _, u_xx = partials(u_x, inside)
    residual = u_t - u_xx / kappa + u * (u**2 - 1)
    front = torch.tanh(start[:, 1] * math.sqrt(kappa / 2))
    ends = ((net(left) + 1) ** 2).mean() + ((net(right) - 1) ** 2).mean()
    return (residual**2).mean() + ((net(start) - front) ** 2).mean() + ends


def sine_gordon(net: Network, kappa: float, inside: Tensor, start: Tensor, left: Tensor, right: Tensor) -> Tensor:
    def kink(z: Tensor) -> Tensor:
        return 4 * torch.atan(torch.exp(math.sqrt(kappa) * z[:, 1]))

    u = net(inside)
    u_t, u_x = partials(u, inside)
    u_tt, _ = partials(u_t, inside)
    _, u_xx = partials(u_x, inside)
    at_start, faces = net(start), torch.cat([left, right])
    velocity, _ = partials(at_start, start)
    residual = u_tt - u_xx + kappa * torch.sin(u)
    ends = ((net(faces) - kink(faces)) ** 2).mean()
    return (residual**2).mean() + ((at_start - kink(start)) ** 2).mean() + (velocity**2).mean() + ends


def kdv_published(net: Network, kappa: float, inside: Tensor, start: Tensor, left: Tensor, right: Tensor) -> Tensor:
    u = net(inside)
    u_t, u_x = partials(u, inside)
    _, u_xx = partials(u_x, inside)
    _, u_xxx = partials(u_xx, inside)
    across = left.detach().clone()
    across[:, 1] = 20.0
    across.requires_grad_()
    here, there = net(left), net(across)
    jump = ((here - there) ** 2).mean() + ((partials(here, left)[1] - partials(there, across)[1]) ** 2).mean()
    pulse = kappa / torch.cosh(math.sqrt(kappa / 2) * start[:, 1]) ** 2
    return ((u_t + kappa * u * u_x + u_xxx) ** 2).mean() + ((net(start) - pulse) ** 2).mean() + jump


LOSSES: dict[str, Callable[..., Tensor]] = {
    "poisson": poisson, "allen_cahn": allen_cahn, "sine_gordon": sine_gordon, "kdv_published": kdv_published,
}  # fmt: skip


def train(pde: str, width: int, kappa: float, steps: int) -> None:
    """So many steps of Adam, one run."""
    net = Network(width, len(PDES[pde].domain))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        LOSSES[pde](net, kappa, *points(pde, width)).backward()
        optimiser.step()
