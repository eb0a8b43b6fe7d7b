"""What a head can do for the conditioning of a loss, and what invariance costs (paper, sections 3 and 5).

A head with Jacobian J turns the loss Hessian H_L into the metric G = J' H_L J (the interaction term of `hessian` is not
looked at here). A constant J = W whitens one H_L exactly (theorem 3.1); a loss whose Hessian varies needs a head that
bends (proposition 3.3, theorem 3.2). Functions take one point, in the dtype of their arguments; use float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Potential = Callable[[Tensor], Tensor]
"""A smooth convex loss u (k,) -> (), seen as the potential of the Riemannian metric g(u) = d^2 L(u)."""


# ---- one point: theorem 3.1


def whitening_head(
    hessian: Float[Tensor, "k k"], basis: Float[Tensor, "d r"], floor: float = 1e-12
) -> Float[Tensor, "k d"]:
    """Theorem 3.1: W = U Lambda^{-1/2} B' with W' H_L W = B B', the identity on span B and zero off it.

    hessian: H_L = U Lambda U', positive semidefinite; its r eigenvalues above `floor` times the largest are used.
    basis: B, orthonormal columns, as many as H_L has such eigenvalues.

    Raises ValueError for a Hessian with a negative eigenvalue, another rank than r, or a basis that is not orthonormal.
    """
    values, vectors = torch.linalg.eigh(hessian)
    size, r = values.abs().max(), basis.shape[1]
    if values[0] < -floor * size:
        raise ValueError(
            f"H_L has the eigenvalue {values[0]:.3g} < 0, and no real W whitens it: give a semidefinite H_L"
        )
    kept = values > floor * size
    if kept.sum() != r:
        raise ValueError(f"H_L has rank {int(kept.sum())}: give a basis of as many columns, not {r}")
    if not torch.allclose(basis.T @ basis, torch.eye(r).to(basis), rtol=0, atol=1e-8):
        raise ValueError("the basis is not orthonormal: take the Q of its QR decomposition")
    return vectors[:, kept] / values[kept].sqrt() @ basis.T


class Isotropy(NamedTuple):
    """How far J' H_L J is from B B', in the spectral norm."""

    on: float
    """||B' J' H_L J B - I||: error on the subspace."""
    off: float
    """||(I - B B') J' H_L J||: leakage off it."""


def isotropy_error(
    hessian: Float[Tensor, "k k"], jacobian: Float[Tensor, "k d"], basis: Float[Tensor, "d r"]
) -> Isotropy:
    """The two errors of a head with this Jacobian; both are zero for `whitening_head`."""
    metric = jacobian.T @ hessian @ jacobian
    on = basis.T @ metric @ basis - torch.eye(basis.shape[1]).to(basis)
    off = metric - basis @ (basis.T @ metric)
    return Isotropy(*(float(torch.linalg.matrix_norm(error, 2)) for error in (on, off)))


# ---- curved losses: proposition 3.3 and theorem 3.2


def hessian_metric_riemann(potential: Potential, u: Float[Tensor, " k"]) -> Float[Tensor, "k k k k"]:
    """Riemann tensor of the metric g = d^2 L (proposition 3.3), with C = d^3 L:

    R_ijkl = (C_ilm g^mn C_jkn - C_ikm g^mn C_jln) / 4;   g(R(x, y) y, x) = R_ijkl x^i y^j x^k y^l.

    If it is not zero, no constant W of rank k makes W' g(Wz) W isotropic for all z: g would be constant. (Of lower rank
    one can, when the loss is flat along its range.)
    """
    metric = torch.func.hessian(potential)(u)
    third = torch.func.jacfwd(torch.func.hessian(potential))(u)
    raised = torch.linalg.solve(metric, third.flatten(1)).view_as(third)  # g^mn C_njk
    pair = torch.einsum("mil,mjk->ijkl", third, raised)
    return (pair - pair.transpose(2, 3)) / 4


def sectional_curvature(
    potential: Potential, u: Float[Tensor, " k"], x: Float[Tensor, " k"], y: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    """K of the plane of x and y: R(x, y, x, y) / (|x|^2 |y|^2 - <x, y>^2). For k = 2 it is the Gaussian curvature.

    The Gaussian log-partition has K = -1/2, the categorical one (softmax cross-entropy) 1/4, a separable loss 0.
    """
    metric = torch.func.hessian(potential)(u)
    riemann = torch.einsum("ijkl,i,j,k,l->", hessian_metric_riemann(potential, u), x, y, x, y)
    return riemann / ((x @ metric @ x) * (y @ metric @ y) - (x @ metric @ y) ** 2)


def constant_head_floor(first: Float[Tensor, "k k"], second: Float[Tensor, "k k"]) -> Float[Tensor, ""]:
    """The best that one constant invertible W can do for two loss Hessians: min over W of the larger of the condition
    numbers of W' H_1 W and W' H_2 W is sqrt(cond(H_1^{-1} H_2)) (ours). `best_constant_head` attains it.
    """
    values = _generalised_eigenvalues(first, second)[0]
    return (values[-1] / values[0]).sqrt()


def best_constant_head(first: Float[Tensor, "k k"], second: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """A W that attains `constant_head_floor`: with W_0' H_1 W_0 = I and W_0' H_2 W_0 = D it is W_0 D^{-1/4}."""
    values, vectors = _generalised_eigenvalues(first, second)
    return vectors / values**0.25


def _generalised_eigenvalues(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues D and W_0 with W_0' first W_0 = I, W_0' second W_0 = D."""
    factor = torch.linalg.cholesky(first)
    half = torch.linalg.solve_triangular(factor, second, upper=False)
    values, rotation = torch.linalg.eigh(torch.linalg.solve_triangular(factor, half.T, upper=False))
    return values, torch.linalg.solve_triangular(factor.T, rotation, upper=True)


class IsotropicPath(NamedTuple):
    """What a head must do on the straight path z = t e_1 for G to be the identity there."""

    times: Float[Tensor, " steps"]
    outputs: Float[Tensor, "steps k"]
    """h(t e_1)."""
    jacobians: Float[Tensor, "steps k k"]
    """J(t e_1) = g(h)^{-1/2}."""


def isotropic_path(
    potential: Potential, start: Float[Tensor, " k"], length: float = 1.0, steps: int = 200
) -> IsotropicPath:
    """Theorem 3.2 by construction (ours): solve du/dt = g(u)^{-1/2} e_1 from u(0) = start by the classical Runge-Kutta
    method. Then h(t e_1) = u(t) and J(t e_1) = g(u(t))^{-1/2} agree along the path, and J' g J = I on all of it.
    """

    def jacobian(u: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(torch.func.hessian(potential)(u))
        return vectors / values.sqrt() @ vectors.T

    step, u, outputs = length / steps, start, [start]
    for _ in range(steps):
        k1 = jacobian(u)[:, 0]
        k2 = jacobian(u + step / 2 * k1)[:, 0]
        k3 = jacobian(u + step / 2 * k2)[:, 0]
        k4 = jacobian(u + step * k3)[:, 0]
        u = u + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        outputs.append(u)
    path = torch.stack(outputs)
    if not path.isfinite().all():
        raise ValueError(f"length = {length:g}: the path runs into the edge of the loss's domain; choose a shorter one")
    times = torch.linspace(0, length, steps + 1, dtype=start.dtype)
    return IsotropicPath(times, path, torch.stack([jacobian(u) for u in outputs]))


def fit_path(path: IsotropicPath, width: int, generator: torch.Generator, scale: float = 2.0) -> nn.Sequential:
    """A head Linear, SiLU, Linear with the outputs and Jacobians of the path: first layer drawn N(0, scale^2), second
    by least squares (all entries count alike).
    """
    k = path.outputs.shape[1]
    first, second = nn.Linear(k, width).to(path.outputs), nn.Linear(width, k).to(path.outputs)
    with torch.no_grad():
        first.weight.normal_(0, scale, generator=generator)
        first.bias.normal_(0, scale, generator=generator)
        z = torch.nn.functional.pad(path.times[:, None], (0, k - 1))
        a = first(z)
        s = torch.sigmoid(a)
        slopes = (s * (1 + a * (1 - s)))[:, None] * first.weight.T  # (steps, k, width): d features / dz
        rows = torch.cat([nn.functional.pad(a * s, (0, 1), value=1.0), nn.functional.pad(slopes.flatten(0, 1), (0, 1))])
        targets = torch.cat([path.outputs, path.jacobians.mT.flatten(0, 1)])
        solution = torch.linalg.lstsq(rows, targets).solution
        second.weight.copy_(solution[:-1].T)
        second.bias.copy_(solution[-1])
    return nn.Sequential(first, nn.SiLU(), second)


# ---- how well a head must approximate: proposition 3.4 and corollary 3.5


def conditioning_error_bound(error: float, jacobian_norm: float, hessian_norm: float) -> float:
    """Proposition 3.4: ||J_phi' H_L J_phi - J*' H_L J*|| <= 2 L M eps + M eps^2 for ||J_phi - J*|| <= eps = `error`,
    ||J*|| <= L, ||H_L|| <= M, in spectral norms.
    """
    _require_positive(jacobian_norm=jacobian_norm, hessian_norm=hessian_norm)
    if not error >= 0:
        raise ValueError(f"error = {error}; choose a number >= 0")
    return 2 * jacobian_norm * hessian_norm * error + hessian_norm * error**2


class Thresholds(NamedTuple):
    """Errors ||J_phi - J*|| below which G stays positive definite."""

    paper: float
    """lambda / (2 L M), corollary 3.5."""
    bound: float
    """-L + sqrt(L^2 + lambda / M), what proposition 3.4 gives; smaller."""
    semidefinite: float
    """sqrt(lambda / M), for H_L >= 0; largest, and sharp (ours)."""


def conditioning_thresholds(lowest: float, jacobian_norm: float, hessian_norm: float) -> Thresholds:
    """Corollary 3.5 and what can be had. `lowest`: lambda > 0, the smallest eigenvalue of J*' H_L J*.

    The corollary drops the term M eps^2 of the bound that it is drawn from, and still holds, for indefinite H_L, too
    (ours): if y'H_L y <= 0 for y = J_phi v, take for y the nearest such point to x = J* v. The set is a cone, so ||y||
    <= ||x||, and lambda <= x'H_L x - y'H_L y = (x - y)'H_L (x + y) <= 2 L M ||x - y|| <= 2 L M eps. For H_L >= 0,
    sqrt(v'G_phi v) >= sqrt(v'G* v) - sqrt(M) eps.
    """
    _require_positive(lowest=lowest, jacobian_norm=jacobian_norm, hessian_norm=hessian_norm)
    ratio = lowest / hessian_norm
    bound = ratio / (jacobian_norm + (jacobian_norm**2 + ratio) ** 0.5)  # the same without a difference
    return Thresholds(ratio / (2 * jacobian_norm), bound, ratio**0.5)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} = {value}; choose a number > 0")


# ---- invariance: propositions 5.1 and 5.2, theorem 5.3


class Orbit(NamedTuple):
    """First and second derivative of t -> T_t z."""

    tangent: Float[Tensor, "batch d"]
    acceleration: Float[Tensor, "batch d"]


def orbit_derivatives(
    transform: Callable[[Tensor, Tensor], Tensor], z: Float[Tensor, "batch d"], at: float = 0.0
) -> Orbit:
    """Tangent and acceleration at t = `at` of the orbit T_t z; `transform(z, t)`, t a scalar tensor.

    Where h(T_t z) does not depend on t, J v = 0 for the tangent v, so v'G v = 0 (propositions 5.1 and 5.2), and only G
    is singular: along a curved orbit the interaction term has v'M v = -(gradient of the loss by z)'(acceleration).
    """
    t = torch.tensor(at, dtype=z.dtype, device=z.device)
    one = torch.ones_like(t)

    def tangent(t: Tensor) -> Tensor:
        return torch.func.jvp(lambda t: transform(z, t), (t,), (one,))[1]

    return Orbit(*torch.func.jvp(tangent, (t,), (one,)))


def metric_along(metric: Float[Tensor, "batch d d"], direction: Float[Tensor, "batch d"]) -> Float[Tensor, " batch"]:
    """(v'G v / ||v||^2) / (tr G / d): 1 in an average direction, 0 in one that the head cannot see."""
    along = torch.einsum("bi,bij,bj->b", direction, metric, direction) / direction.square().sum(1)
    return along / metric.diagonal(dim1=1, dim2=2).mean(1)


def fisher_information(design: Float[Tensor, "d p"], head: Float[Tensor, "k d"] | None = None) -> Float[Tensor, "p p"]:
    """Fisher information on theta of z = A theta + n, n ~ N(0, I): I_z = A'A; of h = W z: I_h = A'W'(WW')^+ W A."""
    if head is None:
        return design.T @ design
    seen = torch.linalg.pinv(head) @ (head @ design)  # the projection of A on the row space of W
    return seen.T @ seen


def fisher_rank(information: Float[Tensor, "p p"], floor: float = 1e-10) -> int:
    """Eigenvalues above `floor` times the largest.

    Theorem 5.3: rank I_h <= rank I_z - dim V for a head that is invariant on V (W V = 0). It needs V in the range of A,
    as rank I_h = rank I_z - dim(range A with ker W) (ours): a V that carries no information costs none.
    """
    values = torch.linalg.eigvalsh(information)
    return int((values > floor * values.abs().max()).sum())
