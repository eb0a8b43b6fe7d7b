"""Benchmarks: the ratio, what is marked as missed, one thread, and the tables that the READMEs show."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from repro_shared import UserError
from repro_shared.benchmarks import BLOCK, COLUMNS, MARKS, cells, circumstances, cpu_seconds, entry, in_turns, publish

HEAD = f"| {' | '.join(COLUMNS)} |"
READMES = [path for path in Path(__file__).parents[2].glob("*/README.md") if HEAD in path.read_text()]


def work(target: str, **numbers) -> dict:
    return entry(
        **({"name": "work", "ours": 0.5, "peer": 6.0, "peer_name": "another", "unit": "s"} | numbers), target=target
    )


def test_times_are_better_when_small_and_rates_when_large():
    assert work("none")["ratio"] == 12 and work("none", unit="steps/s")["ratio"] == pytest.approx(1 / 12)


def test_turns_alternate_after_one_call_of_each_and_medians_are_of_the_clock():
    calls, now = [], iter(range(100))
    mine, theirs = in_turns(lambda: calls.append("ours"), lambda: calls.append("peer"), 3, lambda: next(now) ** 2)
    assert calls == ["ours", "peer"] * 4
    assert (mine, theirs) == ((2 * 8 + 1), (2 * 10 + 1))  # k-th call: (2k + 1)^2 - (2k)^2 = 4k + 1


def test_seconds_are_those_of_the_processor():
    import time

    assert cpu_seconds(lambda: time.sleep(0.3)) < 0.1 < 0.3 <= cpu_seconds(lambda: time.sleep(0.3), time.perf_counter)


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
def test_a_target_is_met_when_all_its_conditions_hold(target, met):
    assert work(target)["met"] is met


@pytest.mark.parametrize("target", ["", ">= 10", "ratio => 10", "ratio >= 10 ours <= 0.4 s", "theirs <= 1"])
def test_a_target_that_cannot_be_read_is_not_taken_as_met(target):
    with pytest.raises(ValueError, match="write 'ratio >= 10"):
        work(target)


def test_the_table_goes_between_its_marks_and_misses_are_marked(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    targets = ("ratio >= 10, ours <= 0.6 s", "ratio >= 20", "none: a measurement")
    machine = {"cpu": "a processor", "cores": 2, "python": "3.12.1"}
    for _ in range(2):  # the second time over the first
        publish(readme, [work(target) for target in targets], circumstances(machine, ("numpy",), 0.04, 1.1))
    before, mark, head, rule, *rows, empty, run, end, after = readme.read_text().splitlines()
    assert (before, mark, empty, end, after) == ("before", "<!-- bench:begin -->", "", "<!-- bench:end -->", "after")
    assert rows == [
        "| work | 0.5 s | 6 s: another | 12 | ratio >= 10, ours <= 0.6 s | ✓ met |",
        "| work | 0.5 s | 6 s: another | 12 | ratio >= 20 | ✗ missed |",
        "| work | 0.5 s | 6 s: another | 12 | none: a measurement | — |",
    ]
    assert re.fullmatch(
        r"1 of 2 targets met · CPU time on one thread of a processor with 2 cores, Python 3\.12\.1, "
        rf"numpy {re.escape(version('numpy'))} · "
        r"\d{4}-\d\d-\d\d · load average 0\.0 before the run and 1\.1 after it \(its own is 1\)",
        run,
    )


def test_everything_runs_on_one_thread_libraries_that_are_loaded_late_included(tmp_path):
    (tmp_path / "bench_probe.py").write_text(
        "from threadpoolctl import threadpool_info\n"
        "def run():\n"
        "    import scipy.linalg\n"
        "    pools = [pool['num_threads'] for pool in threadpool_info()]\n"
        "    from repro_shared.benchmarks import entry\n"
        "    return [entry('x', max(pools), len(pools), '', '', 'ours <= 1, peer >= 2')]\n"
    )
    code = (
        f"import sys; from pathlib import Path; sys.path[:0] = [{str(tmp_path)!r}]\n"
        "from repro_shared.benchmarks import run_benchmarks\n"
        f"run_benchmarks(('bench_probe',), Path({str(tmp_path)!r}) / 'bench.json')"
    )
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, env=free, capture_output=True)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["entries"][0]["met"] and written["machine"]["cores"] >= 1, written


def test_a_readme_without_the_marks_is_refused(tmp_path):
    (readme := tmp_path / "README.md").write_text("<!-- bench:end -->\n<!-- bench:begin -->\n")
    with pytest.raises(UserError, match="needs the lines <!-- bench:begin --> and <!-- bench:end -->"):
        publish(readme, [work("none")], "")


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_the_table_in_a_readme_is_of_that_format_and_says_what_was_missed(readme):
    block = BLOCK.search(readme.read_text())[0].splitlines()
    head, rule, *rows, empty, run = block[1:-1]
    assert head == HEAD and len(rows) > 3 and empty == ""
    entries = []
    for row in rows:
        name, ours, peer, ratio, target, mark = (cell.strip() for cell in row.strip("|").split("|"))
        (ours, unit), (peer, peer_name) = ours.split(" ", 1), peer.split(": ", 1)
        found = entry(name, float(ours), float(peer.removesuffix(unit)), peer_name, unit, target)
        assert found["ratio"] == pytest.approx(float(ratio), rel=0.02)
        assert row == f"| {' | '.join(cells(found | {'ratio': float(ratio)}))} |" and MARKS[found["met"]] == mark
        entries.append(found)
    met, count = (sum(found["met"] is value for found in entries) for value in (True, False))
    assert run.startswith(f"{met} of {met + count} targets met · CPU time on one thread of ") and "load average" in run
