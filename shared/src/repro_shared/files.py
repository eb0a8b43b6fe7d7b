"""Files that are whole or absent, and storage errors that say what to do."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class UserError(Exception):
    """Something that the user can mend: one line that says what to do. A CLI prints it and exits with 2."""


@contextmanager
def storage(folder: Path, advice: str = "choose another --out, or free its space and permissions") -> Iterator[None]:
    """Turn an OSError met while writing below `folder` (disk full, read-only, no permission) into a `UserError`."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot write to {folder} ({reason}): {advice}") from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write `data` so that `path` holds either its old content or all of the new one, whenever the machine stops."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, content) -> None:
    """Atomic, indented JSON."""
    write_atomic(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path):
    """The content of a JSON file, or None where there is none or it is broken."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Claim `folder`; `UserError` while somebody else holds it. Not re-entrant."""
    with storage(folder):
        file = open(folder / ".lock", "w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another process is working in {folder}: wait for it, or give another --out") from error
        yield
