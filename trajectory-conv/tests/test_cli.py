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

import pandas as pd
import pytest

from repro_shared import UserError
from repro_shared.cells import sha256_json
from repro_shared.runlog import RunLog
from trajectory_conv import cli
from trajectory_conv.cli import EXPERIMENTS

MAIN = [sys.executable, "-c", "from trajectory_conv.cli import main; main()"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Compiled programs are kept for this module only, and whoever imports torch leaves a mark and fails."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "torch.py").write_text(f"open({str(folder / 'imported')!r}, 'w').close(); raise ImportError('no torch')")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"COLUMNS": "200", "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"), "PYTHONPATH": path}


@pytest.fixture(scope="module")
def trajectory_conv(environment):
    """Run the command in a process of its own."""
    return lambda *arguments: subprocess.run(
        [*MAIN, *map(str, arguments)], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, trajectory_conv):
    """One smoke run with two workers, shared by the tests below."""
    out = tmp_path_factory.mktemp("results")
    done = trajectory_conv("reproduce", "--preset", "smoke", "--jobs", 2, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def digests(out: Path) -> dict[str, str]:
    """Everything that was recorded, except when and where."""
    found = {}
    for path in sorted(out.glob("smoke/*/cells/*.json")):
        content = json.loads(path.read_text())
        content.pop("timing")
        text = json.dumps(content, sort_keys=True)
        found[f"{path.parts[-3]}/{path.stem}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def stamps(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("smoke/*/cells/*.json")}


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
    assert all(claim["id"] in html for claim in claims)
    assert "C1-certificate" in done.stdout


def test_cells_are_computed_in_float64_on_one_thread(reproduced):
    out, _ = reproduced
    timings = [json.loads(path.read_text())["timing"] for path in out.glob("smoke/*/cells/*.json")]
    assert {timing["threads"] for timing in timings} == {1}
    assert {timing["jax_enable_x64"] for timing in timings if "jax_enable_x64" in timing} == {True}


def test_nothing_imported_torch(reproduced, environment):
    marks = Path(environment["PYTHONPATH"].split(os.pathsep)[0])
    assert (marks / "torch.py").exists() and not (marks / "imported").exists()
    code = "try: import torch\nexcept ImportError as error: print(error)"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert tried.stdout.strip() == "no torch"  # the trap is where Python looks


def test_figures_named_by_claims_exist(reproduced):
    out, _ = reproduced
    for claim in json.loads((out / "smoke" / "claims.json").read_text()):
        assert (out / "smoke" / claim["experiment"] / "figures" / f"{claim['figure']}.png").exists(), claim["id"]


def test_metrics_are_tidy_and_finite_where_they_must_be(reproduced):
    out, _ = reproduced
    for experiment in EXPERIMENTS:
        table = metrics(out, experiment)
        assert {"cell", "metric", "step", "value"} <= set(table.columns) and len(table) > 10
        assert not table.duplicated([name for name in table if name != "value" and table[name].notna().any()]).any()
    rates = metrics(out, "rates")
    ratio = rates[rates["metric"] == "bound_ratio"]
    assert set(ratio["designs"]) == {"gaussian", "ar1_0.7"} and ratio["step"].isna().all()
    assert ratio["value"].astype(float).between(0, 1 + 1e-6).all()
    gaps = rates[rates["metric"] == "gap_ista"]
    assert gaps["step"].notna().all() and (gaps["value"].astype(float) >= 0).all()


def test_a_second_run_runs_no_cell_again(reproduced, trajectory_conv, tmp_path):
    out, _ = reproduced
    log = RunLog("trajectory-conv", "smoke", out, "trajectory-conv")
    for name in EXPERIMENTS:
        module = import_module(f"trajectory_conv.experiments.{name}")
        assert log.experiment(name, module, module.PRESETS["smoke"]).pending() == []
    shutil.copytree(out / "smoke" / "theory", tmp_path / "smoke" / "theory")
    before = stamps(tmp_path)
    again = trajectory_conv("reproduce", "--preset", "smoke", "--only", "theory", "--out", tmp_path)
    assert again.returncode == 0 and "theory: 5 of 5 cells are there, 0 to run" in again.stderr
    assert before == stamps(tmp_path)


def test_equal_seeds_give_equal_cells_with_one_worker_or_two_and_after_a_kill(
    reproduced, trajectory_conv, environment, tmp_path
):
    out, _ = reproduced
    command = [*MAIN, "reproduce", "--preset", "smoke", "--only", "theory", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while not stamps(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    some = stamps(tmp_path)
    expected = {name: digest for name, digest in digests(out).items() if name.startswith("theory/")}
    assert 0 < len(some) < len(expected) == 5
    assert trajectory_conv("reproduce", "--preset", "smoke", "--only", "theory", "--out", tmp_path).returncode == 0
    assert some.items() <= stamps(tmp_path).items()
    assert digests(tmp_path) == expected


def test_another_seed_or_stream_gives_other_numbers(reproduced):
    out, _ = reproduced
    for experiment, name, label in (("leverage", "h2", "breast_cancer"), ("hoffman", "h2", "ambient")):
        table = metrics(out, experiment)
        rows = table[(table["metric"] == name) & (table[["data", "part"][experiment == "hoffman"]] == label)]
        keys = ["tau"] if experiment == "leverage" else ["d"]
        assert rows["seed"].nunique() > 1 and not rows.duplicated([*keys, "value"]).any()
    cone = metrics(out, "cone")
    rows = cone[cone["metric"] == "margin"].groupby(["designs", "stream"])["value"].unique().str.len()
    assert (rows == 1).all() and cone[cone["metric"] == "margin"]["value"].nunique() == 4  # both methods, one instance


def test_smoke_results_are_not_published(reproduced, monkeypatch):
    out, _ = reproduced
    monkeypatch.setattr(cli, "reproduce", lambda options: None)  # figures again: some 15 s, tested below
    readme = Path(__file__).parents[1] / "README.md"
    before, cells = readme.read_bytes(), stamps(out)
    with pytest.raises(UserError, match="smoke results decide nothing"):
        cli.report(cli.Report(preset="smoke", publish=True, out=out))
    assert before == readme.read_bytes() and cells == stamps(out)


def test_a_report_of_cells_from_other_code_says_so(reproduced, trajectory_conv, tmp_path):
    out, _ = reproduced
    for experiment in ("theory", "svm"):
        shutil.copytree(out / "smoke" / experiment, tmp_path / "smoke" / experiment)
    for path in (tmp_path / "smoke" / "theory" / "cells").glob("*.json"):
        content = json.loads(path.read_text())
        timing = content.pop("timing")
        content.pop("sha256")
        content["fingerprint"] = "0" * 16
        path.write_text(json.dumps(content | {"sha256": sha256_json(content), "timing": timing}))
    done = trajectory_conv("report", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0
    assert "theory: 5 of 5 cells are not there (the code has changed)" in done.stderr
    assert "cone: 4 of 4 cells are not there (not run yet)" in done.stderr
    html = (tmp_path / "smoke" / "report.html").read_text()
    assert "<b>Incomplete:</b> 5 of 5 cells" in html
    assert 'id="theory-restriction"' not in html and 'id="svm-svm"' in html
    claims = {claim["id"]: claim for claim in json.loads((tmp_path / "smoke" / "claims.json").read_text())}
    assert claims["C1-span"]["verdict"] == "not-run" and "reproduce --preset smoke" in claims["C1-span"]["why"]
    assert claims["C7-cone-3"]["verdict"] == "not-run"
    assert claims["C1-box"]["verdict"] == "inconclusive"


def test_one_cell_with_settings_of_ones_own(trajectory_conv, tmp_path):
    arguments = "rates --designs gaussian --n 60 --d 120 --s 4 --iterations 500".split()
    done = trajectory_conv("run", *arguments, "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "bound_ratio" in done.stdout and f"recorded in {tmp_path}" in done.stdout
    (cell,) = (tmp_path / "run" / "rates" / "cells").glob("*.json")
    config = json.loads(cell.read_text())["config"]
    assert (config["designs"], config["iterations"], config["lam"]) == (["gaussian"], 500, 0.15)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("reproduce --preset smoke --jobs 0", "1 or more"),
        ("report --preset smoke", "run `reproduce` first"),
        ("reproduce --preset smoke --only", "--only needs at least one of theory, convergence"),
        ("reproduce --preset smoke --out /proc/nowhere", "/proc/nowhere"),
        ("run leverage --data arcene --file /nowhere/arcene.arff", "no file /nowhere/arcene.arff: download ARCENE"),
        ("run leverage --data golub --file /nowhere/golub.RData", "no file /nowhere/golub.RData: give the path"),
        (
            "reproduce --preset smoke --scheduler tcp://127.0.0.1:none --only theory",
            "Dask",
        ),  # at once; :9 waits for 10 s
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(arguments, says, trajectory_conv, tmp_path):
    arguments = arguments.split()
    if "--out" not in arguments:
        arguments = [arguments[0], "--out", tmp_path, *arguments[1:]]
    done = trajectory_conv(*arguments)
    assert done.returncode == 2, (done.stdout + done.stderr)[-2000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trajectory-conv: ")]
    assert says in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "rates --designs orthonormal --n 40 --d 60 --s 3 --iterations 300",  # n < d
        "rates --designs gaussian --n 40 --d 60 --s 3 --iterations 300 --lam 100",  # the optimum is zero
        "leverage --alpha 100 --iterations 300",  # so it is here
        "hoffman --part stability --n 40 --d 60 --s 3 --trials 2 --lam 100",
        "leverage --data arcene --file {two} --iterations 300",  # both features are active
        "svm --tasks rbf_wide --rows 5 --iterations 1",  # no step to judge
        "phase --noise 100 --n 60 --d 80 --s 3 --lam1-points 3 --lam2-points 3 --budgets 5",  # noise beyond all budgets
    ],
)
def test_settings_that_the_data_do_not_bear_end_in_one_line(arguments, trajectory_conv, tmp_path):
    (two := tmp_path / "two.csv").write_text("a,b,label\n1,2,0\n3,5,1\n2,9,1\n4,1,0\n")
    done = trajectory_conv("run", "--out", tmp_path, *arguments.format(two=two).split())
    assert done.returncode == 2, (done.stdout + done.stderr)[-2000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trajectory-conv: ")]
    assert "choose" in line and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("rates --designs nothing", "unknown design 'nothing'; choose from gaussian"),
        ("rates --s 500", "s = 500 non-zeros do not fit into d = 400 features; choose 1 <= s <= d"),
        ("convergence --lam 0", "lam = 0.0; choose numbers > 0"),
        ("cone --lam nan", "lam = nan; choose numbers > 0"),
        ("leverage --tau 1.5", "tau = (1.5,); choose thresholds in (0, 1)"),
        ("leverage --data arcene", "give the path of your copy as file (--file)"),
        ("hoffman --n 5", "G_SS is singular beyond min(n, d) = 5"),
        ("convergence --solver", "solver is empty; choose at least one of lasso"),
        ("svm --rows 2", "rows = 2, cancer_rows = 200; choose 3 or more"),
        ("svm --tasks nothing", "unknown task 'nothing'; choose from linear_soft"),
    ],
)
def test_impossible_settings_say_what_to_choose(arguments, says, trajectory_conv):
    done = trajectory_conv("run", *arguments.split())
    words = " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert done.returncode == 2 and says in words and "Traceback" not in words


def test_an_unknown_preset_exits_with_2(trajectory_conv):
    done = trajectory_conv("reproduce", "--preset", "huge")
    assert done.returncode == 2 and "smoke" in done.stdout + done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import trajectory_conv, sys; assert 'numpy' not in sys.modules; sys.argv = ['trajectory-conv', '--help']\n"
        "from trajectory_conv.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('jax', 'pandas', 'matplotlib', 'scipy', 'sklearn', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]")
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))


@pytest.mark.parametrize("before", ["", "import jax, jax.numpy; "])
def test_importing_the_package_switches_jax_to_float64_also_when_jax_came_first(before):
    code = (
        f"{before}import trajectory_conv, jax; assert jax.config.jax_enable_x64; print(jax.numpy.ones(1).dtype)\n"
        "import numpy as np; problem = trajectory_conv.lasso(np.eye(3), np.ones(3), 0.1)\n"
        "print(trajectory_conv.find_optimum(problem).x.dtype, problem.lipschitz.dtype)"
    )
    unset = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=unset)
    assert done.stdout.split() == ["float64"] * 3, done.stderr[-2000:]
