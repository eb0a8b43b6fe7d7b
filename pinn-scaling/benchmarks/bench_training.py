"""A training step: five runs as one program against a plain PyTorch loop with nested automatic differentiation.

Same network, numbers of points, optimiser and precision; ours is the time of a step divided by the five runs. After
compilation, of which each equation and width needs one.
"""

import importlib.util

import jax
import jax.numpy as jnp

from pinn_scaling.pdes import PDES
from pinn_scaling.training import Recipe, train
from repro_shared import UserError
from repro_shared.benchmarks import cpu_seconds, entry, in_turns

RUNS = 5
STEPS = {16: (2000, 100), 64: (400, 40), 256: (50, 5)}
"""Width -> steps of ours and of the peer."""
TARGETS = {16: "ratio >= 50", 64: "ratio >= 15", 256: "ratio >= 15"}
PROBLEMS = ("poisson", "sine_gordon", "allen_cahn", "kdv_published")


def step(pde: str, width: int) -> dict:
    """Microseconds of a step of one run."""
    import plain

    problem, (ours_steps, peer_steps) = PDES[pde], STEPS[width]
    kappa = problem.kappas[0]

    def ours() -> None:
        train(problem, width, [kappa] * RUNS, range(RUNS), Recipe(steps=ours_steps))

    def peer() -> None:
        plain.train(pde, width, kappa, peer_steps)

    mine, theirs = in_turns(ours, peer, 3)
    return entry(
        f"a training step, {pde}, N = {width}",
        1e6 * mine / ours_steps / RUNS,
        1e6 * theirs / peer_steps,
        "plain PyTorch, nested autograd, one run",
        "us",
        TARGETS[width],
    )


def activations(width: int = 256) -> dict:
    """Neurons evaluated per second in a step (value and gradient at 10 N points), against a fused tanh of an array in
    the cache, which is the most that one thread can do.
    """
    problem, steps = PDES["allen_cahn"], STEPS[width][0]
    recipe = Recipe(steps=steps)
    train(problem, width, [4.0] * RUNS, range(RUNS), recipe)
    seconds = cpu_seconds(lambda: train(problem, width, [4.0] * RUNS, range(RUNS), recipe))
    array, repeated = jnp.ones(4096, jnp.float32), 20_000
    loop = jax.jit(lambda x: jax.lax.fori_loop(0, repeated, lambda _, x: jnp.tanh(x) + 0.1, x))
    loop(array).block_until_ready()
    alone = cpu_seconds(lambda: loop(array).block_until_ready())
    ours = steps * RUNS * (problem.density + 1.5) * width**2 / seconds / 1e6  # M = 10 N, M / 10 and twice M / 40
    peak = repeated * len(array) / alone / 1e6
    return entry(f"neurons evaluated, N = {width}", ours, peak, "tanh alone", "million/s", "none: a measurement")


def run() -> list[dict]:
    """Every problem and width, then where the limit is."""
    if importlib.util.find_spec("torch") is None:
        raise UserError('the peer is PyTorch: install the extra "bench" (pip install -e "./pinn-scaling[bench]")')
    import torch

    torch.set_num_threads(1)
    return [*(step(pde, width) for width in STEPS for pde in PROBLEMS), activations()]
