"""Frozen features against a plain forward pass."""

import pytest
import torch
from lightly.models.modules import DINOProjectionHead, SimCLRProjectionHead
from torch import nn

from proj_heads.backbones import small_cnn
from proj_heads.data import to_float
from proj_heads.features import evaluating, extract, layerwise
from proj_heads.heads import build_head
from proj_heads.seeds import generator


@pytest.fixture
def backbone():
    """With batch norm statistics that differ from those of any batch."""
    backbone = small_cnn(1, 4, generator(0))
    with torch.no_grad():
        backbone(torch.rand(64, 1, 28, 28, generator=generator(1)))
    return backbone


def pictures(n=25):
    return torch.randint(256, (n, 1, 28, 28), generator=generator(2), dtype=torch.uint8)


@pytest.mark.parametrize("batch_size", [1, 7, 25, 100])
def test_features_are_those_of_one_forward_in_evaluation_mode(backbone, batch_size):
    x = pictures()
    backbone.eval()
    expected = backbone(to_float(x)).detach()
    backbone.train()
    features = extract(backbone, x, batch_size)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(extract(backbone, to_float(x)), features)
    assert not features.requires_grad and not features.is_inference()  # probes train on them


def test_extraction_leaves_modes_and_statistics_as_they_were(backbone):
    backbone[1].eval()  # one submodule in another mode than the rest
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    modes = [module.training for module in backbone.modules()]
    extract(backbone, pictures())
    assert [module.training for module in backbone.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_modes_come_back_after_an_error(backbone):
    with pytest.raises(RuntimeError), evaluating(backbone):
        assert not backbone[1].training
        raise RuntimeError
    assert all(module.training for module in backbone.modules())


@pytest.mark.parametrize("depth, activation", [(1, "swish"), (2, "relu"), (3, "swish"), (3, "linear")])
def test_every_layer_of_a_head_is_cut_after_its_activation(backbone, depth, activation):
    head = build_head(16, 12, 10, activation, depth, generator=generator(3))
    with torch.no_grad():
        head(torch.rand(50, 16, generator=generator(4)))
    layers = layerwise(backbone, head, pictures(), batch_size=10)
    assert list(layers) == ["z", *(f"layer{number}" for number in range(1, depth)), "h"]
    backbone.eval()
    head.eval()
    z = backbone(to_float(pictures()))
    torch.testing.assert_close(layers["z"], z)
    per_layer = 1 if activation == "linear" else 3  # linear map, batch norm, activation
    for number in range(1, depth):
        torch.testing.assert_close(layers[f"layer{number}"], head[: per_layer * number](z))
    torch.testing.assert_close(layers["h"], head(z))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")  # lightly's
def test_layers_of_lightlys_heads_are_found_too(backbone):
    simclr = SimCLRProjectionHead(16, 12, 10, num_layers=3)
    layers = layerwise(backbone, simclr, pictures())
    simclr.eval()
    torch.testing.assert_close(layers["layer2"], simclr.layers[:6](layers["z"]))
    torch.testing.assert_close(layers["h"], simclr(layers["z"]))
    dino = layerwise(backbone, DINOProjectionHead(16, 12, 6, 20), pictures())
    assert list(dino) == ["z", "layer1", "layer2", "layer3", "h"]
    torch.testing.assert_close(dino["layer3"].norm(dim=1), torch.ones(25))  # the normalised bottleneck


def test_no_hook_stays(backbone):
    head = build_head(16, 12, 10)
    layerwise(backbone, head, pictures())
    assert not any(module._forward_pre_hooks for module in head.modules())


def test_a_head_without_linear_maps_has_z_and_h(backbone):
    assert list(layerwise(backbone, nn.Identity(), pictures())) == ["z", "h"]
