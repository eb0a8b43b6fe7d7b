"""The command, and what tests of it ask of a run's folder and of a message."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

MAIN = [sys.executable, "-c", "from infonce_langevin.cli import main; main()"]


def stamps(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("smoke/*/cells/*.json")}


def smoke_cells(experiment: str) -> list:
    return import_module(f"infonce_langevin.experiments.{experiment}").PRESETS["smoke"]


def one_line(done: subprocess.CompletedProcess) -> str:
    """What a user error ends in."""
    assert done.returncode == 2, (done.stdout + done.stderr)[-2000:]
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("infonce-langevin: ")]
    return line
