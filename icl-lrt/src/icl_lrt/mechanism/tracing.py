"""What a network does with its queries, read off while it runs: streams, heads' outputs, attention.

Every tool of `mechanism` works on `Episodes` and any `Transformer`, masked or not. Where the network has no mask, the m
queries of an episode are m sequences, each with a context that has read its query.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from icl_lrt.model import Transformer
from icl_lrt.tasks import Episodes

_TOKENS = 2**15
"""Held at once: 64 MB of activations in the published feed-forward block."""


class Trace(NamedTuple):
    """The queries' side of a forward pass; layers and heads count from 0."""

    streams: Float[Tensor, "depth batch m width"]
    """h_0 (the token as it enters, with its position), h_1, ..., h_L: L + 1 of them."""
    mixed: Float[Tensor, "layers batch m width"]
    """What the heads deliver to the output projection, head after head."""
    attention: Float[Tensor, "layers batch m heads tokens"]
    """Weights on the context's tokens."""
    attention_to_self: Float[Tensor, "layers batch m heads"]
    logit: Float[Tensor, "batch m"]


@torch.no_grad()
def trace(model: Transformer, episodes: Episodes) -> Trace:
    """Run the network on all queries and keep what it did."""
    parts = [_trace(model, part) for part in in_parts(model, episodes)]
    *layered, logit = zip(*parts, strict=True)
    return Trace(*(torch.cat(values, 1) for values in layered), torch.cat(logit))


@torch.no_grad()
def logits(model: Transformer, episodes: Episodes) -> Float[Tensor, "batch m"]:
    """The logits alone."""
    return torch.cat([model(part.x, part.y, part.query) for part in in_parts(model, episodes)])


def in_parts(model: Transformer, episodes: Episodes) -> Iterator[Episodes]:
    """The episodes on the network's device and of its precision, a few at a time."""
    batch, n, m = len(episodes.x), episodes.x.shape[1], episodes.label.shape[1]
    tokens = n + m if model.architecture.masked else m * (n + 1)
    size = max(1, _TOKENS // tokens)
    for start in range(0, batch, size):
        part = Episodes(*(values[start : start + size] for values in episodes))
        yield part._replace(**{name: getattr(part, name).to(model.head.weight) for name in ("x", "y", "query")})


def queries_of_a_sequence(model: Transformer, episodes: Episodes) -> int:
    """The last tokens of each sequence that are queries."""
    return episodes.label.shape[1] if model.architecture.masked else 1


@contextmanager
def hooked(hooks: dict[nn.Module, Callable[[nn.Module, tuple, Tensor], Tensor | None]]) -> Iterator[None]:
    """Forward hooks, taken off at the end."""
    with ExitStack() as stack:
        for module, hook in hooks.items():
            stack.callback(module.register_forward_hook(hook).remove)
        yield


def _trace(model: Transformer, part: Episodes) -> Trace:
    batch, m = part.label.shape
    own = queries_of_a_sequence(model, part)
    streams, mixed, attention, to_self = [], [], [], []

    def of_queries(tokens: Float[Tensor, "sequences receivers width"]) -> Float[Tensor, "batch m width"]:
        return tokens[:, -own:].reshape(batch, m, -1)

    def entering(layer: nn.Module, arguments: tuple) -> None:
        receivers, keys, _, mask = arguments
        if not streams:
            streams.append(of_queries(receivers))
        weights = layer.attention(receivers[:, -own:], keys, None if mask is None else mask[-own:]).transpose(1, 2)
        attention.append(weights[..., :-own].reshape(batch, m, layer.heads, -1))
        to_self.append(weights[..., -own:].diagonal(dim1=1, dim2=3).mT.reshape(batch, m, layer.heads))

    hooks = {layer.mixed: lambda *call: mixed.append(of_queries(call[-1])) for layer in model.layers}
    hooks |= {layer.stream: lambda *call: streams.append(of_queries(call[-1])) for layer in model.layers}
    with ExitStack() as stack:
        for layer in model.layers:
            stack.callback(layer.register_forward_pre_hook(entering).remove)
        stack.enter_context(hooked(hooks))
        logit = model(part.x, part.y, part.query)
    return Trace(*(torch.stack(values) for values in (streams, mixed, attention, to_self)), logit)
