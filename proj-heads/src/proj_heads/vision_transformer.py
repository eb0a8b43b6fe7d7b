"""DINO's vision transformer (ViT-S/16 by default), with the parameter names of the official checkpoints.

    t = [cls; patches] + positions
    t <- t + proj(attention(norm1(t))),   t <- t + fc2(gelu(fc1(norm2(t))))        `depth` times
    z = norm(t)_cls

A pre-norm transformer without dropout: LayerNorm with eps 1e-6, biases in all linear maps, attention scaled by
1/sqrt(d / heads). It takes images of one size only; the official code interpolates the positions for others.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads.backbones import initialised_from

_EPS = 1e-6


class PatchEmbedding(nn.Module):
    """Each patch of patch x patch pixels by one linear map."""

    def __init__(self, channels: int, patch: int, d: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, d, patch, stride=patch)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n patches d"]:
        return self.proj(x).flatten(2).mT


class Attention(nn.Module):
    """Multi-head self-attention; `qkv` holds the rows of all queries, then of all keys, then of all values."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, t: Float[Tensor, "n tokens d"]) -> Float[Tensor, "n tokens d"]:
        n, tokens, d = t.shape
        qkv = self.qkv(t).view(n, tokens, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (n, heads, tokens, d / heads)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, d))


class MLP(nn.Module):
    """d -> hidden -> d with GELU."""

    def __init__(self, d: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, hidden), nn.Linear(hidden, d)

    def forward(self, t: Float[Tensor, "n tokens d"]) -> Float[Tensor, "n tokens d"]:
        return self.fc2(F.gelu(self.fc1(t)))


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy and added to its input."""

    def __init__(self, d: int, heads: int, hidden: int):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(d, eps=_EPS), Attention(d, heads)
        self.norm2, self.mlp = nn.LayerNorm(d, eps=_EPS), MLP(d, hidden)

    def forward(self, t: Float[Tensor, "n tokens d"]) -> Float[Tensor, "n tokens d"]:
        t = t + self.attn(self.norm1(t))
        return t + self.mlp(self.norm2(t))


class VisionTransformer(nn.Module):
    """Images -> the class token after the last norm, z (n, d).

    Initial values as DINO's: truncated normal of std 0.02 for linear maps, class token and positions, zero biases; the
    patch embedding keeps PyTorch's. Drawn from `generator`, or from the global stream where it is None.
    """

    def __init__(
        self,
        image: int = 224,
        patch: int = 16,
        d: int = 384,
        depth: int = 12,
        heads: int = 6,
        hidden: int | None = None,
        channels: int = 3,
        generator: torch.Generator | None = None,
    ):
        """image, patch: side in pixels; d: width; depth: blocks; hidden: of the MLPs, 4 d where it is None."""
        if image % patch:
            raise ValueError(
                f"image = {image} pixels do not divide into patches of {patch}; choose a multiple of {patch}"
            )
        if d % heads:
            raise ValueError(f"d = {d} does not divide among {heads} heads; choose a multiple of {heads}")
        super().__init__()
        self.image, self.patch, self.d, self.heads, self.hidden = image, patch, d, heads, hidden or 4 * d
        with initialised_from(generator):
            self.cls_token = nn.Parameter(torch.zeros(1, 1, d))
            self.pos_embed = nn.Parameter(torch.zeros(1, (image // patch) ** 2 + 1, d))
            self.patch_embed = PatchEmbedding(channels, patch, d)
            self.blocks = nn.ModuleList(Block(d, heads, self.hidden) for _ in range(depth))
            self.norm = nn.LayerNorm(d, eps=_EPS)
            for tensor in (self.cls_token, self.pos_embed):
                nn.init.trunc_normal_(tensor, std=0.02)
            for module in self.blocks.modules():
                if isinstance(module, nn.Linear):
                    nn.init.trunc_normal_(module.weight, std=0.02)
                    nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n {self.d}"]:
        if x.shape[2:] != (self.image, self.image):
            raise ValueError(f"images of {tuple(x.shape[2:])} pixels; resize them to {self.image} x {self.image}")
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], 1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]
