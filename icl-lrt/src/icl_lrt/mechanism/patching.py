"""Query-stream patching: which layer has written the evidence into the query's token (ours)?

The network runs on an episode, its base, but after layer l the query's stream is that of a donor run. What the later
layers still read from the context is the base's. Recovery is the share of the way from the base's logit to the donor's:

    recovery_l = sum (patched - base)(donor - base) / sum (donor - base)^2

Donors differ from the base in one thing:

- "labels": the same points, every label flipped. The log-likelihood ratio changes its sign, and nothing is unusual.
- "context": the same query after the next episode's context. In task A the query then lies far from the context.
- "query": the next query of the same episode (m > 1).

Known ends: at l = L recovery is 1; at l = 0 (the embedding) it is 0 for the first two donors and 1 for "query", which
in a masked network stays 1 in every layer, since its context has not seen the query.
"""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from icl_lrt.estimates import Estimate, jackknife
from icl_lrt.mechanism.tracing import hooked, in_parts, logits, queries_of_a_sequence, trace
from icl_lrt.model import Transformer
from icl_lrt.tasks import Episodes

Donor = Literal["labels", "context", "query"]


class Patch(NamedTuple):
    """The query's stream replaced after a layer; 0 is the embedding."""

    layer: int
    recovery: Estimate
    logit: Float[Tensor, "batch m"]


def patches(model: Transformer, episodes: Episodes, donor: Donor) -> list[Patch]:
    """Recovery after the embedding and after each layer, with standard errors over episodes."""
    given = donors(episodes, donor)
    base, target = logits(model, episodes).double().cpu(), logits(model, given).double().cpu()
    return [
        Patch(layer, jackknife(_recovery, patched.double().cpu(), base, target), patched)
        for layer, patched in enumerate(patched_logits(model, episodes, given))
    ]


def donors(episodes: Episodes, donor: Donor) -> Episodes:
    """The runs that streams are taken from: an episode's x, y and query; its label and llr are not its own."""
    if donor == "labels":
        return episodes._replace(y=1 - episodes.y)
    if donor == "context":
        return episodes._replace(x=episodes.x.roll(-1, 0), y=episodes.y.roll(-1, 0))
    if donor != "query":
        raise ValueError(f"unknown donor {donor!r}: choose from {', '.join(get_args(Donor))}")
    if episodes.query.shape[1] < 2:
        raise ValueError("1 query in an episode: sample at least 2 to take another one's stream")
    return episodes._replace(query=episodes.query.roll(-1, 1))


@torch.no_grad()
def patched_logits(model: Transformer, base: Episodes, donor: Episodes) -> Float[Tensor, "depth batch m"]:
    """Logits of the base with the queries' streams taken from the donor, after the embedding and after each layer."""
    own, found = queries_of_a_sequence(model, base), []
    for part, source in zip(in_parts(model, base), in_parts(model, donor), strict=True):
        patched = [model(part.x, part.y, source.query)]
        for layer, stream in zip(model.layers, trace(model, source).streams[1:], strict=True):
            stream = stream.reshape(-1, own, stream.shape[-1])

            def replace(_, __, tokens: Tensor, stream: Tensor = stream) -> Tensor:
                return torch.cat([tokens[:, :-own], stream], 1)

            with hooked({layer.stream: replace}):
                patched.append(model(part.x, part.y, part.query))
        found.append(torch.stack(patched))
    return torch.cat(found, 1)


def _recovery(patched: Tensor, base: Tensor, donor: Tensor) -> Tensor:
    return ((patched - base) * (donor - base)).sum() / (donor - base).square().sum()
