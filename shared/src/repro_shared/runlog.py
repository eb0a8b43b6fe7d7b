"""The folder of a run: cells that are computed once, honest resume, log, metrics and provenance.

    log = RunLog("aen-sae", "default", Path("results"), distribution="aen-sae")
    with log.experiment("spiked", spiked, spiked.PRESETS["default"]) as experiment:
        experiment.map(jobs=2)                                  # only what is not there yet; kill it anywhere
        experiment.save_figures(spiked.figures(experiment.results()))
    log.save_claims(evaluate(CLAIMS, {"spiked": experiment.results()}, "default"))
    log.write_report()

A cell is one config and one unit of work. Its files are named by the hash of the config and hold the fingerprint of the
code and the package versions that made them; a cell whose files are missing, damaged or of other origin is run again.
Files (below OUT/PRESET/EXPERIMENT): run.json, log.txt, metrics.csv, cells/HASH.json, arrays/HASH.npz, figures/.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from repro_shared.cells import read_cell, sha256_json, write_cell
from repro_shared.files import UserError, lock, read_json, storage, write_atomic, write_json
from repro_shared.provenance import code_fingerprint, config_hash, git_state, machine, plain, versions
from repro_shared.results import Results, read_run
from repro_shared.workers import Outcome, Task, execute, outcomes, peak_memory_mb, stamp_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ExperimentLog",
    "Outcome",
    "Results",
    "RunLog",
    "UserError",
    "code_fingerprint",
    "config_hash",
    "execute",
    "versions",
]


class RunLog:
    """One run of a paper at one preset, in the folder `out`/`preset`."""

    def __init__(self, paper: str, preset: str, out: Path, distribution: str, argv: Sequence[str] | None = None):
        """`distribution` is the paper's name for pip (its versions are recorded); `argv` the command, by default this
        process's. Raises `UserError` when the folder cannot be made or written to.
        """
        self.paper, self.preset, self.distribution = paper, preset, distribution
        command, *arguments = sys.argv if argv is None else argv
        self.argv = [Path(command).name, *arguments]
        self.folder = Path(out).resolve() / preset  # a cluster's workers may have another working directory
        self.console = Console(stderr=True)
        with storage(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / ".probe"
            write_atomic(probe, bytes(2**16))
            probe.unlink()

    def experiment(self, name: str, module: ModuleType, cells: Sequence) -> ExperimentLog:
        """The log of one experiment; `module` has `run(cell, scratch)`, `cells` are its configs."""
        return ExperimentLog(self, name, module, cells)

    def save_claims(self, claims: list[dict]) -> Path:
        """Write what `claims.evaluate` returned to claims.json."""
        path = self.folder / "claims.json"
        with storage(self.folder):
            write_json(path, claims)
        return path

    def write_report(self) -> Path:
        """Write report.md and report.html over claims.json and the experiments in the folder; returns the latter."""
        from repro_shared.report import write_report

        claims = read_json(self.folder / "claims.json") or []
        experiments = [path.parent.name for path in sorted(self.folder.glob("*/run.json"))]
        with storage(self.folder):
            return write_report(self.folder, self.paper, self.preset, claims, experiments)


class ExperimentLog:
    """The cells of one experiment. As a context manager it keeps run.json: running; done, failed or interrupted.

    Results, figures and reports of what is recorded need no context; only running cells does.
    """

    def __init__(self, log: RunLog, name: str, module: ModuleType, cells: Sequence):
        self.run_log, self.name, self.module, self.cells = log, name, module, list(cells)
        self.folder = log.folder / name
        self.stamp = stamp_of(module.run, log.distribution)
        self.hashes = [config_hash(name, cell) for cell in self.cells]
        for repeated in {digest for digest in self.hashes if self.hashes.count(digest) > 1}:
            raise ValueError(f"{name} has the same cell more than once: {self.cells[self.hashes.index(repeated)]}")
        for taken in {"cell", "row", "step", "metric", "value"} & {name for cell in self.cells for name in vars(cell)}:
            raise ValueError(f"{name}.Config has a field {taken!r}, a column of the result tables: choose another name")
        self._recorded: dict[str, tuple[list[dict], dict]] = {}  # hash -> records and timing of cells known to be valid
        self._run = read_run(self.folder)
        self._entered = self._begun = False
        with storage(self.folder):
            for part in ("cells", "arrays", "figures"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)

    # ---- cells

    def pending(self) -> list:
        """The cells without a valid file, in order. log.txt says why a cell that has a file is run again."""
        reasons = self._scan()
        for digest, reason in reasons.items():
            if reason != "missing":
                self.note(f"cell {digest} is run again: {reason}")
        made = (self._run or {}).get("cells", {})
        complete = not reasons and made.keys() == set(self.hashes) and self._run.get("status") == "done"
        if self._entered and not self._begun and not complete:
            self._begin()
        return [cell for digest, cell in zip(self.hashes, self.cells, strict=True) if digest in reasons]

    def _scan(self) -> dict[str, str]:
        """Read the cells not known yet; returns hash -> reason for those without a valid file."""
        reasons = {}
        for digest in self.hashes:
            if digest not in self._recorded:
                found = read_cell(self.folder, digest, self.stamp)
                if isinstance(found, str):
                    reasons[digest] = found
                else:
                    self._recorded[digest] = found
        return reasons

    def scratch(self, cell) -> Path:
        """This cell's own folder for checkpoints (other code or packages have another one); made by `execute`."""
        return self.folder / "scratch" / f"{config_hash(self.name, cell)}-{sha256_json(self.stamp)[:8]}"

    def record(self, cell, outcome: Outcome) -> None:
        """Write a finished cell (arrays first, JSON last) and remove its scratch folder.

        A failed one is logged, then raised: `UserError` for `user_error`, RuntimeError with the traceback for `error`.
        """
        if outcome.error or outcome.user_error:
            raise self._failure(cell, outcome)
        digest = config_hash(self.name, cell)
        origin = {"experiment": self.name, "cell": digest, "config": plain(cell), **self.stamp}
        with storage(self.folder, self._advice()):
            write_cell(self.folder, digest, origin, outcome.records, outcome.timing)
            self._recorded[digest] = outcome.records, outcome.timing
            for folder in (self.folder / "scratch").glob(f"{digest}-*"):
                shutil.rmtree(folder)
        self._log(f"cell {digest} done in {outcome.timing.get('seconds')} s")

    def map(self, jobs: int = 1, scheduler: str | None = None) -> None:
        """Run all pending cells and record each as it ends, with a progress bar.

        `jobs` local processes of one thread each (1: in this one; -1: one per core), or the workers of the Dask cluster
        at `scheduler` ("tcp://host:port"; start them with one thread, the same packages and this file system).
        A failing cell does not stop the others; the first failure is raised at the end.
        """
        with lock(self.folder):  # first, so that a refused process has changed nothing
            self._map(self.pending(), jobs, scheduler)

    def _map(self, pending: list, jobs: int, scheduler: str | None) -> None:
        """`map` for these cells, while the folder is locked."""
        self.note(
            f"{self.name}: {len(self.cells) - len(pending)} of {len(self.cells)} cells are there, {len(pending)} to run"
        )
        tasks = [
            Task(self.module.run, cell, self.scratch(cell), self.run_log.distribution, self.stamp) for cell in pending
        ]
        failures = []
        with (
            self._progress(len(tasks)) as advance,
            closing(outcomes(tasks, jobs, scheduler)) as stream,
        ):
            for index, outcome in stream:
                if outcome.error or outcome.user_error:
                    failures.append(self._failure(pending[index], outcome))
                else:
                    self.record(pending[index], outcome)
                advance()
        if failures:
            raise failures[0]

    def _failure(self, cell, outcome: Outcome) -> Exception:
        """The exception of a failed cell, after logging it."""
        message = f"cell {config_hash(self.name, cell)} failed: {outcome.user_error or outcome.error}"
        if outcome.user_error:
            self.note(message)
            return UserError(outcome.user_error)
        self._log(message)
        return RuntimeError(f"{self.name}, {cell}\n{message}")

    def results(self) -> Results:
        """The valid cells of this experiment as tables, in the order of its cells; `missing` counts the others."""
        missing = self._scan()
        recorded = [(c, self._recorded[d][0]) for d, c in zip(self.hashes, self.cells, strict=True) if d not in missing]
        path = self.folder / "run.json" if self._run else None
        reason = next(iter(missing.values()), "")
        reason = "not run yet" if reason == "missing" else reason
        return Results.from_records(recorded, self.name, path, len(missing), reason)

    # ---- run.json, log.txt, metrics.csv, figures

    def __enter__(self) -> ExperimentLog:
        self._entered = True
        return self

    def _begin(self) -> None:
        """Write run.json for this call; a call with nothing to run keeps the one that says how results were made."""
        self._begun, self._clock = True, time.perf_counter()
        before = self._run or {}
        same = {key: before.get(key) for key in self.stamp} == self.stamp
        last = {key: before.get(key) for key in ("status", "argv", "started", "ended", "wall_seconds")}
        last["status"] = "killed" if last["status"] == "running" else last["status"]
        self._run = {
            "paper": self.run_log.paper,
            "experiment": self.name,
            "preset": self.run_log.preset,
            "status": "running",
            "argv": self.run_log.argv,
            "started": _now(),
            **self.stamp,
            "git": git_state(Path(self.module.__file__)),
            "machine": machine(),
            "seeds": list(dict.fromkeys(seed for cell in self.cells for seed in _seeds(cell))),
            "cells": {digest: plain(cell) for digest, cell in zip(self.hashes, self.cells, strict=True)},
            "figures": before.get("figures", []) if same else [],
            "history": [*before.get("history", []), last] if same else [],  # earlier calls that made some of the cells
        }
        self._write_run()

    def __exit__(self, kind, error, traceback) -> None:
        if not self._begun:
            return
        status = "done" if error is None and len(self._recorded) == len(self.cells) else "failed"
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else status
        timings = [timing for _, timing in self._recorded.values()]
        numerics = [{k: v for k, v in timing.items() if k.startswith(("torch", "jax", "gpu"))} for timing in timings]
        self._run |= {
            "status": status,
            "ended": _now(),
            "wall_seconds": round(time.perf_counter() - self._clock, 1),
            "cells_done": len(self._recorded),
            "cell_seconds": round(sum(timing["seconds"] for timing in timings), 1),
            "peak_memory_mb": max([peak_memory_mb(), *(timing["peak_memory_mb"] for timing in timings)]),
            "threads": sorted({timing["threads"] for timing in timings}),
            "numerics": [flags for index, flags in enumerate(numerics) if flags not in numerics[:index]],
        }
        with suppress(UserError) if error else nullcontext():
            done, wall = f"{len(self._recorded)} of {len(self.cells)} cells", self._run["wall_seconds"]
            self.note(f"{self.name}: {status}, {done} in {wall} s")
            self._write_run()
            with storage(self.folder, self._advice()):
                write_atomic(self.folder / "metrics.csv", self.results().metrics().to_csv(index=False))
                with suppress(OSError):
                    (self.folder / "scratch").rmdir()  # stays while a cell needs it

    def save_figures(self, figures: dict[str, Figure]) -> None:
        """Write figures as PNG and PDF with their provenance; figures that are no longer drawn are removed."""
        from repro_shared import plotting

        run = self._run or {}
        provenance = {key: run.get(key) for key in ("paper", "experiment", "preset", "fingerprint", "git")}
        provenance["cells"] = sha256_json(sorted(self._recorded))[:16]
        with lock(self.folder), storage(self.folder, self._advice()):
            for path in (self.folder / "figures").iterdir():
                path.unlink() if path.stem not in figures else None
            for name, figure in figures.items():
                plotting.save(figure, self.folder / "figures", name, provenance)
        if self._run is not None:
            run["figures"] = [{"name": name, "caption": figure.get_label()} for name, figure in figures.items()]
            run.pop("stale", None)
            self._write_run()

    def withhold_figures(self, why: str) -> None:
        """Let reports show no figures of this experiment, and say why: its cells are not those of the present code."""
        if self._run is not None:
            self._run |= {"figures": [], "stale": why}
            with lock(self.folder):
                self._write_run()

    def note(self, message: str) -> None:
        """One line on the console and in log.txt."""
        self.run_log.console.print(message, markup=False, highlight=False, soft_wrap=True)
        self._log(message)

    def _log(self, message: str) -> None:
        with storage(self.folder, self._advice()), open(self.folder / "log.txt", "a") as file:
            file.write(f"{_now()} {message}\n")

    def _write_run(self) -> None:
        with storage(self.folder, self._advice()):
            write_json(self.folder / "run.json", self._run)

    def _advice(self) -> str:
        kept = f"{len(self._recorded)} finished cells are kept"
        return f"free its space and permissions, or choose another --out, and run the same command again; {kept}"

    @contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[], None]]:
        """A function that counts one cell: a bar on a terminal, else a line every ten seconds and at the end."""
        console = self.run_log.console
        if console.is_terminal:
            columns = [
                TextColumn(self.name),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            ]
            with Progress(*columns, console=console) as progress:
                bar = progress.add_task("", total=total)
                yield lambda: progress.advance(bar)
            return
        done, shown = 0, time.perf_counter()

        def advance():
            nonlocal done, shown
            done += 1
            if done == total or time.perf_counter() - shown > 10:
                shown = time.perf_counter()
                console.print(f"{self.name}: {done} of {total} cells", highlight=False)

        yield advance


def _seeds(cell) -> tuple[int, ...]:
    """Seeds of a cell: of a batch of members, its one, or none."""
    if hasattr(cell, "seeds"):
        return tuple(cell.seeds)
    return (cell.seed,) if hasattr(cell, "seed") else ()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
