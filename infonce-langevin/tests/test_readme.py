"""The README: its code runs, its commands exist, its claims do, and its numbers are those of the committed results."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from infonce_langevin import cli
from infonce_langevin.claims import CLAIMS
from repro_shared.report import measured_text

FOLDER = Path(__file__).parents[1]

README = (FOLDER / "README.md").read_text()
RESULTS = FOLDER / "RESULTS.json"
COMMANDS = [line.split(" #")[0] for line in README.splitlines() if re.match(r" {4}infonce-langevin ", line)]
committed = pytest.mark.skipif(not RESULTS.exists(), reason="no results are committed yet")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_code_block_runs(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_understood(command, monkeypatch):
    understood = []
    for name in ("reproduce", "report", "bench"):
        monkeypatch.setattr(cli, name, understood.append)

    def stop(cells, force):
        understood.extend(cells)
        raise SystemExit(0)

    monkeypatch.setattr(cli, "_require_devices", stop)  # where `run` has its settings and has done nothing yet
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    try:
        cli.main()
    except SystemExit as end:
        assert end.code == 0
    assert len(understood) == 1


def test_there_are_commands_and_make_targets():
    assert {command.split()[1] for command in COMMANDS} == {"reproduce", "run", "report"}
    makefile = (FOLDER.parent / "Makefile").read_text()
    for verb in re.findall(r"^ {4}make (\w+)-infonce-langevin", README, re.MULTILINE):
        assert re.search(rf"^{verb}-%:", makefile, re.MULTILINE), verb


def test_every_file_of_the_package_is_in_the_readme():
    package = FOLDER / "src" / "infonce_langevin"
    named = set(re.findall(r"`(\w+(?:\.py|/))`", README))
    assert {path.name for path in package.glob("*.py")} - {"__init__.py"} <= named
    assert {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()} <= named
    assert all((package / name).exists() for name in named)


def test_every_name_that_it_offers_for_your_own_work_exists():
    import infonce_langevin

    (sentence,) = re.findall(r"Other parts: (.*?)\.\n\n", README, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) <= set(infonce_langevin.__all__)


def test_every_claim_that_the_text_mentions_exists():
    """`C4-critical` names a claim, `C10` a group of them."""
    ids = {claim.id for claim in CLAIMS}
    mentioned = re.findall(r"\bC\d+-[a-z0-9]+(?:-[a-z0-9]+)*", README)
    assert mentioned and set(mentioned) <= ids
    assert set(re.findall(r"\bC\d+\b", README)) <= {id.split("-")[0] for id in ids}


def test_there_is_one_place_for_the_results():
    assert README.count("<!-- results:begin -->") == README.count("<!-- results:end -->") == 1


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
