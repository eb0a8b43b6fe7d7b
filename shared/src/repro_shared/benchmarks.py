"""Speed against named peers: timing in turns, and the table of what was asked and what was met.

A paper's `benchmarks/bench.py` names the modules whose `run() -> list[dict]` gives entries made by `entry`:

    mine, theirs = in_turns(ours, peer)
    entry("all eigenvalues", mine, theirs, "61 products", "s", "ratio >= 5")

One process on one thread. Seconds are CPU seconds of this process: on one thread those of the clock, without the time
that other work had. Where a GPU or other processes do the work, give `time.perf_counter` as the clock.
"""

import os
import re
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from repro_shared import UserError
from repro_shared.files import storage, write_atomic, write_json
from repro_shared.provenance import machine
from repro_shared.workers import THREAD_VARIABLES

CONDITION = re.compile(r"(ratio|ours|peer) (<=|>=) (\d[\d.e-]*)( \S+)?")
MARKS = {True: "✓ met", False: "✗ missed", None: "—"}
COLUMNS = ("what", "ours", "peer", "ratio", "target", "")
BLOCK = re.compile("(<!-- bench:begin -->\n).*?(<!-- bench:end -->)", re.DOTALL)
"""Where the README has its table."""


def cpu_seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """What one call takes."""
    start = clock()
    work()
    return clock() - start


def in_turns(
    ours: Callable[[], object],
    peer: Callable[[], object],
    rounds: int = 7,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, float]:
    """Median seconds of each over `rounds` alternating calls, after one call of each to warm up."""
    seconds = [(cpu_seconds(ours, clock), cpu_seconds(peer, clock)) for _ in range(rounds + 1)]
    mine, theirs = zip(*seconds[1:], strict=True)
    return statistics.median(mine), statistics.median(theirs)


def entry(name: str, ours: float, peer: float, peer_name: str, unit: str, target: str) -> dict:
    """One row. The ratio says how many times better we are: peer / ours for times, ours / peer for rates (".../s").

    `target` was set before measuring: conditions as in "ratio >= 10, ours <= 0.5 s", in the unit of the entry, or a
    reason why there is none ("none: ..."). Raises ValueError where it is neither.
    """
    found = {"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "unit": unit, "target": target}
    found["ratio"] = ours / peer if unit.endswith("/s") else peer / ours
    return found | {"met": _met(found)}


def _met(found: dict) -> bool | None:
    """Whether all conditions of the target hold; None where there is no target."""
    if found["target"].startswith("none"):
        return None
    conditions = [CONDITION.fullmatch(condition) for condition in found["target"].split(", ")]
    if not all(conditions):
        raise ValueError(f"target {found['target']!r} of {found['name']}: write 'ratio >= 10, ours <= 0.5 s' or 'none'")
    return all(
        found[name] <= float(limit) if sign == "<=" else found[name] >= float(limit)
        for name, sign, limit in (condition.groups()[:3] for condition in conditions)
    )


def run_benchmarks(
    modules: Iterable[str], out: Path, readme: Path | None = None, packages: tuple[str, ...] = ()
) -> None:
    """Run these modules one after the other, print a table and write it to `out` (bench.json), and to the block of
    `readme` if there is one, with the versions of `packages`.
    """
    from threadpoolctl import threadpool_limits

    with storage(out.parent):  # before the minutes of work
        out.parent.mkdir(parents=True, exist_ok=True)
    os.environ |= dict.fromkeys(THREAD_VARIABLES, "1")  # read by libraries that are loaded later, in new processes too
    load, entries = os.getloadavg()[0], []
    with threadpool_limits(1):  # those that are there already
        for name in modules:
            print(f"{name} ...", flush=True)
            entries += import_module(name).run()
    where = circumstances(machine(), packages, load, os.getloadavg()[0])
    with storage(out.parent):
        write_json(out, {"circumstances": where, "machine": machine(), "entries": entries})
    table = Table(*COLUMNS, title="speed, one thread")
    for found in entries:
        table.add_row(*cells(found))
    Console().print(table)
    print(f"written to {out}")
    if readme is not None:
        publish(readme, entries, where)


def cells(found: dict) -> tuple[str, ...]:
    """An entry as text, one for each of `COLUMNS`."""
    ours, peer = (f"{found[name]:.3g} {found['unit']}" for name in ("ours", "peer"))
    return (
        found["name"],
        ours,
        f"{peer}: {found['peer_name']}",
        f"{found['ratio']:.3g}",
        found["target"],
        MARKS[found["met"]],
    )


def circumstances(machine: dict, packages: tuple[str, ...], before: float, after: float) -> str:
    """Where, when and beside what a run was made."""
    versions = ", ".join([f"Python {machine['python']}", *(f"{name} {version(name)}" for name in packages)])
    return (
        f"CPU time on one thread of {machine['cpu']} with {machine['cores']} cores, {versions} · "
        f"{datetime.now(UTC):%Y-%m-%d} · "
        f"load average {before:.1f} before the run and {after:.1f} after it (its own is 1)"
    )


def publish(readme: Path, entries: list[dict], circumstances: str) -> None:
    """Write the entries and a line on the run into the block of the README."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, entries)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    count = "{met} of {all} targets met".format(
        met=sum(found["met"] is True for found in entries), all=sum(found["met"] is not None for found in entries)
    )
    text, found = BLOCK.subn(
        lambda block: f"{block[1]}{table}\n\n{count} · {circumstances}\n{block[2]}", readme.read_text()
    )
    if found != 1:
        raise UserError(f"{readme} needs the lines <!-- bench:begin --> and <!-- bench:end -->: the table goes between")
    with storage(readme.parent):
        write_atomic(readme, text)
