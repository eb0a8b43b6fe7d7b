"""Losses of a head's output: value, gradient rho and Hessian H_L, sample by sample and in closed form.

A per-sample loss holds its targets (detached: only h varies) and answers for outputs h (batch, k) in their dtype. Its
Hessian is a diagonal plus a few rank-one terms, so pulling it back through a Jacobian costs as much as J'J.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class NoDirection(ValueError):
    """A cosine to the zero vector."""


class Curvature(NamedTuple):
    """A symmetric matrix per sample, H = diag(diagonal) + factors core factors'."""

    diagonal: Float[Tensor, "batch _"]
    """(batch, k), or (batch, 1): one column stands for a multiple of the identity."""
    factors: Float[Tensor, "batch k q"]
    core: Float[Tensor, "batch q q"]

    def dense(self) -> Float[Tensor, "batch k k"]:
        """H itself."""
        k = self.factors.shape[1]
        return torch.diag_embed(self.diagonal.expand(-1, k)) + self.factors @ self.core @ self.factors.mT

    def pull_back(
        self, jacobian: Float[Tensor, "*batch k d"], gram: Float[Tensor, "k k"] | None = None
    ) -> tuple[Float[Tensor, "_ d d"], Float[Tensor, " _"]]:
        """J'HJ for each sample, and the size of what it is the sum of; `jacobian` is (k, d) when all share it, else
        (batch, k, d).

        `gram` K stands in for the identity whose multiple the diagonal is: J'(diagonal K + factors core factors')J.
        The size, ||J' diagonal J|| + ||J' factors||^2 ||core|| (Frobenius), is ||J||^2 ||H|| up to a small factor.
        Rounding is relative to it, also where the terms cancel.
        """
        if self.diagonal.shape[1] == 1:
            inner = jacobian if gram is None else gram @ jacobian
            across = jacobian.mT if jacobian.ndim == 3 else jacobian.T[None]
            bulk = self.diagonal[..., None] * symmetric_product(across, inner)
        else:
            bulk = congruence(jacobian, self.diagonal)
        low = jacobian.mT @ self.factors  # (batch, d, q)
        bulk_size, low_size, core_size = map(torch.linalg.matrix_norm, (bulk, low, self.core))
        return bulk + low @ self.core @ low.mT, bulk_size + low_size**2 * core_size


def congruence(matrix: Float[Tensor, "*batch m d"], weights: Float[Tensor, "batch m"]) -> Float[Tensor, "batch d d"]:
    """A' diag(w) A for each sample; `matrix` A is (m, d) when all share it."""
    return symmetric_product(matrix.mT * weights[:, None], matrix)


def symmetric_product(
    left: Float[Tensor, "batch d m"], right: Float[Tensor, "*batch m d"], blocks: int = 8
) -> Float[Tensor, "batch d d"]:
    """left @ right, known to be symmetric: of large products only the blocks on and above the diagonal are computed."""
    batch, d, _ = left.shape
    if d < 256:
        return left @ right
    out, step = left.new_empty(batch, d, d), -(-d // blocks)
    for start in range(0, d, step):
        end = min(start + step, d)
        out[:, start:end, start:] = left[:, start:end] @ right[..., start:]
        out[:, end:, start:end] = out[:, start:end, end:].mT
    return out


@runtime_checkable
class PerSampleLoss(Protocol):
    """What the effective Hessian needs of a loss."""

    def value(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, " batch"]:
        """The loss of each sample."""

    def gradient(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k"]:
        """rho, the gradient with respect to h."""

    def curvature(self, h: Float[Tensor, "batch k"]) -> Curvature:
        """H_L, the Hessian with respect to h."""


def _matched(target: Tensor, h: Tensor) -> Tensor:
    """The targets in the dtype and on the device of the outputs."""
    if target.shape != h.shape:
        raise ValueError(f"targets are {tuple(target.shape)}, outputs {tuple(h.shape)}: give each output its target")
    return target.to(h)


class _Dense:
    def hessian(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k k"]:
        """H_L as full matrices."""
        return self.curvature(h).dense()


@dataclass(frozen=True)
class SquaredError(_Dense):
    """||h - c||^2 / 2:  rho = h - c,  H_L = I. The only one of these three with a definite H_L."""

    target: Float[Tensor, "batch k"]
    """c."""

    def value(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, " batch"]:
        """||h - c||^2 / 2."""
        return self.gradient(h).square().sum(1) / 2

    def gradient(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k"]:
        """h - c."""
        return h - _matched(self.target, h)

    def curvature(self, h: Float[Tensor, "batch k"]) -> Curvature:
        """I."""
        return Curvature(torch.ones_like(h[:, :1]), h.new_empty(*h.shape, 0), h.new_empty(len(h), 0, 0))


@dataclass(frozen=True)
class NegativeCosine(_Dense):
    """-s with s = cos(h, c) (SimSiam, BYOL up to a factor 2; lightly's NegativeCosineSimilarity is its mean).

    With r = ||h||, hats for unit vectors:  rho = -(c^ - s h^) / r,  H_L = (h^ c^' + c^ h^' + s I - 3 s h^ h^') / r^2.

    The eigenvalues of r^2 H_L are s (k - 2 times) and (s +- sqrt(4 - 3 s^2)) / 2: one of them is negative unless s = 1,
    so theorem 4.1's premise of a positive semidefinite H_L fails for SimSiam; tangent to the sphere H_L is s / r^2.
    """

    target: Float[Tensor, "batch k"]
    """c; only its direction matters."""

    def value(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, " batch"]:
        """-cos(h, c)."""
        unit, target, _ = self._units(h)
        return -(unit * target).sum(1)

    def gradient(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k"]:
        """-(c^ - s h^) / r."""
        unit, target, norm = self._units(h)
        return ((unit * target).sum(1, keepdim=True) * unit - target) / norm

    def curvature(self, h: Float[Tensor, "batch k"]) -> Curvature:
        """s / r^2 I plus a matrix on the plane of h and c."""
        unit, target, norm = self._units(h)
        cosine = (unit * target).sum(1)
        one = torch.ones_like(cosine)
        core = torch.stack([-3 * cosine, one, one, torch.zeros_like(cosine)], 1).view(-1, 2, 2)
        return Curvature(cosine[:, None] / norm**2, torch.stack([unit, target], 2) / norm[..., None], core)

    def gradient_by_target(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k k"]:
        """d rho / d c' = -(I - h^ h^')(I - c^ c^') / (r ||c||): how a moving target turns the gradient."""
        unit, target, norm = self._units(h)
        eye = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
        off_unit, off_target = (eye - v[:, :, None] * v[:, None] for v in (unit, target))
        return -off_unit @ off_target / (norm * self.target.to(h).norm(dim=1, keepdim=True))[..., None]

    def _units(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        target = _matched(self.target, h)
        norm, length = h.norm(dim=1, keepdim=True), target.norm(dim=1, keepdim=True)
        if not (norm.all() and length.all()):
            raise NoDirection(
                "an output or a target is the zero vector, which has no direction: no cosine to it exists"
            )
        return h / norm, target / length, norm


@dataclass(frozen=True)
class CrossEntropy(_Dense):
    """-sum_j q_j log p_j with p = softmax(h / tau) (DINO's student; q is the centred and sharpened teacher).

    rho = (p - q) / tau,  H_L = (diag p - p p') / tau^2, positive semidefinite, with the constant vector in its kernel.
    """

    probabilities: Float[Tensor, "batch k"]
    """q >= 0, rows that sum to 1."""
    temperature: float = 0.1
    """tau > 0."""

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature}; choose a number > 0")
        rows = self.probabilities.sum(1)
        if (self.probabilities < 0).any() or not torch.allclose(rows, torch.ones_like(rows), rtol=0, atol=1e-4):
            raise ValueError("probabilities must be >= 0 and sum to 1 in each row: give the teacher's softmax")

    def value(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, " batch"]:
        """-sum_j q_j log p_j."""
        return -(_matched(self.probabilities, h) * F.log_softmax(h / self.temperature, 1)).sum(1)

    def gradient(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k"]:
        """(p - q) / tau."""
        return (F.softmax(h / self.temperature, 1) - _matched(self.probabilities, h)) / self.temperature

    def curvature(self, h: Float[Tensor, "batch k"]) -> Curvature:
        """(diag p - p p') / tau^2."""
        p = F.softmax(h / self.temperature, 1)
        return Curvature(p / self.temperature**2, p[..., None] / self.temperature, -torch.ones_like(p[:, :1, None]))


@dataclass(frozen=True)
class Differentiated(_Dense):
    """Any loss that treats samples one by one, h (batch, k) -> (batch,), with its derivatives by autodiff; ValueError
    for one that does not.
    """

    function: Callable[[Tensor], Tensor]

    def value(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, " batch"]:
        """The function itself."""
        values = self.function(h)
        if values.shape != h.shape[:1]:
            raise ValueError(
                f"the loss gave shape {tuple(values.shape)} for {len(h)} samples: return one number for each, no mean"
            )
        return values

    def gradient(self, h: Float[Tensor, "batch k"]) -> Float[Tensor, "batch k"]:
        """Backward through the sum over the batch, whose samples do not meet."""
        return torch.func.grad(lambda x: self.value(x).sum())(h)

    def curvature(self, h: Float[Tensor, "batch k"]) -> Curvature:
        """A full matrix, held as the core."""
        require_apart(self.value, h, "loss")
        hessian = columns(self.gradient, h)
        eye = torch.eye(h.shape[1], dtype=h.dtype, device=h.device).expand_as(hessian)
        return Curvature(torch.zeros_like(h[:, :1]), eye, hessian)


def require_apart(function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch d"], name: str) -> None:
    """ValueError if what the function makes of the first row depends on others: if a derivative by them is not 0."""

    def first(x: Tensor) -> Tensor:
        output = function(x)[0].flatten()
        return output @ torch.linspace(1, 2, len(output), dtype=output.dtype, device=output.device)  # any direction

    if len(x) > 1 and torch.func.grad(first)(x)[1:].nan_to_num(nan=0.0).any():  # NaN: 0 times infinity
        raise ValueError(f"the {name} mixes the samples of a batch (by a mean over it, say): treat them one by one")


def columns(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch d"], chunk: int | None = None
) -> Float[Tensor, "batch m d"]:
    """Jacobians of a function (batch, d) -> (batch, m) that treats samples one by one: column j of all of them at once,
    by one forward derivative along e_j. `chunk` columns are held at a time (default: all).
    """

    def column(direction: Tensor) -> Tensor:
        return torch.func.jvp(function, (x,), (direction.expand_as(x),))[1]

    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return torch.func.vmap(column, out_dims=-1, chunk_size=chunk)(eye)


def dino_loss(
    teacher: Float[Tensor, "batch k"],
    center: Float[Tensor, "*batch k"],
    temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> CrossEntropy:
    """DINO's loss of the student's outputs: the teacher's, centred and sharpened, are q = softmax((teacher - center) /
    tau_t). Temperatures are the published ones; the center is a moving mean of the teacher's outputs.

    At collapse, with teacher = student = h_0, the residual does not vanish: q is sharper than p where the center is
    still 0 (by exponentially little where h_0 is large beside both temperatures), and uniform once it has come to h_0.
    """
    return CrossEntropy(F.softmax((teacher - center) / teacher_temperature, 1), temperature)


def info_nce(h1: Float[Tensor, "batch k"], h2: Float[Tensor, "batch k"], temperature: float = 0.1) -> Float[Tensor, ""]:
    """The authors' SimCLR objective: only from view 1 to view 2, with N - 1 negatives,

    L = mean_i -log( exp(s_ii / tau) / sum_j exp(s_ij / tau) ),   s_ij = cos(h1_i, h2_j).

    lightly's NTXentLoss takes both directions and the 2N - 2 negatives of both views.
    """
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature}; choose a number > 0")
    logits = F.normalize(h1, dim=1) @ F.normalize(h2, dim=1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(h1), device=h1.device))
