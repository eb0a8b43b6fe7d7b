"""The README: its code runs, its commands exist, its numbers are those of the committed results."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from repro_shared.report import measured_text

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text()
RESULTS = FOLDER / "RESULTS.json"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_code_block_runs(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_file_of_the_package_is_in_the_readme():
    modules = {path.name for path in (FOLDER / "src" / "aen_sae").glob("*.py")} - {"__init__.py", "seeds.py"}
    assert modules <= set(re.findall(r"`(\w+\.py)`", README))


def test_results_in_the_readme_are_the_committed_ones():
    claims = json.loads(RESULTS.read_text())["claims"]
    published = (FOLDER / "RESULTS.md").read_text()
    for claim in claims:
        (row,) = [line for line in README.splitlines() if line.startswith("|") and claim["id"] in line]
        assert measured_text(claim) in row and claim["verdict"] in row
        assert claim["id"] in published and claim["why"] in published


def test_committed_figures_exist_and_are_small():
    for figure in json.loads(RESULTS.read_text())["figures"]:
        assert 1_000 < (FOLDER / figure).stat().st_size <= 150_000
