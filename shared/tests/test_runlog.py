"""Cells, honest resume, tables: what is recorded is whole, of the right origin, and the same however it was run."""

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy
from conftest import cell_files, wait_until

from repro_shared.runlog import Results, RunLog, UserError, config_hash, execute


def files_without_timing(folder: Path) -> dict[str, object]:
    """Content of every cell file, npz and metrics.csv, without `timing`."""
    content = {path.name: path.read_bytes() for path in (folder / "arrays").iterdir()}
    content["metrics"] = (folder / "metrics.csv").read_bytes()
    for path in cell_files(folder):
        content[path.name] = {key: value for key, value in json.loads(path.read_text()).items() if key != "timing"}
    return content


def test_serial_two_workers_and_shuffled_order_write_equal_files(experiment, tmp_path):
    cells = toy.cells(tmp_path / "trace", 6)
    shuffled = random.Random(0).sample(cells, len(cells))
    made = {}
    for name, order, jobs in (("serial", cells, 1), ("parallel", cells, 2), ("shuffled", shuffled, 2)):
        with experiment(order, name) as log:
            log.map(jobs=jobs)
        made[name] = files_without_timing(log.folder)
    assert len(made["serial"]) == 6 + 6 + 1
    assert made["serial"] == made["parallel"] == made["shuffled"]


def test_finished_cells_are_not_executed_again(experiment, tmp_path):
    for _ in range(2):
        with experiment() as log:
            log.map()
    assert toy.executions(tmp_path / "trace") == {0: 1, 1: 1, 2: 1, 3: 1}


def test_a_new_cell_is_run_beside_the_finished_ones_and_results_are_those_of_the_asked_cells(experiment, tmp_path):
    with experiment(toy.cells(tmp_path / "trace", 4)) as log:
        log.map()
    few = toy.cells(tmp_path / "trace", 6)[2:]
    with experiment(few) as log:
        assert [cell.seed for cell in log.pending()] == [4, 5]
        log.map()
    assert set(log.results().table["seed"]) == {2, 3, 4, 5}
    assert toy.executions(tmp_path / "trace") == dict.fromkeys(range(6), 1)


def damage_json(folder, digest):
    path = folder / "cells" / f"{digest}.json"
    path.write_text(path.read_text().replace('"count": 1', '"count": 7'))


def truncate_json(folder, digest):
    path = folder / "cells" / f"{digest}.json"
    path.write_bytes(path.read_bytes()[:200])


def empty_json(folder, digest):
    (folder / "cells" / f"{digest}.json").write_bytes(b"")


def damage_npz(folder, digest):
    path = folder / "arrays" / f"{digest}.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate_npz(folder, digest):
    path = folder / "arrays" / f"{digest}.npz"
    path.write_bytes(path.read_bytes()[:-100])


def lose_npz(folder, digest):
    (folder / "arrays" / f"{digest}.npz").unlink()


@pytest.mark.parametrize("damage", [damage_json, truncate_json, empty_json, damage_npz, truncate_npz, lose_npz])
def test_a_damaged_cell_is_detected_said_and_run_again(experiment, tmp_path, damage):
    with experiment() as log:
        log.map()
    whole = files_without_timing(log.folder)
    damage(log.folder, log.hashes[1])
    with experiment() as log:
        log.map()
    assert toy.executions(tmp_path / "trace") == {0: 1, 1: 2, 2: 1, 3: 1}
    assert files_without_timing(log.folder) == whole
    assert f"cell {log.hashes[1]} is run again: its" in (log.folder / "log.txt").read_text()


@pytest.mark.parametrize(
    "part, value, reason",
    [
        ("fingerprint", "0" * 16, "the code has changed"),
        ("versions", {"numpy": "0.1"}, "package versions have changed"),
    ],
)
def test_cells_of_other_code_or_versions_are_run_again_and_never_mixed(experiment, tmp_path, part, value, reason):
    with experiment() as log:
        log.map()
    later = experiment()
    later.stamp = later.stamp | {part: value}
    assert later.results().missing == 4 and reason in later.results().reason
    assert later.results().table.empty
    assert len(later.pending()) == 4
    assert reason in (later.folder / "log.txt").read_text()
    assert later.scratch(later.cells[0]) != log.scratch(log.cells[0])


DRIVER = """
import sys
from pathlib import Path
from paper import study
from repro_shared.runlog import RunLog
with RunLog("paper", "smoke", Path(sys.argv[1]), "repro-shared").experiment("study", study, [study.Config()]) as log:
    log.map()
"""
STUDY = '''
"""A study."""
from dataclasses import dataclass
from pathlib import Path
from paper.method import method

@dataclass(frozen=True)
class Config:
    seed: int = 0

def run(cell, scratch):
    """Run."""
    with open(Path(__file__).with_name("count"), "a") as file:
        file.write("x")
    return [{"value": method(cell.seed)}]

def figures(results) -> "dict[str, Figure]":
    return {}
'''


def test_changed_code_is_run_again_but_changed_words_and_figures_are_not(tmp_path):
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "method.py").write_text("def method(seed):\n    return seed + 1\n")
    (folder / "study.py").write_text(STUDY)
    (tmp_path / "driver.py").write_text(DRIVER)

    def executions() -> int:
        subprocess.run([sys.executable, tmp_path / "driver.py", tmp_path / "out"], check=True, capture_output=True)
        return len((folder / "count").read_text())

    def edit(name, before, after):
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after))

    assert [executions(), executions()] == [1, 1]
    edit("study.py", '"""Run."""', '"""Run it."""  # soon')
    edit("study.py", "return {}", "return {'more': None}")
    assert executions() == 1
    edit("method.py", "seed + 1", "seed + 2")
    assert [executions(), executions()] == [2, 2]
    edit("study.py", "method(cell.seed)", "-method(cell.seed)")
    assert executions() == 3


def test_the_fingerprint_is_what_makes_resume_honest(experiment, tmp_path, monkeypatch):
    """Planted failure: with a fingerprint that sees nothing, changed code would not be run again."""
    monkeypatch.setattr("repro_shared.runlog.stamp_of", lambda run, name: {"fingerprint": "blind", "versions": {}})
    with experiment() as log:
        log.map()
    monkeypatch.setattr(toy, "run", lambda cell, scratch: [{"mean": 0.0}])
    assert experiment().pending() == []
    monkeypatch.setattr("repro_shared.runlog.stamp_of", lambda run, name: {"fingerprint": "sees", "versions": {}})
    assert len(experiment().pending()) == 4


def test_results_have_one_row_per_record_with_labels_and_arrays(experiment, tmp_path):
    with experiment() as log:
        log.map()
    results = experiment().results()
    assert results.table["scale"].tolist() == [1.0, 10.0] * 4
    assert results.table["seed"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert results.table["count"].tolist() == results.table["seed"].tolist()
    assert results.table["cell"].tolist() == [digest for digest in log.hashes for _ in range(2)]
    expected = toy.run(log.cells[2], _folder(tmp_path / "scratch"))[1]
    row = results.table[(results.table["seed"] == 2) & (results.table["scale"] == 10)].iloc[0]
    np.testing.assert_array_equal(results.array(row, "wave"), expected["wave"])
    np.testing.assert_array_equal(results.array(5, "wave"), expected["wave"])
    assert row["mean"] == expected["mean"]
    assert row["converged"] is True or row["converged"] == np.True_
    assert np.isnan(row["undefined"])
    curve = results.curves[(results.curves["seed"] == 2) & (results.curves["scale"] == 10)]
    assert curve["step"].tolist() == [0, 10, 20]
    np.testing.assert_array_equal(curve["loss"], expected["loss"])
    assert "wave" not in results.curves  # four numbers, three steps
    assert results.provenance == log.folder / "run.json"
    with pytest.raises(KeyError, match="it has loss, step, wave"):
        results.array(0, "nonesuch")


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def test_results_from_plain_records_equal_recorded_ones(experiment, tmp_path):
    with experiment() as log:
        log.map()
    plain = Results.from_records([(cell, toy.run(cell, _folder(tmp_path / "s"))) for cell in log.cells], "toy")
    pd.testing.assert_frame_equal(plain.table, log.results().table)
    pd.testing.assert_frame_equal(plain.curves, log.results().curves)


def test_metrics_are_tidy_and_hold_every_number(experiment):
    with experiment() as log:
        log.map()
    tidy = pd.read_csv(log.folder / "metrics.csv", dtype={"cell": str, "value": str})
    assert list(tidy.columns) == ["cell", "seed", "scale", "metric", "step", "value"]
    loss = tidy[(tidy["metric"] == "loss") & (tidy["scale"] == 10) & (tidy["step"] == 20)]
    assert [float(value) for value in loss["value"]] == [10 / 21] * 4
    mean = tidy[(tidy["metric"] == "mean") & (tidy["cell"] == log.hashes[3]) & (tidy["scale"] == 1)]
    assert float(mean["value"].item()) == log.results().table["mean"][6]
    assert mean["step"].isna().all()


def test_metrics_may_be_called_value_and_hold_text(tmp_path):
    cells = toy.cells(tmp_path / "trace", 2)
    results = Results.from_records([(cell, [{"value": 0.1 * cell.seed, "backend": "cpu"}]) for cell in cells])
    tidy = results.metrics()
    assert tidy["metric"].tolist() == ["backend", "value"] * 2
    assert sorted(tidy["value"], key=str) == [0.0, 0.1, "cpu", "cpu"]


def test_config_fields_may_not_take_the_name_of_a_column(experiment):
    @dataclasses.dataclass(frozen=True)
    class Config:
        step: int = 1

    with pytest.raises(ValueError, match="a field 'step', a column of the result tables"):
        experiment([Config()])


def test_run_json_tells_where_the_numbers_come_from(experiment, tmp_path):
    with experiment() as log:
        log.pending()
        running = json.loads((log.folder / "run.json").read_text())
        log.map()
    run = json.loads((log.folder / "run.json").read_text())
    assert running["status"] == "running" and run["status"] == "done"
    assert run["argv"] == ["toy", "reproduce"]
    assert run["seeds"] == [0, 1, 2, 3]
    assert run["cells"][log.hashes[0]]["seed"] == 0
    assert run["versions"]["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert run["threads"] == [1]
    assert {"fingerprint", "git", "machine", "ended", "wall_seconds", "peak_memory_mb", "numerics"} <= run.keys()
    with experiment(toy.cells(tmp_path / "trace", 5)) as log:
        log.map()
    later = json.loads((log.folder / "run.json").read_text())
    assert later["cells_done"] == 5
    assert [(call["status"], call["started"]) for call in later["history"]] == [("done", run["started"])]


def test_a_call_that_runs_nothing_leaves_run_json_as_it_was(experiment):
    with experiment() as log:
        log.map()
    before = (log.folder / "run.json").read_bytes()
    with experiment() as log:
        log.map()
        assert log.results().missing == 0
    assert (log.folder / "run.json").read_bytes() == before


def test_looking_at_an_experiment_that_never_ran_leaves_no_run_json(experiment):
    with experiment() as log:
        results = log.results()
    assert (results.missing, results.provenance) == (4, None)
    assert not (log.folder / "run.json").exists()


def test_leaving_cells_unfinished_is_not_done(experiment):
    with experiment() as log:
        log.pending()
    assert json.loads((log.folder / "run.json").read_text())["status"] == "failed"


def test_scratch_is_kept_until_the_cell_is_recorded(experiment, tmp_path):
    log = experiment()
    cell = log.cells[0]
    outcome = execute(toy.run, cell, log.scratch(cell))
    assert (log.scratch(cell) / "checkpoint").exists()
    with log:
        log.record(cell, outcome)
        assert not log.scratch(cell).exists()


def test_equal_cells_are_refused(experiment, tmp_path):
    cells = toy.cells(tmp_path / "trace", 2)
    with pytest.raises(ValueError, match="same cell more than once"):
        experiment([*cells, cells[0]])


@pytest.mark.parametrize("value", [object(), [1.0], np.array([None]), {"a": 1}])
def test_a_record_that_cannot_be_kept_is_an_error_of_the_cell(experiment, tmp_path, value):
    cell = toy.cells(tmp_path / "trace", 1)[0]
    outcome = execute(lambda cell, scratch: [{"bad": value}], cell, tmp_path / "scratch")
    assert "record value 'bad'" in outcome.error
    with pytest.raises(RuntimeError, match="return numbers, text or numeric numpy arrays"):
        experiment([cell]).record(cell, outcome)


def test_a_cell_sees_one_thread_or_what_the_user_set(tmp_path, monkeypatch):
    from threadpoolctl import threadpool_info

    def threads(cell, scratch):
        return [{"most": max((pool["num_threads"] for pool in threadpool_info()), default=0)}]

    cell = toy.cells(tmp_path / "trace", 1)[0]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    outcome = execute(threads, cell, tmp_path / "scratch")
    assert (outcome.records[0]["most"], outcome.timing["threads"]) == (1, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert execute(threads, cell, tmp_path / "scratch").timing["threads"] == 2


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_cell_sees_one_torch_thread_and_its_precision_settings_are_recorded(tmp_path, library):
    pytest.importorskip(library)
    code = """
import sys
from pathlib import Path
import toy
from repro_shared.runlog import execute
def run(cell, scratch):
    if sys.argv[1] == "torch":
        import torch
        return [{"threads": torch.get_num_threads()}]
    import jax.numpy as jnp
    return [{"threads": int(jnp.ones(1).sum())}]
for _ in range(2):
    outcome = execute(run, toy.cells(Path(sys.argv[2]), 1)[0], Path(sys.argv[2]))
    print(outcome.records[0]["threads"], *outcome.timing)
"""
    path = ":".join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"}
    arguments = [sys.executable, "-c", code, library, str(tmp_path)]
    lines = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    flag = {"torch": "torch_float32_matmul_precision", "jax": "jax_enable_x64"}[library]
    assert all(line.startswith("1 ") and flag in line for line in lines) and len(lines) == 2


def test_claims_and_figures_are_saved_and_old_figures_removed(experiment, tmp_path):
    from repro_shared.plotting import figure

    with experiment() as log:
        log.map()
        log.save_figures({"old": figure()[0]})
        log.save_figures({"new": figure(caption="What is new.")[0]})
    assert sorted(path.name for path in (log.folder / "figures").iterdir()) == ["new.pdf", "new.png"]
    run = json.loads((log.folder / "run.json").read_text())
    assert run["figures"] == [{"name": "new", "caption": "What is new."}]
    path = log.run_log.save_claims([{"id": "C1"}])
    assert path == tmp_path / "results" / "smoke" / "claims.json"
    assert json.loads(path.read_text()) == [{"id": "C1"}]


def test_hash_of_a_cell_file_is_that_of_its_config(experiment):
    with experiment() as log:
        log.map()
    assert [path.stem for path in cell_files(log.folder)] == sorted(config_hash("toy", cell) for cell in log.cells)
    assert dataclasses.replace(log.cells[0], seed=9) not in log.cells


def test_console_script_is_logged_without_its_folder(tmp_path):
    assert RunLog("toy", "smoke", tmp_path, "repro-shared", ["/some/where/toy", "run"]).argv == ["toy", "run"]


def test_user_error_of_a_cell_is_one_line(experiment, tmp_path):
    with (
        pytest.raises(UserError, match="^no data found: run toy data$"),
        experiment(toy.cells(tmp_path / "t", 1, fault="advise")) as log,
    ):
        log.map()
    assert "no data found" in (log.folder / "log.txt").read_text()


def test_a_second_process_in_the_same_folder_is_told_to_wait(driver, experiment, tmp_path):
    (tmp_path / "trace").mkdir()
    first = driver(jobs=1, n=2, seconds=30)
    wait_until(lambda: len(list((tmp_path / "trace").glob("*"))) == 1)
    second = driver(jobs=1, n=2, seconds=0)
    before = (tmp_path / "results" / "smoke" / "toy" / "run.json").read_bytes()
    assert second.wait(60) == 2 and "another process is working in" in second.stderr.read()
    assert (tmp_path / "results" / "smoke" / "toy" / "run.json").read_bytes() == before
    first.kill()
    first.wait()
    assert driver(jobs=1, n=2, seconds=0).wait(60) == 0


@pytest.mark.parametrize("content", ["{", "[1]", "{}"])
def test_a_damaged_run_json_is_written_anew_and_costs_no_cell(experiment, tmp_path, content):
    with experiment() as log:
        log.map()
    (log.folder / "run.json").write_text(content)
    assert experiment().results().provenance is None
    with experiment() as log:
        log.map()
    assert json.loads((log.folder / "run.json").read_text())["status"] == "done"
    assert [path.read_text().count("\n") for path in sorted((tmp_path / "trace").iterdir())] == [1, 1, 1, 1]


def test_a_relative_folder_is_the_same_wherever_a_worker_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    log = RunLog("toy", "smoke", Path("results"), "repro-shared", ["toy"])
    assert log.folder == tmp_path / "results" / "smoke"


def test_a_run_that_was_killed_after_its_last_cell_becomes_done(experiment):
    with experiment() as log:
        log.map()
    path = log.folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "running"}))
    with experiment() as log:
        log.map()
    run = json.loads(path.read_text())
    assert (run["status"], run["history"][-1]["status"]) == ("done", "killed")
