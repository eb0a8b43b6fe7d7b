"""A head as a chain of affine maps with elementwise activations between them, the form in which its Hessian is closed.

    h = A_L s_{L-1}( ... s_1(A_1 z) ),    A_i(x) = W_i x + b_i

Linear maps with nothing but batch norms (in evaluation mode) between them become one map: the last map of a projector
and the first one of the predictor behind it, say.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads.heads import DERIVATIVES


class AffineMap(NamedTuple):
    """x -> W x + b in float64."""

    weight: Float[Tensor, "out in"]
    bias: Float[Tensor, " out"]


class AffineStack(NamedTuple):
    """L maps and the L - 1 activations between them."""

    maps: list[AffineMap]
    activations: list[nn.Module]


def affine_stack(head: nn.Module, d: int) -> AffineStack | None:
    """The head for inputs of size d; None where it is more than (nested) nn.Sequential of Linear, BatchNorm1d, Dropout
    and the activations in `heads.DERIVATIVES`, or where hooks may change what those do.

    Batch norms are taken with their running statistics and dropout as the identity, whatever their mode is.
    """
    maps, activations, current = [], [], None  # None: the identity
    device = next((p.device for p in head.parameters()), None)
    for part in _leaves(head):
        if part._forward_pre_hooks or part._forward_hooks:  # weight norm of the old style is such a hook
            return None
        if type(part) is nn.Linear:
            current = _then_linear(current, part)
        elif type(part) is nn.BatchNorm1d and part.running_mean is not None:
            current = _then_batch_norm(current or _identity(part.num_features, device), part)
        elif type(part) in DERIVATIVES and getattr(part, "approximate", "none") == "none":  # GELU has a tanh variant
            if type(part) is nn.Identity:
                continue
            maps.append(current or _identity(len(maps[-1].bias) if maps else d, device))
            activations.append(part)
            current = None
        elif type(part) is not nn.Dropout:
            return None
    return AffineStack([*maps, current or _identity(len(maps[-1].bias) if maps else d, device)], activations)


def _leaves(head: nn.Module) -> list[nn.Module]:
    if type(head) is not nn.Sequential or head._forward_pre_hooks or head._forward_hooks:
        return [head]
    return [leaf for part in head for leaf in _leaves(part)]


def _identity(size: int, device: torch.device | None) -> AffineMap:
    eye = torch.eye(size, dtype=torch.float64, device=device)
    return AffineMap(eye, torch.zeros_like(eye[0]))


def _then_linear(before: AffineMap | None, part: nn.Linear) -> AffineMap:
    weight = part.weight.detach().double()
    bias = torch.zeros_like(weight[:, 0]) if part.bias is None else part.bias.detach().double()
    return AffineMap(weight, bias) if before is None else AffineMap(weight @ before.weight, weight @ before.bias + bias)


def _then_batch_norm(before: AffineMap, part: nn.BatchNorm1d) -> AffineMap:
    scale = (part.running_var.double() + part.eps).rsqrt()
    scale = scale if part.weight is None else scale * part.weight.detach().double()
    bias = scale * (before.bias - part.running_mean.double())
    bias = bias if part.bias is None else bias + part.bias.detach().double()
    return AffineMap(scale[:, None] * before.weight, bias)
