"""Chain-steps a second on the published toy, against the usual way, and Hessian noise against eigendecompositions."""

from importlib.util import find_spec

import torch
from peers import C, jax_scan, torch_func

from infonce_langevin.dynamics import Langevin
from infonce_langevin.energies import hard
from infonce_langevin.langevin import TILE, simulate
from infonce_langevin.noise import HessianNoise
from infonce_langevin.schedules import Log
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import uniform
from repro_shared.benchmarks import entry, in_turns

STEPS = 1000
UNIT = "chain-steps/s"


def ours(compiled: bool):
    return lambda: simulate(Langevin(hard), Log(C), STEPS, (4, 3, TILE), 0, compiled=compiled)


def normals():
    """The numbers that the steps need, and nothing else."""
    stream, buffer = generator(0, "ceiling"), torch.empty(2, 4, 3, TILE)
    return lambda: [buffer.normal_(generator=stream) for _ in range(STEPS // 2)]


def same_chains() -> None:
    """Eager and compiled steps agree to rounding, before they are timed."""
    states = [simulate(Langevin(hard), Log(C), 20, (4, 3, 64), 0, compiled=compiled).z for compiled in (False, True)]
    torch.testing.assert_close(*states, rtol=0, atol=1e-4)


def simulator() -> list[dict]:
    same_chains()
    entries = []
    for compiled in (False, True):
        least, name = (15, "compiled") if compiled else (8, "eager")
        peers = [("torch.func.vmap(grad)", torch_func, 1024, 20)]
        peers += [("jax.jit(vmap(scan(grad)))", jax_scan, 1024, 100)] if find_spec("jax") else []
        for peer_name, peer, chains, steps in peers:
            seconds = in_turns(ours(compiled), peer(chains, steps))
            mine, theirs = TILE * STEPS / seconds[0], chains * steps / seconds[1]
            entries.append(entry(f"simulator, {name}", mine, theirs, peer_name, UNIT, f"ratio >= {least}"))
    seconds = in_turns(ours(True), normals())
    rates = [TILE * STEPS / each for each in seconds]
    entries.append(entry("share of the generator's ceiling", *rates, "torch's normals alone", UNIT, "ratio >= 0.7"))
    return entries


def by_eigh(z: torch.Tensor, xi: torch.Tensor) -> torch.Tensor:
    """The symmetric root of 5 |H| + .1 I, times xi."""
    values, vectors = torch.linalg.eigh(hard.hessian(z))
    at = vectors.mT @ xi.flatten(0, 1).T[..., None]
    return (vectors @ ((5 * values.abs() + 0.1).sqrt()[..., None] * at)).squeeze(2).T.unflatten(0, z.shape[:2])


def hessian_noise() -> list[dict]:
    stream = generator(0, "states")
    z, xi = uniform(4, 3, 256, stream), torch.randn(4, 3, 256, generator=stream)
    seconds = in_turns(lambda: HessianNoise().scaled(z, xi, hard), lambda: by_eigh(z, xi))
    rates = [256 / each for each in seconds]
    return [entry("Hessian noise", *rates, "torch.linalg.eigh", UNIT, "ratio >= 1.5")]


def run() -> list[dict]:
    return simulator() + hessian_noise()
