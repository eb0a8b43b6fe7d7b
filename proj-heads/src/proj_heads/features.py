"""Frozen features: computed once, for all probes and measurements."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from proj_heads.data import to_float


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode (batch norms use their running statistics); afterwards every submodule has its own mode again."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def extract(module: nn.Module, x: Shaped[Tensor, "n ..."], batch_size: int = 500) -> Float[Tensor, "n features"]:
    """What a module makes of x in evaluation mode, chunk by chunk, on the module's device.

    x: images (uint8 or in [0, 1]) for a backbone, z for a head; it may lie on another device than the module.
    """
    device = device_of(module)
    with evaluating(module):
        return torch.cat([module(to_float(part.to(device))) for part in x.split(batch_size)])


@torch.no_grad()
def layerwise(
    backbone: nn.Module, head: nn.Module, x: Shaped[Tensor, "n ..."], batch_size: int = 500
) -> dict[str, Float[Tensor, "n _"]]:
    """Features at every place where a head can be cut off: "z", "layer1", ..., "h" (guillotine regularisation).

    "layer<i>" is what the head's linear map i + 1 is given: linear map i with its batch norm and activation. "z" is the
    backbone's output and "h" the head's, whatever the head's class is (DINO's "layer3" is its normalised bottleneck).
    """
    device = device_of(backbone)
    inputs: list[Tensor] = []
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
    hooks = [module.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for module in linear]
    parts: dict[str, list[Tensor]] = {}
    try:
        with evaluating(backbone, head):
            for part in x.split(batch_size):
                inputs.clear()
                z = backbone(to_float(part.to(device)))
                h = head(z)
                inner = {f"layer{number}": layer for number, layer in enumerate(inputs[1:], 1)}
                for name, features in ({"z": z} | inner | {"h": h}).items():
                    parts.setdefault(name, []).append(features)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(features) for name, features in parts.items()}


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are (the CPU for one without)."""
    parameter = next(module.parameters(), None)
    return parameter.device if parameter is not None else torch.device("cpu")
