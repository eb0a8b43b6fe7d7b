"""Backbones: shapes, initial values, and the published architectures written out."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from proj_heads.backbones import initialised_from, resnet18_cifar, small_cnn, vit_tiny
from proj_heads.seeds import generator

BACKBONES = [(small_cnn, 1, 28, 64), (resnet18_cifar, 3, 32, 512), (vit_tiny, 3, 32, 192)]


@pytest.mark.parametrize("build, channels, size, d", BACKBONES)
def test_outputs_have_d_entries_and_gradients_reach_every_parameter(build, channels, size, d):
    backbone = build(channels, generator=generator(0))
    z = backbone(torch.rand(4, channels, size, size, generator=generator(1)))
    assert z.shape == (4, d) and backbone.d == d
    z.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in backbone.parameters())


@pytest.mark.parametrize("build, channels, size, d", BACKBONES)
def test_equal_generators_give_equal_weights_and_leave_the_global_stream_alone(build, channels, size, d):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second, other = (build(channels, generator=generator(seed)).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_initial_values_are_the_librarys_own():
    """Built inside `initialised_from`, torchvision's network is what it is after seeding the global stream."""
    stream = generator(5)
    seed = int(torch.randint(2**62, (), generator=generator(5)))
    with initialised_from(stream):
        ours = resnet18().state_dict()
        inner = nn.Linear(3, 2)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = resnet18().state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    with initialised_from(stream):  # the generator has moved on
        assert not torch.equal(nn.Linear(3, 2).weight, inner.weight)


def test_the_global_stream_comes_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError), initialised_from(generator(0)):
        torch.rand(1)
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), state)


def test_small_cnn_is_three_strided_convolutions_and_a_mean():
    backbone = small_cnn(1, 16, generator(0)).eval()
    x = torch.rand(2, 1, 28, 28, generator=generator(1))
    h = x
    for number, width in enumerate((16, 32, 64)):
        convolution, norm = backbone[3 * number], backbone[3 * number + 1]
        assert convolution.weight.shape[0] == width and convolution.bias is None
        h = nn.functional.conv2d(h, convolution.weight, stride=2, padding=1)
        h = (h * norm.weight[:, None, None] / (1 + norm.eps) ** 0.5 + norm.bias[:, None, None]).relu()
    assert h.shape == (2, 64, 4, 4)
    torch.testing.assert_close(backbone(x), h.mean((2, 3)))


def test_resnet_keeps_the_image_until_its_second_stage():
    backbone = resnet18_cifar(generator=generator(0)).eval()
    x = torch.rand(1, 3, 32, 32, generator=generator(1))
    first = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(x))))
    assert first.shape == (1, 64, 32, 32) and backbone.layer2(backbone.layer1(first)).shape == (1, 128, 16, 16)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 11_168_832  # 11.17 M without the classifier


def test_vit_equals_its_equations():
    """Pre-norm: t <- t + attention(norm(t)), t <- t + mlp(norm(t)); no norm at the end, z is the class token."""
    vit = vit_tiny(generator=generator(0)).double()
    x = torch.rand(2, 3, 32, 32, generator=generator(1), dtype=torch.double)
    weight, bias = vit.patches.weight.flatten(1), vit.patches.bias
    patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 64, 48)
    tokens = torch.cat([vit.class_token.expand(2, 1, 192), patches @ weight.T + bias], 1) + vit.positions
    assert tokens.shape == (2, 65, 192) and len(vit.layers) == 3
    for layer in vit.layers:
        q, k, v = layer.self_attn.in_proj_weight.chunk(3)
        q_bias, k_bias, v_bias = layer.self_attn.in_proj_bias.chunk(3)
        t = layer.norm1(tokens)
        split = [(t @ w.T + b).view(2, 65, 3, 64).transpose(1, 2) for w, b in ((q, q_bias), (k, k_bias), (v, v_bias))]
        attention = (split[0] @ split[1].mT / 8).softmax(-1) @ split[2]  # 8 = sqrt(192 / 3)
        tokens = tokens + layer.self_attn.out_proj(attention.transpose(1, 2).reshape(2, 65, 192))
        hidden = layer.linear1(layer.norm2(tokens))
        assert hidden.shape[-1] == 768
        tokens = tokens + layer.linear2(nn.functional.gelu(hidden))
    torch.testing.assert_close(vit(x), tokens[:, 0], rtol=1e-9, atol=1e-12)
    vit.eval()
    with torch.no_grad():  # PyTorch's fused path
        torch.testing.assert_close(vit(x), tokens[:, 0], rtol=1e-9, atol=1e-12)


def test_vit_layers_start_different_and_tokens_small():
    vit = vit_tiny(generator=generator(0))
    assert not torch.equal(vit.layers[0].linear1.weight, vit.layers[1].linear1.weight)
    assert 0.018 < vit.positions.std() < 0.022


def test_images_that_do_not_divide_into_patches_are_refused():
    with pytest.raises(ValueError, match="image = 30 pixels do not divide"):
        vit_tiny(image=30)
