"""Noise models: the matrix A(Z) in dZ = -grad U dt + sqrt(2 / beta) P A^(1/2) dW, P the projection onto the spheres.

    Isotropic     A = variance I
    Constant      A = diag(a), the author's "Aniso-Small" and "Aniso-Large"
    Equatorial    A = diag(1 + s (1 - z_d^2), ..., 1 + s (1 - z_d^2), b) per embedding, his "synthetic" state noise
    HessianNoise  A = w |H| + b I with H the Hessian of U on all n d coordinates
    Matched       A = (tr A_i / d) I of another model: the same temperature at every state, without the anisotropy

A model that is no multiple of I changes the temperature as well as the directions: compare it with its `Matched`.
Whatever its trace, exp(-beta U) is not its stationary law unless the drift is corrected, see `gibbs_drift`.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.energies import Contrastive, Energy
from infonce_langevin.spheres import tangent


@runtime_checkable
class Noise(Protocol):
    def scaled(
        self, z: Float[Tensor, "n d chains"], xi: Float[Tensor, "n d chains"], energy: Energy
    ) -> Float[Tensor, "n d chains"]:
        """B xi with B B^T = A(z)."""

    def trace(self, z: Float[Tensor, "n d chains"], energy: Energy) -> Float[Tensor, "#n #chains"]:
        """tr A_i, of the d x d block of each embedding."""


class _Diagonal:
    """Models whose A is diagonal and has, for each embedding, entries that depend on this embedding alone."""

    def entries(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "#n #d #chains"]:
        """The diagonal of A_i."""
        raise NotImplementedError

    def divergence(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "#n #d #chains"]:
        """sum_t (D_t A) t over an orthonormal basis t of the tangent space; 0 where A is constant."""
        return z.new_zeros(1, 1, 1)

    def scaled(
        self, z: Float[Tensor, "n d chains"], xi: Float[Tensor, "n d chains"], energy: Energy
    ) -> Float[Tensor, "n d chains"]:
        return self.entries(z).sqrt() * xi

    def trace(self, z: Float[Tensor, "n d chains"], energy: Energy) -> Float[Tensor, "#n #chains"]:
        return self.entries(z).expand(-1, z.shape[1], -1).sum(1)


@dataclass(frozen=True)
class Isotropic(_Diagonal):
    """A = variance I."""

    variance: float | Float[Tensor, " chains"] = 1.0

    def entries(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "#n #d #chains"]:
        return torch.as_tensor(self.variance, dtype=z.dtype, device=z.device).view(1, 1, -1)

    def scaled(
        self, z: Float[Tensor, "n d chains"], xi: Float[Tensor, "n d chains"], energy: Energy
    ) -> Float[Tensor, "n d chains"]:
        if isinstance(self.variance, Tensor):
            return super().scaled(z, xi, energy)
        return xi if self.variance == 1 else math.sqrt(self.variance) * xi


@dataclass(frozen=True)
class Constant(_Diagonal):
    """A = diag(a), the same for every embedding; (d,) numbers, or (d, chains) for a matrix per chain.

    Published: (1, 1, .1) and (20, 20, 10), and (1, 1, .01) and (20, 20, 10.01) for hitting times.
    """

    diagonal: tuple[float, ...] | Float[Tensor, "d chains"]

    def entries(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "#n #d #chains"]:
        entries = torch.as_tensor(self.diagonal, dtype=z.dtype, device=z.device)
        if len(entries) != z.shape[1]:
            raise ValueError(f"{len(entries)} variances for embeddings in R^{z.shape[1]}: give one per coordinate")
        return entries.view(1, len(entries), -1)


@dataclass(frozen=True)
class Equatorial(_Diagonal):
    """A_i = diag(1 + s (1 - z_d^2), ..., b): strong where the last coordinate z_d is small."""

    strength: float = 19.0
    last: float = 0.1

    def entries(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "#n #d #chains"]:
        level = 1 + self.strength * (1 - z[:, -1:].square())
        return torch.cat([level.expand(-1, z.shape[1] - 1, -1), torch.full_like(level, self.last)], 1)

    def divergence(self, z: Float[Tensor, "n d chains"]) -> Float[Tensor, "#n #d #chains"]:
        # coordinate b of the tangent gradient of entry b
        turned = 2 * self.strength * z[:, -1:].square() * z[:, :-1]
        return torch.cat([turned, torch.zeros_like(turned[:, :1])], 1)


@dataclass(frozen=True)
class HessianNoise:
    """A = w |H| + b I, H the (n d x n d) Hessian of Z -> U(Z / |Z|).

    The author takes the symmetric root of A from an eigendecomposition. Any root gives noise of the same law: here
    |H| = H sign(H) comes from a Newton-Schulz iteration, small matrix products only, and the root is Cholesky's.
    """

    weight: float = 5.0
    floor: float = 0.1

    def matrix(self, z: Float[Tensor, "n d chains"], energy: Contrastive) -> Float[Tensor, "chains nd nd"]:
        """A."""
        h = energy.hessian(z)
        return self.weight * absolute(h) + self.floor * torch.eye(h.shape[1], dtype=h.dtype, device=h.device)

    def scaled(
        self, z: Float[Tensor, "n d chains"], xi: Float[Tensor, "n d chains"], energy: Contrastive
    ) -> Float[Tensor, "n d chains"]:
        parts = zip(z.split(_CHUNK, 2), xi.flatten(0, 1).T.split(_CHUNK), strict=True)
        roots = ((torch.linalg.cholesky_ex(self.matrix(part, energy))[0], numbers) for part, numbers in parts)
        return torch.cat([(root @ numbers[..., None]).squeeze(2) for root, numbers in roots]).T.unflatten(
            0, z.shape[:2]
        )

    def trace(self, z: Float[Tensor, "n d chains"], energy: Contrastive) -> Float[Tensor, "#n #chains"]:
        diagonal = self.matrix(z, energy).diagonal(dim1=1, dim2=2)  # (chains, n d)
        return diagonal.T.unflatten(0, z.shape[:2]).sum(1)


_CHUNK = 256
"""Chains whose Hessians are handled at once: more do not stay in the cache."""

_RESOLUTION = 1e-3
"""Ours: eigenvalues below this share of the norm get a sign that is not quite +-1, so |H| is off by less than that."""


def absolute(h: Float[Tensor, "chains k k"]) -> Float[Tensor, "chains k k"]:
    """|H| = H sign(H) of symmetric matrices, with sign(H) the limit of the scaled Newton-Schulz iteration

        X <- X (3 I - a^2 X^2) a / 2,     a^2 = 3 / (1 + l + l^2),     l <- l (3 - a^2 l^2) a / 2

    from X = H / |H|_F: the cubic that takes [l, 1] furthest up (Chen and Chow, 2014). The error is below
    `_RESOLUTION` |H|_F.
    """
    norm = h.square().sum((1, 2), keepdim=True).sqrt().clamp_min(torch.finfo(h.dtype).tiny)
    sign, low = h / norm, _RESOLUTION
    while 1 - low > _RESOLUTION:
        a = math.sqrt(3 / (1 + low + low * low))
        sign = torch.baddbmm(sign, sign, sign @ sign, beta=1.5 * a, alpha=-0.5 * a**3)
        low = low * (3 - a * a * low * low) * a / 2
    product = h @ sign
    return (product + product.mT) / 2


@dataclass(frozen=True)
class Matched:
    """The isotropic control of another model: A_i = (tr A_i / d) I, state by state."""

    other: Noise

    def scaled(
        self, z: Float[Tensor, "n d chains"], xi: Float[Tensor, "n d chains"], energy: Energy
    ) -> Float[Tensor, "n d chains"]:
        return (self.trace(z, energy) / z.shape[1]).sqrt()[:, None] * xi

    def trace(self, z: Float[Tensor, "n d chains"], energy: Energy) -> Float[Tensor, "#n #chains"]:
        return self.other.trace(z, energy)


def gibbs_drift(
    noise: _Diagonal, z: Float[Tensor, "n d chains"], slope: Float[Tensor, "n d chains"], beta: Float[Tensor, "#chains"]
) -> Float[Tensor, "n d chains"]:
    """The drift under which noise of the matrix D = P A P leaves exp(-beta U) stationary, to be projected (ours).

        -D grad U + (1 / beta) div D,     div D = P ( sum_t (D_t A) t - d A z ) on a sphere in R^d

    for each embedding; the generator is then f -> -<D grad U, grad f> + (1 / beta) div(D grad f), which is symmetric
    with respect to exp(-beta U).
    """
    entries = noise.entries(z)
    return (noise.divergence(z) - z.shape[1] * entries * z) / beta - entries * tangent(z, slope)
