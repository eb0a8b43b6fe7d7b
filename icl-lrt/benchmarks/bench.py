"""All benchmarks of this paper: `make bench-icl-lrt`. One process, one thread, ours and the peer in turns.

An entry's ratio is how many times faster we are; beside it the target that was set before measuring.
"""

from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from repro_shared.files import storage, write_json
from repro_shared.provenance import machine

BENCHMARKS = ("bench_training",)


def main(out: Path) -> None:
    """Run all, print a table and write it to `out` (bench.json)."""
    from threadpoolctl import threadpool_limits

    with storage(out.parent):  # before the minutes of work
        out.parent.mkdir(parents=True, exist_ok=True)

    entries = []
    with threadpool_limits(1):
        for name in BENCHMARKS:
            print(f"{name} ...", flush=True)
            entries += [entry | {"machine": machine()} for entry in import_module(name).run()]
    with storage(out.parent):
        write_json(out, entries)
    table = Table("what", "ours", "peer", "unit", "ratio", "target", title="speed, one thread")
    for entry in entries:
        numbers = (f"{entry['ours']:.3g}", f"{entry['peer']:.3g} ({entry['peer_name']})")
        table.add_row(entry["name"], *numbers, entry["unit"], f"{entry['ratio']:.2f}", entry["target"])
    Console().print(table)
    print(f"written to {out}")
