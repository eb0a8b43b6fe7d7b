"""The real command line at smoke size: verdicts, resume, determinism, and one clear line for each user error."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import MAIN, one_line, stamps

from pinn_scaling.claims import CLAIMS
from pinn_scaling.cli import EXPERIMENTS
from repro_shared.cells import sha256_json
from repro_shared.runlog import RunLog

KILLED = ["run", "kdv", "--width", "8", "--kappa", "1", "--seed", "1", "2", "--steps", "20000"]


def digests(folder: Path) -> dict[str, str]:
    """Everything that was recorded, except when and where."""
    found = {}
    for path in sorted(folder.glob("*/cells/*.json")):
        content = json.loads(path.read_text())
        content.pop("timing")
        found[f"{path.parts[-3]}/{path.stem}"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return found


def metrics(out: Path, experiment: str) -> pd.DataFrame:
    return pd.read_csv(out / "smoke" / experiment / "metrics.csv", low_memory=False)


def test_smoke_runs_everything_and_decides_nothing(reproduced):
    out, done = reproduced
    claims = json.loads((out / "smoke" / "claims.json").read_text())
    assert {claim["verdict"] for claim in claims} == {"inconclusive"}
    assert {claim["experiment"] for claim in claims} == set(EXPERIMENTS)
    for experiment in EXPERIMENTS:
        run = json.loads((out / "smoke" / experiment / "run.json").read_text())
        assert run["status"] == "done" and run["figures"]
        for figure in run["figures"]:
            assert (out / "smoke" / experiment / "figures" / f"{figure['name']}.png").stat().st_size > 5_000
    html = (out / "smoke" / "report.html").read_text()
    assert all(claim["id"] in html for claim in claims) and "C1-kdv" in done.stdout


def test_figures_named_by_claims_exist(reproduced):
    out, _ = reproduced
    for claim in CLAIMS:
        assert (out / "smoke" / claim.experiment / "figures" / f"{claim.figure}.png").exists(), claim.id


def test_cells_are_computed_on_one_thread_without_torch(reproduced, environment):
    out, _ = reproduced
    timings = [json.loads(path.read_text())["timing"] for path in out.glob("smoke/*/cells/*.json")]
    assert {timing["threads"] for timing in timings} == {1}
    assert {timing["jax_enable_x64"] for timing in timings} == {True}
    marks = Path(environment["PYTHONPATH"].split(os.pathsep)[0])
    assert (marks / "torch.py").exists() and not (marks / "imported").exists()


def test_metrics_are_tidy_and_seeds_differ(reproduced):
    out, _ = reproduced
    for experiment in EXPERIMENTS:
        table = metrics(out, experiment)
        assert {"cell", "metric", "step", "value"} <= set(table.columns) and len(table) > 5
        assert not table.duplicated([name for name in table if name != "value" and table[name].notna().any()]).any()
    kdv = metrics(out, "kdv")
    errors = kdv[kdv["metric"] == "error"]
    assert errors["step"].isna().all() and errors["value"].nunique() == len(errors) == 12
    curves = kdv[kdv["metric"] == "error_curve"]
    assert sorted(curves["step"].unique()) == list(range(50, 401, 50))


def test_the_last_point_of_a_curve_is_the_error_that_is_reported(reproduced):
    out, _ = reproduced
    kdv = metrics(out, "kdv").set_index(["width", "kappa", "seed"])
    last = kdv[(kdv["metric"] == "error_curve") & (kdv["step"] == 400)]["value"].astype(float).sort_index()
    error = kdv[kdv["metric"] == "error"]["value"].astype(float).sort_index()
    np.testing.assert_allclose(last, error, rtol=1e-4)  # single and double precision


def test_a_second_run_runs_no_cell_again(reproduced, pinn_scaling, tmp_path):
    out, _ = reproduced
    log = RunLog("pinn-scaling", "smoke", out, "pinn-scaling")
    for name in EXPERIMENTS:
        module = import_module(f"pinn_scaling.experiments.{name}")
        assert log.experiment(name, module, module.PRESETS["smoke"]).pending() == []
    shutil.copytree(out / "smoke" / "truth", tmp_path / "smoke" / "truth")
    before = stamps(tmp_path)
    again = pinn_scaling("reproduce", "--preset", "smoke", "--only", "truth", "--out", tmp_path)
    assert again.returncode == 0 and "truth: 3 of 3 cells are there, 0 to run" in again.stderr
    assert before == stamps(tmp_path)


def test_a_cell_that_was_killed_goes_on_from_its_checkpoint_to_the_same_numbers(pinn_scaling, environment, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert pinn_scaling(*KILLED, "--out", straight).returncode == 0
    process = subprocess.Popen(
        [*MAIN, *KILLED, "--out", str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    deadline = time.monotonic() + 120
    while not list(killed.glob("run/kdv/scratch/*/training.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (kept,) = killed.glob("run/kdv/scratch/*/training.npz")
    with np.load(kept) as state:
        assert not list(killed.glob("run/kdv/cells/*.json")) and len(state.files) > 10
    done = pinn_scaling(*KILLED, "--out", killed)
    assert done.returncode == 0, done.stderr[-2000:]
    assert digests(killed / "run") == digests(straight / "run") and len(digests(killed / "run")) == 1


def test_a_report_of_cells_from_other_code_says_so(reproduced, pinn_scaling, tmp_path):
    out, _ = reproduced
    for experiment in ("truth", "kernel"):
        shutil.copytree(out / "smoke" / experiment, tmp_path / "smoke" / experiment)
    for path in (tmp_path / "smoke" / "truth" / "cells").glob("*.json"):
        content = json.loads(path.read_text())
        timing = content.pop("timing")
        content.pop("sha256")
        content["fingerprint"] = "0" * 16
        path.write_text(json.dumps(content | {"sha256": sha256_json(content), "timing": timing}))
    done = pinn_scaling("report", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0
    assert "truth: 3 of 3 cells are not there (the code has changed)" in done.stderr
    claims = {claim["id"]: claim for claim in json.loads((tmp_path / "smoke" / "claims.json").read_text())}
    assert claims["T-published-kdv"]["verdict"] == claims["C1-kdv"]["verdict"] == "not-run"
    assert claims["K-rank-spread"]["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("reproduce --preset smoke --jobs 0", "1 or more"),
        ("report --preset smoke", "run `reproduce` first"),
        ("report --preset smoke --publish", "run `reproduce` first"),
        ("reproduce --preset smoke --only", "--only needs at least one of truth, published"),
        ("reproduce --preset smoke --out /proc/nowhere", "/proc/nowhere"),
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(arguments, says, pinn_scaling, tmp_path):
    arguments = arguments.split()
    if "--out" not in arguments:
        arguments = [arguments[0], "--out", tmp_path, *arguments[1:]]
    assert says in one_line(pinn_scaling(*arguments))


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("kdv --pde heat", "unknown pde 'heat'; choose from poisson, sine_gordon"),
        ("kdv --kappa 100", "kappa = 100 is out of range for kdv: choose 0.01 <= kappa <= 18"),
        ("published --width 0", "width = 0; choose numbers > 0"),
        ("published --seed 1 1", "choose one seed or more, all different"),
        ("published --steps 130", "steps = 130; choose a multiple of 50"),
        ("decisive --kappa 16 16", "choose one or more, all different"),
        ("kernel --width 0", "choose numbers > 0"),
    ],
)
def test_impossible_settings_say_what_to_choose(arguments, says, pinn_scaling):
    done = pinn_scaling("run", *arguments.split())
    words = " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert done.returncode == 2 and says in words and "Traceback" not in words


def test_an_unknown_preset_exits_with_2(pinn_scaling):
    done = pinn_scaling("reproduce", "--preset", "huge")
    assert done.returncode == 2 and "smoke" in done.stdout + done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import pinn_scaling, sys; assert 'numpy' not in sys.modules; sys.argv = ['pinn-scaling', '--help']\n"
        "from pinn_scaling.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('jax', 'pandas', 'matplotlib', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]")
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))


def test_public_names_are_there_and_importing_allows_float64():
    code = (
        "import jax, pinn_scaling\n"
        "import types; found = [getattr(pinn_scaling, name) for name in pinn_scaling.__all__ * 2]\n"
        "print(jax.config.jax_enable_x64, not any(isinstance(value, types.ModuleType) for value in found))"
    )
    unset = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=unset)
    assert done.stdout.split() == ["True", "True"], done.stderr[-2000:]
