"""A toy experiment. Every execution of a cell leaves a line in a side file, so that tests can count them."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro_shared import UserError


@dataclass(frozen=True)
class Config:
    trace: Path
    """Folder of the side files."""
    seed: int = 0
    scale: tuple[float, ...] = (1.0, 10.0)
    seconds: float = 0.0
    fault: str = ""
    """"raise", "advise", "die" (SIGKILL to the worker) or nothing."""
    size: int = 4
    """Numbers in the array `wave`."""


def run(cell: Config, scratch: Path) -> list[dict]:
    with open(cell.trace / f"{cell.seed}", "a") as file:
        file.write(f"{os.getpid()}\n")
    (scratch / "checkpoint").write_text("half way")
    time.sleep(cell.seconds)
    if cell.fault == "raise":
        raise ZeroDivisionError("a bug in the cell")
    if cell.fault == "advise":
        raise UserError("no data found: run toy data")
    if cell.fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    generator = np.random.default_rng(cell.seed)
    step = np.arange(3) * 10
    return [
        {
            "scale": scale,
            "mean": scale * generator.normal(),
            "count": cell.seed,
            "converged": np.bool_(True),
            "undefined": float("nan"),
            "step": step,
            "loss": scale / (step + 1.0),
            "wave": generator.normal(size=cell.size),
        }
        for scale in cell.scale
    ]


def cells(trace: Path, n: int = 4, **fields) -> list[Config]:
    trace.mkdir(exist_ok=True)
    return [Config(trace=trace, seed=seed, **fields) for seed in range(n)]


def executions(trace: Path) -> dict[int, int]:
    """Seed -> how often its cell was executed."""
    return {int(path.name): len(path.read_text().split()) for path in trace.iterdir()}
