"""The real command line at smoke size: verdicts, resume, determinism, settings of one's own."""

import hashlib
import json
import re
import shutil
import signal
import struct
import subprocess
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import MAIN, one_line, smoke_cells, stamps

from proj_heads import cli
from proj_heads.cli import EXPERIMENTS
from repro_shared import UserError
from repro_shared.cells import sha256_json
from repro_shared.runlog import RunLog


def digests(out: Path) -> dict[str, str]:
    """Everything that was recorded, except when and where."""
    found = {}
    for path in sorted(out.glob("smoke/*/cells/*.json")):
        content = json.loads(path.read_text())
        content.pop("timing")
        text = json.dumps(content, sort_keys=True)
        found[f"{path.parts[-3]}/{path.stem}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def metrics(out: Path, experiment: str) -> pd.DataFrame:
    return pd.read_csv(out / "smoke" / experiment / "metrics.csv", low_memory=False)


# ---- a whole run


def test_smoke_runs_everything_and_decides_nothing(reproduced):
    out, done = reproduced
    claims = json.loads((out / "smoke" / "claims.json").read_text())
    assert {claim["verdict"] for claim in claims} == {"inconclusive"}
    assert {claim["experiment"] for claim in claims} <= set(EXPERIMENTS)
    for experiment in EXPERIMENTS:
        run = json.loads((out / "smoke" / experiment / "run.json").read_text())
        assert run["status"] == "done" and run["figures"]
        for figure in run["figures"]:
            assert (out / "smoke" / experiment / "figures" / f"{figure['name']}.png").stat().st_size > 5_000
        assert len(list((out / "smoke" / experiment / "cells").glob("*.json"))) == len(smoke_cells(experiment))
    html = (out / "smoke" / "report.html").read_text()
    assert all(claim["id"] in html and claim["id"] in done.stdout for claim in claims)
    assert f"report: {out / 'smoke' / 'report.html'}" in done.stdout


def test_figures_named_by_claims_exist(reproduced):
    out, _ = reproduced
    shown = [claim for claim in json.loads((out / "smoke" / "claims.json").read_text()) if claim["figure"]]
    assert shown
    for claim in shown:
        assert (out / "smoke" / claim["experiment"] / "figures" / f"{claim['figure']}.png").exists(), claim["id"]


def test_metrics_are_tidy_and_finite_where_they_must_be(reproduced):
    out, _ = reproduced
    for experiment in EXPERIMENTS:
        table = metrics(out, experiment)
        assert {"cell", "metric", "step", "value"} <= set(table.columns) and len(table) > 10
        assert not table.duplicated([name for name in table if name != "value" and table[name].notna().any()]).any()
    hessians = metrics(out, "hessian")
    negative = hessians[hessians["metric"] == "squared_negative"]
    assert sorted(negative["step"].unique()) == [0, 4, 8]  # every 4 of 8 steps
    assert (negative[negative["activation"] == "relu"]["value"].astype(float) == 0).all()
    assert negative["value"].astype(float).between(0, 16).all()  # d = 16
    geometry = metrics(out, "geometry")
    accuracies = geometry[geometry["metric"].str.fullmatch("(rotation|class)_.*_(z|h)")]
    assert len(accuracies) and accuracies["value"].astype(float).between(0, 100).all()


def test_workers_have_one_thread(reproduced):
    out, _ = reproduced
    timings = [json.loads(path.read_text())["timing"] for path in out.glob("smoke/*/cells/*.json")]
    assert {timing["threads"] for timing in timings} == {1}


def test_no_scratch_is_left_behind(reproduced):
    out, _ = reproduced
    assert not list(out.rglob("*.safetensors")) and not list(out.glob("smoke/*/scratch/*"))


# ---- resume


def test_a_second_run_runs_no_cell_again(reproduced, here, tmp_path):
    out, _ = reproduced
    log = RunLog("proj-heads", "smoke", out, "proj-heads")
    for name in EXPERIMENTS:
        module = import_module(f"proj_heads.experiments.{name}")
        assert log.experiment(name, module, module.PRESETS["smoke"]).pending() == []
    shutil.copytree(out / "smoke" / "hessian", tmp_path / "smoke" / "hessian")
    before = stamps(tmp_path)
    again = here("reproduce", "--preset", "smoke", "--only", "hessian", "--out", tmp_path)
    count = len(smoke_cells("hessian"))
    assert again.returncode == 0 and f"hessian: {count} of {count} cells are there, 0 to run" in again.stderr
    assert before == stamps(tmp_path) and len(before) == count


def test_equal_seeds_give_equal_cells_with_one_worker_or_two_and_after_a_kill(reproduced, here, environment, tmp_path):
    out, _ = reproduced
    arguments = ["reproduce", "--preset", "smoke", "--only", "hessian", "geometry", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [*MAIN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "smoke" / "geometry" / "scratch").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)  # geometry trains its first pair
    process.wait()
    some = stamps(tmp_path)
    names = ("hessian/", "geometry/")
    expected = {name: digest for name, digest in digests(out).items() if name.startswith(names)}
    assert 0 < len(some) < len(expected)
    assert json.loads((tmp_path / "smoke" / "geometry" / "run.json").read_text())["status"] == "running"
    done = here(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert some.items() <= stamps(tmp_path).items()
    assert digests(tmp_path) == expected
    assert not list(tmp_path.glob("smoke/geometry/scratch/*"))


def test_only_what_was_asked_for_is_run(here, tmp_path):
    done = here("reproduce", "--preset", "smoke", "--only", "hessian", "--out", tmp_path)
    assert done.returncode == 0
    assert {path.parent.parent.name for path in tmp_path.glob("smoke/*/cells/*.json")} == {"hessian"}
    claims = json.loads((tmp_path / "smoke" / "claims.json").read_text())
    verdicts = {claim["experiment"]: claim["verdict"] for claim in claims}
    assert verdicts["hessian"] == "inconclusive"
    assert {verdicts[name] for name in set(EXPERIMENTS) - {"hessian"}} == {"not-run"}
    count = len(smoke_cells("geometry"))
    assert f"geometry: {count} of {count} cells are not there (not run yet)" in done.stderr
    assert "`proj-heads reproduce --preset smoke` runs them" in done.stderr


# ---- report


def test_smoke_results_are_not_published(reproduced, monkeypatch):
    out, _ = reproduced
    monkeypatch.setattr(cli, "reproduce", lambda options: None)  # figures again: tested below
    readme = Path(__file__).parents[1] / "README.md"
    before, cells = readme.read_bytes(), stamps(out)
    with pytest.raises(UserError, match="smoke results decide nothing"):
        cli.report(cli.Report(preset="smoke", publish=True, out=out))
    assert before == readme.read_bytes() and cells == stamps(out)


def test_a_report_of_cells_from_other_code_says_so(reproduced, here, tmp_path):
    out, _ = reproduced
    for experiment in ("theory", "hessian"):
        shutil.copytree(out / "smoke" / experiment, tmp_path / "smoke" / experiment)
    for path in (tmp_path / "smoke" / "theory" / "cells").glob("*.json"):
        content = json.loads(path.read_text())
        timing = content.pop("timing")
        content.pop("sha256")
        content["fingerprint"] = "0" * 16
        path.write_text(json.dumps(content | {"sha256": sha256_json(content), "timing": timing}))
    before = stamps(tmp_path)
    done = here("report", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0 and stamps(tmp_path) == before
    count = len(smoke_cells("theory"))
    assert f"theory: {count} of {count} cells are not there (the code has changed)" in done.stderr
    html = (tmp_path / "smoke" / "report.html").read_text()
    assert f"<b>Incomplete:</b> {count} of {count} cells" in html
    assert 'id="theory-spectra"' not in html and 'id="hessian-negative"' in html
    claims = {claim["id"]: claim for claim in json.loads((tmp_path / "smoke" / "claims.json").read_text())}
    assert claims["C1-hessian"]["verdict"] == "not-run" and "reproduce --preset smoke" in claims["C1-hessian"]["why"]
    assert claims["C4-straight-training"]["verdict"] == "inconclusive"


def test_a_report_before_any_run_says_so(here, tmp_path):
    assert f"nothing is recorded in {tmp_path / 'default'}: run `reproduce` first" in one_line(
        here("report", "--out", tmp_path)
    )


# ---- settings of one's own


TINY = "--cnn-width 4 --width 16 --predictor 8 --steps 6 --batch 32".split()


def test_one_cell_with_settings_of_ones_own(here, tmp_path):
    arguments = ["--objective", "simsiam", "--data", "digits", *TINY, "--every", "3", "--samples", "4", "--seed", "5"]
    done = here("run", "hessian", *arguments, "--no-norm", "--activation", "gelu", "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"recorded in {tmp_path / 'run' / 'hessian'}" in done.stdout
    (cell,) = (tmp_path / "run" / "hessian" / "cells").glob("*.json")
    config = json.loads(cell.read_text())["config"]
    assert (config["activation"], config["norm"], config["seed"], config["every"]) == ("gelu", False, 5, 3)
    assert config["temperature"] == 0.1  # a default
    curves = pd.read_csv(tmp_path / "run" / "hessian" / "metrics.csv")
    std = curves[curves["metric"] == "std"].set_index("step")["value"].astype(float)
    assert sorted(std.index) == [0, 3, 6]
    shown = printed(done)
    assert shown["d"] == ["16"] and float(*shown["std, last"]) == pytest.approx(std[6], rel=1e-4)
    assert len(shown) == curves["metric"].nunique() + 1  # every scalar, where every curve ends, and at which step


def printed(done: subprocess.CompletedProcess) -> dict[str, list[str]]:
    """Name -> values of the records, in the table that `run` prints."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines()[1:-1]]
    return {name: values for name, *values in rows}


COLLAPSE = "--width 16 --predictor 8 --steps 20 --batch 16 --every 10 --activation relu".split()
FLOW = "--time 0.5 --points 5 --batch 6 --width 16 --descent 0.25 --activation swish".split()


@pytest.mark.parametrize("experiment, settings", [("collapse", COLLAPSE), ("flow", FLOW)])
def test_a_cell_of_several_seeds_shows_the_numbers_of_each(experiment, settings, here, tmp_path):
    arguments = [*settings, "--data", "digits", "--seeds", "3", "5", "--out", tmp_path]
    done = here("run", experiment, *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    (cell,) = (tmp_path / "run" / experiment / "cells").glob("*.json")
    assert json.loads(cell.read_text())["config"]["seeds"] == [3, 5]
    shown = printed(done)
    assert shown["seeds"] == ["3", "5"]
    recorded = pd.read_csv(tmp_path / "run" / experiment / "metrics.csv")
    for name in ("std_end", "growth", "escaped"):
        rows = recorded[recorded["metric"] == name].sort_values("seeds")
        assert [str(value)[:6] for value in rows["value"]] == [value[:6] for value in shown[name]]
    last, end = ([float(value) for value in shown[name]] for name in ("std, last", "std_end"))
    assert last == pytest.approx(end, rel=1e-4)


def test_the_folder_of_one_cell_may_come_first(here, tmp_path):
    done = here("run", "--out", tmp_path, "theory", "--part", "fisher", "--seed", "3")
    assert done.returncode == 0 and f"recorded in {tmp_path / 'run' / 'theory'}" in done.stdout, done.stderr[-2000:]


@pytest.fixture
def garments(tmp_path) -> Path:
    """A folder with idx files under Fashion-MNIST's names: noise."""
    folder, draws = tmp_path / "garments", np.random.default_rng(0)
    folder.mkdir()
    for prefix, n in (("train", 300), ("t10k", 120)):
        x, y = draws.integers(256, size=(n, 28, 28)), draws.integers(10, size=n)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    return folder


def test_data_are_those_that_were_asked_for(reproduced, here, garments, tmp_path):
    """Other data are other cells, so that a result is never taken for one of other data."""
    out, _ = reproduced
    shutil.copytree(out / "smoke" / "hessian", tmp_path / "smoke" / "hessian")
    digits = stamps(tmp_path)
    arguments = ("reproduce", "--preset", "smoke", "--only", "hessian", "--out", tmp_path)
    done = here(*arguments, "--data", "fashion-mnist", "--data-dir", garments)
    assert done.returncode == 0, done.stderr[-2000:]
    new = stamps(tmp_path).keys() - digits.keys()
    configs = [json.loads(path.read_text())["config"] for path in new]
    assert [config["data"] for config in configs] == ["fashion-mnist"] * len(digits)
    assert {path.name for path in new}.isdisjoint({path.name for path in digits})
    assert digits.items() <= stamps(tmp_path).items()
    assert set(metrics(tmp_path, "hessian")["cell"]) == {path.stem for path in new}
    reported = here("report", "--preset", "smoke", "--data", "fashion-mnist", "--out", tmp_path)
    assert reported.returncode == 0 and f"hessian: {len(digits)} of" not in reported.stderr
    back = here(*arguments, "--data", "digits")
    assert back.returncode == 0 and f"{len(digits)} of {len(digits)} cells are there, 0 to run" in back.stderr
    assert set(metrics(tmp_path, "hessian")["cell"]) == {path.stem for path in digits}
