"""One clear line for each error that a user can mend, and exit code 2."""

import json
import shutil

import pytest
from commands import one_line

from icl_lrt.checkpoints import metadata
from icl_lrt.experiments import ablations, ood
from repro_shared.runlog import Outcome, RunLog

HOURS = 15_620 * 6 * 64 * 33 * 2 * (4 * 128**2 + 2 * 128 * 512) / 6e10 / 3600
"""Of one published training on a core: steps, tokens and weights by the speed that `trained.FLOPS` says."""


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("reproduce --preset smoke --jobs 0", "--jobs 0: give the number of local worker processes, 1 or more"),
        ("reproduce --preset smoke --jobs -2", "1 or more"),
        ("reproduce --preset smoke --seeds 0", "--seeds 0: give the number of seeds, 1 or more"),
        ("report --preset smoke", "run `reproduce` first"),
        ("reproduce --preset smoke --only", "--only needs at least one of regular, ood, context_length"),
        ("reproduce --preset smoke --out /proc/nowhere", "/proc/nowhere"),
        ("reproduce --preset smoke --only depth --device cuda", "torch has no device cuda here: use --device cpu"),
        ("reproduce --preset smoke --only plateau --device gpu", "torch has no device gpu here: use --device cpu"),
        ("run depth --device cuda:9", "torch has no device cuda:9 here: use --device cpu"),
        ("reproduce --preset smoke --scheduler tcp://127.0.0.1:none --only depth", "Dask"),  # at once; :9 waits 10 s
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(arguments, says, here, tmp_path):
    arguments = arguments.split()
    if "--out" not in arguments:
        arguments = [arguments[0], "--out", tmp_path / "results", *arguments[1:]]
    line = one_line(here(*arguments))
    assert says in line
    assert not list(tmp_path.rglob("cells/*.json"))


def test_the_paper_preset_on_a_cpu_is_refused_with_the_hours_it_takes(here, tmp_path):
    line = one_line(here("reproduce", "--preset", "paper", "--only", "ablations", "--out", tmp_path))
    asked = int(line.split("about ")[1].split()[0])
    rows = len(ablations.PRESETS["paper"])
    assert rows * HOURS < asked < 1.2 * rows * HOURS  # two rows have more tokens
    assert "--device cuda" in line and "--force" in line
    assert not list(tmp_path.rglob("cells/*.json"))


def test_recorded_cells_take_no_more_hours(here, tmp_path):
    *some, last = ablations.PRESETS["paper"]
    log = RunLog("icl-lrt", "paper", tmp_path, "icl-lrt").experiment("ablations", ablations, [*some, last])
    for cell in some[:-40]:
        log.record(cell, Outcome([{"accuracy": 0.5}]))
    line = one_line(here("reproduce", "--preset", "paper", "--only", "ablations", "--out", tmp_path))
    asked = int(line.split("about ")[1].split()[0])
    assert 41 * HOURS < asked < 48 * HOURS


def test_a_damaged_network_is_named_and_does_not_keep_other_experiments_from_running(reproduced, here, tmp_path):
    out, _ = reproduced
    for name in ("ood", "depth", "models"):
        shutil.copytree(out / "smoke" / name, tmp_path / "smoke" / name)
    for name in ("ood", "depth"):
        next((tmp_path / "smoke" / name / "cells").glob("*.json")).unlink()
    cut = [path for path in (tmp_path / "smoke" / "models").glob("*.safetensors")
           if metadata(path)["recipe"]["steps"] == ood.PRESETS["smoke"][0].steps]  # fmt: skip
    for path in cut:
        path.write_bytes(path.read_bytes()[:100])
    line = one_line(here("reproduce", "--preset", "smoke", "--only", "depth", "ood", "--out", tmp_path))
    assert line.startswith(f"icl-lrt: ood: the kept network {tmp_path}") and "is damaged: remove it" in line
    claims = json.loads((tmp_path / "smoke" / "claims.json").read_text())
    verdicts = {claim["id"]: claim["verdict"] for claim in claims}
    assert verdicts["C6-depth-one-layer"] == "inconclusive" and verdicts["C4-loses"] == "not-run"
    assert (tmp_path / "smoke" / "report.html").exists()
    for path in cut:
        path.unlink()
    assert here("reproduce", "--preset", "smoke", "--only", "ood", "--out", tmp_path).returncode == 0


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("regular --steps 0", "steps = 0: choose a whole number >= 1"),
        ("regular --episodes 5", "5 episodes of 4 queries; choose at least 100 of 1"),
        ("regular --seed -1", "seed = -1; choose a seed >= 0"),
        ("regular --points 0", "context = 0: choose a whole number >= 1"),
        ("depth --layers 0", "layers = 0: choose a whole number >= 1"),
        ("ood --shift -1", "shift = (-1.0,); choose numbers >= 0"),
        ("ood --variant task_B_regular --shift 0", "shift = (0.0,); choose numbers > 0"),
        ("context_length --tested 64", "choose fewer points, or the variant no_pos"),
        ("context_length --tested 0", "choose whole numbers >= 1"),
        ("plateau --members 0", "members = 0; choose at least 1 network"),
        ("plateau --every 0", "validate_every = 0: choose a whole number >= 1"),
        ("ablations --variant nothing", "nothing"),
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
