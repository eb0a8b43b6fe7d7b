"""Systems with a trap (experiment `traps`)."""

import numpy as np
import pandas as pd

from infonce_langevin.checks.judging import rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, worst
from repro_shared.results import Results

GONE = 0.01
"""Our reading of "tends to 0" at the latest time: a hundredth of what was trapped at first."""
STAYS = 0.05
"""Our reading of "with positive probability", from the trap."""
FAST = 1.5
"""c / c* from which on a limit can be seen: closer to 1 the decay goes on for decades of t."""


def _exact(results: dict[str, Results], kind: str, coupling: str = "decoupled") -> pd.DataFrame:
    return rows(results, "traps", part="exact", kind=kind, coupling=coupling)


def slow(coupling: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Probability to be in the trap at the latest time, from the trap, c <= c*, the most of all grids: at most
        `GONE`.
        """
        table = _exact(results, "trap", coupling)
        table = table[table["ratio"] <= 1]
        by = ", ".join(f"{ratio:g}: {last:.2g}" for ratio, last in table.groupby("ratio")["last"].max().items())
        return worst(table["last"], f"T = {table['horizon'].max():g}. By c / c*: {by}.", most=GONE)

    return check


def fast(kind: str, least: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Probability to be in the trap at the latest time, c >= 1.5 c*, the least of all grids: at least `STAYS` from
        the trap, and a fifth of that from the uniform law, a quarter of which begins in the trap.
        """
        table = _exact(results, kind)
        table = table[table["ratio"] >= FAST]
        by = ", ".join(f"{ratio:g}: {last:.3f}" for ratio, last in table.groupby("ratio")["last"].min().items())
        return worst(table["last"], f"T = {table['horizon'].max():g}. By c / c*: {by}.", least=least)

    return check


def settled(results: dict[str, Results]) -> Finding:
    """How much the same probability falls over the last two decades of time, from the trap: at most .02, so that more
    than half of `STAYS` would be left after two more decades even without a slowing down.
    """
    curves = results["traps"].curves
    curves = curves[(curves["coupling"] == "decoupled") & (curves["kind"] == "trap") & (curves["ratio"] >= FAST)]
    late = curves[curves["step"] >= curves["horizon"] / 100]
    falls = [held["trapped"].iloc[0] - held["trapped"].iloc[-1] for _, held in late.groupby("row")]
    return worst(falls, "c >= 1.5 c*, both temperatures of the loss.", most=0.02)


def read_off(results: dict[str, Results]) -> Finding:
    """c* from the decay of the curve over c* from the minimax path, the largest deviation from 1 of rates 1.25 to 2 c*
    and all grids, smooth energy: at most 10 %; escape rates have corrections of a few per cent at these betas.
    """
    table = _exact(results, "trap")
    table = table[(table["tau"] > 0) & (table["ratio"] >= 1.25) & (table["ratio"] <= 2)]
    off = (table["estimate"].astype(float) / table["critical"] - 1).abs()
    return worst(100 * off, f"c* = {table['critical'].mean():.3f} by the minimax path.", most=10.0)


def chains(results: dict[str, Results]) -> Finding:
    """Share of chains in the trap minus the exact probability, means over seeds, the largest of all rates: at most .02,
    three standard errors of 4,096 chains.
    """
    table = rows(results, "traps", part="chains").astype({"trapped_at_end": float})
    off = (table["trapped_at_end"] - table["exact"]).groupby(table["ratio"]).agg(lambda held: held.mean(skipna=False))
    return worst(off.abs(), f"T = {table['horizon'].max():g}, {len(off)} rates.", most=0.02)


def square_slow(results: dict[str, Results]) -> Finding:
    """Share of chains in the square at the end, c <= c*, the most of the rates, by seed: below `GONE`."""
    table = rows(results, "traps", part="square")
    found = seeds(table[table["ratio"] <= 1], "trapped_at_end", "max")
    return judge(found, f"T = {table['horizon'].max():g}.", supported_below=GONE)


def square_fast(results: dict[str, Results]) -> Finding:
    """Share of chains in the square at the end, c >= 2 c*, the least of the rates, by seed: above `STAYS`."""
    table = rows(results, "traps", part="square")
    found = seeds(table[table["ratio"] >= 2], "trapped_at_end", "min")
    by = ", ".join(f"{r:g}: {held.mean():.3f}" for r, held in table.groupby("ratio")["trapped_at_end"])
    return judge(found, f"T = {table['horizon'].max():g}. By c / c*: {by}.", supported_above=STAYS)


def depth(kind: str, tolerance: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Relative deviation of the depth from its closed form, per cent: rounding where a node lies on the saddle, 1 %
        on the torus, whose grid misses it.
        """
        table = rows(results, "traps", part="depth", kind=kind)
        why = f"d* = {table['depth'].mean():.5f}, c* = {table['critical'].mean():.3f}."
        return worst(100 * table["deviation"], why, most=tolerance)

    return check


def one_number(results: dict[str, Results]) -> Finding:
    """The barrier of Holley, Kusuoka and Stroock minus Hajek's depth, largest of four landscapes: at most 1e-6."""
    table = rows(results, "traps", part="depth")
    return worst(np.abs(table["barrier"] - table["depth"]), f"{len(table)} landscapes.", most=1e-6)
