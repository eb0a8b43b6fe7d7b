"""Direct logit attribution: the logit as a sum over what was written into the query's stream (ours here).

    logit = b + sum_c D_c' c,   c in {embedding, heads W_O^h z^h, feed-forward blocks, biases}

Every layer norm is frozen at the scale that it had in this very run, which makes it linear; D_c carries the head's
weight back through the norms that lie between. A share says what a component writes towards the answer directly, not
what later layers make of it: that is what ablation and patching are for.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from icl_lrt.estimates import Estimate, jackknife
from icl_lrt.mechanism.tracing import Trace
from icl_lrt.model import Transformer


@torch.no_grad()
def attributions(model: Transformer, trace: Trace) -> dict[str, Float[Tensor, "batch m"]]:
    """Contributions to the logit, which they sum to: "embedding", then "layer 0 head 0", ..., "layer 0 feed-forward",
    ... from the first layer to the last, and "biases" (of the output projections, second feed-forward maps, norms and
    the head). A head's includes its value bias.
    """
    direction = model.head.weight[0].expand_as(trace.streams[-1])  # of the logit in the stream
    biases = model.head.bias
    parts = {}  # from the last to the first
    for number, layer in reversed(list(enumerate(model.layers))):
        attended = trace.streams[number] + layer.out_proj(trace.mixed[number])
        middle = layer.norm1(attended)
        forward = F.linear(F.gelu(layer.linear1(middle)), layer.linear2.weight)

        biases = biases + direction @ layer.norm2.bias
        direction = _back_through(layer.norm2, middle + forward + layer.linear2.bias, direction)
        parts[f"layer {number} feed-forward"] = (direction * forward).sum(-1)
        biases = biases + direction @ (layer.linear2.bias + layer.norm1.bias)
        direction = _back_through(layer.norm1, attended, direction)
        along = (direction @ layer.out_proj.weight) * trace.mixed[number]
        for head, part in reversed(list(enumerate(along.unflatten(-1, (layer.heads, -1)).sum(-1).unbind(-1)))):
            parts[f"layer {number} head {head}"] = part
        biases = biases + direction @ layer.out_proj.bias
    parts["embedding"] = (direction * trace.streams[0]).sum(-1)
    return dict(reversed(parts.items())) | {"biases": biases}


def variance_shares(
    contributions: dict[str, Float[Tensor, "batch m"]], logit: Float[Tensor, "batch m"]
) -> dict[str, Estimate]:
    """cov(c, logit) / var(logit): what each component adds to the logit's variation; they sum to 1."""
    logit = logit.double().cpu()
    return {name: jackknife(_share, part.double().cpu(), logit) for name, part in contributions.items()}


def _share(part: Tensor, logit: Tensor) -> Tensor:
    centred = logit - logit.mean()
    return (part * centred).sum() / centred.square().sum()


def _back_through(
    norm: nn.LayerNorm, entering: Float[Tensor, "batch m width"], direction: Float[Tensor, "batch m width"]
) -> Float[Tensor, "batch m width"]:
    """The direction before a norm of frozen scale: (g - mean g) / s, g = gamma * direction, s = sqrt(var + eps)."""
    scale = (entering.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
    scaled = norm.weight * direction
    return (scaled - scaled.mean(-1, keepdim=True)) / scale
