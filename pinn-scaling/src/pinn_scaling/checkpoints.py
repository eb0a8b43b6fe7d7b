"""The state of a training in a file, so that one that was killed goes on.

A file is whole or absent (it is renamed into place), holds arrays only, and says which training it is of.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from repro_shared import UserError
from repro_shared.files import storage, write_atomic


def save(path: Path, name: str, tree: Any) -> None:
    """Write the leaves of `tree`, the state of the training `name`, as .npz."""
    buffer = io.BytesIO()
    np.savez(buffer, name=np.asarray(name), **{f"{place}": leaf for place, leaf in enumerate(jax.tree.leaves(tree))})
    with storage(path.parent, "free its space or permissions, and run the same again"):
        write_atomic(path, buffer.getvalue())


def load(path: Path, name: str, like: Any) -> Any:
    """The tree that was saved, with the structure of `like`; `UserError` for anything but a file of this training."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found, leaves = str(file["name"]), [file[f"{place}"] for place in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no checkpoint of a training ({error}): remove it, or give another path") from error
    if found != name:
        raise UserError(f"{path} is of another training ({found}): remove it, or give another path")
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
