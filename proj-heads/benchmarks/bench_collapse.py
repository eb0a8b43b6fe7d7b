"""Collapse training of eight seeds as one tensor program, against the same eight one after the other.

Peers: the plain PyTorch loop (modules, lightly's loss, torch's SGD, one pass per view), given our whole-batch views;
the same loop with torchvision's transforms per image, as in the authors' code; our own program with one member at a
time. Equal steps from equal starts and, but for torchvision's, on equal views. On one core the matrix products alone
take 2.5 of our 6.5 ms a step, and the plain loop takes 1.4 ms a seed: batching seeds cannot bring more than 4.6 there.
Gradient flow is timed against scipy's on the same members.
"""

import copy
import random
from collections.abc import Callable, Iterator

import torch
from lightly.loss import NegativeCosineSimilarity
from torch import Tensor
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

from proj_heads.experiments import flow as flow_experiment
from proj_heads.flow import flow
from proj_heads.heads import pseudo_collapse_
from proj_heads.seeds import generator
from proj_heads.siamese import Program, Siamese, Sizes, siamese
from proj_heads.stacked import MemberViews, Stack, train
from repro_shared.benchmarks import entry, in_turns

SEEDS, BATCH, STEPS = tuple(range(8)), 64, 100


def images() -> Tensor:
    """Random images of the size of Fashion-MNIST: speed does not depend on what they show."""
    return torch.randint(256, (2_000, 1, 28, 28), generator=generator(0, "images"), dtype=torch.uint8)


def members(sizes: Sizes) -> list[Siamese]:
    made = [siamese(sizes, generator(seed, "init")) for seed in SEEDS]
    for member in made:
        pseudo_collapse_(member.head)
    return made


def stacked(start: list[Siamese], seeds, x: Tensor, steps: int = STEPS) -> Tensor:
    stack = Stack(start, every=STEPS)
    train(stack, MemberViews(x, seeds, BATCH), steps)
    return stack.theta


def plain(member: Siamese, pairs: Iterator[tuple[Tensor, Tensor]], steps: int = STEPS) -> Tensor:
    """One seed, as one would write it; returns its parameters."""
    member, criterion = copy.deepcopy(member), NegativeCosineSimilarity()
    parameters = [p for network in member for p in network.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.05, momentum=0.9)
    for _ in range(steps):
        first, second = next(pairs)
        h1, h2 = (member.head(member.backbone(view)) for view in (first, second))
        loss = (criterion(member.predictor(h1), h2.detach()) + criterion(member.predictor(h2), h1.detach())) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in parameters])


def whole_batch_views(x: Tensor, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    return (pair[0].permute(1, 2, 0).unbind() for pair in MemberViews(x, (seed,), BATCH))  # (batch, inputs) each


def torchvision_views(pictures: list, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What a data loader does in the training process, from images that are in memory."""
    crop = transforms.RandomResizedCrop(14, scale=(0.2, 1.0))
    view = transforms.Compose([crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    chosen = random.Random(seed)
    while True:
        batch = chosen.sample(pictures, BATCH)
        yield tuple(torch.stack([view(picture) for picture in batch]) for _ in range(2))


def eight_seeds(activation: str, norm: bool) -> list[dict]:
    x, start = images(), members(Sizes(activation=activation, norm=norm))
    pictures = [to_pil_image(image) for image in x]

    def ours(steps: int = STEPS) -> Tensor:
        return stacked(start, SEEDS, x, steps)

    def modules(steps: int = STEPS) -> Tensor:
        return torch.stack([plain(m, whole_batch_views(x, s), steps) for m, s in zip(start, SEEDS, strict=True)])

    expected = modules(10)
    apart = float(((ours(10) - expected).norm(dim=1) / expected.norm(dim=1)).max())
    assert apart < 1e-3, f"after ten steps stack and modules differ by {apart:.1e}"

    def as_published() -> None:
        for member, seed in zip(start, SEEDS, strict=True):
            plain(member, torchvision_views(pictures, seed))

    def one_member() -> None:
        for member, seed in zip(start, SEEDS, strict=True):
            stacked([member], (seed,), x)

    peers: dict[str, tuple[Callable[[], object], int, str]] = {
        "PyTorch modules, whole-batch views": (modules, 3, "ratio >= 4"),
        "PyTorch modules, torchvision's views": (as_published, 1, "ratio >= 4"),
        "the same program, a seed at a time": (one_member, 3, "none: what batching itself brings"),
    }
    entries = []
    for name, (peer, rounds, target) in peers.items():
        mine, theirs = in_turns(ours, peer, rounds)
        entries.append(
            entry(
                f"collapse training, 8 seeds x {STEPS} steps, {activation}{' with batch norm' * norm}",
                mine,
                theirs,
                name,
                "s",
                target,
            )
        )
    return entries


def gradient_flow(time: float = 1.0) -> dict:
    """From true collapse, eight Swish members."""
    from scipy.integrate import solve_ivp

    cell, found = flow_experiment.Config(data="digits"), {}
    x = flow_experiment._batch(cell)
    start = [flow_experiment._member(cell, generator(seed, "init"), x[i]) for i, seed in enumerate(cell.seeds)]
    program = Program(start[0])
    theta = program.pack(start, x.dtype)

    def field(_, state):
        return -program.gradient(torch.from_numpy(state).view_as(theta), x)[1].flatten().numpy()

    def ours() -> None:
        found["ours"] = flow(program, theta, x, [0.0, time], cell.tolerance).theta[-1]

    def peer() -> None:
        solved = solve_ivp(field, (0, time), theta.flatten().numpy(), "DOP853", rtol=cell.tolerance, atol=1e-6)
        found["peer"] = torch.from_numpy(solved.y[:, -1]).view_as(theta)

    mine, theirs = in_turns(ours, peer, 1)
    apart = float((found["ours"] - found["peer"]).norm() / found["peer"].norm())
    assert apart < 0.01, f"the two integrators differ by {apart:.1e}"
    return entry(
        f"gradient flow, 8 members to t = {time:g} (states apart by {apart:.0e})",
        mine,
        theirs,
        "scipy DOP853, same tolerance",
        "s",
        "ratio >= 4",
    )


def run() -> list[dict]:
    return [*eight_seeds("swish", False), *eight_seeds("relu", True), gradient_flow()]
