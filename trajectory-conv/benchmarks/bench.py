"""All benchmarks of this paper: `make bench-trajectory-conv`. One process, one thread, ours and the peer in turns.

An entry's ratio is peer / ours, so above 1 we are faster; beside it the target that was set before measuring: a reason
why there is none ("none ..."), or conditions as in "ratio >= 10, ours <= 0.5 s", in the unit of the entry.
"""

import os
import re
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

BENCHMARKS = ("bench_trajectories", "bench_constants", "bench_lasso")
CONDITION = re.compile(r"(ratio|ours|peer) (<=|>=) (\d[\d.e-]*)( \w+)?")
MARKS = {True: "✓ met", False: "✗ missed", None: "—"}
BLOCK = re.compile("(<!-- bench:begin -->\n).*?(<!-- bench:end -->)", re.DOTALL)
"""Where the README has its table."""


def main(out: Path, readme: Path | None = None) -> None:
    """Run all, print a table and write it to `out` (bench.json), and to the block of `readme` if there is one."""
    from threadpoolctl import threadpool_limits

    with storage(out.parent):  # before the minutes of work
        out.parent.mkdir(parents=True, exist_ok=True)
    os.environ |= dict.fromkeys(THREAD_VARIABLES, "1")  # read by libraries that are loaded later, in new processes too
    load, entries = os.getloadavg()[0], []
    with threadpool_limits(1):  # those that are there already
        for name in BENCHMARKS:
            print(f"{name} ...", flush=True)
            entries += [entry | {"met": met(entry), "machine": machine()} for entry in import_module(name).run()]
    with storage(out.parent):
        write_json(out, entries)
    table = Table(*COLUMNS, title="speed, CPU time on one thread")
    for entry in entries:
        table.add_row(*cells(entry))
    Console().print(table)
    print(f"written to {out}")
    if readme is not None:
        publish(readme, entries, circumstances(entries[0]["machine"], load, os.getloadavg()[0]))


def met(entry: dict) -> bool | None:
    """Whether all conditions of the target hold; None where there is no target."""
    if entry["target"].startswith("none"):
        return None
    conditions = [CONDITION.fullmatch(condition) for condition in entry["target"].split(", ")]
    if not all(conditions):
        raise ValueError(f"target {entry['target']!r} of {entry['name']}: write 'ratio >= 10, ours <= 0.5 s' or 'none'")
    return all(
        entry[name] <= float(limit) if sign == "<=" else entry[name] >= float(limit)
        for name, sign, limit in (condition.groups()[:3] for condition in conditions)
    )


COLUMNS = ("what", "ours", "peer", "peer / ours", "target", "")


def cells(entry: dict) -> tuple[str, ...]:
    """An entry as text, one for each of `COLUMNS`."""
    ours, peer = (f"{entry[name]:.3g} {entry['unit']}" for name in ("ours", "peer"))
    return (
        entry["name"],
        ours,
        f"{peer}: {entry['peer_name']}",
        f"{entry['ratio']:.3g}",
        entry["target"],
        MARKS[entry["met"]],
    )


def circumstances(machine: dict, before: float, after: float) -> str:
    """Where, when and beside what a run was made."""
    return (
        f"CPU time on one thread of {machine['cpu']} with {machine['cores']} cores, Python {machine['python']}, "
        f"JAX {version('jax')} · {datetime.now(UTC):%Y-%m-%d} · "
        f"load average {before:.1f} before the run and {after:.1f} after it (its own is 1)"
    )


def publish(readme: Path, entries: list[dict], circumstances: str) -> None:
    """Write the entries and a line on the run into the block of the README."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, entries)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    count = "{met} of {all} targets met".format(
        met=sum(entry["met"] is True for entry in entries), all=sum(entry["met"] is not None for entry in entries)
    )
    text, found = BLOCK.subn(
        lambda block: f"{block[1]}{table}\n\n{count} · {circumstances}\n{block[2]}", readme.read_text()
    )
    if found != 1:
        raise UserError(f"{readme} needs the lines <!-- bench:begin --> and <!-- bench:end -->: the table goes between")
    with storage(readme.parent):
        write_atomic(readme, text)
