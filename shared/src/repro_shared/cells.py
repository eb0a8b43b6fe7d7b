"""The files of a cell: cells/HASH.json (config, origin, scalars, timing) and arrays/HASH.npz.

Two equal runs write equal files, except for the key "timing". A checksum over everything else, and one of the npz, tell
a damaged file from a whole one. Not-a-number and infinities are written as NaN and Infinity, as Python's json does.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from repro_shared.files import read_json, write_atomic, write_json
from repro_shared.results import is_array


def sha256_json(content) -> str:
    """Hex sha256 of the canonical JSON of `content`."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_cell(folder: Path, digest: str, origin: dict, records: list[dict], timing: dict) -> None:
    """Write a cell below `folder`, the arrays first: a JSON that is there vouches for its npz."""
    split = [
        {
            "values": {name: value for name, value in record.items() if not is_array(value)},
            "arrays": [name for name, value in record.items() if is_array(value)],
        }
        for record in records
    ]
    named = {f"{index}.{name}": records[index][name] for index, part in enumerate(split) for name in part["arrays"]}
    content = origin | {"records": split, "arrays_sha256": None}
    if named:
        buffer = io.BytesIO()
        np.savez(buffer, **named)
        content["arrays_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
        write_atomic(folder / "arrays" / f"{digest}.npz", buffer.getvalue())
    write_json(folder / "cells" / f"{digest}.json", content | {"sha256": sha256_json(content), "timing": timing})


def read_cell(folder: Path, digest: str, stamp: dict) -> tuple[list[dict], dict] | str:
    """Records and timing of a cell made under `stamp` (fingerprint, versions), or why there is no such valid cell."""
    path = folder / "cells" / f"{digest}.json"
    if not path.exists():
        return "missing"
    content = read_json(path)
    if not isinstance(content, dict) or not {"sha256", "timing"} <= content.keys():
        return "its file is damaged"
    timing, checksum = content.pop("timing"), content.pop("sha256")
    if checksum != sha256_json(content) or not isinstance(timing, dict):
        return "its file is damaged"
    if content["fingerprint"] != stamp["fingerprint"]:
        return "the code has changed"
    if content["versions"] != stamp["versions"]:
        return f"package versions have changed ({_difference(content['versions'], stamp['versions'])})"
    records = [dict(record["values"]) for record in content["records"]]
    if content["arrays_sha256"] is not None:
        try:
            data = (folder / "arrays" / f"{digest}.npz").read_bytes()
        except OSError:
            return "its arrays are missing"
        if hashlib.sha256(data).hexdigest() != content["arrays_sha256"]:
            return "its arrays are damaged"
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            for index, record in enumerate(content["records"]):
                records[index] |= {name: arrays[f"{index}.{name}"] for name in record["arrays"]}
    return records, timing


def _difference(before: dict, now: dict) -> str:
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    return ", ".join(f"{key} {before.get(key, 'absent')} -> {now.get(key, 'absent')}" for key in changed)
