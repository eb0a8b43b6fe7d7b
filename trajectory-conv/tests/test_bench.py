"""The benchmarks' table: its format, what is marked as missed, and the one that the README shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from repro_shared import UserError

FOLDER = Path(__file__).parents[1]
README = FOLDER / "README.md"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER / "benchmarks")
    import bench

    yield bench
    sys.modules.pop("bench")


def entry(bench, target, **numbers):
    made = {"name": "work", "ours": 0.5, "peer": 6.0, "peer_name": "another", "unit": "s", "ratio": 12.0} | numbers
    made["target"] = target
    return made | {"met": bench.met(made)}


@pytest.mark.parametrize(
    ("target", "met"),
    [
        ("ratio >= 10", True),
        ("ratio >= 12.1", False),
        ("ours <= 0.5 s", True),
        ("ours <= 4e-1 s", False),
        ("ratio >= 10, ours <= 0.4 s", False),
        ("peer <= 5.9 s", False),
        ("none: a measurement", None),
    ],
)
def test_a_target_is_met_when_all_its_conditions_hold(bench, target, met):
    assert entry(bench, target)["met"] is met


@pytest.mark.parametrize("target", ["", ">= 10", "ratio => 10", "ratio >= 10 ours <= 0.4 s", "theirs <= 1"])
def test_a_target_that_cannot_be_read_is_not_taken_as_met(bench, target):
    with pytest.raises(ValueError, match="write 'ratio >= 10"):
        entry(bench, target)


def test_the_table_goes_between_its_marks_and_misses_are_marked(bench, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    targets = ("ratio >= 10, ours <= 0.6 s", "ratio >= 20", "none: a measurement")
    machine = {"cpu": "a processor", "cores": 2, "python": "3.12.1"}
    for _ in range(2):  # the second time over the first
        bench.publish(readme, [entry(bench, target) for target in targets], bench.circumstances(machine, 0.04, 1.1))
    before, mark, head, rule, *rows, empty, run, end, after = readme.read_text().splitlines()
    assert (before, mark, empty, end, after) == ("before", "<!-- bench:begin -->", "", "<!-- bench:end -->", "after")
    assert rows == [
        "| work | 0.5 s | 6 s: another | 12 | ratio >= 10, ours <= 0.6 s | ✓ met |",
        "| work | 0.5 s | 6 s: another | 12 | ratio >= 20 | ✗ missed |",
        "| work | 0.5 s | 6 s: another | 12 | none: a measurement | — |",
    ]
    assert re.fullmatch(
        r"1 of 2 targets met · CPU time on one thread of a processor with 2 cores, Python 3\.12\.1, JAX [\d.]+ · "
        r"\d{4}-\d\d-\d\d · load average 0\.0 before the run and 1\.1 after it \(its own is 1\)",
        run,
    )


def test_everything_runs_on_one_thread_libraries_that_are_loaded_late_included(tmp_path):
    (tmp_path / "bench_probe.py").write_text(
        "from threadpoolctl import threadpool_info\n"
        "def run():\n"
        "    import scipy.linalg\n"
        "    pools = [pool['num_threads'] for pool in threadpool_info()]\n"
        "    numbers = {'ours': max(pools), 'peer': len(pools), 'ratio': 1.0}\n"
        "    return [{'name': 'x', 'peer_name': '', 'unit': '', 'target': 'ours <= 1, peer >= 2'} | numbers]\n"
    )
    code = (
        f"import sys; from pathlib import Path; sys.path[:0] = [{str(FOLDER / 'benchmarks')!r}, {str(tmp_path)!r}]\n"
        f"import bench; bench.BENCHMARKS = ('bench_probe',); bench.main(Path({str(tmp_path)!r}) / 'bench.json')"
    )
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, env=free, capture_output=True)
    (found,) = json.loads((tmp_path / "bench.json").read_text())
    assert found["met"] and found["machine"]["cores"] >= 1, found


def test_a_readme_without_the_marks_is_refused(bench, tmp_path):
    (readme := tmp_path / "README.md").write_text("<!-- bench:end -->\n<!-- bench:begin -->\n")
    with pytest.raises(UserError, match="needs the lines <!-- bench:begin --> and <!-- bench:end -->"):
        bench.publish(readme, [entry(bench, "none")], "")


def test_the_table_in_the_readme_is_of_that_format_and_says_what_was_missed(bench):
    block = bench.BLOCK.search(README.read_text())[0].splitlines()
    head, rule, *rows, empty, run = block[1:-1]
    assert head == f"| {' | '.join(bench.COLUMNS)} |" and len(rows) > 10 and empty == ""
    entries = []
    for row in rows:
        name, ours, peer, ratio, target, mark = (cell.strip() for cell in row.strip("|").split("|"))
        (ours, unit), (peer, peer_name) = ours.split(" ", 1), peer.split(": ", 1)
        shown = {"name": name, "ours": float(ours), "peer": float(peer.removesuffix(unit)), "ratio": float(ratio)}
        found = entry(bench, target, **shown, unit=unit, peer_name=peer_name)
        assert found["ratio"] == pytest.approx(found["peer"] / found["ours"], rel=0.02)
        assert row == f"| {' | '.join(bench.cells(found))} |" and bench.MARKS[found["met"]] == mark
        entries.append(found)
    met, count = (sum(found["met"] is value for found in entries) for value in (True, False))
    assert run.startswith(f"{met} of {met + count} targets met · CPU time on one thread of ") and "load average" in run
