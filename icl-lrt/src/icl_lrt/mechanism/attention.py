"""Attention as voting by class similarity: where do the queries look, and does it follow the evidence?

    vote_h = sum_{i: y_i = 1} a_i - sum_{i: y_i = 0} a_i,   a the query's attention in head h

With a positive OV alignment a head that looks more at the points of class 1 raises the logit, so an ensemble of voting
heads has votes that correlate with the evidence, in the sign of their alignment. vote_h / sum_i a_i is the
Nadaraya-Watson estimate with the head's own learned kernel (`learned_kernel`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from icl_lrt.estimates import Estimate, correlation, pearson, share_as_extreme, spearman
from icl_lrt.mechanism.tracing import Trace


def votes(trace: Trace, y: Float[Tensor, "batch n"]) -> Float[Tensor, "layers batch m heads"]:
    """Weight on class 1 minus weight on class 0, for labels y of the context (both tokens of an interleaved point)."""
    return _weigh(trace, 2 * y - 1)


def learned_kernel(trace: Trace, y: Float[Tensor, "batch n"]) -> Float[Tensor, "layers batch m heads"]:
    """Nadaraya-Watson estimates in [-1, 1] with each head's attention as the kernel; weight on itself left out."""
    return votes(trace, y) / trace.attention.sum(-1)


def entropy(trace: Trace) -> Float[Tensor, "layers batch m heads"]:
    """Nats, of the attention with the weight on itself; at most log(tokens + 1)."""
    return torch.special.entr(trace.attention).sum(-1) + torch.special.entr(trace.attention_to_self)


class Voting(NamedTuple):
    """One head: means over queries, and the vote's correlation with a target."""

    layer: int
    head: int
    entropy: float
    to_self: float
    to_class1: float
    to_class0: float
    pearson: Estimate
    spearman: Estimate
    p: float
    """Share of the null at least as large in size."""
    null: Float[Tensor, " permutations"]
    """Pearson's r when the labels are permuted within each context, attention as it is; the first one is the r
    itself. A head that looks everywhere alike counts labels, which permuting does not change: p = 1.
    """


def voting(
    trace: Trace,
    y: Float[Tensor, "batch n"],
    target: Float[Tensor, "batch m"],
    generator: torch.Generator,
    permutations: int = 200,
) -> list[Voting]:
    """All heads, for a target such as the log-likelihood ratio or the Bayes log-odds."""
    cast, target = votes(trace, y).cpu(), target.double().cpu()
    y = y.cpu()
    null = [_flat_correlation(cast, target)]
    for _ in range(permutations):
        order = torch.rand(y.shape, generator=generator, device=generator.device).cpu().argsort(-1)
        null.append(_flat_correlation(votes(trace, y.gather(1, order)).cpu(), target))
    null = torch.stack(null)  # (1 + permutations, layers, heads)
    to_class1, to_class0 = _weigh(trace, y).mean((1, 2)), _weigh(trace, 1 - y).mean((1, 2))
    spread, to_self = entropy(trace).mean((1, 2)), trace.attention_to_self.mean((1, 2))
    return [
        Voting(
            layer,
            head,
            *(float(means[layer, head]) for means in (spread, to_self, to_class1, to_class0)),
            correlation(cast[layer, ..., head], target),
            correlation(cast[layer, ..., head], target, spearman),
            share_as_extreme(null[0, layer, head], null[:, layer, head]),
            null[:, layer, head],
        )
        for layer in range(cast.shape[0])
        for head in range(cast.shape[3])
    ]


def _weigh(trace: Trace, values: Float[Tensor, "batch n"]) -> Float[Tensor, "layers batch m heads"]:
    """Sum of the attention times a value of each point."""
    values = values.repeat_interleave(trace.attention.shape[-1] // values.shape[1], 1).to(trace.attention)
    return torch.einsum("lbmht,bt->lbmh", trace.attention, values)


def _flat_correlation(
    cast: Float[Tensor, "layers batch m heads"], target: Float[Tensor, "batch m"]
) -> Float[Tensor, "layers heads"]:
    return pearson(cast.permute(0, 3, 1, 2).flatten(2), target.flatten())
