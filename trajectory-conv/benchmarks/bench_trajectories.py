"""The authors' trajectory studies: ours against plain NumPy on the same work, and what compilation costs."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from plain import ista

from repro_shared.benchmarks import cpu_seconds, entry, in_turns
from trajectory_conv.experiments import cone, convergence, rates
from trajectory_conv.experiments.instances import instances
from trajectory_conv.geometry import cone_ratio, steps_to
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import _advance, _State, find_optimum, solve

CONE = cone.Config(stream="replay")
RIP = convergence.Config(designs=convergence.RIP + convergence.NON_RIP, stream="replay")


def study(problems, iterations: int, compress: bool = True) -> None:
    """ISTA on every problem, with traces, cone ratios and supports."""
    for problem, optimum in problems:
        trace = solve(problem, iterations, "ista", optimum, compress=compress)
        cone_ratio(trace)
        (trace.faces != 0).sum(1)[trace.face]


def prepared(cell, noise: float = 0.0, reference_solve: bool = False):
    """Data, and (problem, optimum) for each instance of a cell."""
    data = list(instances(cell, noise, reference_solve))
    problems = [lasso(i.matrix, i.y, cell.lam) for i in data]
    return data, [(problem, find_optimum(problem).x) for problem in problems]


def against_numpy(name: str, cell, iterations: int, limit: str, rounds: int, **noise) -> dict:
    """The whole study in seconds, from the data on, after compilation; x* is known to both."""
    data, problems = prepared(cell, **noise)

    def ours() -> None:
        fresh = (lasso(i.matrix, i.y, cell.lam) for i in data)
        study(((problem, optimum) for problem, (_, optimum) in zip(fresh, problems, strict=True)), iterations)

    def peer() -> None:
        for instance, (_, optimum) in zip(data, problems, strict=True):
            ista(instance.matrix, instance.y, cell.lam, optimum, iterations)

    seconds = in_turns(ours, peer, rounds)
    return entry(name, *seconds, "plain NumPy, Gram form", "s", limit)


def against_vmap() -> dict:
    """Is one problem after the other with compressed faces better than all designs in one vmapped scan?"""
    _, problems = prepared(CONE)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(problem for problem, _ in problems))
    optima = jnp.stack([jnp.asarray(optimum) for _, optimum in problems])
    zero = jnp.zeros_like(optima)
    scalar = jnp.ones(len(problems))
    state = _State(zero, zero, scalar, jnp.zeros(len(problems), dtype=int), stacked.lipschitz)
    batched = jax.jit(jax.vmap(lambda p, o, s: _advance(p, None, o, s, method="ista", steps=2_000)))

    def peer() -> None:
        jax.block_until_ready(batched(stacked, optima, state))

    ours, theirs = in_turns(partial(study, problems, 2_000), peer, 5)
    return entry(
        "cone study, ISTA, 8 designs x 2,000, traces alone",
        ours,
        theirs,
        "one vmapped scan, no compression",
        "s",
        "none",
    )


def spiked() -> dict:
    """28 problems x 30,000 steps; the peer's time is extrapolated from 300 and 600 steps."""
    cell = convergence.Config(
        part="spiked", designs=convergence.SPIKED, solver=convergence.SOLVERS, iterations=30_000, stream="replay"
    )
    first, ours = (cpu_seconds(lambda: convergence.run(cell, None)) for _ in range(2))  # compiles what is missing
    data, problems = prepared(cell)

    def plain(steps: int) -> None:
        for instance, (_, optimum) in zip(data, problems, strict=True):
            ista(instance.matrix, instance.y, cell.lam, optimum, steps)

    short, long = (len(convergence.SOLVERS) * cpu_seconds(partial(plain, steps)) for steps in (300, 600))
    theirs = short + 99 * (long - short)
    name = f"spiked study, 28 x 30,000, with optima ({first:.1f} s the first time)"
    return entry(name, ours, theirs, "plain NumPy, extrapolated", "s", "ours <= 15 s")


def methods() -> list[dict]:
    """Steps are not seconds: the restricted step to a gap of 1e-10 on the designs of the rate study, against others."""
    cell = rates.Config()
    _, problems = prepared(cell)

    def to_the_gap(method: str) -> Callable[[], None]:
        steps = [steps_to(solve(p, cell.iterations, method, x, stop=1e-8).gap, rates.EPS) for p, x in problems]

        def work() -> None:
            for (problem, optimum), count in zip(problems, steps, strict=True):
                solve(problem, count, method, optimum)

        return work

    ours, entries = to_the_gap("restricted"), []
    for peer in ("ista", "fista", "restart"):
        pair = in_turns(ours, to_the_gap(peer), 5)
        entries.append(entry("restricted step to a gap of 1e-10, ten designs", *pair, peer, "s", "none: a measurement"))
    return entries


NEW_PROCESS = """
import sys, time
import numpy as np
from trajectory_conv import geometry
from trajectory_conv.experiments import cone
from trajectory_conv.experiments.instances import instances
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import solve

cell = cone.Config(stream="replay")
problems = [lasso(instance.matrix, instance.y, cell.lam) for instance in instances(cell)]
optima = np.load(sys.argv[1])
start = time.process_time()
if sys.argv[2] == "whole":
    cone.run(cell, None)
else:
    for problem, optimum in zip(problems, optima, strict=True):
        solve(problem, cell.iterations, "ista", optimum)
print(time.process_time() - start)
"""


def compilation() -> list[dict]:
    """The cone study (ISTA) in a new process, after imports: nothing compiled before, and with JAX's cache on disk."""
    _, problems = prepared(CONE)
    entries = []
    for work, name in (("whole", "cone study with optima"), ("ista", "cone study, ISTA alone")):
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/optima.npy", [optimum for _, optimum in problems])
            environment = os.environ | {
                "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
            command = [sys.executable, "-c", NEW_PROCESS, f"{folder}/optima.npy", work]
            cold, warm = (
                float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
                for _ in range(2)
            )
        peer = "the same with an empty compilation cache"
        entries.append(entry(f"{name}, in a new process", warm, cold, peer, "s", "peer <= 2.5 s"))
    return entries


def exact() -> dict:
    """Largest difference between compressed and plain traces of nine designs, as a share of the first gap."""
    _, problems = prepared(RIP, 0.05, True)
    worst = 0.0
    for problem, optimum in problems:
        pair = [solve(problem, 2_000, "ista", optimum, compress=compress).gap for compress in (True, False)]
        worst = max(worst, float(np.abs(pair[0] - pair[1]).max() / pair[1][0]))
    return entry(
        "compressed against plain traces, nine designs x 2,000", worst, 1e-12, "tolerance", "of gap_0", "ours <= 1e-12"
    )


def run() -> list[dict]:
    return [
        against_numpy(
            "cone study, ISTA, 8 designs x 2,000, from the data on", CONE, 2_000, "ratio >= 10, ours <= 0.5 s", 3
        ),
        against_vmap(),
        *methods(),
        *compilation(),
        against_numpy(
            "rip study, 9 designs x 10,000, from the data on",
            RIP,
            10_000,
            "ratio >= 10, ours <= 1.0 s",
            1,
            noise=0.05,
            reference_solve=True,
        ),
        exact(),
        spiked(),
    ]
