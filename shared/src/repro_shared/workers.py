"""Running cells: one in this process, or many in local processes or on a Dask cluster.

Errors travel as values (`Outcome.error`), so that one failing cell neither stops nor hides the others.
"""

from __future__ import annotations

import errno
import functools
import os
import resource
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from repro_shared.files import UserError, storage
from repro_shared.provenance import code_fingerprint, versions
from repro_shared.results import is_array

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PJRT_NPROC")
"""The last one is what XLA (JAX) on a CPU reads when it starts."""


@dataclass
class Outcome:
    """What became of a cell: its records, or an error."""

    records: list[dict] = field(default_factory=list)
    timing: dict = field(default_factory=dict)
    """seconds, cpu_seconds, peak_memory_mb (of the worker process until then), host, pid, threads, started, and
    the precision settings and device of torch and jax where they are loaded."""
    error: str | None = None
    """Traceback of a bug."""
    user_error: str | None = None
    """One line that tells the user what to do."""


@dataclass(frozen=True)
class Task:
    """A cell on its way to a worker."""

    run: Callable
    cell: object
    scratch: Path
    distribution: str
    stamp: dict
    """Fingerprint and versions that the result will be filed under; a cluster worker with others must not run it."""


def execute(run: Callable, cell, scratch: Path) -> Outcome:
    """Run one cell on one thread (or the user's OMP_NUM_THREADS) and measure it; its errors come back as values."""
    outcome = Outcome()
    threads = _threads()
    started, wall, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
    try:
        with storage(scratch):
            scratch.mkdir(parents=True, exist_ok=True)
        with _limited(threads):
            outcome.records = _checked(cell, run(cell, scratch))
    except UserError as error:
        outcome.user_error = str(error)
    except (Exception, SystemExit) as error:
        outcome.user_error = _storage_failure(error, scratch)
        outcome.error = None if outcome.user_error else traceback.format_exc()
    outcome.timing = {
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_memory_mb": peak_memory_mb(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "threads": threads,
        "started": started.isoformat(timespec="seconds"),
    } | _numerics()
    return outcome


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _threads() -> int:
    """The user's OMP_NUM_THREADS (its outermost level), else 1."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(given) if given.isdigit() and int(given) > 0 else 1


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Limit the thread pools that are loaded, and through the environment those that the cell will load."""
    torch = sys.modules.get("torch")
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    torch_before = torch.get_num_threads() if torch else None
    os.environ |= {name: str(threads) for name in THREAD_VARIABLES}
    try:
        with threadpool_limits(threads):
            if torch:
                torch.set_num_threads(threads)
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if torch:
            torch.set_num_threads(torch_before)


def _checked(cell, records: list[dict]) -> list[dict]:
    """The records with numpy scalars as Python's; ValueError where a value cannot be kept."""
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(
            f"run() must return a list of dicts, one per member of the batch, not {type(records).__name__}"
        )
    labels = {f.name for f in fields(cell)}
    return [{key: _checked_value(key, value, key in labels) for key, value in record.items()} for record in records]


def _checked_value(key: str, value, is_label: bool):
    if key in ("cell", "row") and not is_label:
        raise ValueError(f"{key!r} is a column of the result tables: choose another name for this value")
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if is_array(value) and value.dtype.kind in "biufcU":
        return value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"record value {key!r} is a {type(value).__name__}: return numbers, text or numeric numpy arrays")


def _storage_failure(error: BaseException, scratch: Path) -> str | None:
    """One line if `error` is the file system refusing the cell's scratch folder or a full disk; None if it is a bug."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) or str(error.filename or "").startswith(str(scratch)):
        return f"cannot write to {scratch} ({os.strerror(error.errno).lower()}): free its space or choose another --out"
    return None


def _numerics() -> dict:
    """Precision settings and device of the array libraries that the cell used."""
    found = {}
    if torch := sys.modules.get("torch"):
        found["torch_float32_matmul_precision"] = torch.get_float32_matmul_precision()
        found["torch_cudnn_tf32"] = torch.backends.cudnn.allow_tf32
        found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_initialized() else None
    if jax := sys.modules.get("jax"):
        found["jax_enable_x64"] = jax.config.jax_enable_x64
        found["jax_default_matmul_precision"] = jax.config.jax_default_matmul_precision
        found["jax_backend"] = jax.default_backend()
    return found


def outcomes(
    tasks: list[Task], jobs: int = 1, scheduler: str | None = None
) -> Generator[tuple[int, Outcome], None, None]:
    """Run all tasks in this process (jobs = 1), `jobs` processes or on Dask; yields (index, outcome) as they end."""
    return _on_cluster(tasks, scheduler) if scheduler else _on_processes(tasks, jobs)


def _on_processes(tasks: list[Task], jobs: int) -> Generator[tuple[int, Outcome], None, None]:
    import joblib

    # loky replaces a worker whose memory has grown, which is harmless here, and warns of it
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
    warnings.filterwarnings("ignore", message="[\\s\\S]*limit unnecessary computation time")  # Ctrl-C
    work = (joblib.delayed(_in_process)(index, task, os.getpid()) for index, task in enumerate(tasks))
    with joblib.parallel_config("loky", inner_max_num_threads=_threads()):
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
    try:
        yield from parallel(work)
    except BrokenExecutor as error:
        raise UserError(
            "a worker process died (most often: out of memory): run the same command again, with fewer --jobs"
        ) from error


def _in_process(index: int, task: Task, driver: int) -> tuple[int, Outcome]:
    if os.getpid() != driver:
        _end_with(driver)
    return index, execute(task.run, task.cell, task.scratch)


@functools.cache
def _end_with(driver: int) -> None:
    """Let this worker end within a second of its driver, even a killed one: nobody is left to record its cell."""

    def watch():
        while os.getppid() == driver:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(tasks: list[Task], scheduler: str) -> Generator[tuple[int, Outcome], None, None]:
    """Submitted one by one with `distributed` itself: joblib's Dask backend waits for ever for a task whose worker dies
    each time (out of memory) or cannot import the code, because it calls back for finished tasks only."""
    try:
        import distributed
    except ImportError:
        extra = f"{tasks[0].distribution}[cluster]"
        raise UserError(f'--scheduler needs Dask: install the extra "cluster" (pip install "{extra}")') from None
    try:
        client = distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        advice = f"start it (dask scheduler) and workers (dask worker {scheduler} --nthreads 1), or use --jobs"
        raise UserError(f"no Dask scheduler answers at {scheduler}: {advice}") from error
    with client:
        if not client.scheduler_info()["workers"]:
            advice = f"start some with `dask worker {scheduler} --nthreads 1`"
            print(f"no worker is connected to {scheduler} yet: {advice}; waiting", file=sys.stderr, flush=True)
        futures = {client.submit(_on_worker, task, pure=False): index for index, task in enumerate(tasks)}
        for future, outcome in distributed.as_completed(
            list(futures), client.loop, with_results=True, raise_errors=False
        ):
            if future.status != "finished":
                reason = outcome[1] if isinstance(outcome, tuple) else outcome
                killed = isinstance(reason, distributed.KilledWorker)
                reason = "each worker that ran it died, out of memory?" if killed else repr(reason)
                advice = "see the log of the workers, then run the same command again"
                outcome = Outcome(user_error=f"the cluster lost a cell ({reason}): {advice}")
            index = futures.pop(future)
            future.release()  # a recorded cell must not be computed again when the worker that holds it dies
            yield index, outcome


def _on_worker(task: Task) -> Outcome:
    if stamp_of(task.run, task.distribution) != task.stamp:
        advice = f"install the same {task.distribution} and packages there, and restart the worker"
        return Outcome(user_error=f"the worker on {socket.gethostname()} has other code or package versions: {advice}")
    return execute(task.run, task.cell, task.scratch)


@functools.cache
def stamp_of(run: Callable, distribution: str) -> dict:
    """What a result is filed under besides its config. Cached: a process keeps the code that it has imported first."""
    return {"fingerprint": code_fingerprint(run), "versions": versions(distribution)}
