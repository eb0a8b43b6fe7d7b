"""Checkpoints of long runs: whole or absent, and of no other run."""

import hashlib
import time
from dataclasses import fields, is_dataclass
from pathlib import Path

from torch import Tensor

from repro_shared import UserError
from repro_shared.files import storage, write_atomic

_SECONDS = 20.0
"""Ours: a run that is killed loses less than this. When it was saved changes no number."""


def fingerprint(*described: object) -> str:
    """Equal for equal settings; tensors in them count by their content."""
    digest = hashlib.sha256()
    for item in described:
        if isinstance(item, Tensor):
            digest.update(str((item.dtype, tuple(item.shape))).encode() + item.cpu().numpy().tobytes())
        elif is_dataclass(item):
            values = (getattr(item, field.name) for field in fields(item))
            digest.update((type(item).__name__ + fingerprint(*values)).encode())
        else:
            digest.update(repr(item).encode())
    return digest.hexdigest()


class Checkpoint:
    """One file in the folder `scratch`, or none where that is None."""

    def __init__(self, scratch: Path | None, name: str, made_by: str):
        self.file, self.made_by = scratch and scratch / f"{name}.safetensors", made_by
        self._saved = time.monotonic()

    def load(self, device: str) -> dict[str, Tensor] | None:
        """What was saved, if anything."""
        from safetensors import SafetensorError, safe_open

        if not self.file or not self.file.exists():
            return None
        try:
            with safe_open(self.file, "pt") as file:
                tensors = {name: file.get_tensor(name).to(device, copy=True) for name in file.keys()}
                metadata = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{self.file} is damaged ({error}): remove it and the run starts anew") from error
        if metadata.get("made_by") != self.made_by:
            raise UserError(f"{self.file} belongs to another run: remove it, or run this one elsewhere")
        return tensors

    def save(self, tensors: dict[str, Tensor], due: float = _SECONDS) -> None:
        """Keep this state, unless the last one was kept less than `due` seconds ago."""
        from safetensors.torch import save

        if not self.file or time.monotonic() - self._saved < due:
            return
        with storage(self.file.parent, "free its space and run the same command again"):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.file, save({n: t.contiguous() for n, t in tensors.items()}, {"made_by": self.made_by}))
        self._saved = time.monotonic()
