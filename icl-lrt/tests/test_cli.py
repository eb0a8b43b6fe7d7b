"""The real command line at smoke size: verdicts, resume, determinism, settings of one's own."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from commands import MAIN, one_line, smoke_cells, stamps

from icl_lrt import cli
from icl_lrt.cli import EXPERIMENTS
from icl_lrt.experiments.trained import MODELS_FOLDER
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
    regular = metrics(out, "regular").query("metric in ('bce', 'bayes_bce', 'oracle_bce')").astype({"value": float})
    by = regular.pivot_table(index="variant", columns="metric", values="value")
    assert (by["bce"] > by["bayes_bce"]).all() and (by["bayes_bce"] > by["oracle_bce"]).all()
    plateau = metrics(out, "plateau")
    losses = plateau[plateau["metric"] == "validation_loss"]
    assert sorted(losses["step"].unique()) == [20, 40, 60] and losses["seed"].nunique() == 2


def test_workers_have_one_thread(reproduced):
    out, _ = reproduced
    timings = [json.loads(path.read_text())["timing"] for path in out.glob("smoke/*/cells/*.json")]
    assert {timing["threads"] for timing in timings} == {1}


def test_networks_are_kept_once_and_nothing_else_is_left_behind(reproduced):
    """`regular`, `ood`, `mechanism` and `dynamics` look at the same networks."""
    out, _ = reproduced
    kept = {path.name for path in out.rglob("*.safetensors")}
    assert kept == {path.name for path in (out / "smoke" / "models").glob("*.safetensors")}
    shared = {cell.recipe() for name in ("regular", "ood", "mechanism", "dynamics") for cell in smoke_cells(name)}
    assert len([name for name in kept if "-seed0-" in name and name.startswith("task_B_regular-tiny")]) >= 1
    assert len(shared) == 2 and not list(out.glob("smoke/*/scratch/*"))


# ---- resume


def test_a_second_run_runs_no_cell_again(reproduced, here, tmp_path):
    out, _ = reproduced
    log = RunLog("icl-lrt", "smoke", out, "icl-lrt")
    for name in EXPERIMENTS:
        module = import_module(f"icl_lrt.experiments.{name}")
        assert log.experiment(name, module, module.PRESETS["smoke"]).pending() == []
    shutil.copytree(out / "smoke" / "ablations", tmp_path / "smoke" / "ablations")
    before = stamps(tmp_path)
    again = here("reproduce", "--preset", "smoke", "--only", "ablations", "--out", tmp_path)
    count = len(smoke_cells("ablations"))
    assert again.returncode == 0 and f"ablations: {count} of {count} cells are there, 0 to run" in again.stderr
    assert before == stamps(tmp_path) and len(before) == count


def test_equal_seeds_give_equal_cells_with_one_worker_or_two_and_after_a_kill(reproduced, here, environment, tmp_path):
    out, _ = reproduced
    arguments = ["reproduce", "--preset", "smoke", "--only", "ablations", "depth", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [*MAIN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "smoke" / "depth" / "scratch").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)  # depth trains its first network
    process.wait()
    some = stamps(tmp_path)
    names = ("depth/", "ablations/")
    expected = {name: digest for name, digest in digests(out).items() if name.startswith(names)}
    assert 0 < len(some) < len(expected)
    assert json.loads((tmp_path / "smoke" / "depth" / "run.json").read_text())["status"] == "running"
    done = here(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert some.items() <= stamps(tmp_path).items()
    assert digests(tmp_path) == expected
    assert not list(tmp_path.glob("smoke/depth/scratch/*"))


def test_only_what_was_asked_for_is_run(here, tmp_path):
    done = here("reproduce", "--preset", "smoke", "--only", "depth", "--out", tmp_path)
    assert done.returncode == 0
    assert {path.parent.parent.name for path in tmp_path.glob("smoke/*/cells/*.json")} == {"depth"}
    claims = json.loads((tmp_path / "smoke" / "claims.json").read_text())
    verdicts = {claim["experiment"]: claim["verdict"] for claim in claims}
    assert verdicts["depth"] == "inconclusive"
    assert {verdicts[name] for name in set(EXPERIMENTS) - {"depth"}} == {"not-run"}
    count = len(smoke_cells("ood"))
    assert f"ood: {count} of {count} cells are not there (not run yet)" in done.stderr
    assert "`icl-lrt reproduce --preset smoke` runs them" in done.stderr


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
    for experiment in ("ood", "depth"):
        shutil.copytree(out / "smoke" / experiment, tmp_path / "smoke" / experiment)
    for path in (tmp_path / "smoke" / "ood" / "cells").glob("*.json"):
        content = json.loads(path.read_text())
        timing = content.pop("timing")
        content.pop("sha256")
        content["fingerprint"] = "0" * 16
        path.write_text(json.dumps(content | {"sha256": sha256_json(content), "timing": timing}))
    before = stamps(tmp_path)
    done = here("report", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0 and stamps(tmp_path) == before
    count = len(smoke_cells("ood"))
    assert f"ood: {count} of {count} cells are not there (the code has changed)" in done.stderr
    html = (tmp_path / "smoke" / "report.html").read_text()
    assert f"<b>Incomplete:</b> {count} of {count} cells" in html
    assert 'id="ood-shift"' not in html and 'id="depth-depth"' in html
    claims = {claim["id"]: claim for claim in json.loads((tmp_path / "smoke" / "claims.json").read_text())}
    assert claims["C4-loses"]["verdict"] == "not-run" and "reproduce --preset smoke" in claims["C4-loses"]["why"]
    assert claims["C6-depth-one-layer"]["verdict"] == "inconclusive"


def test_a_report_before_any_run_says_so(here, tmp_path):
    assert f"nothing is recorded in {tmp_path / 'default'}: run `reproduce` first" in one_line(
        here("report", "--out", tmp_path)
    )


# ---- settings of one's own


TINY = "--size tiny --steps 20 --episodes 100 --queries 2".split()


def printed(done: subprocess.CompletedProcess) -> dict[str, list[str]]:
    """Name -> values of the records, in the table that `run` prints."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines()[1:-1]]
    return {name: values for name, *values in rows}


def test_one_cell_with_settings_of_ones_own(here, tmp_path):
    done = here("run", "depth", *TINY, "--variant", "no_pos", "--layers", "3", "--seed", "5", "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"recorded in {tmp_path / 'run' / 'depth'}" in done.stdout
    (cell,) = (tmp_path / "run" / "depth" / "cells").glob("*.json")
    config = json.loads(cell.read_text())["config"]
    assert (config["variant"], config["layers"], config["seed"], config["steps"]) == ("no_pos", 3, 5, 20)
    assert config["method"] == "multi_query"  # a default
    (kept,) = (tmp_path / "run" / "models").glob("*.safetensors")
    assert kept.name.startswith("no_pos-tiny-seed5-")
    curves = pd.read_csv(tmp_path / "run" / "depth" / "metrics.csv")
    (loss,) = curves[(curves["metric"] == "validation_loss") & (curves["step"] == 20)]["value"]
    assert float(*printed(done)["validation_loss, last"]) == pytest.approx(float(loss), rel=1e-4)


@pytest.mark.parametrize(
    "experiment, settings, label, members",
    [
        ("ood", ["--shift", "1", "4"], "shift", ["1.0", "4.0"]),
        ("context_length", ["--variant", "no_pos", "--tested", "4", "20"], "tested", ["4", "20"]),
        ("plateau", ["--members", "2", "--seed", "3", "--every", "10"], "seed", ["3", "4"]),
    ],
)
def test_a_cell_of_several_members_shows_the_numbers_of_each(experiment, settings, label, members, here, tmp_path):
    done = here("run", experiment, *TINY, *settings, "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    shown = printed(done)
    assert shown[label] == members and len(set(shown["accuracy"])) == 2
    recorded = pd.read_csv(tmp_path / "run" / experiment / "metrics.csv")
    rows = recorded[recorded["metric"] == "bayes_bce"].sort_values(label)
    assert [float(value) for value in rows["value"]] == pytest.approx([*map(float, shown["bayes_bce"])], rel=1e-4)


def test_the_folder_of_one_cell_may_come_first(here, tmp_path):
    done = here("run", "--out", tmp_path, "depth", *TINY, "--layers", "1")
    assert done.returncode == 0 and f"recorded in {tmp_path / 'run' / 'depth'}" in done.stdout, done.stderr[-2000:]


def test_networks_may_be_kept_elsewhere(here, tmp_path, monkeypatch):
    """A network of another run, with the same settings and code, is taken as it is."""
    assert here("run", "depth", *TINY, "--out", tmp_path / "first").returncode == 0
    folder = tmp_path / "first" / "run" / "models"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    monkeypatch.setattr(cli, "_keep_networks", lambda _: monkeypatch.setenv(MODELS_FOLDER, str(folder)))
    assert here("run", "ablations", *TINY, "--out", tmp_path / "second").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")} == before
    assert not (tmp_path / "second" / "run" / "models").exists()


def test_seeds_are_counted_from_zero_in_every_experiment():
    for name in EXPERIMENTS:
        preset = import_module(f"icl_lrt.experiments.{name}").PRESETS["default"]
        cells = cli._cells(preset, 2, None)
        seeds = sorted({seed for cell in cells for seed in range(cell.seed, cell.seed + getattr(cell, "members", 1))})
        assert seeds == [0, 1] and len(cells) == len(set(cells)), name
        assert cli._cells(preset, None, None) == preset
        assert {cell.device for cell in cli._cells(preset, None, "meta")} == {"meta"}


def test_the_seeds_of_default_are_not_those_that_the_recipe_was_chosen_on():
    for name in EXPERIMENTS:
        presets = import_module(f"icl_lrt.experiments.{name}").PRESETS
        assert min(cell.seed for cell in presets["default"]) == 3, name
        assert min(cell.seed for cell in presets["paper"]) == 0, name


def test_more_seeds_are_other_cells_and_a_report_of_them_needs_to_be_told(here, tmp_path):
    arguments = ("--preset", "smoke", "--out", tmp_path)
    done = here("reproduce", *arguments, "--only", "depth", "--seeds", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(stamps(tmp_path)) == 2 * len(smoke_cells("depth"))
    assert "cells of depth" not in here("report", *arguments, "--seeds", "2").stderr
    seeds = pd.read_csv(tmp_path / "smoke" / "depth" / "metrics.csv")["seed"]
    assert sorted(set(seeds)) == [0, 1]
