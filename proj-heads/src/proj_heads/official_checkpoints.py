"""The authors' full checkpoints of VICReg, Barlow Twins and DINO: from a file to a backbone and its head.

    vicreg  "model":          module.backbone.*, module.projector.*
            head:             Linear, BN, ReLU, Linear, BN, ReLU, Linear; biases in all linear maps but the last
    barlow  "model":          the same, and module.bn.*, a norm of the loss, which is left out
            head:             the same, without biases
    dino    "teacher" (EMA):  backbone.*, head.mlp.*, head.last_layer.*
            head:             Linear, [BN,] GELU, ..., Linear; L2 norm; Linear without bias (weight norm)

The prefixes "module." and "teacher." may be there or not. What else a file holds (optimiser, epoch, ...) is left alone.
"""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from proj_heads import descriptions
from proj_heads.descriptions import RESNETS, Description

ADVICE = "get the authors' full checkpoint (backbone and head) again"


class Misfit(Exception):
    """Why a file is not what it was said to be, and what to do."""


def read_official(path: Path, method: str, arch: str | Callable[[], nn.Module] | None) -> tuple[nn.Module, nn.Module]:
    """Backbone and head with the file's weights (float32); `Misfit` unless each tensor of the entry has its place."""
    entry, head_name = ("teacher", "head") if method == "dino" else ("model", "projector")
    state = _entry(unpickle(path), entry)
    parts = split(state, ("backbone", head_name), ignored="bn" if method == "barlow" else None, advice=ADVICE)
    for part, tensors in parts.items():
        if not tensors:
            raise Misfit(f"it has no tensors {part}.*; {ADVICE}")
    net = arch() if callable(arch) else _backbone(parts["backbone"], arch)
    head = _dino_head(parts[head_name]) if method == "dino" else _projector(parts[head_name], method)
    fill(net, parts["backbone"], "backbone", ADVICE)
    fill(head, parts[head_name], head_name, ADVICE)
    return net, head


def _inert_function(*_: Any) -> None:
    """Does nothing, whatever a pickle calls it with."""


class _InertObject:
    """Holds what a pickle gives it."""


INERT: list[tuple[Any, str]] = [
    (_inert_function, "__main__.exclude_bias_and_norm"),  # VICReg's optimiser
    (_InertObject, "argparse.Namespace"),  # DINO's arguments
]
"""What official files name besides tensors, and what stands in for it."""


def unpickle(path: Path) -> Any:
    """The content of a torch checkpoint; `Misfit`, and nothing run, if it asks for more than tensors and `INERT`."""
    with path.open("rb"):  # a file that may not be read is an OSError; torch raises others for truncated ones
        pass
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(INERT):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            raise Misfit(
                f"it asks to run {asked[1]}, which weights never need, so it was not loaded; {ADVICE}"
            ) from error
        raise Misfit(f"it is truncated or no torch checkpoint; {ADVICE}") from error
    except MemoryError:
        raise
    except Exception as error:  # a broken file can raise anything
        raise Misfit(f"it is truncated or no torch checkpoint; {ADVICE}") from error


def _entry(content: Any, entry: str) -> dict[str, Tensor]:
    """The state dict content[entry], without the prefixes "module." of data-parallel training and "teacher."."""
    if not isinstance(content, Mapping) or not isinstance(content.get(entry), Mapping):
        found = _some(content) if isinstance(content, Mapping) else type(content).__name__
        raise Misfit(f"it has no dictionary {entry!r} (found {found}); {ADVICE}, or give another method")
    state = {re.sub(r"^(module\.|teacher\.)+", "", str(name)): value for name, value in content[entry].items()}
    if len(state) != len(content[entry]) or not all(isinstance(value, Tensor) for value in state.values()):
        raise Misfit(f"its {entry!r} is not a state dict of tensors; {ADVICE}")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def split(
    state: Mapping[str, Tensor], parts: tuple[str, ...], advice: str, ignored: str | None = None
) -> dict[str, dict[str, Tensor]]:
    """The tensors of each part by their names inside it; `Misfit` if a tensor belongs to none."""
    found: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    for name, value in state.items():
        part, _, inner = name.partition(".")
        if part in found:
            found[part][inner] = value
        elif part != ignored:
            raise Misfit(f"its tensor {name!r} begins with none of {', '.join(f'{part}.' for part in parts)}; {advice}")
    return found


def fill(module: nn.Module, state: Mapping[str, Tensor], part: str, advice: str) -> None:
    """Put the tensors into the module, dtypes as they are; `Misfit` unless all names and shapes are the module's
    and all numbers finite.
    """
    expected = module.state_dict()
    for problem, names in (
        ("lacks", expected.keys() - state.keys()),
        ("has no place for", state.keys() - expected.keys()),
    ):
        if names:
            raise Misfit(f"it {problem} {len(names)} of the {part}'s tensors ({_some(sorted(names))}); {advice}")
    for name, value in state.items():
        shape, needed = tuple(value.shape), tuple(expected[name].shape)
        if shape != needed or value.is_floating_point() != expected[name].is_floating_point():
            kinds = "" if shape != needed else f" and type {value.dtype}"
            raise Misfit(f"its tensor {part}.{name} has shape {shape}{kinds}, which should be {needed}; {advice}")
        if not value.isfinite().all():
            raise Misfit(f"its tensor {part}.{name} has NaN or infinite entries; {advice}")
    module.load_state_dict(dict(state), assign=True)


def _backbone(state: Mapping[str, Tensor], arch: str | None) -> nn.Module:
    """The empty network that these tensors are of, or that `arch` names."""
    if arch is None and "cls_token" in state:
        return descriptions.build(_vision_transformer(state))
    bottleneck, blocks = "layer1.0.conv3.weight" in state, [_count(state, f"layer{i}") for i in range(1, 5)]
    arch = arch or next((name for name, layout in RESNETS.items() if layout == (bottleneck, blocks)), None)
    if arch is None:
        raise Misfit(f"no known backbone has such tensors ({_some(sorted(state))}); {ADVICE}, or pass arch")
    bottleneck, blocks = RESNETS[arch]
    return descriptions.build({"name": "resnet", "bottleneck": bottleneck, "blocks": blocks})


def _vision_transformer(state: Mapping[str, Tensor]) -> Description:
    """Sizes from shapes; attention heads are 64 wide, as in all of DINO's."""
    try:
        (d, channels, patch, _), positions = state["patch_embed.proj.weight"].shape, state["pos_embed"].shape[1]
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise Misfit(f"its vision transformer lacks tensors or has broken ones; {ADVICE}") from error
    if d % 64:
        raise Misfit(f"its vision transformer of width {d} has attention heads of unknown width; pass arch")
    sizes = {"image": round((positions - 1) ** 0.5) * patch, "patch": patch, "d": d, "hidden": hidden}
    depth = _count(state, "blocks")
    return {"name": "vision_transformer", **sizes, "depth": depth, "heads": d // 64, "channels": channels}


def _count(state: Mapping[str, Tensor], group: str) -> int:
    return len({name.split(".")[1] for name in state if name.startswith(f"{group}.")})


def _projector(state: Mapping[str, Tensor], method: str) -> nn.Module:
    """The empty projector of VICReg (biases in all linear maps but the last) or Barlow Twins (none)."""
    layers = _layers(state, "ReLU")
    biases = [layer["bias"] for layer in layers if layer["name"] == "Linear"]
    if biases != [method == "vicreg"] * (len(biases) - 1) + [False]:
        kind = "all but the last" if method == "vicreg" else "none"
        raise Misfit(f"of a {method} projector's linear maps {kind} have biases, not so here; {ADVICE}")
    return descriptions.build({"name": "stack", "layers": layers})


def _dino_head(state: dict[str, Tensor]) -> nn.Module:
    """The empty head; in `state`, the weight norm of the last map is folded and names become ours."""
    weight, g, v = (state.pop(f"last_layer.{name}", None) for name in ("weight", "weight_g", "weight_v"))
    if g is not None and v is not None and v.ndim == 2 and g.shape in {(), (1,), (len(v), 1)}:
        weight = v * (g / v.norm(dim=1, keepdim=True))
    if weight is None or weight.ndim != 2:
        raise Misfit(f"its head has no last_layer.weight, nor weight_g and weight_v that fit; {ADVICE}")
    layers = _layers({name.removeprefix("mlp."): value for name, value in state.items()}, "GELU")
    for name in list(state):
        state[name.replace("mlp.", "layers.", 1)] = state.pop(name)
    state["last_layer.weight"] = weight
    return descriptions.build({"name": "dino_head", "layers": layers, "logits": len(weight)})


def _layers(state: Mapping[str, Tensor], activation: str) -> list[Description]:
    """`Linear [BatchNorm1d] activation ... Linear`, read off tensors "<position>.<name>"; activations have none."""
    layers, width = [], None
    try:
        positions = {int(name.split(".")[0]) for name in state}
        if max(positions) > 2 * len(positions):
            raise ValueError("most positions have no tensors")
        for position in range(max(positions) + 1):
            if position not in positions:
                layers.append({"name": activation})
                continue
            weight = state[f"{position}.weight"]
            if width not in (None, weight.shape[-1]):
                raise Misfit(
                    f"layer {position} of its head takes {weight.shape[-1]} numbers and is given {width}; {ADVICE}"
                )
            width = len(weight)
            if weight.ndim == 1:
                layers.append({"name": "BatchNorm1d", "num_features": width})
            else:
                sizes = {"in_features": weight.shape[1], "out_features": width}
                layers.append({"name": "Linear", **sizes, "bias": f"{position}.bias" in state})
    except (ValueError, KeyError, IndexError) as error:
        raise Misfit(f"the tensors of its head are of no known layout ({_some(sorted(state))}); {ADVICE}") from error
    letters = "".join(layer["name"][0] for layer in layers)
    if not re.fullmatch(f"L(B?{activation[0]}L)*", letters):
        names = ", ".join(layer["name"] for layer in layers)
        raise Misfit(f"its head is {names} instead of linear maps with {activation} between; {ADVICE}")
    return layers


def _some(names: Any) -> str:
    """The first few of many names."""
    names = [repr(name) for name in names]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
