"""The README: its code runs, its commands exist, its numbers are those of the committed results."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pinn_scaling.claims import CLAIMS
from pinn_scaling.cli import EXPERIMENTS
from repro_shared.report import measured_text

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text()
RESULTS = FOLDER / "RESULTS.json"
committed = pytest.mark.skipif(not RESULTS.exists(), reason="no results are committed yet")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_code_block_runs(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_file_of_the_package_and_every_experiment_is_in_the_readme():
    modules = {path.name for path in (FOLDER / "src" / "pinn_scaling").glob("*.py")} - {"__init__.py", "seeds.py"}
    assert modules <= set(re.findall(r"`(\w+\.py)`", README))
    assert set(EXPERIMENTS) <= set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))


def test_every_claim_that_the_text_mentions_exists():
    """`C4-kdv` names a claim, `R` or `C9` a group of them."""
    ids = {claim.id for claim in CLAIMS}
    assert set(re.findall(r"\b(?:C\d+|[DKRT])-[a-z0-9]+(?:-[a-z0-9]+)*", README)) <= ids
    assert set(re.findall(r"\bC\d+\b", README)) <= {id.split("-")[0] for id in ids}


@committed
def test_results_in_the_readme_are_the_committed_ones():
    claims = json.loads(RESULTS.read_text())["claims"]
    assert [claim["id"] for claim in claims] == [claim.id for claim in CLAIMS]
    published = (FOLDER / "RESULTS.md").read_text()
    for claim in claims:
        (row,) = [
            line for line in README.splitlines() if line.startswith("|") and re.search(rf"{claim['id']}(?![\w-])", line)
        ]
        assert measured_text(claim) in row and claim["verdict"] in row
        assert claim["id"] in published and claim["why"].replace("|", r"\|").replace("<", r"\<") in published


@committed
def test_committed_results_are_complete_and_not_those_of_smoke():
    results = json.loads(RESULTS.read_text())
    assert results["preset"] in ("default", "paper")
    assert {run["status"] for run in results["experiments"].values()} == {"done"}
    assert "not-run" not in {claim["verdict"] for claim in results["claims"]}


@committed
def test_committed_figures_exist_and_are_small():
    for figure in json.loads(RESULTS.read_text())["figures"]:
        assert 1_000 < (FOLDER / figure).stat().st_size <= 150_000
