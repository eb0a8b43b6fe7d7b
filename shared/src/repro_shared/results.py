"""The recorded numbers of an experiment as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repro_shared.files import read_json
from repro_shared.provenance import config_hash

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Results:
    """Every record of an experiment. A record is one row; its number is its index in `table`."""

    table: pd.DataFrame
    """One row per record: `cell` (config hash), the config fields overwritten by the record's labels, scalar values."""
    curves: pd.DataFrame
    """One row per record and step: `row` (index into `table`), `cell`, the config fields, `step`, one column per curve.
    A curve is a 1-D array as long as the record's integer array "step"."""
    labels: list[str] = field(default_factory=list)
    """Names of the config fields."""
    arrays: list[dict[str, np.ndarray]] = field(default_factory=list)
    """Arrays of each record, by name (curves too)."""
    provenance: Path | None = None
    """The run.json that these numbers come from."""
    missing: int = 0
    """Cells that are not there."""
    reason: str = ""
    """Why the first of them is not: not run yet, made by other code or packages, damaged."""

    def array(self, row: int | pd.Series, name: str) -> np.ndarray:
        """The array `name` of a record, given by its index in `table` or by the row itself."""
        held = self.arrays[int(getattr(row, "name", row))]
        if name not in held:
            raise KeyError(f"no array {name!r} in this record; it has {', '.join(sorted(held)) or 'none'}")
        return held[name]

    @classmethod
    def from_records(
        cls,
        recorded: Sequence[tuple[object, list[dict]]],
        experiment: str = "",
        provenance: Path | None = None,
        missing: int = 0,
        reason: str = "",
    ) -> Results:
        """Tables from pairs (config, its records). Tests build results from plain records this way."""
        import pandas as pd

        names, rows, curves, arrays = [], [], [], []
        for cell, records in recorded:
            names = [f.name for f in fields(cell)]
            config = {"cell": config_hash(experiment, cell)} | {name: getattr(cell, name) for name in names}
            for record in records:
                held = {key: value for key, value in record.items() if is_array(value)}
                scalars = {key: value for key, value in record.items() if key not in held}
                labels = config | {key: value for key, value in scalars.items() if key in config}
                if (on_steps := curves_of(held)) is not None:
                    repeated = {key: [value] * len(held["step"]) for key, value in labels.items()}
                    curves.append(pd.DataFrame({"row": len(rows), **repeated, **on_steps}))
                rows.append(labels | scalars)
                arrays.append(held)
        all_curves = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
        return cls(pd.DataFrame(rows), all_curves, names, arrays, provenance, missing, reason)

    def metrics(self) -> pd.DataFrame:
        """Tidy long form, the content of metrics.csv: cell, label columns, metric, step, value.

        Label columns are the config fields that differ between records (the constant ones stand in run.json). Rows are
        ordered by cell hash, so equal results give equal files whatever the order of the run.
        """
        import pandas as pd

        if self.table.empty:
            return pd.DataFrame(columns=["cell", "metric", "step", "value"])
        differing = [name for name in self.labels if self.table[name].map(repr).nunique() > 1]
        keys = ["cell", *differing]
        values = [name for name in self.table.columns if name not in {"cell", *self.labels}]
        parts = [self.table.melt(keys, values, "metric", "")]
        if not self.curves.empty:
            values = [name for name in self.curves.columns if name not in {"row", "cell", "step", *self.labels}]
            parts.append(self.curves.melt([*keys, "step"], values, "metric", ""))
        tidy = pd.concat([part.astype({"": object}) for part in parts], ignore_index=True).rename(columns={"": "value"})
        tidy = tidy.dropna(subset="value").sort_values(["cell", "metric"], kind="stable")
        tidy["step"] = tidy["step"].astype("Int64") if "step" in tidy else pd.NA
        return tidy[[*keys, "metric", "step", "value"]]


def read_run(folder: Path) -> dict | None:
    """The run.json of an experiment's folder; None where there is none or it is damaged."""
    run = read_json(folder / "run.json")
    expected = {"experiment", "status", "started", "cells", "figures", "history"}
    return run if isinstance(run, dict) and expected <= run.keys() else None


def is_array(value) -> bool:
    """Whether a record's value is kept as an array (0-d arrays and numpy scalars are scalars)."""
    return isinstance(value, np.ndarray) and value.ndim > 0


def curves_of(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The arrays of a record that are curves over its integer array "step", with "step" first; None without one."""
    step = arrays.get("step")
    if step is None or step.ndim != 1 or step.dtype.kind not in "iu":
        return None
    return {"step": step} | {key: value for key, value in arrays.items() if value.shape == step.shape and key != "step"}
