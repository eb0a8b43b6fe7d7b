"""The stacked trainer against SAELens's SAETrainer, and against what the machine's matrix product allows."""

import contextlib
import io
import itertools
import time

import joblib
import torch
from sae_lens import SAETrainer
from sae_lens.config import SAETrainerConfig

from aen_sae.baselines import baseline
from aen_sae.initialisation import initialise
from aen_sae.seeds import generator
from aen_sae.spiked import Spiked
from aen_sae.stacked import Recipe, Stack, Training
from repro_shared.benchmarks import entry, in_turns


def data(n: int, d: int, k: int, batch: int) -> tuple[list[torch.Tensor], dict]:
    """A few batches of the spiked model, made beforehand, and a published start."""
    teacher = Spiked.draw(n, d, 0.5, k, generator=generator(0, "teacher"))
    x, _, _ = teacher.sample(16 * batch, generator(0, "data"))
    return list(x.split(batch)), initialise("published", n, d, generator(0, "initialisation"))


STEPS, MEMBERS = 200, 8


def train_stack() -> None:
    """STEPS steps of a stack of MEMBERS L1 SAEs at n = 64, d = 256, batch 256."""
    batches, initial = data(64, 256, 4, 256)
    stack = Stack([Recipe(l1=0.002 * (1 + i)) for i in range(MEMBERS)], initial, Training())
    for x in itertools.islice(itertools.cycle(batches), STEPS):
        stack.step(x)


def against_saelens(cores: int) -> dict:
    """SAE-steps per second: ours in one process of one thread per core, as `reproduce` works; SAELens's trainer with as
    many threads.
    """
    batches, _ = data(64, 256, 4, 256)
    sae = baseline("standard", 64, 256, 64 * 0.002, init="published", generator=generator(0, "initialisation"))
    config = SAETrainerConfig(
        total_training_samples=STEPS * 256, train_batch_size_samples=256, lr=1e-3, lr_end=1e-3, device="cpu"
    )

    def peer() -> None:
        torch.set_num_threads(cores)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            SAETrainer(config, sae, itertools.cycle(batches)).fit()
        torch.set_num_threads(1)

    with joblib.parallel_config("loky", inner_max_num_threads=1), joblib.Parallel(n_jobs=cores) as workers:

        def ours() -> None:
            workers(joblib.delayed(train_stack)() for _ in range(cores))

        ours_seconds, peer_seconds = in_turns(ours, peer, clock=time.perf_counter)  # other processes work too
    ours_rate, peer_rate = cores * STEPS * MEMBERS / ours_seconds, STEPS / peer_seconds
    return entry(
        f"training stacks of {MEMBERS} SAEs, n = 64, d = 256, on {cores} core{'s' if cores > 1 else ''}",
        ours_rate,
        peer_rate,
        "SAELens SAETrainer.fit, standard",
        "SAE-steps/s",
        "ratio >= 3" if cores == 2 else "none: the matrix products alone allow about 3",
    )


def against_matmul(steps: int = 10, members: int = 4) -> dict:
    """Arithmetic rate of an AEN step at the published size, n = 256, d = 1024, batch 256, as a share of a large matrix
    product's.

    Counted are the five products of a step, 10 B n d operations per SAE; all else (Adam, weights, statistics) is
    overhead.
    """
    n, d, batch, side = 256, 1024, 256, 1536
    batches, initial = data(n, d, 16, batch)
    recipes = [Recipe(l1=0.001, l2=0.0005, gamma=0.5, ema_decay=0.99)] * members
    stack = Stack(recipes, initial, Training(delay=0, ramp_steps=1))
    a, b = (torch.randn(side, side, generator=generator(0, name)) for name in ("a", "b"))

    def ours() -> None:
        for x in itertools.islice(itertools.cycle(batches), steps):
            stack.step(x)

    def peer() -> None:
        for _ in range(4):
            a @ b

    ours_seconds, peer_seconds = in_turns(ours, peer)
    rate = 10 * batch * n * d * steps * members / ours_seconds / 1e9
    peak = 4 * 2 * side**3 / peer_seconds / 1e9
    return entry(
        "AEN step at the published size, n = 256, d = 1024",
        rate,
        peak,
        f"matrix product {side} x {side}",
        "GFLOP/s",
        "ratio >= 0.6",
    )


def run() -> list[dict]:
    return [against_saelens(2), against_saelens(1), against_matmul()]
