"""What each head adds: alignment of its OV circuit with the answer, and what is lost without it.

    alignment_h = cos(W_O^h W_V^h y^, u),   y^ = w_y / |w_y| the label's direction, u = the head's weight

The alignment ignores layer norms, biases, feed-forward blocks and, for early layers, everything downstream; ablations
do not. Zero-ablation is published: the columns W_O^h are zeroed, the bias is kept. Mean-ablation (ours) takes away only
what varies between episodes, which leaves the layer norm closer to where it was trained.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from icl_lrt.comparison import bce, right
from icl_lrt.estimates import Estimate, PermutationTest, jackknife, mean, pearson, permutation_test
from icl_lrt.mechanism.tracing import hooked, logits, queries_of_a_sequence
from icl_lrt.model import Transformer
from icl_lrt.tasks import Episodes


class OV(NamedTuple):
    """How each head carries the label to the query."""

    alignment: Float[Tensor, "layers heads"]
    """Cosine with the head's weight; > 0: attention to class 1 raises the logit. 0 for a head that writes nothing."""
    norm: Float[Tensor, "layers heads"]
    """|W_O^h W_V^h y^|."""


@torch.no_grad()
def ov_alignment(model: Transformer) -> OV:
    """Of every head. Interleaved, the label's direction is that from the token of label 0 to the token of label 1."""
    a = model.architecture
    if not a.labels:
        raise ValueError("the network is not shown labels, so it has no circuit from label to answer")
    if a.layout == "pairs":
        label = model.y_proj.weight[:, 0]
    else:
        label = model.label_embedding.weight[1] - model.label_embedding.weight[0]
    written = []
    for layer in model.layers:
        values = layer.in_proj_weight[2 * a.width :].unflatten(0, (a.heads, -1))  # W_V^h
        outputs = layer.out_proj.weight.unflatten(1, (a.heads, -1))  # W_O^h
        written.append(torch.einsum("whk,hkv,v->hw", outputs, values, label / label.norm()))
    written = torch.stack(written)
    return OV(torch.cosine_similarity(written, model.head.weight[0], dim=-1), written.norm(dim=-1))


class Ablation(NamedTuple):
    """What is lost without a head, on the same queries."""

    layer: int
    head: int
    accuracy_drop: Estimate
    """As a share: before minus after."""
    bce_increase: Estimate
    """Nats: after minus before."""
    logit_rmse: Estimate
    """Root mean square of the logit's change."""


def ablations(model: Transformer, episodes: Episodes, kind: Literal["zero", "mean"]) -> list[Ablation]:
    """Each head of each layer in turn; standard errors are paired."""
    whole, label = logits(model, episodes).double().cpu(), episodes.label.double().cpu()
    means = mean_outputs(model, episodes) if kind == "mean" else [None] * len(model.layers)
    found = []
    for layer, baseline in enumerate(means):
        for head in range(model.architecture.heads):
            without = ablated_logits(model, episodes, layer, head, baseline).double().cpu()
            drop = mean(right(whole, label) - right(without, label))
            increase = mean(bce(without, label) - bce(whole, label))
            rmse = jackknife(lambda change: change.square().mean().sqrt(), without - whole)
            found.append(Ablation(layer, head, drop, increase, rmse))
    return found


def ablated_logits(
    model: Transformer,
    episodes: Episodes,
    layer: int,
    head: int,
    baseline: Float[Tensor, "receivers width"] | None = None,
) -> Float[Tensor, "batch m"]:
    """Logits with a head's output replaced by 0, or by its part of a baseline, for all tokens that read."""
    width = model.architecture.width // model.architecture.heads
    columns = slice(head * width, (head + 1) * width)

    def replace(_, __, mixed: Tensor) -> Tensor:
        mixed = mixed.clone()
        mixed[..., columns] = 0 if baseline is None else baseline[:, columns]
        return mixed

    with hooked({model.layers[layer].mixed: replace}):
        return logits(model, episodes)


@torch.no_grad()
def mean_outputs(model: Transformer, episodes: Episodes) -> list[Float[Tensor, "receivers width"]]:
    """Per layer, the heads' mean outputs over episodes for each token that reads; all queries have the same mean."""
    sums = {layer.mixed: torch.zeros(()) for layer in model.layers}

    def add(module, _, mixed: Tensor) -> None:
        sums[module] = sums[module].to(mixed) + mixed.sum(0)

    with hooked(dict.fromkeys(sums, add)):
        logits(model, episodes)
    own = queries_of_a_sequence(model, episodes)
    means = []
    for total in sums.values():
        output = total / (episodes.label.numel() // own)
        output[-own:] = output[-own:].mean(0)
        means.append(output)
    return means


def alignment_test(
    alignment: Float[Tensor, "layers heads"],
    lost: list[Ablation],
    generator: torch.Generator,
    of: Callable[[Tensor, Tensor], Tensor] = pearson,
) -> PermutationTest:
    """Correlation over heads of the alignment with the drop in accuracy, as published, and its permutation p.

    The signed alignment tests whether heads that vote for class 1 are worth more than heads that vote against it; give
    its absolute value to ask whether heads that vote are worth more than others (ours).
    """
    drops = torch.tensor([ablation.accuracy_drop.value for ablation in lost], dtype=torch.float64)
    return permutation_test(alignment.double().flatten(), drops, generator, of)
