"""One clear line for each error that a user can mend, and exit code 2."""

import json
import shutil
from dataclasses import replace

import pytest
from commands import one_line

from proj_heads.experiments import hessian
from repro_shared.runlog import Outcome, RunLog


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("reproduce --preset smoke --jobs 0", "--jobs 0: give the number of local worker processes, 1 or more"),
        ("reproduce --preset smoke --jobs -2", "1 or more"),
        ("report --preset smoke", "run `reproduce` first"),
        ("reproduce --preset smoke --only", "--only needs at least one of theory, collapse, flow, hessian"),
        ("reproduce --preset smoke --out /proc/nowhere", "/proc/nowhere"),
        ("reproduce --preset smoke --only geometry --device cuda", "torch has no device cuda here: use --device cpu"),
        ("reproduce --preset smoke --only hessian --device gpu", "torch has no device gpu here: use --device cpu"),
        ("run geometry --device cuda:9", "torch has no device cuda:9 here: use --device cpu"),
        ("reproduce --preset paper --only hessian", "torch has no device cuda here"),
        ("reproduce --preset smoke --only collapse --device cuda", "torch has no device cuda here: use --device cpu"),
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
    hours = sum(2 * cell.steps * cell.batch / 54 for cell in hessian.PRESETS["paper"]) / 3600  # ResNet-18: 54 views a s
    line = one_line(here("reproduce", "--preset", "paper", "--only", "hessian", "--device", "cpu", "--out", tmp_path))
    assert f"training takes about {hours:,.0f} core-hours on a CPU" in line
    assert "--device cuda" in line and "--force" in line
    assert not list(tmp_path.rglob("cells/*.json"))


@pytest.mark.parametrize("preset, device", [("paper", "cpu"), ("smoke", "cuda")])
def test_what_cannot_run_to_the_end_is_refused_before_anything_runs(here, tmp_path, preset, device):
    line = one_line(here("reproduce", "--preset", preset, "--device", device, "--out", tmp_path))
    assert "core-hours on a CPU" in line or "torch has no device cuda here" in line
    assert not list(tmp_path.rglob("cells/*.json"))


def test_recorded_cells_take_no_more_hours(here, tmp_path):
    first, *others = [replace(cell, device="cpu") for cell in hessian.PRESETS["paper"]]
    log = RunLog("proj-heads", "paper", tmp_path, "proj-heads").experiment("hessian", hessian, [first, *others])
    for cell in others:
        log.record(cell, Outcome([{"d": 512}]))
    line = one_line(here("reproduce", "--preset", "paper", "--only", "hessian", "--device", "cpu", "--out", tmp_path))
    assert f"training takes about {2 * first.steps * first.batch / 54 / 3600:,.0f} core-hours on a CPU" in line


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
    arguments = ("reproduce", "--preset", "smoke", "--only", "hessian", "theory", "--data", "cifar10")
    line = one_line(here(*arguments, "--data-dir", tmp_path, "--out", tmp_path))
    assert line.startswith("proj-heads: hessian: ") and "CIFAR10" in line
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
        ("hessian --objective simclr", "simclr"),
        ("hessian --every 601", "every = 601; choose a number from 1 to steps = 600"),
        ("hessian --samples 129", "samples = 129; choose a number from 1 to batch = 128"),
        ("collapse --activation linear --norm", "a linear head has no batch norms"),
        ("collapse --seeds 1 1", "seeds = (1, 1); choose different numbers"),
        ("flow --time 0.1 --descent 0.5", "choose steps <= time = 0.1"),
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
