"""Fixtures: a run log over the toy experiment, and a driver process that can be killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy

from repro_shared.runlog import ExperimentLog, RunLog

DRIVER = """
import sys
from pathlib import Path
import toy
from repro_shared.runlog import RunLog, UserError

if __name__ == "__main__":
    out, trace, jobs, n, seconds = sys.argv[1:]
    try:
        log = RunLog("toy", "smoke", Path(out), "repro-shared")
        with log.experiment("toy", toy, toy.cells(Path(trace), int(n), seconds=float(seconds))) as experiment:
            experiment.map(jobs=int(jobs))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
"""


@pytest.fixture
def experiment(tmp_path):
    """Makes the log of the toy experiment in tmp_path / `out`; every call reads the folder anew."""

    def make(cells=None, out="results") -> ExperimentLog:
        cells = toy.cells(tmp_path / "trace") if cells is None else cells
        return RunLog("toy", "smoke", tmp_path / out, "repro-shared", ["toy", "reproduce"]).experiment(
            "toy", toy, cells
        )

    return make


@pytest.fixture
def driver(tmp_path):
    """Starts a process that runs toy cells below tmp_path; returns it. Killed at the end of the test."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    started = []

    def start(jobs: int, n: int, seconds: float, out: Path = tmp_path / "results") -> subprocess.Popen:
        arguments = [str(out), str(tmp_path / "trace"), str(jobs), str(n), str(seconds)]
        path = ":".join([str(Path(__file__).parent), *filter(None, sys.path)])
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until(condition, seconds: float = 60) -> None:
    """Wait for `condition()` to be true; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def cell_files(folder: Path) -> list[Path]:
    return sorted((folder / "cells").glob("*.json"))
