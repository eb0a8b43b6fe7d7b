"""Failing, dying and killed workers: the others are recorded, the error arrives, nothing hangs or runs twice."""

import json
import os
import signal
import sys
import threading
import time

import psutil
import pytest
import toy
from conftest import cell_files, wait_until

from repro_shared.runlog import UserError


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two worker processes; a task may kill one worker and is given up with the second."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    settings = {"distributed.scheduler.allowed-failures": 1, "distributed.worker.daemon": False}
    with dask.config.set(settings):
        made = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
        )
        with made:
            yield made


def ways(cluster) -> dict[str, dict]:
    return {"serial": {"jobs": 1}, "processes": {"jobs": 2}, "dask": {"scheduler": cluster.scheduler_address}}


@pytest.mark.parametrize("way", ["serial", "processes", "dask"])
def test_a_raising_cell_does_not_stop_the_others_and_its_error_arrives(experiment, tmp_path, cluster, way):
    cells = toy.cells(tmp_path / "trace", 3)
    cells.insert(1, toy.Config(trace=tmp_path / "trace", seed=9, fault="raise"))
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug in the cell"), experiment(cells) as log:
        log.map(**ways(cluster)[way])
    assert len(cell_files(log.folder)) == 3
    assert toy.executions(tmp_path / "trace") == {0: 1, 1: 1, 2: 1, 9: 1}
    assert json.loads((log.folder / "run.json").read_text())["status"] == "failed"
    assert "Traceback" in (log.folder / "log.txt").read_text()


@pytest.mark.parametrize("way", ["processes", "dask"])
def test_a_cell_that_kills_its_worker_ends_in_one_line(experiment, tmp_path, cluster, way):
    cells = toy.cells(tmp_path / "trace", 3)
    cells.append(toy.Config(trace=tmp_path / "trace", seed=9, fault="die", seconds=0.5))
    with pytest.raises(UserError) as error, experiment(cells) as log:
        log.map(**ways(cluster)[way])
    assert "\n" not in str(error.value)
    assert "run the same command again" in str(error.value)
    assert len(cell_files(log.folder)) == 3


def test_dask_worker_killed_mid_run_loses_no_cell_and_repeats_no_recorded_one(experiment, tmp_path, cluster):
    recorded_at_kill = []

    def kill_one_worker():
        wait_until(lambda: len(cell_files(log.folder)) >= 3)
        recorded_at_kill.extend(path.stem for path in cell_files(log.folder))
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    with experiment(toy.cells(tmp_path / "trace", 12, seconds=0.3)) as log:
        killer = threading.Thread(target=kill_one_worker)
        killer.start()
        log.map(scheduler=cluster.scheduler_address)
        killer.join()
    assert log.results().missing == 0
    assert len(cell_files(log.folder)) == 12
    executed = toy.executions(tmp_path / "trace")
    recorded = [cell.seed for cell, digest in zip(log.cells, log.hashes, strict=True) if digest in recorded_at_kill]
    assert len(recorded) >= 3
    assert {executed[seed] for seed in recorded} == {1}
    assert sum(executed.values()) > 12, "the worker was killed between two cells: nothing was proven"


def test_dask_gives_the_same_files_as_serial(experiment, tmp_path, cluster):
    from test_runlog import files_without_timing

    made = []
    for way in ("serial", "dask"):
        with experiment(out=way) as log:
            log.map(**ways(cluster)[way])
        made.append(files_without_timing(log.folder))
    assert made[0] == made[1]


def test_a_dask_worker_with_other_code_does_not_run_the_cell(experiment, tmp_path, cluster):
    log = experiment()
    log.stamp = log.stamp | {"fingerprint": "0" * 16}
    with pytest.raises(UserError, match="has other code or package versions"), log:
        log.map(scheduler=cluster.scheduler_address)
    assert cell_files(log.folder) == []
    assert not list((tmp_path / "trace").iterdir())


def test_a_scheduler_that_does_not_answer_is_one_line(experiment, monkeypatch):
    distributed = pytest.importorskip("distributed")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, **options: client(address, **options | {"timeout": 1}))
    with (
        pytest.raises(UserError, match="no Dask scheduler answers at tcp://127.0.0.1:9: start it"),
        experiment() as log,
    ):
        log.map(scheduler="tcp://127.0.0.1:9")


def test_without_dask_the_message_names_the_extra(experiment, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r'install the extra "cluster" \(pip install "repro-shared\[cluster\]"\)'):
        experiment().map(scheduler="tcp://127.0.0.1:9")


def test_killed_driver_goes_on_where_it_was_and_leaves_no_workers(driver, tmp_path):
    folder = tmp_path / "results" / "smoke" / "toy"
    first = driver(jobs=2, n=10, seconds=0.4)
    wait_until(lambda: len(cell_files(folder)) >= 3)
    workers = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.wait()
    recorded = {path.stem for path in cell_files(folder)}
    wait_until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers), 15)

    second = driver(jobs=2, n=10, seconds=0.4)
    assert second.wait(60) == 0
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "done" and run["history"][0]["status"] == "killed"
    assert len(cell_files(folder)) == 10
    executed = toy.executions(tmp_path / "trace")
    seeds = [config["seed"] for digest, config in run["cells"].items() if digest in recorded]
    assert len(seeds) >= 3
    assert {executed[seed] for seed in seeds} == {1}
    assert not (folder / "scratch").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_status_interrupted_and_keeps_finished_cells(driver, tmp_path, jobs):
    folder = tmp_path / "results" / "smoke" / "toy"
    process = driver(jobs=jobs, n=40, seconds=0.2)
    wait_until(lambda: len(cell_files(folder)) >= 2)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) != 0
    assert time.monotonic() - started < 15
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "interrupted"
    assert 2 <= run["cells_done"] < 40
    assert (folder / "metrics.csv").exists()
