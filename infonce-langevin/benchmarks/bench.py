"""All benchmarks of this paper: `make bench-infonce-langevin`. One process, one thread, ours and the peer in turns."""

from pathlib import Path

from repro_shared.benchmarks import run_benchmarks

BENCHMARKS = ("bench_simulator",)


def main(out: Path, readme: Path | None = None) -> None:
    """Run all, print a table and write it to `out` (bench.json), and to the block of `readme` if there is one."""
    run_benchmarks(BENCHMARKS, out, readme, ("torch",))
