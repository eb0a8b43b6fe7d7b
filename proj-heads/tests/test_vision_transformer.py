"""DINO's vision transformer, against torchvision's with the same weights."""

from functools import partial

import pytest
import torch
import torchvision
from torch import nn

from proj_heads.seeds import generator
from proj_heads.vision_transformer import VisionTransformer

SIZES = dict(image=32, patch=8, d=48, depth=3, heads=4)
NAMES = {
    "cls_token": "class_token",
    "pos_embed": "encoder.pos_embedding",
    "patch_embed.proj": "conv_proj",
    "norm": "encoder.ln",
    "norm1": "ln_1",
    "attn.qkv": "self_attention.in_proj",
    "attn.proj": "self_attention.out_proj",
    "norm2": "ln_2",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.3",
}
"""Official names and torchvision's."""


def torchvision_name(name):
    if name in NAMES:
        return NAMES[name]
    if name.startswith("blocks."):
        _, number, inner = name.split(".", 2)
        stem, kind = inner.rsplit(".", 1)
        joint = "_" if stem == "attn.qkv" else "."
        return f"encoder.layers.encoder_layer_{number}.{NAMES[stem]}{joint}{kind}"
    stem, kind = name.rsplit(".", 1)
    return f"{NAMES[stem]}.{kind}"


def shaken(net, seed=0):
    """No parameter at a value that could hide a mistake, such as 0 or 1."""
    draws = generator(seed, "shaken")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draws)
    return net


def test_equals_torchvisions_transformer_with_the_same_weights():
    ours = shaken(VisionTransformer(**SIZES)).double()
    theirs = torchvision.models.VisionTransformer(
        32, 8, num_layers=3, num_heads=4, hidden_dim=48, mlp_dim=192, norm_layer=partial(nn.LayerNorm, eps=1e-6)
    ).double()
    theirs.heads = nn.Identity()
    theirs.load_state_dict({torchvision_name(name): tensor for name, tensor in ours.state_dict().items()})
    x = torch.randn(5, 3, 32, 32, generator=generator(0, "x"), dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-12, atol=1e-12)


def test_default_is_the_official_layout_of_vit_s16():
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in VisionTransformer().state_dict().items()}
    expected = {
        "cls_token": (1, 1, 384),
        "pos_embed": (1, 197, 384),
        "patch_embed.proj.weight": (384, 3, 16, 16),
        "patch_embed.proj.bias": (384,),
        "norm.weight": (384,),
        "norm.bias": (384,),
    }
    block = {"norm1": (384,), "attn.qkv": (1152, 384), "attn.proj": (384, 384), "norm2": (384,)}
    for name, shape in (block | {"mlp.fc1": (1536, 384), "mlp.fc2": (384, 1536)}).items():
        for number in range(12):
            expected |= {f"blocks.{number}.{name}.weight": shape, f"blocks.{number}.{name}.bias": shape[:1]}
    assert shapes == expected
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 21_665_664  # DINO's "21M" parameters


def test_initial_values_come_from_the_generator():
    before = torch.get_rng_state()
    one, same, other = (VisionTransformer(**SIZES, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
    assert not torch.equal(one.pos_embed, other.pos_embed)
    assert one.blocks[0].mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_other_sizes_are_refused_with_advice(unchecked):
    with pytest.raises(ValueError, match="resize them to 32 x 32"):
        VisionTransformer(**SIZES)(torch.zeros(1, 3, 40, 40))
    with pytest.raises(ValueError, match="multiple of 8"):
        VisionTransformer(**SIZES | {"image": 30})
    with pytest.raises(ValueError, match="multiple of 5"):
        VisionTransformer(**SIZES | {"heads": 5})
