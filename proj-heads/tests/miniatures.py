"""The official checkpoints in miniature: networks and heads as the authors' scripts build and save them."""

import functools
import sys
import types

import torch
import torchvision
from torch import nn

from proj_heads import backbones
from proj_heads.heads import build_head
from proj_heads.seeds import generator
from proj_heads.vision_transformer import VisionTransformer

WIDTH, K = 20, 12


def thin_vit():
    return VisionTransformer(image=32, patch=8, d=48, depth=2, heads=4, generator=generator(0, "vit"))


@functools.cache
def resnet(name="resnet18"):
    """torchvision's own, as the authors use it, with batch-norm statistics that could not come from elsewhere."""
    with backbones.initialised_from(generator(0, "resnet")):
        net = getattr(torchvision.models, name)()
    net.fc = nn.Identity()
    return stirred(net)


def stirred(module, seed=0):
    """Running statistics and biases away from their initial 0 and 1."""
    draws = generator(seed, "stirred")
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=draws))
            elif name.endswith(("running_var", "weight_g")):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draws))
    return module


def projector(d, biases):
    """The authors' `Projector`: widths d-20-20-12."""
    return stirred(
        nn.Sequential(
            nn.Linear(d, WIDTH, bias=biases), nn.BatchNorm1d(WIDTH), nn.ReLU(True),
            nn.Linear(WIDTH, WIDTH, bias=biases), nn.BatchNorm1d(WIDTH), nn.ReLU(True),
            nn.Linear(WIDTH, K, bias=False),
        )
    )  # fmt: skip


class OfficialDINOHead(nn.Module):
    """As in the authors' vision_transformer.py; 3 layers, or 2 with batch norm for the ResNet."""

    def __init__(self, d, norm):
        super().__init__()
        if norm:
            layers = [nn.Linear(d, WIDTH), nn.BatchNorm1d(WIDTH), nn.GELU(), nn.Linear(WIDTH, 8)]
        else:
            layers = [nn.Linear(d, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 8)]
        self.mlp = nn.Sequential(*layers)
        self.last_layer = nn.utils.weight_norm(nn.Linear(8, K, bias=False))

    def forward(self, z):
        return self.last_layer(nn.functional.normalize(self.mlp(z), dim=-1, p=2))


def prefixed(**parts):
    return {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


def vicreg_content(net, head, monkeypatch=None):
    """What VICReg's main_vicreg.py saves; its LARS optimiser holds a function of the script."""
    content = {"epoch": 1000, "model": parallel(prefixed(backbone=net, projector=head))}
    if monkeypatch is not None:
        function = types.FunctionType((lambda p: p.ndim == 1).__code__, {}, "exclude_bias_and_norm")
        function.__module__, function.__qualname__ = "__main__", "exclude_bias_and_norm"
        monkeypatch.setattr(sys.modules["__main__"], "exclude_bias_and_norm", function, raising=False)
        group = {"lr": 0.2, "weight_decay_filter": function, "lars_adaptation_filter": function, "params": [0]}
        content["optimizer"] = {"state": {0: {"mu": torch.zeros(3)}}, "param_groups": [group]}
    return content


def plain_head(d):
    """A head of ours."""
    return build_head(d, WIDTH, K, generator=generator(0))


def images(size=32, n=3):
    return torch.rand(n, 3, size, size, generator=generator(0, "images"))
