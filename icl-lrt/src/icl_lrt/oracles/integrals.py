"""The two integrals that the exact predictors need, as logarithms, in float64 on any device (ours).

Both integrands have one peak, which is known; nodes are laid around it, so that the error is of the order of rounding
for any concentration: no series, no asymptotics, and no Bessel functions, which torch lacks on a GPU.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

DROP = 40.0
"""Integrands are followed down to exp(-DROP) times their peak."""


def log_sphere_mgf(kappa: Float64[Tensor, "*batch"], d: int) -> Float64[Tensor, "*batch"]:
    """log Z_d(kappa) = log E exp(kappa u_1), u uniform on the unit sphere of R^d; kappa >= 0.

    Equal to ln Gamma(d/2) + (d/2 - 1) ln(2/kappa) + ln I_{d/2-1}(kappa). (1 + u_1) / 2 is Beta(a, a) with
    a = (d - 1) / 2; by its logit v, with q = 1 / (1 + e^v),

        Z = e^kappa / B(a, a) int exp(-2 kappa q) [q (1 - q)]^a dv,   peak at v = arcsinh(kappa / a),

    which is analytic and decays at both ends: the trapezoidal rule converges geometrically. Absolute error about 1e-14
    times max(1, log Z); cost 87 nodes at d = 16, more for d < 8.
    """
    if d < 1:
        raise ValueError(f"d = {d}: choose d >= 1")
    if d == 1:  # u_1 = -1 or 1
        return torch.logaddexp(kappa, -kappa) - math.log(2)
    a = (d - 1) / 2
    reach = (DROP + math.sqrt(DROP**2 + 16 * DROP * a)) / (2 * a)  # 2 ln cosh(v / 2) >= v^2 / (4 + |v|)
    step = min(0.5 / math.sqrt(a), 0.22)  # the peak has a standard deviation of at least (2 a)^-1/2; poles at +- i pi
    count = math.ceil(reach / step)
    offsets = step * torch.arange(-count, count + 1, dtype=torch.float64, device=kappa.device)
    decay = torch.exp(-offsets)
    constant = math.log(step) - 2 * math.lgamma(a) + math.lgamma(2 * a)

    def on_line(kappa: Tensor) -> Tensor:
        centre = torch.asinh(kappa / a)[:, None]
        odds = torch.exp(-centre) * decay  # q / (1 - q) at v = centre + offsets
        exponent = -2 * kappa[:, None] * odds / (1 + odds) - a * (centre + offsets + 2 * torch.log1p(odds))
        return torch.logsumexp(exponent, 1)

    return kappa + in_pieces(on_line, len(offsets), kappa) + constant


def log_scale_integral(
    power: Float64[Tensor, "*batch"], energy: Float64[Tensor, "*batch"], low: float, high: float, nodes: int = 64
) -> Float64[Tensor, "*batch"]:
    """log int_low^high s^-power exp(-energy / (2 s^2)) ds; power, energy >= 0, 0 < low < high.

    In t = ln s the exponent -(power - 1) t - energy e^{-2t} / 2 is concave, so its peak and bounds on how far it stays
    within `DROP` of it are known: Gauss-Legendre nodes there, inside [ln low, ln high]. Relative error of the integral
    about 1e-14 whatever the power and the energy, for high / low up to 400; fixed nodes on the whole range would miss
    the peak of a large context.
    """
    lower, upper = math.log(low), math.log(high)
    points, weights = (torch.tensor(array, device=power.device) for array in legendre(nodes))

    def on_window(power: Tensor, energy: Tensor) -> Tensor:
        a = ((power - 1) / 2).clamp(min=1e-300)
        peak = (0.5 * torch.log(energy / (2 * a))).clamp(lower, upper)
        force = 0.5 * energy * torch.exp(-2 * peak)  # = a, unless the peak is cut off
        steep = DROP / (2 * (force - a)).abs()
        above, below = DROP / a, DROP / force  # in x = 2 |t - peak|: at least the drops a (e^-x - 1 + x) and
        right = (above + (above * (above + 8)).sqrt()) / 4  # force (e^x - 1 - x), with e^-x - 1 + x >= x^2 / (2 + x)
        left = 0.5 * torch.minimum((2 * below).sqrt(), (4 * below).log().clamp(min=1.1))  # >= x^2 / 2, e^x / 4
        start = (peak - torch.minimum(left, steep)).clamp(min=lower)
        end = (peak + torch.minimum(right, steep)).clamp(max=upper)
        t = start[:, None] + (end - start)[:, None] * points
        exponent = (1 - power)[:, None] * t - 0.5 * energy[:, None] * torch.exp(-2 * t)
        return torch.logsumexp(exponent + weights.log(), 1) + (end - start).log()

    return in_pieces(on_window, nodes, power, energy)


@cache
def legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (points + 1) / 2, weights / 2


def in_pieces(function: Callable[..., Tensor], nodes: int, *arguments: Tensor) -> Tensor:
    """function(*arguments) elementwise, where each element takes `nodes` numbers: pieces that stay in a CPU's cache, or
    fit in a GPU's memory.
    """
    size = max(1, (2**15 if arguments[0].device.type == "cpu" else 2**25) // nodes)
    pieces = zip(*(argument.flatten().split(size) for argument in arguments), strict=True)
    return torch.cat([function(*piece) for piece in pieces]).view(arguments[0].shape)
