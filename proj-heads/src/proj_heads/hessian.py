"""The effective Hessian of a loss behind a head, H = G + M (paper, equation 1), exact and sample by sample.

    H(z) = d^2 L(h(z)) / dz^2,   G = J' H_L J,   M = sum_i rho_i d^2 h_i / dz^2,   J = dh/dz

H_L and rho are the Hessian and the gradient of the loss at h(z), its target held fixed. G is the pull-back of the loss
geometry (of the flat metric where H_L = I), M the interaction of the head's own curvature with the residual rho. For a
mean over a batch whose targets are detached the batch Hessian is block-diagonal, with the blocks H / batch.

Everything here is float64 whatever the head's dtype: at collapse the eigenvalues that matter are 1e-7 of the largest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad

from proj_heads.affine_stack import AffineStack, affine_stack
from proj_heads.heads import DERIVATIVES
from proj_heads.losses import (
    Curvature,
    Differentiated,
    NegativeCosine,
    NoDirection,
    PerSampleLoss,
    SquaredError,
    columns,
    congruence,
    require_apart,
)

FLOOR = 1e-10
"""Eigenvalues below this share of ||J||^2 ||H_L|| + ||M|| count as zero (ours; rounding leaves 1e-14 of it). A share of
the largest eigenvalue itself would not do: where the terms of H cancel, as behind a ReLU head of which one unit is
alive, whose output cannot turn, nothing but rounding is left, half of it negative."""

_CHUNK = {"cpu": 2**22, "cuda": 2**31}
"""Bytes for the Jacobians that are held at once: what a cache holds, or a share of a GPU's memory."""

Loss = PerSampleLoss | Callable[[Tensor], Tensor]
"""A loss of `losses`, or any function h (batch, k) -> (batch,) that treats samples one by one."""


class EffectiveHessian(NamedTuple):
    """The two terms of H = G + M for each sample."""

    metric: Float[Tensor, "batch d d"]
    """G."""
    interaction: Float[Tensor, "batch d d"]
    """M."""
    scale: Float[Tensor, " batch"]
    """||J||^2 ||H_L||, as `Curvature.pull_back` has it: the size of what G is the sum of."""

    @property
    def total(self) -> Float[Tensor, "batch d d"]:
        """H."""
        return self.metric + self.interaction


@torch.no_grad()
def effective_hessian(head: nn.Module, z: Float[Tensor, "batch d"], loss: Loss) -> EffectiveHessian:
    """G and M of each sample, exact in float64.

    In closed form for (nested) nn.Sequential of Linear, the activations in `heads.DERIVATIVES` and BatchNorm1d in
    evaluation mode; put a predictor behind a projector with nn.Sequential(projector, predictor). Other heads go through
    torch.func: J column by column, M as the Hessian of rho'h with rho held fixed. With a_i the input of activation i:

        J_1 = W_1,  J_{i+1} = W_{i+1} diag(s'(a_i)) J_i,   M = sum_i J_i' diag(s''(a_i) * W_{i+1}' g_{i+1}) J_i

    where g_i is the gradient at a_i. Linear maps with nothing but batch norms between them are one map here, multiplied
    once for all samples. For linear and ReLU heads M is exactly zero (almost everywhere for ReLU).

    Raises ValueError when the head or the loss is not a function of one sample at a time (batch norm or dropout in
    training mode, means over the batch), or when the sizes of z, head and targets do not fit.
    """
    require_per_sample(head)
    if z.ndim != 2:
        raise ValueError(f"z has shape {tuple(z.shape)}; give (batch, d), z[None] for a single sample")
    loss, z = as_loss(loss), z.detach().double()
    stack = affine_stack(head, z.shape[1])
    if stack is not None and stack.maps[0].weight.shape[1] != z.shape[1]:
        raise ValueError(f"z has {z.shape[1]} columns, but the head takes {stack.maps[0].weight.shape[1]}")
    return _by_autodiff(head, z, loss) if stack is None else _closed_form(stack, z, loss)


def as_loss(loss: Loss) -> PerSampleLoss:
    """The loss with its derivatives, by autodiff where it is a plain function."""
    return loss if isinstance(loss, PerSampleLoss) else Differentiated(loss)


def require_per_sample(head: nn.Module) -> None:
    """ValueError unless the head treats samples one by one, in its present mode."""
    for part in head.modules():
        batch_norm = isinstance(part, nn.modules.batchnorm._BatchNorm)
        if batch_norm and (part.training or part.running_mean is None):
            raise ValueError(
                "a batch norm that uses the statistics of the batch makes h(z) depend on the other samples: "
                "call head.eval() (and keep track_running_stats) to measure the head with its running statistics"
            )
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.training:
            raise ValueError("a dropout in training mode makes h(z) random: call head.eval()")


# ---- heads in closed form


def _closed_form(stack: AffineStack, z: Float[Tensor, "batch d"], loss: PerSampleLoss) -> EffectiveHessian:
    maps, derivatives = stack.maps, [DERIVATIVES[type(activation)] for activation in stack.activations]
    inputs = [z @ maps[0].weight.T + maps[0].bias]  # a_i, and h at the end
    for activation, (weight, bias) in zip(stack.activations, maps[1:], strict=True):
        inputs.append(activation(inputs[-1].clone()) @ weight.T + bias)  # a copy, as it may work in place
    h = inputs.pop()
    curvature, gradient = loss.curvature(h), loss.gradient(h)
    slopes = [s.first(a) for s, a in zip(derivatives, inputs, strict=True)]
    bends = []  # s''(a_i) * W_{i+1}' g_{i+1}; None where the activation is straight almost everywhere
    for number in reversed(range(len(inputs))):
        gradient = gradient @ maps[number + 1].weight
        straight = derivatives[number].second is torch.zeros_like
        bends.insert(0, None if straight else derivatives[number].second(inputs[number]) * gradient)
        gradient = slopes[number] * gradient

    last, gram = maps[-1].weight, None
    if inputs and curvature.diagonal.shape[1] == 1 and last.shape[0] > last.shape[1]:
        # W'H_L W is W'W and a few directions: no Jacobian of the tall h is ever made
        gram, curvature = last.T @ last, curvature._replace(factors=(curvature.factors.mT @ last).mT)
    n, d = z.shape
    result = EffectiveHessian(z.new_empty(n, d, d), z.new_zeros(n, d, d), z.new_empty(n))
    size = max(1, _CHUNK.get(z.device.type, 2**31) // (8 * d * sum(max(a.shape[1], d) for a in [*inputs, h])))
    for start in range(0, n, size):
        rows = slice(start, start + size)
        jacobian = None  # J_i; before the first map: None, the identity
        for number, (weight, _) in enumerate(maps[:-1]):
            jacobian = weight if number == 0 else _after(weight, slopes[number - 1][rows], jacobian)
            if bends[number] is not None:
                result.interaction[rows] += congruence(jacobian, bends[number][rows])
        if gram is not None:
            jacobian = slopes[-1][rows, :, None] * jacobian
        else:
            jacobian = last if jacobian is None else _after(last, slopes[-1][rows], jacobian)
        some = Curvature(*(part[rows] for part in curvature))
        result.metric[rows], result.scale[rows] = some.pull_back(jacobian, gram)
    return result


def _after(
    weight: Float[Tensor, "out m"], slope: Float[Tensor, "batch m"], jacobian: Float[Tensor, "*batch m d"]
) -> Float[Tensor, "batch out d"]:
    """W diag(s') J; as one product of matrices, not of batches, where all samples share J."""
    if jacobian.ndim == 2:
        return (weight * slope[:, None]) @ jacobian
    return weight @ (slope[..., None] * jacobian)


def _by_autodiff(head: nn.Module, z: Float[Tensor, "batch d"], loss: PerSampleLoss) -> EffectiveHessian:
    call = in_float64(head)
    require_apart(call, z, "head")
    h = call(z)
    rho = loss.gradient(h)
    chunk = max(1, _CHUNK.get(z.device.type, 2**31) // (64 * h.numel()))
    jacobian = columns(call, z, chunk)  # (batch, k, d)
    interaction = columns(grad(lambda x: (rho * call(x)).sum()), z, chunk)
    metric, scale = loss.curvature(h).pull_back(jacobian)
    return EffectiveHessian(metric, interaction, scale)


def in_float64(head: nn.Module) -> Callable[[Tensor], Tensor]:
    """The head as a function, with copies of its parameters and buffers in float64."""
    state = {**dict(head.named_parameters()), **dict(head.named_buffers())}
    state = {name: t.detach().double() if t.is_floating_point() else t for name, t in state.items()}
    return lambda x: functional_call(head, state, (x.clone(),))  # a copy, as its first layer may work in place


# ---- spectra


class Spectrum(NamedTuple):
    """What the eigenvalues say, sample by sample."""

    values: Float[Tensor, "batch d"]
    """Eigenvalues of H = G + M, ascending."""
    metric_values: Float[Tensor, "batch d"]
    """Eigenvalues of G."""
    negative: Int[Tensor, " batch"]
    """Negative eigenvalues of H, beyond rounding (`FLOOR`)."""
    metric_negative: Int[Tensor, " batch"]
    """Those of G: what is negative through the loss alone, whatever the head is."""
    share: Float[Tensor, " batch"]
    """||M|| / ||H||, Frobenius norms (0 where H = 0)."""
    critical: Float[Tensor, " batch"]
    """`critical_residual`: times the present residual at which H stops being semidefinite."""


@torch.no_grad()
def spectrum(hessian: EffectiveHessian, floor: float = FLOOR) -> Spectrum:
    """Eigenvalues, counts of negative ones and t* of each sample.

    The bare sign of the lowest eigenvalue tells nothing under a cosine loss, which makes it negative for every head;
    `negative - metric_negative`, or the squared error on the same outputs, does.

    Raises ValueError where H is not finite.
    """
    total, metric, interaction = hessian.total, hessian.metric, hessian.interaction
    if not total.isfinite().all():
        raise ValueError("H has NaN or infinite entries: look for them in z and in the weights of the head")
    values, (metric_values, vectors) = torch.linalg.eigvalsh(total), torch.linalg.eigh(metric)
    least = floor * hessian.scale
    size, part = torch.linalg.matrix_norm(total), torch.linalg.matrix_norm(interaction)
    return Spectrum(
        values,
        metric_values,
        negative=count_negative(values, least + floor * part),
        metric_negative=count_negative(metric_values, least),
        share=torch.where(size > 0, part / size, 0.0),
        critical=_critical_residuals(metric_values, vectors, interaction, least, floor),
    )


def count_negative(values: Float[Tensor, "*batch d"], least: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """How many eigenvalues are below -least, the size of what rounding leaves."""
    return (values < -least[..., None]).sum(-1)


@torch.no_grad()
def critical_residual(
    metric: Float[Tensor, "batch d d"], interaction: Float[Tensor, "batch d d"], floor: float = FLOOR
) -> Float[Tensor, " batch"]:
    """t* = sup {t >= 0: G + t M is positive semidefinite}; M is linear in rho, so t scales the residual (ours).

    For G > 0 it is -1 / lambda_min(G^{-1/2} M G^{-1/2}), infinite where that is not negative: "generic" instability in
    theorem 4.1 means a residual above t*. On a kernel of G (k < d, say) M alone decides: 0 where it has a negative
    direction there, or one that couples to the rest; else the kernel is eliminated (Schur complement). 0 where G itself
    has a negative eigenvalue. Eigenvalues of G below `floor` times the largest count as zero (in `spectrum`: as there).
    """
    values, vectors = torch.linalg.eigh(metric)
    return _critical_residuals(values, vectors, interaction, floor * values.abs().amax(-1), floor)


def _critical_residuals(
    values: Float[Tensor, "batch d"],
    vectors: Float[Tensor, "batch d d"],
    interaction: Float[Tensor, "batch d d"],
    least: Float[Tensor, " batch"],
    floor: float,
) -> Float[Tensor, " batch"]:
    found = [_critical(*sample, floor) for sample in zip(values, vectors, interaction, least, strict=True)]
    return values.new_tensor(found)


def _critical(values: Tensor, vectors: Tensor, interaction: Tensor, least: Tensor, floor: float) -> float:
    coupling = torch.linalg.matrix_norm(interaction)
    if values[0] < -least:
        return 0.0
    if coupling == 0:
        return float("inf")
    positive = values > least
    scaled, kernel = vectors[:, positive] / values[positive].sqrt(), vectors[:, ~positive]
    reduced = scaled.T @ interaction @ scaled
    if kernel.shape[1]:
        inner, rotation = torch.linalg.eigh(kernel.T @ interaction @ kernel)
        across = vectors[:, positive].T @ interaction @ kernel @ rotation
        firm = inner > floor * coupling
        if inner[0] < -floor * coupling or (across[:, ~firm].abs() > floor * coupling).any():
            return 0.0
        across = across[:, firm] / values[positive].sqrt()[:, None]
        reduced = reduced - across / inner[firm] @ across.T
    if not len(reduced):
        return float("inf")
    ends = torch.linalg.eigvalsh(reduced)[[0, -1]]
    return float(-1 / ends[0]) if ends[0] < -floor * ends.abs().max() else float("inf")


# ---- during training


READINGS: Mapping[str, Callable[[Tensor], PerSampleLoss]] = {"cosine": NegativeCosine, "squared": SquaredError}
"""Two readings of the same outputs and targets: the loss that is trained, whose H_L is indefinite, and ||h - c||^2 / 2,
which meets theorem 4.1's premise."""


@dataclass
class HessianProbe:
    """Measures H of a head (and predictor) whenever it is called during anybody's training; changes nothing.

        probe = HessianProbe(nn.Sequential(projector, predictor))
        ...
        probe(step, z1, projector(z2))          # backbone outputs of view 1, targets of view 2

    Batch norms are measured with their running statistics, because with a batch's own there is no per-sample H.
    """

    head: nn.Module
    readings: Mapping[str, Callable[[Tensor], PerSampleLoss]] = field(default_factory=lambda: dict(READINGS))
    """Name -> loss, given the targets."""
    samples: int = 32
    """The first so many of each batch are measured."""
    floor: float = FLOOR
    history: list[dict[str, float]] = field(default_factory=list)
    """What each call returned."""

    def __post_init__(self):
        if self.samples < 1:
            raise ValueError(f"samples = {self.samples}; choose at least 1")

    def __call__(
        self, step: int, z: Float[Tensor, "batch d"], target: Float[Tensor, "batch k"]
    ) -> dict[str, float | int]:
        """Means over the samples, per reading: `negative`, `metric_negative`, `below_zero` (share of samples with a
        negative eigenvalue), `lowest`, `highest` (eigenvalues), `share` (||M|| / ||H||) and `critical` (the median of
        t*, of an even number the mean of the middle two), named "<reading>_<quantity>"; appended to `history`. All NaN
        where H is not finite, because training has diverged, or where there is none: under the cosine, for an output or
        a target that is zero.
        """
        z, target = z[: self.samples].detach(), target[: self.samples].detach()
        found: dict[str, float | int] = {"step": step}
        modes = [(part, part.training) for part in self.head.modules()]
        try:
            self.head.eval()
            for name, loss in self.readings.items():
                try:
                    quantities = _summary(effective_hessian(self.head, z, loss(target)), self.floor)
                except NoDirection:
                    quantities = dict.fromkeys(_QUANTITIES, float("nan"))
                found |= {f"{name}_{quantity}": value for quantity, value in quantities.items()}
        finally:
            for part, training in modes:
                part.training = training
        self.history.append(found)
        return found


_QUANTITIES = ("negative", "metric_negative", "below_zero", "lowest", "highest", "share", "critical")


def _summary(hessian: EffectiveHessian, floor: float) -> dict[str, float]:
    if not hessian.total.isfinite().all():
        return dict.fromkeys(_QUANTITIES, float("nan"))
    seen = spectrum(hessian, floor)
    means = {
        "negative": seen.negative,
        "metric_negative": seen.metric_negative,
        "below_zero": seen.negative > 0,
        "lowest": seen.values[:, 0],
        "highest": seen.values[:, -1],
        "share": seen.share,
    }
    return {name: float(values.double().mean()) for name, values in means.items()} | {
        "critical": float(np.median(seen.critical.cpu()))
    }
