"""One step of the annealed diffusion on a product of spheres, for many chains.

    dZ = -grad U dt + sqrt(2 / beta) dW_M          decoupled: U is fixed, beta(t) is the temperature of the noise
    dZ = -grad L(Z, beta) dt + sqrt(2 / beta) dW_M     literal: one beta in both, L = beta U at tau = 1 / beta

The literal drift is of order beta: in the clock s = int beta dt it is decoupled at beta^2, too fast for any
beta = c ln t.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.energies import Energy
from infonce_langevin.noise import HessianNoise, Isotropic, Matched, Noise, gibbs_drift
from infonce_langevin.schedules import check_positive
from infonce_langevin.spheres import exponential_rows, exponential_step, join, project_rows, split, tangent

LOWEST_BETA = 1e-6
"""beta is clipped below at this value, as published: c ln(1 + t) is 0 at first."""


@dataclass(frozen=True)
class Langevin:
    """Z <- move(Z, -dt grad U(Z) + sqrt(2 dt / beta) B xi), xi standard normal, B B^T = A of the noise model."""

    energy: Energy
    noise: Noise = Isotropic()
    dt: float = 0.01
    move: Literal["project", "exponential"] = "project"
    """"project": normalise(Z + P w), as published. The normalisation supplies the Ito drift to first order."""
    coupling: Literal["decoupled", "literal"] = "decoupled"
    """"literal" scales the drift by beta and takes the loss at tau = 1 / beta; energies at tau = 0 stay there."""
    gibbs: bool = False
    """Correct the drift so that exp(-beta U) is stationary under anisotropic noise too (`gibbs_drift`)."""

    uniforms: ClassVar[bool] = False
    """Whether a step needs a uniform number as well."""

    def __post_init__(self):
        check_positive(dt=self.dt)
        if self.gibbs and isinstance(self.noise, HessianNoise | Matched):
            raise ValueError("gibbs = True needs a noise model with a known divergence: Constant or Equatorial")
        if self.gibbs and self.coupling == "literal":
            raise ValueError("gibbs = True is for the decoupled dynamics: the literal one has no fixed energy")

    def step(
        self,
        z: Float[Tensor, "n d chains"],
        xi: Float[Tensor, "n d chains"],
        beta: Float[Tensor, " chains"],
        uniform: Float[Tensor, " chains"] | None = None,
    ) -> tuple[Float[Tensor, "n d chains"], Float[Tensor, " chains"]]:
        """The next states, and U before the step."""
        energy = self.energy.at(1 / beta) if self.coupling == "literal" else self.energy
        rows, time = split(z), self.dt * beta if self.coupling == "literal" else self.dt
        u, slope = energy.in_rows(rows)
        if self.gibbs:
            slope = split(-gibbs_drift(self.noise, z, join(slope), beta))
        sigma, noise = (2 * self.dt / beta).sqrt(), split(self.noise.scaled(z, xi, energy))
        w = [
            tuple(torch.addcmul(-time * down, sigma, kick) for down, kick in zip(*both, strict=True))
            for both in zip(slope, noise, strict=True)
        ]
        move = project_rows if self.move == "project" else exponential_rows
        return join(move(rows, w)), u


@dataclass(frozen=True)
class Metropolis:
    """The same with isotropic noise and a Metropolis test (MALA): exp(-beta U) is stationary whatever dt is.

    Proposals go along geodesics, z' = exp_z(v) with v = -dt grad U + sqrt(2 dt / beta) xi on the tangent space. The
    way back is v' = -(v carried along to z'), as long, so the volume factors cancel, and

        ln(acceptance) = -beta (U' - U) - (beta / 4 dt) (|v' + dt grad U'|^2 - |v + dt grad U|^2)

    Moves of pi or more are refused: there is more than one way back.
    """

    energy: Energy
    dt: float = 0.01

    uniforms: ClassVar[bool] = True

    def __post_init__(self):
        check_positive(dt=self.dt)

    def step(
        self,
        z: Float[Tensor, "n d chains"],
        xi: Float[Tensor, "n d chains"],
        beta: Float[Tensor, " chains"],
        uniform: Float[Tensor, " chains"] | None = None,
    ) -> tuple[Float[Tensor, "n d chains"], Float[Tensor, " chains"]]:
        """The next states, and U before the step."""
        u, slope = self.energy.value_and_slope(z)
        drift = -self.dt * tangent(z, slope)
        v = drift + (2 * self.dt / beta).sqrt() * tangent(z, xi)
        length = v.norm(dim=1, keepdim=True)
        there = exponential_step(z, v)
        u_there, slope_there = self.energy.value_and_slope(there)
        back = length * length.sin() * z - length.cos() * v  # -(v carried along)
        drift_there = -self.dt * tangent(there, slope_there)
        longer = (back - drift_there).square().sum((0, 1)) - (v - drift).square().sum((0, 1))
        log_ratio = -beta * (u_there - u) - beta / (4 * self.dt) * longer
        accepted = (uniform.log() < log_ratio) & (length < math.pi).all(0).squeeze(0)
        return torch.where(accepted, there, z), u
