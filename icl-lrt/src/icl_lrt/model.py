"""The published encoder: a query token reads n labelled points and answers with one logit.

    context token i   W_x x_i + b_x + w_y y_i + b_y + p_i        (layout "pairs"; "interleaved": x_1, y_1, x_2, ...)
    query token       W_q x_q + b_q + p_n
    layer             h <- LN(h + attention(h)),  h <- LN(h + W_2 GELU(W_1 h))          post-norm, no dropout
    logit             u . h_L(query) + b

Two forms of the same network. `masked=False` is the published one: all tokens read each other, so a sequence has one
query. `masked=True` (ours): every token reads the context and itself, so that any number of queries share one encoding
of the context. In the last layer only queries are computed: their logits do not depend on the other rows.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from icl_lrt.recipe import INTERLEAVED_POSITIONS, Architecture


class Layer(nn.Module):
    """One post-norm encoder layer, for receivers that read senders. Parameters are named as in
    `nn.TransformerEncoderLayer`, with its fused input projection.

    `mixed` and `stream` are identities: forward hooks there read, or replace, what the heads deliver to the output
    projection ("batch receivers width", head after head) and what the layer hands on.
    """

    def __init__(self, width: int, heads: int, feedforward: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.mixed = nn.Identity()
        self.stream = nn.Identity()

    def keys_values(
        self, senders: Float[Tensor, "batch senders width"]
    ) -> tuple[Float[Tensor, "batch heads senders head"], Float[Tensor, "batch heads senders head"]]:
        width = senders.shape[-1]
        both = F.linear(senders, self.in_proj_weight[width:], self.in_proj_bias[width:])
        keys, values = both.chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def queries(self, receivers: Float[Tensor, "batch receivers width"]) -> Float[Tensor, "batch heads receivers head"]:
        width = receivers.shape[-1]
        return self._split(F.linear(receivers, self.in_proj_weight[:width], self.in_proj_bias[:width]))

    def _split(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens head"]:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attention(
        self,
        receivers: Float[Tensor, "batch receivers width"],
        keys: Float[Tensor, "batch heads senders head"],
        mask: Bool[Tensor, "receivers senders"] | None = None,
    ) -> Float[Tensor, "batch heads receivers senders"]:
        """softmax(Q K' / sqrt(head)); 0 where `mask` is False."""
        queries = self.queries(receivers)
        scores = (queries / math.sqrt(queries.shape[-1])) @ keys.transpose(-1, -2)
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)

    def forward(
        self,
        receivers: Float[Tensor, "batch receivers width"],
        keys: Float[Tensor, "batch heads senders head"],
        values: Float[Tensor, "batch heads senders head"],
        mask: Bool[Tensor, "receivers senders"] | None = None,
    ) -> Float[Tensor, "batch receivers width"]:
        """The receivers' new streams; `mask` is True where a receiver reads a sender.

        Attention is written out: for heads of 32 and as few tokens, torch's fused kernel for CPUs is as fast in float32
        and 5 to 10 times slower in bfloat16.
        """
        read = self.attention(receivers, keys, mask) @ values
        read = self.out_proj(self.mixed(read.transpose(1, 2).flatten(-2)))
        receivers = self.norm1(receivers + read)
        return self.stream(self.norm2(receivers + self.linear2(F.gelu(self.linear1(receivers)))))


class Transformer(nn.Module):
    """The network of an `Architecture`, drawn from `generator` as PyTorch's modules are (its global stream is left
    alone). All layers start with equal weights: the published code copies one layer (`nn.TransformerEncoder` does).
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator):
        super().__init__()
        a = self.architecture = architecture
        with torch.device("meta"):  # drawn once, below
            self.x_proj = nn.Linear(a.d, a.width)
            if a.layout == "pairs":
                self.query_proj = nn.Linear(a.d, a.width)
                if a.labels:
                    self.y_proj = nn.Linear(1, a.width)
            else:
                self.label_embedding = nn.Embedding(2, a.width)
            if a.positions != "none":
                rows = a.context + 1 if a.layout == "pairs" else INTERLEAVED_POSITIONS
                self.positions = nn.Parameter(torch.empty(rows, a.width), requires_grad=a.positions == "learned")
            self.layers = nn.ModuleList(Layer(a.width, a.heads, a.feedforward) for _ in range(a.layers))
            self.head = nn.Linear(a.width, 1)
        self.to_empty(device=generator.device)
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
                bound = 0.0 if name.endswith("out_proj") else 1 / math.sqrt(module.in_features)
                module.bias.uniform_(-bound, bound, generator=generator)
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(generator=generator)
            elif isinstance(module, Layer):
                nn.init.xavier_uniform_(module.in_proj_weight, generator=generator)
                module.in_proj_bias.zero_()
        if self.architecture.positions != "none":
            self.positions.normal_(0, 0.02, generator=generator)
        for layer in self.layers[1:]:
            layer.load_state_dict(self.layers[0].state_dict())
        if self.architecture.frozen == "attention":
            for layer in self.layers:
                for parameter in (layer.in_proj_weight, layer.in_proj_bias, *layer.out_proj.parameters()):
                    parameter.requires_grad_(False)

    def gradient_masks(self) -> dict[str, Float[Tensor, "..."]]:
        """By parameter name, what its gradient is multiplied by where only a part of it is trained (frozen = "qk")."""
        if self.architecture.frozen != "qk":
            return {}
        kept = torch.arange(3 * self.architecture.width, device=self.head.weight.device) >= 2 * self.architecture.width
        masks = {}
        for name, parameter in self.named_parameters():
            if "in_proj" in name:
                masks[name] = kept.to(parameter.dtype).view(-1, *[1] * (parameter.dim() - 1)).expand_as(parameter)
        return masks

    def embed_context(
        self, x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"]
    ) -> Float[Tensor, "batch tokens width"]:
        """The context's tokens: n of them, or 2 n interleaved. Labels are 0 or 1."""
        a = self.architecture
        tokens = self.x_proj(x)
        if a.layout == "interleaved":
            tokens = torch.stack([tokens, self.label_embedding(y.long())], dim=2).flatten(1, 2)
        elif a.labels:
            tokens = tokens + self.y_proj(y.unsqueeze(-1))
        if a.positions == "none":
            return tokens
        if x.shape[1] > a.context:
            raise ValueError(
                f"{x.shape[1]} points for positions of {a.context}: give fewer, or take a model without positions"
            )
        return tokens + self.positions[: tokens.shape[1]]

    def embed_query(
        self, query: Float[Tensor, "batch m d"], points: int | None = None
    ) -> Float[Tensor, "batch m width"]:
        """The queries' tokens; they share one position, the one after `points` (all, by default)."""
        a = self.architecture
        tokens = (self.query_proj if a.layout == "pairs" else self.x_proj)(query)
        if a.positions == "none":
            return tokens
        points = a.context if points is None else points
        return tokens + self.positions[points if a.layout == "pairs" else 2 * points]

    def forward(
        self, x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"], query: Float[Tensor, "batch m d"]
    ) -> Float[Tensor, "batch m"]:
        """Logits of label 1 for the queries of each episode. Without a mask each query has a sequence of its own."""
        n, m = x.shape[1], query.shape[1]
        if not self.architecture.masked and m > 1:
            return self(x.repeat_interleave(m, 0), y.repeat_interleave(m, 0), query.flatten(0, 1)[:, None]).view(-1, m)
        context = self.embed_context(x, y)
        tokens = torch.cat([context, self.embed_query(query, n)], dim=1)
        mask = reads(context.shape[1], m, tokens.device) if self.architecture.masked else None
        for layer in self.layers[:-1]:
            tokens = layer(tokens, *layer.keys_values(tokens), mask)
        last, receivers = self.layers[-1], tokens[:, -m:]
        stream = last(receivers, *last.keys_values(tokens), None if mask is None else mask[-m:])
        return self.head(stream).squeeze(-1)

    def encode(
        self, x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"]
    ) -> list[tuple[Float[Tensor, "batch heads tokens head"], Float[Tensor, "batch heads tokens head"]]]:
        """Keys and values of the context in every layer, for `decode`; the masked form only."""
        if not self.architecture.masked:
            raise ValueError("without a mask the context reads the query and cannot be kept: take masked=True")
        tokens, kept = self.embed_context(x, y), []
        for layer in self.layers:
            kept.append(layer.keys_values(tokens))
            if layer is not self.layers[-1]:
                tokens = layer(tokens, *kept[-1])
        return kept

    def decode(
        self,
        kept: list[tuple[Float[Tensor, "batch heads tokens head"], Float[Tensor, "batch heads tokens head"]]],
        query: Float[Tensor, "batch m d"],
        points: int | None = None,
    ) -> Float[Tensor, "batch m"]:
        """Logits of queries to an encoded context of `points` (all, by default): what `forward` gives."""
        tokens, m = self.embed_query(query, points), query.shape[1]
        mask = reads(kept[0][0].shape[2], m, tokens.device)[-m:]
        for layer, (keys, values) in zip(self.layers, kept, strict=True):
            own_keys, own_values = layer.keys_values(tokens)
            tokens = layer(tokens, torch.cat([keys, own_keys], 2), torch.cat([values, own_values], 2), mask)
        return self.head(tokens).squeeze(-1)


def reads(context: int, queries: int, device: torch.device | str) -> Bool[Tensor, "tokens tokens"]:
    """The mask of the masked form: every token reads the context's tokens, a query also itself."""
    mask = torch.eye(context + queries, dtype=torch.bool, device=device)
    mask[:, :context] = True
    return mask
