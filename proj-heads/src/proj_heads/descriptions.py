"""Backbones and heads as plain data, so that a checkpoint says what it holds without pickled code.

    description = describe(module)      {"name": "small_cnn", "channels": 1, "width": 16}
    module = build(description)         the same network with empty tensors (device "meta"), to load weights into

Known: the backbones of `backbones`, torchvision's ResNets without their last linear map, DINO's vision transformer;
stacks of the layers in `LAYERS` (all of `heads.build_head`), `DINOHead`, and lightly's projection heads.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads import backbones
from proj_heads.vision_transformer import VisionTransformer

Description = dict[str, Any]
"""JSON: the name of what builds the module, and its arguments."""

LAYERS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "Linear": (nn.Linear, ("in_features", "out_features", "bias")),
    "BatchNorm1d": (nn.BatchNorm1d, ("num_features", "eps", "momentum", "affine", "track_running_stats")),
    "ReLU": (nn.ReLU, ("inplace",)),
    "GELU": (nn.GELU, ("approximate",)),
    "SiLU": (nn.SiLU, ("inplace",)),
    "Tanh": (nn.Tanh, ()),
    "Identity": (nn.Identity, ()),
}
"""Layers that a stack may have, and the arguments that make one."""

RESNETS: dict[str, tuple[bool, list[int]]] = {
    "resnet18": (False, [2, 2, 2, 2]),
    "resnet34": (False, [3, 4, 6, 3]),
    "resnet50": (True, [3, 4, 6, 3]),
    "resnet101": (True, [3, 4, 23, 3]),
    "resnet152": (True, [3, 8, 36, 3]),
}
"""Whether the blocks have a bottleneck, and how many of them each stage has."""


class DINOHead(nn.Module):
    """DINO's head: layers, L2-normalised bottleneck, bias-free linear map to the logits.

    The weight norm of the last map is folded into its weight, w = g v / ||v||, so the head can be copied and compared.
    """

    def __init__(self, layers: nn.Sequential, logits: int):
        super().__init__()
        self.layers = layers
        self.last_layer = nn.Linear(
            [part for part in layers if isinstance(part, nn.Linear)][-1].out_features, logits, bias=False
        )

    def bottleneck(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n bottleneck"]:
        """Of norm 1; the last linear map makes the logits of it."""
        return F.normalize(self.layers(z), dim=-1)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.last_layer(self.bottleneck(z))


def describe(module: nn.Module) -> Description:
    """The description of which `build` makes a network like this one; ValueError for a network that it cannot make."""
    try:
        description = _describe(module)
        with torch.device("meta"):
            rebuilt = _build(description)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError):
        description = rebuilt = None
    if rebuilt is None or repr(rebuilt) != repr(module) or _shapes(rebuilt) != _shapes(module):
        raise ValueError(
            f"cannot describe this {type(module).__name__}: use a backbone of proj_heads.backbones, a ResNet of "
            "torchvision without fc, a VisionTransformer, a head of lightly or a Sequential of " + ", ".join(LAYERS)
        )
    return description


def build(description: Description) -> nn.Module:
    """The network on device "meta": no memory, no random numbers. ValueError for a description that makes none."""
    try:
        with torch.device("meta"):
            return _build(description)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError, RuntimeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"no network is known for the description {str(description)[:80]} ({reason})") from error


def resnet(bottleneck: bool, blocks: list[int], channels: int = 3) -> nn.Module:
    """torchvision's ResNet without its last linear map; d = 512, or 2048 with bottlenecks."""
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    net = ResNet(Bottleneck if bottleneck else BasicBlock, blocks)
    if channels != 3:
        net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    net.d, net.fc = net.fc.in_features, nn.Identity()
    return net


def stack(layers: list[Description]) -> nn.Sequential:
    """The layers one after another."""
    modules = []
    for layer in layers:
        name, arguments = _split(layer)
        kind, _ = LAYERS[name]
        modules.append(kind(**arguments))
    return nn.Sequential(*modules)


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "small_cnn": backbones.small_cnn,
    "resnet18_cifar": backbones.resnet18_cifar,
    "vit_tiny": backbones.vit_tiny,
    "resnet": resnet,
    "vision_transformer": VisionTransformer,
    "stack": stack,
    "dino_head": lambda layers, logits: DINOHead(stack(layers), logits),
    "identity": nn.Identity,
}


def _build(description: Description) -> nn.Module:
    name, arguments = _split(description)
    if name.startswith("lightly."):
        return _lightly_heads()[name.removeprefix("lightly.")](**arguments)
    return _BUILDERS[name](**arguments)


def _split(description: Description) -> tuple[str, Description]:
    return description["name"], {key: value for key, value in description.items() if key != "name"}


def _lightly_heads() -> dict[str, type[nn.Module]]:
    from lightly.models.modules import heads

    classes = {name: kind for name, kind in vars(heads).items() if inspect.isclass(kind)}
    return {name: kind for name, kind in classes.items() if issubclass(kind, heads.ProjectionHead)}


def _describe(module: nn.Module) -> Description:
    from torchvision.models.resnet import Bottleneck, ResNet

    if isinstance(module, backbones.SmallCNN):
        return {"name": "small_cnn", "channels": module[0].in_channels, "width": module[0].out_channels}
    if isinstance(module, ResNet):
        channels, stages = module.conv1.in_channels, [module.layer1, module.layer2, module.layer3, module.layer4]
        if module.conv1.kernel_size == (3, 3):
            return {"name": "resnet18_cifar", "channels": channels}
        bottleneck = isinstance(module.layer1[0], Bottleneck)
        return {"name": "resnet", "bottleneck": bottleneck, "blocks": [len(s) for s in stages], "channels": channels}
    if isinstance(module, backbones.ViT):
        side, patch = round((module.positions.shape[1] - 1) ** 0.5), module.patches.kernel_size[0]
        return {"name": "vit_tiny", "channels": module.patches.in_channels, "image": side * patch}
    if isinstance(module, VisionTransformer):
        sizes = {name: getattr(module, name) for name in ("image", "patch", "d", "heads", "hidden")}
        channels = module.patch_embed.proj.in_channels
        return {"name": "vision_transformer", **sizes, "depth": len(module.blocks), "channels": channels}
    if isinstance(module, DINOHead):
        layers = _describe_layers(module.layers)
        return {"name": "dino_head", "layers": layers, "logits": module.last_layer.out_features}
    if isinstance(module, nn.Sequential):
        return {"name": "stack", "layers": _describe_layers(module)}
    if isinstance(module, nn.Identity):
        return {"name": "identity"}
    return _describe_lightly(module)


def _describe_layers(layers: nn.Sequential) -> list[Description]:
    described = []
    for layer in layers:
        kind, names = LAYERS[type(layer).__name__]
        arguments = {name: getattr(layer, name) for name in names}
        if isinstance(layer, nn.Linear):
            arguments["bias"] = layer.bias is not None
        described.append({"name": kind.__name__, **arguments})
    return described


def _describe_lightly(module: nn.Module) -> Description:
    """The arguments of a lightly head, read off its layers; switches of its training are not kept."""
    name = type(module).__name__
    linear = [part for part in module.layers if isinstance(part, nn.Linear)]
    arguments = {
        "input_dim": linear[0].in_features,
        "hidden_dim": linear[0].out_features,
        "output_dim": linear[-1].out_features,
        "num_layers": len(linear),
        "batch_norm": any(isinstance(part, nn.BatchNorm1d) for part in module.layers),
    }
    if hasattr(module, "last_layer"):
        arguments |= {"bottleneck_dim": linear[-1].out_features, "output_dim": module.last_layer.out_features}
    taken = inspect.signature(_lightly_heads()[name]).parameters
    return {"name": f"lightly.{name}"} | {key: value for key, value in arguments.items() if key in taken}


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}
