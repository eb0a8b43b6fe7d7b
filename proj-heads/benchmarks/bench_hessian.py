"""Exact effective Hessians in closed form: against autodiff, and against the authors' power iteration.

The heads are the authors' SimSiam ones, 512-2048-2048 with the predictor 2048-512-2048, and those of our default runs,
64-256-256 with 256-64-256, without batch norm. `device` "cuda" times a GPU.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from proj_heads.heads import build_head
from proj_heads.hessian import effective_hessian
from proj_heads.losses import NegativeCosine
from proj_heads.seeds import generator
from repro_shared.benchmarks import entry, in_turns

SIZES = {"published": (512, 2048, 2048, 512, 32), "default": (64, 256, 256, 64, 32)}
"""d, hidden and output units of the projector, hidden units of the predictor, samples."""


def setting(size: str, activation: str, device: str) -> tuple[nn.Module, Tensor, Tensor]:
    """(head, z, targets), float64."""
    d, width, k, hidden, n = SIZES[size]
    stream = generator(0, "bench", size)
    head = nn.Sequential(
        build_head(d, width, k, activation, 2, False, stream), build_head(k, hidden, k, activation, 2, False, stream)
    )
    z, target = (torch.randn(n, columns, generator=stream, dtype=torch.float64) for columns in (d, k))
    return head.double().requires_grad_(False).to(device), z.to(device), target.to(device)


def timed(ours: Callable[[], object], peer: Callable[[], object], rounds: int, device: str) -> tuple[float, float]:
    """Seconds of either; with a GPU those of the clock, until it has done its work."""
    if device == "cpu":
        return in_turns(ours, peer, rounds)
    return in_turns(
        lambda: (ours(), torch.cuda.synchronize()),
        lambda: (peer(), torch.cuda.synchronize()),
        rounds,
        time.perf_counter,
    )


def against_autodiff(size: str, activation: str, device: str, rounds: int) -> dict:
    """torch.func.hessian: vmapped over the samples where that fits the memory, else one after the other."""
    head, z, target = setting(size, activation, device)
    n, found = len(z), {}

    def value(x: Tensor, c: Tensor) -> Tensor:
        return -nn.functional.cosine_similarity(head(x), c, dim=0)

    def ours() -> None:
        found["ours"] = effective_hessian(head, z, NegativeCosine(target)).total

    def peer() -> None:
        hessian = torch.func.hessian(value)
        together = torch.func.vmap(hessian) if size == "default" else lambda z, c: torch.stack(list(map(hessian, z, c)))
        found["peer"] = together(z, target)

    mine, theirs = timed(ours, peer, rounds, device)
    difference = (found["ours"] - found["peer"]).abs().max() / found["peer"].abs().max()
    assert difference < 1e-12, f"the two Hessians differ by {difference:.1e}"
    return entry(
        f"effective Hessian, d = {z.shape[1]}, {activation}, {n} samples",
        1e3 * mine / n,
        1e3 * theirs / n,
        "torch.func.hessian" + ", vmapped" * (size == "default"),
        "ms a sample",
        "ratio >= 5",
    )


def against_power_iteration(size: str, device: str, rounds: int) -> dict:
    """Every eigenvalue of every sample's block, against one estimate of the batch's lowest: 61 products in float32."""
    head, z, target = setting(size, "swish", device)
    single = setting(size, "swish", device)[0].float()
    n = len(z)

    def ours() -> None:
        torch.linalg.eigvalsh(effective_hessian(head, z, NegativeCosine(target)).total)

    def peer() -> None:
        x = z.float().requires_grad_()
        loss = -nn.functional.cosine_similarity(single(x), target.float()).mean()
        (slope,) = torch.autograd.grad(loss, x, create_graph=True)
        v = torch.ones_like(x)
        for _ in range(61):
            (v,) = torch.autograd.grad(slope, x, v / (v.norm() + 1e-8), retain_graph=True)

    mine, theirs = timed(ours, peer, rounds, device)
    return entry(
        f"all eigenvalues, exact, float64, d = {z.shape[1]}, swish, {n} samples",
        1e3 * mine,
        1e3 * theirs,
        "one estimate by 61 Hv, float32",
        "ms a batch",
        "none: not the same answer",
    )


def run(device: str = "cpu") -> list[dict]:
    return [
        against_autodiff("published", "swish", device, 2),
        against_autodiff("published", "relu", device, 2),
        against_autodiff("default", "swish", device, 7),
        against_autodiff("default", "relu", device, 7),
        against_power_iteration("published", device, 5),
        against_power_iteration("default", device, 7),
    ]
