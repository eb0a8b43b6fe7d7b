"""Logit lens: what the head would answer if the network ended after layer l.

    virtual logit_l = u . h_l + b,   h_l the query's stream after layer l;  the last one is the logit

No norm comes before the head, because the network is post-norm. The published bars are not comparable between tasks:
they correlate A with the true log-likelihood ratio and B with the 0/1 label (`PUBLISHED_TARGET`), whose correlation
with any score is bounded well below 1. Take one target for both.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from icl_lrt.estimates import Estimate, batched_correlation, correlation, pearson, spearman
from icl_lrt.model import Transformer

PUBLISHED_TARGET = {"A": "llr", "B": "label"}
"""What the published lens correlates with, by task: the mismatch."""


@torch.no_grad()
def logit_lens(model: Transformer, streams: Float[Tensor, "depth batch m width"]) -> Float[Tensor, "depth batch m"]:
    """Virtual logits of `Trace.streams`, or of any others."""
    return torch.stack([model.head(stream).squeeze(-1) for stream in streams])


@torch.no_grad()
def published_embedding(model: Transformer, query: Float[Tensor, "batch m d"]) -> Float[Tensor, "batch m width"]:
    """h_0 as the published lens takes it, without the position: a constant less in every virtual logit, so the same
    correlations.
    """
    project = model.query_proj if model.architecture.layout == "pairs" else model.x_proj
    return project(query.to(model.head.weight))


class Readout(NamedTuple):
    """How well a layer's virtual logit follows a target."""

    layer: int
    pearson: Estimate
    """Of all queries, pooled; jackknife over episodes."""
    spearman: Estimate
    pearson_batched: Estimate
    """Published: mean over batches of 64, bootstrap over batches."""
    spearman_batched: Estimate


def readouts(
    lens: Float[Tensor, "depth batch m"], target: Float[Tensor, "batch m"], generator: torch.Generator
) -> list[Readout]:
    """Correlations of each layer's virtual logits with a target; layer 0 is the embedding."""
    return [
        Readout(
            layer,
            correlation(virtual, target),
            correlation(virtual, target, spearman),
            batched_correlation(virtual, target, generator, pearson),
            batched_correlation(virtual, target, generator, spearman),
        )
        for layer, virtual in enumerate(lens)
    ]
