"""Collapse as a stationary point: the Hessians of the losses there, and the stop-gradient field of SimSiam.

At exact collapse all N samples of both views have the same output h_0. The contrastive and decorrelation losses have a
vanishing gradient there (so theorem 4.1, which needs rho != 0, is silent) and Hessians in closed form (ours): InfoNCE,
NT-Xent and VICReg are strict saddles whatever the head is, through the loss itself. Of DINO, whose loss is convex and
has a residual there, see `losses.dino_loss`. SimSiam's stop-gradient field is no gradient, so its Hessian says nothing;
what matters is whether *differences* grow under the linearised field.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads.hessian import effective_hessian, in_float64
from proj_heads.losses import NegativeCosine, columns, info_nce

Loss = Callable[[Tensor, Tensor], Tensor]
"""A loss of the two views' outputs, (N, k) each -> ()."""


# ---- Hessians of batch losses at h_i = h_0


class Level(NamedTuple):
    """An eigenvalue of the Hessian by all 2 N k outputs."""

    value: float
    multiplicity: int
    mode: str
    """shared: both views move alike, views: they move apart; mean: all samples alike; else their mean stays."""


def info_nce_levels(n: int, k: int, norm: float = 1.0, temperature: float = 0.1) -> list[Level]:
    """`losses.info_nce` (one direction): -+ 1 / (tau N r^2), tangent to the sphere; r = ||h_0|| = `norm`."""
    _require(n, k, norm=norm, temperature=temperature)
    level, count = 1 / (temperature * n * norm**2), (n - 1) * (k - 1)
    return [Level(-level, count, "shared"), Level(level, count, "views"), Level(0.0, 2 * (n + k - 1), "others")]


def nt_xent_levels(n: int, k: int, norm: float = 1.0, temperature: float = 0.5) -> list[Level]:
    """lightly's NTXentLoss (both directions, 2N - 2 negatives): -2 / (tau (2N - 1) r^2) shared, and (2N - 2) /
    (tau N (2N - 1) r^2) between the views.
    """
    _require(n, k, norm=norm, temperature=temperature)
    scale = temperature * (2 * n - 1) * norm**2
    return [
        Level(-2 / scale, (n - 1) * (k - 1), "shared"),
        Level((2 * n - 2) / (n * scale), n * (k - 1), "views"),
        Level(0.0, 2 * n + k - 1, "others"),
    ]


def vicreg_levels(
    n: int, k: int, norm: float = 1.0, invariance: float = 25.0, variance: float = 25.0, eps: float = 1e-4
) -> list[Level]:
    """lightly's VICRegLoss: the hinge on sqrt(var + eps) gives -mu / (2 k sqrt(eps) (N - 1)), the invariance term 4
    lambda / (N k) between the views, the covariance term nothing (fourth order). `norm` does not matter; eps < 1.
    """
    _require(n, k, norm=norm, invariance=invariance, variance=variance, eps=eps)
    if eps >= 1:
        raise ValueError(f"eps = {eps}: the hinge is off at collapse; choose eps < 1")
    spread, agreement = -variance / (2 * k * eps**0.5 * (n - 1)), 4 * invariance / (n * k)
    return [
        Level(spread, (n - 1) * k, "shared"),
        Level(spread + agreement, (n - 1) * k, "views"),
        Level(agreement, k, "views, mean"),
        Level(0.0, k, "shared, mean"),
    ]


def barlow_levels(n: int, k: int, norm: float = 1.0, eps: float = 1e-5) -> list[Level]:
    """lightly's BarlowTwinsLoss: -+ 2 / (N eps), of nothing but the batch norm's eps: without it the loss is singular
    at collapse. `norm` does not matter.
    """
    _require(n, k, norm=norm, eps=eps)
    level = 2 / (n * eps)
    return [
        Level(-level, (n - 1) * k, "shared"),
        Level(level, (n - 1) * k, "views"),
        Level(0.0, 2 * k, "mean"),
    ]


def negative_cosine_levels(n: int, k: int, norm: float = 1.0) -> list[Level]:
    """SimSiam's loss without predictor and stop-gradient: 2 / (N r^2) between the views, nothing between samples."""
    _require(n, k, norm=norm)
    return [Level(2 / (n * norm**2), n * (k - 1), "views"), Level(0.0, n * (k + 1), "others")]


LEVELS: dict[str, Callable[..., list[Level]]] = {
    "InfoNCE": info_nce_levels,
    "NT-Xent": nt_xent_levels,
    "VICReg": vicreg_levels,
    "Barlow Twins": barlow_levels,
    "SimSiam": negative_cosine_levels,
}
"""Closed forms by objective; their defaults are the parameters of `published_loss`."""


def _require(n: int, k: int, **positive: float) -> None:
    if n < 2 or k < 2:
        raise ValueError(f"n = {n}, k = {k}: choose at least 2 samples and 2 dimensions")
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name} = {value}; choose a number > 0")


def published_loss(objective: str) -> Loss:
    """The loss itself: `losses.info_nce` for InfoNCE, lightly's with its default parameters for the others."""
    from lightly import loss

    losses = {
        "InfoNCE": info_nce,
        "NT-Xent": loss.NTXentLoss(),
        "VICReg": loss.VICRegLoss(),
        "Barlow Twins": loss.BarlowTwinsLoss(),
        "SimSiam": loss.NegativeCosineSimilarity(),
    }
    if objective not in losses:
        raise ValueError(f"unknown objective {objective!r}: choose from {', '.join(losses)}")
    return losses[objective]


def eigenvalues_of(levels: list[Level]) -> Float[Tensor, " n"]:
    """All eigenvalues, ascending, in float64."""
    values = [torch.full((level.multiplicity,), level.value, dtype=torch.float64) for level in levels]
    return torch.cat(values).sort().values


class AtCollapse(NamedTuple):
    """Derivatives of a batch loss where all inputs are equal, ordered by (view, sample, coordinate)."""

    gradient: Float[Tensor, " n"]
    hessian: Float[Tensor, "n n"]


def at_collapse(loss: Loss, point: Float[Tensor, " d"], n: int, head: nn.Module | None = None) -> AtCollapse:
    """Gradient and Hessian, by autodiff, of loss(h(z_1), h(z_2)) at z = `point` for all n samples of both views.

    Without a head the outputs themselves are the variables. The head acts sample by sample, in the dtype of `point`.
    """

    def value(flat: Tensor) -> Tensor:
        z = flat.view(2, n, -1)
        h = z if head is None else head(z.flatten(0, 1)).view(2, n, -1)
        return loss(h[0], h[1])

    flat = point.detach().repeat(2 * n)
    return AtCollapse(torch.func.grad(value)(flat).detach(), torch.func.hessian(value)(flat).detach())


# ---- the stop-gradient field


class Linearisation(NamedTuple):
    """A field F at collapse, acting on perturbations whose mean over the batch is zero.

    All samples are equal there, so F's derivative commutes with their permutations: on those perturbations it is the
    same (2d x 2d) matrix for every pattern over samples, and view-symmetric fields split it into two (d x d) blocks:
    d(delta)/dt = `shared` delta where both views move alike (differences between samples), and `views` delta where they
    move apart. Neither is symmetric. Positive real parts grow.
    """

    within: Float[Tensor, "d d"]
    """Effect of a view's perturbation on itself."""
    across: Float[Tensor, "d d"]
    """Effect on the other view."""

    @property
    def shared(self) -> Float[Tensor, "d d"]:
        """within + across."""
        return self.within + self.across

    @property
    def views(self) -> Float[Tensor, "d d"]:
        """within - across."""
        return self.within - self.across


def abscissa(matrix: Float[Tensor, "d d"]) -> float:
    """The largest real part of an eigenvalue: the rate of growth in the long run, > 0 for escape."""
    return float(torch.linalg.eigvals(matrix).real.max())


def initial_growth(matrix: Float[Tensor, "d d"]) -> float:
    """The largest eigenvalue of the symmetric part: the rate at which a norm can grow at once."""
    return float(torch.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])


def simsiam_field(projector: nn.Module, predictor: nn.Module) -> Callable[[Tensor], Tensor]:
    """F(z) = -dL/dz for z (2, N, d), the two views' backbone outputs, with p = projector(z), h = predictor(p) and

    L = -[cos(h_1, sg p_2) + cos(h_2, sg p_1)] / 2, a mean over the batch.

    The targets are not differentiated inside F, but F depends on them: its own derivative sees them move. Take
    nn.Identity() as the projector to have p as the variable.
    """

    def field(z: Float[Tensor, "2 n d"]) -> Float[Tensor, "2 n d"]:
        def apply(head: nn.Module, x: Tensor) -> Tensor:
            return head(x.flatten(0, 1)).unflatten(0, x.shape[:2])

        target = apply(projector, z).flip(0)

        def loss(z: Tensor) -> Tensor:
            h = apply(predictor, apply(projector, z))
            return -torch.nn.functional.cosine_similarity(h, target, dim=2).mean()

        return -torch.func.grad(loss)(z)

    return field


def linearise(field: Callable[[Tensor], Tensor], point: Float[Tensor, " d"], n: int) -> Linearisation:
    """The derivative of any view-symmetric field (2, N, d) -> (2, N, d) at z = `point` for all, by autodiff: d forward
    derivatives along e_j times a pattern over samples that sums to zero. -grad of any batch loss is such a field.
    """
    if n < 2:
        raise ValueError(f"n = {n}: one sample has no differences; choose n >= 2")
    z = point.detach().expand(2, n, -1).contiguous()
    pattern = torch.zeros(n, dtype=point.dtype, device=point.device)
    pattern[0], pattern[1] = 0.5**0.5, -(0.5**0.5)

    def response(direction: Tensor) -> Tensor:
        moved = torch.stack([torch.outer(pattern, direction), torch.zeros_like(z[0])])
        return torch.einsum("n,vnd->vd", pattern, torch.func.jvp(field, (z,), (moved,))[1])

    within, across = torch.func.vmap(response, out_dims=-1)(torch.eye(len(point)).to(point)).detach()
    return Linearisation(within, across)


def simsiam_linearisation(
    projector: nn.Module, predictor: nn.Module, point: Float[Tensor, " d"], n: int
) -> Linearisation:
    """`linearise(simsiam_field(...))` in closed form, float64 (ours):

    within = -(G + M) / (2N),   across = -J_h' (d rho / d c') J_p / (2N),   h = predictor(p), target c = p.

    The moving target is what one sample's effective Hessian with a frozen target leaves out. Without a predictor the
    two cancel, whatever the head: differences between samples neither grow nor decay. With a predictor at equilibrium
    (h = p, so rho = 0 and M = 0, see `equilibrate_`) of Jacobian Q, and P the projection off p,

        shared = J_p' Q' P (I - Q) J_p / (2 N ||p||^2):

    a direction that Q shrinks to x in (0, 1) grows by x (1 - x) / (2 N ||p||^2), without any curvature of the head.
    """
    z = point.detach().double()[None]
    heads = [in_float64(part) for part in (projector, nn.Sequential(projector, predictor))]
    (p, h), (jacobian_p, jacobian_h) = ([head(z) for head in heads], [columns(head, z)[0] for head in heads])
    loss = NegativeCosine(p.detach())
    total = effective_hessian(nn.Sequential(projector, predictor), z, loss).total[0]
    across = jacobian_h.T @ loss.gradient_by_target(h)[0] @ jacobian_p
    return Linearisation(*(-part.detach() / (2 * n) for part in (total, across)))


@torch.no_grad()
def equilibrate_(projector: nn.Module, predictor: nn.Module, point: Float[Tensor, " d"]) -> nn.Module:
    """Change the predictor's last linear map by the smallest matrix that makes predictor(p_0) = p_0 at p_0 =
    projector(point): where a predictor that is faster than the backbone (assumption 7) has gone at collapse.
    """
    linear = [part for part in predictor.modules() if isinstance(part, nn.Linear)]
    if not linear or [*predictor.modules()][-1] is not linear[-1]:
        raise ValueError("the predictor must end in a linear map: its output is set through that map's weight")
    last, seen = linear[-1], []
    hook = last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        p = projector(point[None])
        h = predictor(p)
    finally:
        hook.remove()
    x = seen[0][0]
    last.weight += torch.outer((p - h)[0], x) / x.square().sum()
    return predictor
