"""The real command line at smoke size: verdicts, resume, determinism, and one clear line for each user error."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from repro_shared.cells import sha256_json


def aen_sae(*arguments, **kwargs):
    """Run the command in a process of its own, offline."""
    command = [sys.executable, "-c", "from aen_sae.cli import main; main()", *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"} | kwargs.pop("env", {})
    return subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)


def digests(out: Path) -> dict[str, str]:
    """Everything that was recorded, except when and where."""
    found = {}
    for path in sorted(out.glob("smoke/*/cells/*.json")):
        content = json.loads(path.read_text())
        content.pop("timing")
        found[f"{path.parts[-3]}/{path.stem}"] = hashlib.sha256(
            json.dumps(content, sort_keys=True).encode()
        ).hexdigest()
    return found


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """One smoke run with two workers, shared by the tests below."""
    out = tmp_path_factory.mktemp("results")
    done = aen_sae("reproduce", "--preset", "smoke", "--jobs", 2, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def test_smoke_runs_everything_and_decides_nothing(reproduced):
    out, done = reproduced
    claims = json.loads((out / "smoke" / "claims.json").read_text())
    assert {claim["verdict"] for claim in claims} <= {"inconclusive", "not-run"}
    assert not [claim["id"] for claim in claims if claim["verdict"] == "not-run"]
    for experiment in ("theory", "spiked", "llm"):
        run = json.loads((out / "smoke" / experiment / "run.json").read_text())
        assert run["status"] == "done" and run["figures"]
        for figure in run["figures"]:
            assert (out / "smoke" / experiment / "figures" / f"{figure['name']}.png").stat().st_size > 5_000
    html = (out / "smoke" / "report.html").read_text()
    assert all(claim["id"] in html for claim in claims)
    assert "C1-coherence-starves-published" in done.stdout


def test_figures_named_by_claims_exist(reproduced):
    out, _ = reproduced
    for claim in json.loads((out / "smoke" / "claims.json").read_text()):
        if claim["figure"]:
            assert (out / "smoke" / claim["experiment"] / "figures" / f"{claim['figure']}.png").exists(), claim["id"]


def test_metrics_are_tidy_and_finite_where_they_must_be(reproduced):
    out, _ = reproduced
    metrics = pd.read_csv(out / "smoke" / "spiked" / "metrics.csv")
    assert {"cell", "method", "metric", "step", "value"} <= set(metrics.columns)
    l0 = metrics[metrics["metric"] == "l0"]
    assert l0["value"].between(0, 32).all() and l0["step"].isna().all()
    assert set(metrics["method"]) == {
        "l1", "elastic_net", "adaptive_lasso", "aen", "topk", "topk_auxk", "batchtopk", "jumprelu", "gated",
    }  # fmt: skip


def test_a_second_run_runs_no_cell_again(reproduced):
    out, _ = reproduced
    before = {path: path.stat().st_mtime_ns for path in out.glob("smoke/*/cells/*.json")}
    again = aen_sae("reproduce", "--preset", "smoke", "--out", out)
    assert again.returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("smoke/*/cells/*.json")}


def test_equal_seeds_give_equal_cells_with_one_worker_or_two_and_after_a_kill(reproduced, tmp_path):
    out, _ = reproduced
    command = [sys.executable, "-c", "from aen_sae.cli import main; main()", "reproduce", "--preset", "smoke"]
    command += ["--only", "spiked", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("smoke/spiked/cells/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    some = {path: path.stat().st_mtime_ns for path in tmp_path.glob("smoke/spiked/cells/*.json")}
    expected = {name: digest for name, digest in digests(out).items() if name.startswith("spiked/")}
    assert 0 < len(some) < len(expected)
    assert aen_sae("reproduce", "--preset", "smoke", "--only", "spiked", "--out", tmp_path).returncode == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in some.items())
    assert digests(tmp_path) == expected


def test_another_seed_gives_other_numbers(reproduced):
    out, _ = reproduced
    table = pd.read_csv(out / "smoke" / "spiked" / "metrics.csv")
    rows = table[(table["metric"] == "explained_variance") & (table["method"] == "l1") & (table["init"] == "published")]
    assert rows["value"].nunique() == len(rows)


def test_smoke_results_are_not_published(reproduced):
    out, _ = reproduced
    before = (Path(__file__).parents[1] / "README.md").read_bytes()
    done = aen_sae("report", "--preset", "smoke", "--publish", "--out", out)
    assert done.returncode == 2 and "smoke results decide nothing" in done.stderr
    assert before == (Path(__file__).parents[1] / "README.md").read_bytes()


def test_a_report_of_cells_from_other_code_says_so(reproduced, tmp_path):
    out, _ = reproduced
    shutil.copytree(out / "smoke", tmp_path / "smoke")
    for path in (tmp_path / "smoke" / "theory" / "cells").glob("*.json"):
        content = json.loads(path.read_text())
        timing = content.pop("timing")
        content.pop("sha256")
        content["fingerprint"] = "0" * 16
        path.write_text(json.dumps(content | {"sha256": sha256_json(content), "timing": timing}))
    done = aen_sae("report", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0
    assert "theory: 10 of 10 cells are not there (the code has changed)" in done.stderr
    html = (tmp_path / "smoke" / "report.html").read_text()
    assert "<b>Incomplete:</b> 10 of 10 cells" in html and 'id="theory-lipschitz"' not in html
    claims = {claim["id"]: claim for claim in json.loads((tmp_path / "smoke" / "claims.json").read_text())}
    assert (
        claims["C3-lipschitz"]["verdict"] == "not-run" and "reproduce --preset smoke" in claims["C3-lipschitz"]["why"]
    )
    assert claims["C8-differentiable"]["verdict"] == "inconclusive"


def test_one_cell_with_settings_of_ones_own(tmp_path):
    arguments = (
        "--method",
        "topk",
        "--k",
        "3",
        "--n",
        "16",
        "--d",
        "32",
        "--active",
        "3",
        "--steps",
        "60",
        "--window",
        "20",
    )
    done = aen_sae("run", "spiked", *arguments, "--eval-samples", "500", "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "explained_variance" in done.stdout


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("reproduce", "--preset", "smoke", "--device", "cuda:9"), "use --device cpu"),
        (("run", "spiked", "--device", "gpu"), "use --device cpu"),
        (("reproduce", "--preset", "smoke", "--jobs", "0"), "1 or more"),
        (("report", "--preset", "smoke"), "run `reproduce` first"),
        (("run", "llm", "--model", "random"), "choose one of them"),  # of its blocks
        (
            ("run", "llm", "--model", "random", "--layer", "0", "--text-dir", "/nowhere"),
            "no .txt, .md or .rst file found",
        ),
        (("reproduce", "--preset", "smoke", "--only"), "--only needs at least one of"),
        (("reproduce", "--preset", "smoke", "--out", "/proc/nowhere"), "/proc/nowhere"),
        (("run", "llm", "--model", "nobody/nothing"), "nobody/nothing"),
        (("reproduce", "--preset", "smoke", "--scheduler", "tcp://127.0.0.1:9", "--only", "theory"), "Dask"),
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(arguments, says, tmp_path):
    if "--out" not in arguments:
        arguments = (arguments[0], "--out", tmp_path, *arguments[1:])
    done = aen_sae(*arguments)
    assert done.returncode == 2, (done.stdout + done.stderr)[-2000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("aen-sae: ")]
    assert says in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("spiked", "--method", "topk", "--k"), "needs at least one value of k"),
        (("spiked", "--rho", "1.5"), "choose 0"),
        (("spiked", "--ema-decay", "1.5"), "choose values in [0, 1)"),
        (("spiked", "--method", "topk", "--k", "300"), "choose 1 <= k <= d"),
        (("llm", "--train-windows", "0"), "give skip_documents > 0"),
        (("llm", "--steps", "5", "--window", "9"), "choose 1 <= window <= steps"),
        (("theory", "--active", "300"), "choose 1 <= active"),
        (("spiked", "--l1", "nan"), "choose coefficients >= 0"),
        (("spiked", "--n", "0"), "n = 0; choose numbers > 0"),
        (("spiked", "--batch-size", "0"), "batch_size = 0; choose numbers > 0"),
        (("spiked", "--lr", "-1"), "lr = -1.0; choose numbers > 0"),
        (("spiked", "--eval-samples", "0"), "eval_samples = 0; choose numbers > 0"),
        (("spiked", "--method"), "choose at least one of l1"),
        (("spiked", "--method", "jumprelu", "--jumprelu-l0", "-3"), "jumprelu_l0 = (-3.0,); choose numbers > 0"),
        (("theory", "--n", "0"), "n = 0; choose numbers > 0"),
        (("llm", "--lr", "inf"), "lr = inf; choose numbers > 0"),
    ],
)
def test_impossible_settings_say_what_to_choose(arguments, says):
    done = aen_sae("run", *arguments)
    words = " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert done.returncode == 2 and says in words and "Traceback" not in words


def test_an_unknown_preset_exits_with_2():
    done = aen_sae("reproduce", "--preset", "huge")
    assert done.returncode == 2 and "smoke" in done.stdout + done.stderr


def test_the_paper_preset_without_a_network_says_so(tmp_path):
    done = aen_sae(
        "run", "--out", tmp_path, "llm", "--model", "EleutherAI/pythia-70m-deduped", "--l1", "0.001",
        "--dataset", "EleutherAI/the_pile_deduplicated", env={"HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2 and "pythia-70m-deduped" in done.stderr and "Traceback" not in done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['aen-sae', '--help']\n"
        "from aen_sae.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'sae_lens', 'transformers', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]")
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))


def test_theory_and_spiked_run_where_sae_lens_is_absent(tmp_path):
    code = (
        "import sys; sys.modules['sae_lens'] = None; sys.modules['transformers'] = None\n"
        "from dataclasses import replace; from pathlib import Path\n"
        "from aen_sae.experiments import spiked, theory\n"
        "cell = next(c for c in spiked.PRESETS['smoke'] if 'l1' in c.method)\n"
        f"scratch = Path({str(tmp_path)!r})\n"
        "assert len(spiked.run(cell, scratch)) == 12, len(spiked.run(cell, scratch))\n"
        "assert theory.run(theory.PRESETS['smoke'][0], scratch)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
