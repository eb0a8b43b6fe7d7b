"""Residual-stream activations of a language model as (batch, n) tensors: extracted once to a file, or streamed.

Every activation a is scaled to the norm sqrt(n) before an SAE sees it (authors' code),

    x = a / s,     s = ||a|| / sqrt(n)

and s is kept: what the SAE makes of x goes back into the model as s * SAE(x) (see `patching`).

Position 0 of a window attends only to itself and holds an attention sink with a norm up to 150 times that of the
others, so it is dropped unless `drop_first=False` (ours; the published runs kept it).
"""

import hashlib
import itertools
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from aen_sae.corpus import TokenWindows, token_hash
from aen_sae.language_model import SplitModel, cache_directory, locked_folder
from aen_sae.seeds import generator
from repro_shared import UserError


def normalise(a: Float[Tensor, "*tokens n"]) -> tuple[Float[Tensor, "*tokens n"], Float[Tensor, "*tokens 1"]]:
    """(x, s) with a = s x and ||x|| = sqrt(n), in float32; s = ||a|| / sqrt(n)."""
    a = a.float()
    scale = a.norm(dim=-1, keepdim=True).clamp_min(1e-12) / math.sqrt(a.shape[-1])
    return a / scale, scale


@dataclass(frozen=True)
class ActivationStore:
    """Normalised activations of some token windows, memory-mapped: many SAEs and processes share one extraction.

    Tokens count windows first, then positions. On disk x is float16: an error of at most 5e-4 of an entry and 1e-7 of
    the variance (measured), and no overflow since ||x|| = sqrt(n). The scale is float32, as are all tensors given out.
    """

    x: Float[np.ndarray, "windows positions n"]
    """a / s, float16."""
    scale: Float[np.ndarray, "windows positions"]
    """s = ||a|| / sqrt(n)."""
    first_position: int
    """Position in the window of column 0: 1 where position 0 was dropped."""

    @classmethod
    def extract(
        cls,
        model: SplitModel,
        windows: Int[np.ndarray, "windows seq"],
        cache_dir: Path | None = None,
        drop_first: bool = True,
        windows_per_forward: int = 4,
    ) -> "ActivationStore":
        """Open the store of these windows, after one pass of the lower blocks over them if it does not exist yet.

        It lies in `cache_dir`/activations (default: `cache_directory()`) under a hash of the model's fingerprint, the
        tokens, `drop_first`, the kind of device and the version of torch, and appears whole or not at all. 4 windows of
        128 tokens a forward are enough for full speed on one core; give more on a GPU.
        """
        first = int(drop_first)
        made_by = [model.hook_name, model.fingerprint, model.device.type, torch.__version__]
        key = hashlib.sha256(json.dumps([*made_by, token_hash(windows), first]).encode()).hexdigest()[:24]
        folder = (Path(cache_dir) if cache_dir is not None else cache_directory()) / "activations"
        if not (folder / key).is_dir():
            with locked_folder(folder, key) as scratch:
                if not (folder / key).is_dir():
                    _extract(model, windows, first, windows_per_forward, scratch)
                    os.rename(scratch, folder / key)
        try:
            x, scale = (np.load(folder / key / f"{name}.npy", mmap_mode="r") for name in ("x", "scale"))
        except (OSError, ValueError, EOFError) as error:  # missing, shorter than its header says, no header
            raise UserError(
                f"the activations in {folder / key} are damaged: remove that folder and run again"
            ) from error
        return cls(x, scale, first)

    def __len__(self) -> int:
        """Number of tokens."""
        return self.scale.size

    def tensor(self) -> Float[Tensor, "tokens n"]:
        """All normalised activations, in memory."""
        return torch.from_numpy(self.x.reshape(len(self), -1).astype(np.float32))


def _extract(model: SplitModel, windows: np.ndarray, first: int, windows_per_forward: int, folder: Path) -> None:
    shape = (len(windows), windows.shape[1] - first)
    scale = np.empty(shape, dtype=np.float32)
    with open(folder / "x.npy", "wb") as file:  # plain writes: a memory map on a full disk dies of SIGBUS
        header = {"descr": "<f2", "fortran_order": False, "shape": (*shape, model.n)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(windows), windows_per_forward):
            part = slice(start, start + windows_per_forward)
            tokens = torch.from_numpy(np.asarray(windows[part], dtype=np.int64))
            x, s = normalise(model.residual(tokens)[:, first:])
            file.write(x.half().cpu().numpy().astype("<f2").tobytes())
            scale[part] = s[..., 0].cpu().numpy()
    np.save(folder / "scale.npy", scale)


class Replay:
    """Endless shuffled batches of stored activations, epoch after epoch; the last, incomplete batch of an epoch is left
    out.
    """

    def __init__(self, x: Float[Tensor, "tokens n"], batch_size: int, seed: int):
        """The order of epoch e is drawn from the stream (seed, "data", e)."""
        if batch_size > len(x):
            raise ValueError(
                f"batch_size = {batch_size}, but there are only {len(x)} tokens: use a smaller batch or more text"
            )
        self._x, self._batch_size, self._seed = x, batch_size, seed
        self._step, self._epoch = 0, -1

    def __iter__(self) -> "Replay":
        return self

    def __next__(self) -> Float[Tensor, "batch n"]:
        epoch, index = divmod(self._step, len(self._x) // self._batch_size)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.randperm(len(self._x), generator=generator(self._seed, "data", epoch)).to(
                self._x.device
            )
        self._step += 1
        return self._x[self._order[index * self._batch_size :][: self._batch_size]]

    def state_dict(self) -> dict:
        """How many batches have been handed out."""
        return {"step": self._step}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was taken."""
        self._step = state["step"]


class ActivationStream:
    """Iterator over normalised (batch, n) activations straight from the language model, for corpora too large to store.

    One pass of the language model serves as many SAEs as are trained on the stream. It works block by block:
    `block_batches` batches are computed, permuted within the block, and handed out; what exceeds them (less than a
    window) is dropped. `block_batches=1`, `seed=None` and `drop_first=False` is the published order: a batch is
    contiguous text, unshuffled.

    `state_dict()` is small (JSON values) and exact: `load_state_dict` computes the current block again and goes on with
    its next batch. A block lies on the model's device in float32: block_batches * batch_size * n * 4 bytes.
    """

    def __init__(
        self,
        model: SplitModel,
        windows: TokenWindows,
        batch_size: int,
        seed: int | None,
        block_batches: int = 16,
        drop_first: bool = True,
        windows_per_forward: int = 64,
    ):
        self._model, self._windows, self._first = model, windows, int(drop_first)
        self._batch_size, self._block_batches, self._seed = batch_size, block_batches, seed
        self._windows_per_forward = windows_per_forward
        self._start_block(0)

    def _start_block(self, block: int) -> None:
        self._block, self._batch = block, 0  # _batch: the next one within the block
        self._block_start = self._windows.state_dict()
        self._x: Tensor | None = None

    def __iter__(self) -> "ActivationStream":
        return self

    def __next__(self) -> Float[Tensor, "batch n"]:
        if self._x is None:
            self._compute_block()
        if self._batch == len(self._order) // self._batch_size and self._batch > 0:  # used up
            self._start_block(self._block + 1)
            self._compute_block()
        rows = self._order[self._batch * self._batch_size :][: self._batch_size]
        if len(rows) < self._batch_size:
            raise StopIteration  # the text has ended
        self._batch += 1
        return self._x[rows]

    def _compute_block(self) -> None:
        positions = self._windows.context_size - self._first
        windows = list(itertools.islice(self._windows, math.ceil(self._block_batches * self._batch_size / positions)))
        self._x = torch.empty(len(windows) * positions, self._model.n, device=self._model.device)
        for start in range(0, len(windows), self._windows_per_forward):
            part = windows[start : start + self._windows_per_forward]
            x, _ = normalise(self._model.residual(torch.from_numpy(np.stack(part)).long())[:, self._first :])
            self._x[start * positions : (start + len(part)) * positions] = x.flatten(0, 1)
        if self._seed is None:
            self._order = torch.arange(len(self._x))
        else:
            self._order = torch.randperm(len(self._x), generator=generator(self._seed, "activations", self._block))

    def state_dict(self) -> dict:
        """Where the stream is, as plain JSON values; the batches received so far are counted as used."""
        return {"windows": self._block_start, "block": self._block, "batch": self._batch}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was taken, on a new object built with equal arguments."""
        self._windows.load_state_dict(state["windows"])
        self._start_block(state["block"])
        self._batch = state["batch"]
