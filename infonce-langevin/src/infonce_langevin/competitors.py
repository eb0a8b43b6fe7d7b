"""Other ways to spend the same number of chain-steps: parallel tempering, and several short annealings for one."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from infonce_langevin.checkpoints import Checkpoint, fingerprint
from infonce_langevin.dynamics import Langevin, Metropolis
from infonce_langevin.langevin import Run, simulate
from infonce_langevin.schedules import Fixed, Schedule, check_positive
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import uniform


class Tempered(NamedTuple):
    """Replicas of each chain, hottest first."""

    z: Float[Tensor, "replicas n d chains"]
    energy: Float[Tensor, "replicas chains"]
    """U of the last states; the coldest replica is the answer."""
    accepted: Float[Tensor, " pairs"]
    """Share of accepted swaps between neighbouring temperatures."""


def parallel_tempering(
    dynamics: Langevin | Metropolis,
    betas: Sequence[float],
    rounds: int,
    steps: int,
    start: tuple[int, int, int] | Float[Tensor, "n d chains"],
    seed: int,
    *,
    compiled: bool = False,
    device: str = "cpu",
    scratch: Path | None = None,
) -> Tempered:
    """`rounds` times: `steps` steps of every replica at its own fixed beta, then swaps of neighbours.

    Replicas r and r + 1, r even and odd in turns, swap their states with probability

        min(1, exp((beta_(r+1) - beta_r)(U_(r+1) - U_r)))

    which leaves all Gibbs laws as they are. A chain costs rounds * steps * len(betas) chain-steps.
    """
    beta = torch.tensor(betas, dtype=torch.float32, device=device)
    check_positive(betas=beta)
    if len(betas) < 2 or (beta.diff() <= 0).any():
        raise ValueError(f"betas = {list(betas)}: give two or more that increase")
    given = isinstance(start, Tensor)
    n, d, chains = start.shape if given else start
    replicas, done, swaps = len(betas), 0, torch.zeros(2, len(betas) - 1, device=device)
    stream = generator(seed, "start", device=device)
    z = start.repeat(1, 1, replicas).to(device) if given else uniform(n, d, replicas * chains, stream)
    checkpoint = Checkpoint(
        scratch, "tempering", fingerprint(dynamics, betas, rounds, steps, start, seed, compiled, device)
    )
    if (saved := checkpoint.load(device)) is not None:
        z, swaps, done = saved["z"], saved["swaps"], int(saved["done"])
    at_betas = Fixed(beta.repeat_interleave(chains))
    for now in range(done, rounds):
        run = simulate(dynamics, at_betas, steps, z, seed, first=now * steps, compiled=compiled, device=device)
        u = run.energy.view(replicas, chains)
        pairs = torch.arange(now % 2, replicas - 1, 2, device=device)
        gain = beta.diff()[pairs, None] * (u[pairs + 1] - u[pairs])
        chance = torch.rand(gain.shape, generator=generator(seed, "swap", now, device=device), device=device)
        accepted = chance.log() < gain
        order = torch.arange(replicas, device=device)[:, None].repeat(1, chains)
        order[pairs] += accepted.long()
        order[pairs + 1] -= accepted.long()
        z = _reordered(run.z, order)
        swaps[:, pairs] += torch.stack([accepted.sum(1), torch.full_like(pairs, chains)])
        checkpoint.save({"z": z, "swaps": swaps, "done": torch.tensor(now + 1)})
    split = z.unflatten(2, (replicas, chains)).permute(2, 0, 1, 3)
    return Tempered(split, dynamics.energy.value(z).view(replicas, chains), swaps[0] / swaps[1])


def _reordered(z: Float[Tensor, "n d all"], order: Int64[Tensor, "replicas chains"]) -> Float[Tensor, "n d all"]:
    """The states of replicas `order` in each place, chain by chain."""
    split = z.unflatten(2, order.shape)
    return split.gather(2, order.expand(*split.shape)).flatten(2)


def restarts(
    dynamics: Langevin | Metropolis,
    schedule: Schedule,
    steps: int,
    count: int,
    start: tuple[int, int, int],
    seed: int,
    **options,
) -> Run:
    """`count` independent annealings of `steps` steps for each chain, of which the one that ends lowest is kept.

    The schedule is that of one annealing, with one number for all chains. A chain costs count * steps chain-steps.
    `options` are those of `simulate`.
    """
    n, d, chains = start
    run = simulate(dynamics, schedule, steps, (n, d, count * chains), seed, **options)
    best = run.energy.view(count, chains).argmin(0) * chains + torch.arange(chains, device=run.energy.device)
    return Run(*(values[..., best] for values in run))
