"""Trained networks as files: our own, and the authors'. Nothing in a file is ever run.

    save(trained.model, "a.safetensors", recipe, seed=0)
    model = load("a.safetensors")
    model = load_published("task_A_regular_seed_0.pt")

A file of ours is safetensors whose metadata says, as JSON, how the network is built. A published file is a pickled
state dict, read with `weights_only=True`; its sizes come from the tensors' shapes, and each tensor must find its place.
"""

import json
import pickle
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from icl_lrt.model import Transformer
from icl_lrt.recipe import Architecture, Recipe
from icl_lrt.seeds import generator
from repro_shared import UserError
from repro_shared.files import storage, write_atomic

_SCHEMA = 1
_KEY = "icl_lrt"
"""Entry of a file's metadata: JSON with schema, architecture, recipe (or null) and whatever else was said of it."""
_OURS = "write it anew with save, or read a file of the authors with load_published"
_THEIRS = "get the authors' file again, or read one of ours with load"


class _Misfit(Exception):
    """Why a file is not what it was said to be, and what to do."""


def save(model: Transformer, path: str | Path, recipe: Recipe | None = None, **facts: Any) -> None:
    """Write one file, whole or not at all; folders on the way are made. `facts` are JSON values (a seed, a score)."""
    path = Path(path)
    content = {"schema": _SCHEMA, "architecture": asdict(model.architecture), "recipe": recipe and asdict(recipe)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with storage(path.parent, "free its space or permissions, or choose another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, serialised(tensors, {_KEY: json.dumps(content | facts)}))


def load(path: str | Path) -> Transformer:
    """The network of a file that `save` wrote, on the CPU, in evaluation mode; `UserError` for anything else."""
    with _reading(path) as path:
        architecture, tensors, _ = _native(path)
        return _model(architecture, tensors, _OURS)


def metadata(path: str | Path) -> dict[str, Any]:
    """What `save` was told of a network: its architecture, its recipe, and the facts."""
    with _reading(path) as path:
        return _native(path)[2]


def load_published(path: str | Path, heads: int = 4) -> Transformer:
    """The network of a published checkpoint, on the CPU, in evaluation mode; `UserError` for anything else.

    The number of heads leaves no trace in the tensors, nor does what was frozen in training.
    """
    with _reading(path) as path:
        return _model(*_published(_unpickled(path), heads), _THEIRS)


@contextmanager
def _reading(path: str | Path) -> Iterator[Path]:
    """Problems with a file become one line that names it."""
    path = Path(path)
    try:
        if not path.is_file():
            raise UserError(f"no checkpoint {path}: check the path")
        with path.open("rb"):  # a file that may not be read is an OSError; the libraries raise errors of their own
            pass
        yield path
    except _Misfit as problem:
        raise UserError(f"cannot load {path}: {problem}") from problem
    except OSError as error:
        raise UserError(f"cannot read {path} ({(error.strerror or str(error)).lower()}): check the file") from error


def _native(path: Path) -> tuple[Architecture, dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            content = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise _Misfit(f"it is truncated or no safetensors file; {_OURS}") from error
    if content is None:
        raise _Misfit(f"it is a safetensors file of something else, without our metadata {_KEY!r}; {_OURS}")
    try:
        content = json.loads(content)
        if content["schema"] != _SCHEMA:
            raise _Misfit(f"its schema is {content['schema']}, this version reads {_SCHEMA}: update icl-lrt")
        return Architecture(**content["architecture"]), tensors, content
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise _Misfit(f"its metadata {_KEY!r} is broken ({reason}); {_OURS}") from error


def _model(architecture: Architecture, tensors: Mapping[str, Tensor], advice: str) -> Transformer:
    """A network with these tensors, all of which must have a place of their shape in it."""
    model = Transformer(architecture, generator(0, "init"))
    places = model.state_dict()
    for problem, names in (
        ("lacks", places.keys() - tensors.keys()),
        ("has no place for", tensors.keys() - places.keys()),
    ):
        if names:
            raise _Misfit(f"it {problem} {_some(names)}; {advice}")
    for name, place in places.items():
        if tensors[name].shape != place.shape or not tensors[name].is_floating_point():
            found = f"{tuple(tensors[name].shape)} of {tensors[name].dtype}"
            raise _Misfit(f"its tensor {name} is {found} and should be {tuple(place.shape)} of floats; {advice}")
    model.load_state_dict(dict(tensors))
    return model.eval()


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle's protocol, in foreign files
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            raise _Misfit(f"it asks to run {asked[1]}, which weights never need, so it was not loaded") from error
        raise _Misfit(f"it is truncated or no torch checkpoint; {_THEIRS}") from error
    except MemoryError:
        raise
    except Exception as error:  # a broken file can raise anything
        raise _Misfit(f"it is truncated or no torch checkpoint; {_THEIRS}") from error


_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.(?:self_attn\.)?((?:in_proj_|out_proj\.|linear[12]\.|norm[12]\.)\w+)$")
"""A parameter of `nn.TransformerEncoder`, whatever the encoder is called."""


def _published(content: Any, heads: int) -> tuple[Architecture, dict[str, Tensor]]:
    """Our names for the tensors of a state dict. Layers are those of torch's encoder; other parts are known by their
    shapes, the two maps of an input by "query" in the name of one, and positions by "pos".
    """
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise _Misfit(f"it is not a state dict of tensors; {_THEIRS}")
    layers = {name: match for name in content if (match := _LAYER.search(name))}
    named = {name: f"layers.{match[1]}.{match[2]}" for name, match in layers.items()}
    width = next((content[name].shape[0] for name in layers if name.endswith("norm1.weight")), None)
    for name in content.keys() - layers.keys():
        part, _, kind = name.rpartition(".")
        weight = content.get(f"{part}.weight")
        role = None if width is None else _role(name, content[name] if weight is None else weight, width)
        if role is not None:
            named[name] = role if weight is None or role == "positions" else f"{role}.{kind}"
    if unknown := sorted(content.keys() - named.keys()):
        raise _Misfit(f"it has tensors that we do not know: {_some(unknown, content)}; {_THEIRS}")
    if twice := [name for name, count in Counter(named.values()).items() if count > 1]:
        both = [name for name, ours in named.items() if ours == twice[0]]
        raise _Misfit(f"it has more than one {twice[0]}: {_some(both, content)}; {_THEIRS}")
    tensors = {ours: content[name].float() for name, ours in named.items()}
    try:
        return _architecture(tensors, heads), tensors
    except (KeyError, ValueError) as error:
        raise _Misfit(f"no network has such tensors ({error}): {_some(content, content)}; {_THEIRS}") from error


def _role(name: str, weight: Tensor, width: int) -> str | None:
    """What a weight outside the layers does, by our name."""
    shape = tuple(weight.shape)
    if "pos" in name and shape[-1] == width:
        return "positions"
    if shape == (1, width):
        return "head"
    if shape == (width, 1):
        return "y_proj"
    if shape == (2, width):
        return "label_embedding"
    if weight.ndim == 2 and len(weight) == width:
        return "query_proj" if "query" in name else "x_proj"
    return None


def _architecture(tensors: dict[str, Tensor], heads: int) -> Architecture:
    """Sizes from shapes; a table of positions may have a first dimension of 1, which is dropped."""
    positions = tensors.get("positions")
    if positions is not None:
        positions = tensors["positions"] = positions.reshape(-1, positions.shape[-1])
    interleaved = "label_embedding.weight" in tensors
    sizes = {} if positions is None or interleaved else {"context": len(positions) - 1}
    return Architecture(
        d=tensors["x_proj.weight"].shape[1],
        width=len(tensors["x_proj.weight"]),
        heads=heads,
        layers=1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers.")),
        feedforward=len(tensors["layers.0.linear1.weight"]),
        layout="interleaved" if interleaved else "pairs",
        labels=interleaved or "y_proj.weight" in tensors,
        positions="none" if positions is None else "learned",
        **sizes,
    )


def _some(names: Iterable[str], content: Mapping[str, Tensor] | None = None) -> str:
    """The first few of many names, with shapes."""
    names = sorted(names)
    shown = [f"{name} {tuple(content[name].shape)}" if content else name for name in names[:12]]
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
