"""All benchmarks of this paper: `make bench-aen-sae`. One process, one thread, ours and the peer in turns.

An entry's ratio is ours / peer in its unit, beside the target that was set before measuring.
"""

import json
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from repro_shared.provenance import machine

BENCHMARKS = ("bench_stacked", "bench_saelens", "bench_extraction")


def main(out: Path) -> None:
    """Run all, print a table and write it to `out` (bench.json)."""
    import torch

    torch.set_num_threads(1)
    entries = []
    for name in BENCHMARKS:
        print(f"{name} ...", flush=True)
        entries += [entry | {"machine": machine()} for entry in import_module(name).run()]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(entries, indent=1) + "\n")
    table = Table("what", "ours", "peer", "unit", "ratio", "target", title="speed, one thread")
    for entry in entries:
        numbers = (f"{entry['ours']:.3g}", f"{entry['peer']:.3g} ({entry['peer_name']})")
        table.add_row(entry["name"], *numbers, entry["unit"], f"{entry['ratio']:.2f}", entry["target"])
    Console().print(table)
    print(f"written to {out}")
