"""Pretrained backbone and head from one file: official full checkpoints, and our own format.

    headed = load_headed("resnet50_fullckpt.pth", "vicreg")
    z, h = headed(x)                                          x: images in [0, 1]

Official files (methods vicreg, barlow, dino): see `official_checkpoints`. A native file is written by `save_headed`:
safetensors whose metadata says, as JSON, how to build both networks. Widths come from the tensors' shapes, every tensor
must find its place, and nothing in a file is ever run: pickles are read with `weights_only=True`.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils.weight_norm import WeightNorm

from proj_heads import descriptions
from proj_heads.descriptions import RESNETS
from proj_heads.official_checkpoints import ADVICE, Misfit, fill, read_official, split
from proj_heads.vision_transformer import VisionTransformer
from repro_shared import UserError
from repro_shared.files import storage, write_atomic

METHODS = ("vicreg", "barlow", "dino", "native")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's channels, by which the official models' inputs are normalised."""

_SCHEMA = 1
_KEY = "proj_heads"
"""Entry of a native file's metadata: JSON with schema, method, backbone, head, preprocess, d and k."""


class Preprocess(nn.Module):
    """Images in [0, 1] of any size -> what the network was trained on: resized to size x size, (x - mean) / std.

    Change colours before (torchvision's functions expect [0, 1]); to do it at the network's size, call `resize` first:
    to resize again changes nothing.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], size: int):
        super().__init__()
        if size < 1 or not all(map(math.isfinite, mean)) or not all(0 < value < math.inf for value in std):
            raise ValueError(f"mean = {mean}, std = {std}, size = {size}; choose finite means, std > 0 and size >= 1")
        self.size, self.settings = size, {"mean": list(mean), "std": list(std), "size": size}
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def resize(
        self, x: Float[Tensor, "n channels height width"]
    ) -> Float[Tensor, "n channels {self.size} {self.size}"]:
        """Bilinear, with antialiasing where it shrinks."""
        if x.shape[2:] == (self.size, self.size):
            return x
        return F.interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)

    def forward(
        self, x: Float[Tensor, "n channels height width"]
    ) -> Float[Tensor, "n channels {self.size} {self.size}"]:
        return (self.resize(x) - self.mean) / self.std


class Headed(nn.Module):
    """A backbone and its head: images in [0, 1] -> (z, h).

    `net` is the backbone as its authors have it. `backbone` is `net` after `preprocess` (None: nothing to be done), so
    it takes images in [0, 1] and goes with `head` into `geometry` and `features` as it is. d, k: widths of z and h.
    """

    def __init__(self, net: nn.Module, head: nn.Module, method: str, preprocess: Preprocess | None = None):
        super().__init__()
        self.net, self.head, self.method, self.preprocess = net, head, method, preprocess
        linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
        self.d = linear[0].in_features if linear else net.d
        self.k = linear[-1].out_features if linear else net.d
        if getattr(net, "d", self.d) != self.d:
            raise ValueError(f"the backbone gives {net.d} features, the head takes {self.d}: use a pair that fits")

    @property
    def backbone(self) -> nn.Module:
        return self.net if self.preprocess is None else nn.Sequential(self.preprocess, self.net)

    def forward(
        self, x: Float[Tensor, "n channels height width"]
    ) -> tuple[Float[Tensor, "n {self.d}"], Float[Tensor, "n {self.k}"]]:
        """z and h; h is the logits for a DINO head."""
        z = self.backbone(x)
        return z, self.head(z)

    def bottleneck(self, z: Float[Tensor, "n {self.d}"]) -> Float[Tensor, "n bottleneck"]:
        """What a DINO head's last linear map is given: of norm 1."""
        if not hasattr(self.head, "last_layer"):
            raise ValueError(f"a {type(self.head).__name__} has no bottleneck: only heads of DINO have one")
        return F.normalize(self.head.layers(z), dim=-1)

    def extra_repr(self) -> str:
        return f"method={self.method!r}, d={self.d}, k={self.k}"


def save_headed(path: str | Path, headed: Headed) -> None:
    """Write one safetensors file, whole or not at all; folders on the way are made.

    ValueError for a backbone or head that `descriptions.describe` does not know. Training switches (what is frozen,
    optimiser, epoch) are not kept.
    """
    path = Path(path)
    content = {
        "schema": _SCHEMA,
        "method": headed.method,
        "backbone": descriptions.describe(headed.net),
        "head": descriptions.describe(headed.head),
        "preprocess": headed.preprocess and headed.preprocess.settings,
        "d": headed.d,
        "k": headed.k,
    }
    parts = {"backbone": headed.net.state_dict(), "head": headed.head.state_dict()}
    tensors = {f"{part}.{name}": value.cpu().contiguous() for part in parts for name, value in parts[part].items()}
    with storage(path.parent, "free its space or permissions, or choose another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, save(tensors, {_KEY: json.dumps(content)}))


def load_headed(path: str | Path, method: str, arch: str | Callable[[], nn.Module] | None = None) -> Headed:
    """The pair on the CPU in evaluation mode, gradients off; `UserError` for anything but a whole file of this method.

    `arch` is for official files only and seldom needed, as the backbone is read off the tensors: a name in
    `descriptions.RESNETS` insists on that one; a function without arguments builds the backbone itself, with the
    official names of parameters (a vision transformer whose attention heads are not 64 wide, say).
    """
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}: choose from {', '.join(METHODS)}")
    if isinstance(arch, str) and arch not in RESNETS:
        raise UserError(f"unknown arch {arch!r}: choose from {', '.join(RESNETS)}, or leave it out")
    if method == "native" and arch is not None:
        raise UserError("arch is for official checkpoints; a native one says itself what it holds: leave arch out")
    path = Path(path)
    try:
        if not path.is_file():
            raise UserError(f"no checkpoint {path}: check the path, or download the file there")
        headed = _native(path) if method == "native" else _official(path, method, arch)
    except Misfit as problem:
        raise UserError(f"{path} does not load as {method}: {problem}") from problem
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({(error.strerror or str(error)).lower()}): check its permissions"
        ) from error
    headed.eval().requires_grad_(False)
    for module in headed.modules():  # lightly's DINO head derives a weight from others when it is called, not before
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                hook(module, None)
    return headed


def _native(path: Path) -> Headed:
    advice = 'write it anew with save_headed, or give the method of an official checkpoint ("vicreg", ...)'
    with path.open("rb"):  # a file that may not be read is an OSError, safetensors has an error of its own
        pass
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            # copies: memory mapped from the file is not aligned, which changes the last bits of what layers compute
            state = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        raise Misfit(f"it is truncated or no safetensors file; {advice}") from error
    if _KEY not in metadata:
        raise Misfit(f"it is a safetensors file of something else, without our metadata {_KEY!r}; {advice}")
    try:
        content = json.loads(metadata[_KEY])
        if content["schema"] != _SCHEMA:
            raise Misfit(f"its schema is {content['schema']}, this version reads {_SCHEMA}; update proj-heads")
        net, head = descriptions.build(content["backbone"]), descriptions.build(content["head"])
        preprocess = Preprocess(**content["preprocess"]) if content["preprocess"] else None
        headed = Headed(net, head, content["method"], preprocess)
        if (headed.d, headed.k) != (content["d"], content["k"]):
            raise ValueError(f"the head is {headed.d} -> {headed.k}, not {content['d']} -> {content['k']}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise Misfit(f"its metadata {_KEY!r} is broken ({reason}); {advice}") from error
    parts = split(state, ("backbone", "head"), advice)
    fill(net, parts["backbone"], "backbone", advice)
    fill(head, parts["head"], "head", advice)
    return headed


def _official(path: Path, method: str, arch: str | Callable[[], nn.Module] | None) -> Headed:
    net, head = read_official(path, method, arch)
    size = net.image if isinstance(net, VisionTransformer) else 224
    try:
        return Headed(net, head, method, Preprocess(*IMAGENET, size))
    except ValueError as error:
        raise Misfit(f"{error}; {ADVICE}") from error
