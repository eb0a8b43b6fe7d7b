"""The real command line at smoke size: verdicts, resume, determinism, and one clear line for each user error."""

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from proj_heads import cli
from proj_heads.cli import EXPERIMENTS
from proj_heads.experiments.pretrained import DATA_FOLDER
from repro_shared import UserError
from repro_shared.cells import sha256_json
from repro_shared.runlog import RunLog

MAIN = [sys.executable, "-c", "from proj_heads.cli import main; main()"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """No GPU, and no data but those that a test gives or that come with a package."""
    hidden = {"CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    return {k: v for k, v in os.environ.items() if k != DATA_FOLDER} | hidden | {"COLUMNS": "200"}


@pytest.fixture(scope="module")
def proj_heads(environment):
    """Run the command in a process of its own."""
    return lambda *arguments: subprocess.run(
        [*MAIN, *map(str, arguments)], capture_output=True, text=True, env=environment
    )


@pytest.fixture
def here(monkeypatch, capsys, unchecked, environment):
    """Run the command in this process, which has imported torch already: seconds less."""
    for name in ("CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME", "COLUMNS"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setenv(DATA_FOLDER, "")  # put back afterwards, whatever --data-dir makes of it

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["proj-heads", *map(str, arguments)])
        capsys.readouterr()
        try:
            code = cli.main() or 0
        except SystemExit as end:
            code = end.code or 0
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, proj_heads):
    """One smoke run with two workers, shared by the tests below."""
    out = tmp_path_factory.mktemp("results")
    done = proj_heads("reproduce", "--preset", "smoke", "--jobs", 2, "--out", out)
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


def smoke_cells(experiment: str) -> list:
    return import_module(f"proj_heads.experiments.{experiment}").PRESETS["smoke"]


def one_line(done: subprocess.CompletedProcess) -> str:
    """What a user error ends in."""
    assert done.returncode == 2, (done.stdout + done.stderr)[-2000:]
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("proj-heads: ")]
    return line


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
    assert verdicts["theory"] == verdicts["geometry"] == "not-run"
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
    assert sorted(curves[curves["metric"] == "std"]["step"]) == [0, 3, 6]


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


# ---- what a user can mend


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("reproduce --preset smoke --jobs 0", "--jobs 0: give the number of local worker processes, 1 or more"),
        ("reproduce --preset smoke --jobs -2", "1 or more"),
        ("report --preset smoke", "run `reproduce` first"),
        ("reproduce --preset smoke --only", "--only needs at least one of theory, hessian"),
        ("reproduce --preset smoke --out /proc/nowhere", "/proc/nowhere"),
        ("reproduce --preset smoke --only geometry --device cuda", "torch has no device cuda here: use --device cpu"),
        ("reproduce --preset smoke --only hessian --device gpu", "torch has no device gpu here: use --device cpu"),
        ("run geometry --device cuda:9", "torch has no device cuda:9 here: use --device cpu"),
        ("reproduce --preset paper --only hessian", "torch has no device cuda here"),
        (
            "reproduce --preset smoke --only hessian --data fashion-mnist --data-dir {empty}",
            "no Fashion-MNIST found in {empty}",
        ),
        (
            "reproduce --preset smoke --only geometry --data cifar10 --data-dir {empty}",
            "no complete, undamaged CIFAR10",
        ),
        (
            "reproduce --preset smoke --only hessian --data cifar100 --data-dir /nowhere",
            "undamaged CIFAR100 in /nowhere/cifar-100-python",
        ),
        ("reproduce --preset smoke --scheduler tcp://127.0.0.1:none --only theory", "Dask"),  # at once; :9 waits 10 s
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(arguments, says, here, tmp_path):
    (empty := tmp_path / "empty").mkdir()
    arguments, says = arguments.format(empty=empty).split(), says.format(empty=empty)
    if "--out" not in arguments:
        arguments = [arguments[0], "--out", tmp_path / "results", *arguments[1:]]
    line = one_line(here(*arguments))
    assert says in line
    assert not list(tmp_path.rglob("cells/*.json"))


def test_the_paper_preset_on_a_cpu_is_refused_with_the_hours_it_takes(here, tmp_path):
    cells = import_module("proj_heads.experiments.hessian").PRESETS["paper"]
    hours = sum(2 * cell.steps * cell.batch / 54 / 3600 for cell in cells)  # a ResNet-18 sees 54 views a second
    line = one_line(here("reproduce", "--preset", "paper", "--only", "hessian", "--device", "cpu", "--out", tmp_path))
    assert f"training takes about {hours:,.0f} core-hours on a CPU" in line
    assert "--device cuda" in line and "--force" in line
    assert not list(tmp_path.rglob("cells/*.json"))


def test_force_starts_it_all_the_same(here, tmp_path):
    """As far as the data that are not there."""
    arguments = ("reproduce", "--preset", "paper", "--only", "hessian", "--device", "cpu", "--force")
    line = one_line(here(*arguments, "--data-dir", tmp_path, "--out", tmp_path / "results"))
    assert "core-hours" not in line and "no complete, undamaged CIFAR10" in line


def test_one_experiments_failure_does_not_keep_others_from_running(reproduced, here, tmp_path):
    out, _ = reproduced
    shutil.copytree(out / "smoke" / "theory", tmp_path / "smoke" / "theory")
    lost = next((tmp_path / "smoke" / "theory" / "cells").glob("*.json"))
    lost.unlink()
    arguments = ("reproduce", "--preset", "smoke", "--only", "hessian", "theory", "--device", "cuda")
    line = one_line(here(*arguments, "--out", tmp_path))
    assert line.startswith("proj-heads: hessian: torch has no device cuda")
    assert lost.exists()
    claims = json.loads((tmp_path / "smoke" / "claims.json").read_text())
    verdicts = {claim["id"]: claim["verdict"] for claim in claims}
    assert verdicts["C1-hessian"] == "inconclusive" and verdicts["C4-straight-training"] == "not-run"
    assert (tmp_path / "smoke" / "report.html").exists()


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("geometry --steps 0", "steps = 0; choose a number > 0"),
        ("geometry --lr nan", "lr = nan; choose a number > 0"),
        ("geometry --batch 1", "batch = 1; choose at least 2 images"),
        ("geometry --seed -1", "seed = -1; choose a seed >= 0"),
        ("geometry --orbit-images 3", "orbit_images = 3; choose at least 20 images"),
        ("hessian --objective simclr", "only simsiam has the predictor that is measured here"),
        ("hessian --objective simsiam --every 600", "every = 600; choose a number from 1 to steps = 500"),
        ("hessian --objective simsiam --samples 300", "samples = 300; choose a number from 1 to batch = 256"),
        ("theory --d 3", "choose d >= 8"),
        ("theory --part nothing", "nothing"),
        ("geometry --objective byol", "byol"),
        ("nothing", "nothing"),
    ],
)
def test_impossible_settings_say_what_to_choose(arguments, says, here):
    done = here("run", *arguments.split())
    words = " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert done.returncode == 2 and says in words and "Traceback" not in words


@pytest.mark.parametrize("command", ["reproduce", "report"])
def test_an_unknown_preset_exits_with_2(command, here):
    done = here(command, "--preset", "huge")
    assert done.returncode == 2 and "smoke" in done.stdout + done.stderr and "Traceback" not in done.stderr


# ---- help

HEAVY = ("torch", "torchvision", "lightly", "sklearn", "pandas", "matplotlib", "scipy")


@pytest.mark.parametrize("arguments", [["--help"], ["reproduce", "--help"], ["run", "geometry", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; sys.argv = ['proj-heads', *{arguments!r}]\n"
        "from proj_heads.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip().endswith("[]"), done.stdout[-300:] + done.stderr[-2000:]


def test_help_lists_the_commands_and_answers_within_a_second(proj_heads):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = proj_heads("--help")
        times.append(time.perf_counter() - start)
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))
    assert min(times) < 1


def test_every_setting_is_a_flag_with_its_explanation(here):
    done = here("run", "geometry", "--help")
    assert done.returncode == 0
    for words in ("--objective", "--probe-train", "Training images of the probes.", "--device", "tau of simclr."):
        assert words in done.stdout
    done = here("reproduce", "--help")
    assert all(flag in done.stdout for flag in ("--only", "--jobs", "--scheduler", "--data-dir", "--force", "--out"))


def test_importing_the_package_and_the_cli_is_free_of_torch():
    code = (
        "import sys, proj_heads, proj_heads.cli\n"
        f"print([m for m in {HEAVY} if m in sys.modules])\n"
        "from proj_heads.recipe import Recipe; Recipe(steps=3)\n"
        "print('torch' in sys.modules); proj_heads.build_head; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "False", "True"], done.stderr[-2000:]
