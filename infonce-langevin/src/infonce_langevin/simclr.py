"""Contrastive training of small networks with an annealed temperature (SimCLR, Chen et al. 2020).

Two augmented views of each image go through a backbone and a head; the loss is NT-Xent, at a temperature of its own in
each step. Runs of one seed have the same weights at first, the same batches and the same views, whatever the schedule:
differences between schedules are paired.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from infonce_langevin.checkpoints import Checkpoint, fingerprint
from infonce_langevin.schedules import check_positive
from infonce_langevin.seeds import generator


def nt_xent(z0: Float[Tensor, "b d"], z1: Float[Tensor, "b d"], temperature: float) -> Float[Tensor, ""]:
    """Mean over both views of -s_ii' / tau + ln sum_(k != i) exp(s_ik / tau), s the cosine similarity.

    tau times this is `energies.infonce(tau)` of the embeddings, pairs side by side.
    """
    z = nn.functional.normalize(torch.cat([z0, z1]), dim=1)
    s = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(z0))
    return nn.functional.cross_entropy(s, partner)


class Network(nn.Module):
    """A backbone and its head: `small` has three strided convolutions for grey 14 x 14 images (ours), `resnet18` is
    torchvision's with a head 512-512-128, as published.
    """

    def __init__(self, name: Literal["small", "resnet18"], channels: int):
        super().__init__()
        if name == "small":
            widths = (channels, 32, 64, 128)
            layers = [
                layer
                for a, b in zip(widths, widths[1:], strict=False)
                for layer in (nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())
            ]
            self.backbone = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 128, 128))
            self.head = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 32))
        else:
            from torchvision.models import resnet18

            self.backbone = resnet18()
            self.backbone.fc = nn.Identity()
            self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        return self.head(self.backbone(x))


def make_network(name: Literal["small", "resnet18"], channels: int, seed: int) -> Network:
    """With weights of a named stream: torch's own initialisation reads its global state, which is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "weights").initial_seed())
        return Network(name, channels)


def prepared(x: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c height width"]:
    """Images in [0, 1]; 28 x 28 ones averaged to 14 x 14."""
    x = x.float() / 255
    return nn.functional.avg_pool2d(x, 2) if x.shape[2] == 28 else x


def view(x: Float[Tensor, "b c h w"], stream: torch.Generator) -> Float[Tensor, "b c h w"]:
    """One random view of each image. Grey ones (ours): rotated by up to 20 degrees, scaled by .8 to 1.2, shifted by up
    to 15 %, intensity times .6 to 1.4, noise of .1. Coloured ones (published): shifted by up to 4 pixels, flipped,
    with probability .8 brightness, contrast and saturation times .2 to 1.8 and hue by .2 of a turn, grey with .2.
    """
    count, channels = x.shape[:2]

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=stream, device=x.device)

    if channels == 1:
        angle, size = math.pi / 9 * between(-1.0, 1.0).flatten(), between(0.8, 1.2).flatten()
        shift = 0.3 * torch.rand(count, 2, generator=stream, device=x.device) - 0.15
        turn = torch.stack([angle.cos(), -angle.sin(), shift[:, 0], angle.sin(), angle.cos(), shift[:, 1]], 1)
        grid = nn.functional.affine_grid((turn / size[:, None]).view(count, 2, 3), list(x.shape), align_corners=False)
        moved = nn.functional.grid_sample(x, grid, align_corners=False)
        noise = torch.randn(x.shape, generator=stream, device=x.device)
        return moved * between(0.6, 1.4) + 0.1 * noise
    shift = torch.randint(0, 9, (2, count, 1), generator=stream, device=x.device)
    rows, columns = (torch.arange(x.shape[2], device=x.device) + part for part in shift)
    columns = torch.where(between(0.0, 1.0).view(-1, 1) < 0.5, columns.flip(1), columns)
    each = torch.arange(count, device=x.device)[:, None, None]
    padded = nn.functional.pad(x, (4, 4, 4, 4)).permute(0, 2, 3, 1)
    moved = padded[each, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)
    grey = _grey(moved)
    jittered = (moved * between(0.2, 1.8)).clamp(0, 1)
    middle = _grey(jittered).mean((2, 3), keepdim=True)
    jittered = (middle + (jittered - middle) * between(0.2, 1.8)).clamp(0, 1)
    saturated = _grey(jittered)
    jittered = _turned((saturated + (jittered - saturated) * between(0.2, 1.8)).clamp(0, 1), between(-0.2, 0.2))
    moved = torch.where(between(0.0, 1.0) < 0.8, jittered, moved)
    return torch.where(between(0.0, 1.0) < 0.2, grey.expand_as(moved), moved)


def _grey(x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    return (x * x.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)


def _turned(x: Float[Tensor, "b 3 h w"], turns: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b 3 h w"]:
    """Hue turned about the grey axis: a rotation of colour space (Rodrigues)."""
    angle, axis = 2 * math.pi * turns, 3**-0.5
    crossed = axis * (x.roll(1, 1) - x.roll(-1, 1))
    along = x.mean(1, keepdim=True)
    return (x * angle.cos() + crossed * angle.sin() + along * (1 - angle.cos())).clamp(0, 1)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = 2e-3
    weight_decay: float = 0.0
    clip: float = math.inf
    """Largest norm of the gradient."""
    batch: int = 256

    def __post_init__(self):
        check_positive(lr=self.lr)
        if self.batch < 2 or self.weight_decay < 0 or not self.clip > 0:
            raise ValueError(f"{self}: choose batch >= 2, weight_decay >= 0 and clip > 0")

    def make(self, parameters) -> torch.optim.Optimizer:
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.SGD
        return kind(parameters, lr=self.lr, weight_decay=self.weight_decay)


def train(
    network: Network,
    images: UInt8[Tensor, "n c h w"],
    betas: Sequence[float],
    recipe: Recipe,
    seed: int,
    scratch: Path | None = None,
) -> Float[Tensor, " steps"]:
    """Train in place, one step at each of these inverse temperatures; returns the loss before each step.

    With a folder `scratch` the state is kept there, and the same call goes on from it to the same numbers.
    """
    device, per_epoch = images.device, len(images) // recipe.batch
    if not per_epoch:
        raise ValueError(f"{len(images)} images for batches of {recipe.batch}: choose smaller batches")
    optimizer = recipe.make(network.parameters())
    checkpoint = Checkpoint(scratch, "training", fingerprint(betas, recipe, seed, images))
    done, losses = 0, torch.zeros(len(betas), device=device)
    if (saved := checkpoint.load(str(device))) is not None:
        done, losses = int(saved["done"]), saved["losses"]
        _restore(network, optimizer, saved)
    network.train()
    for step in range(done, len(betas)):
        if step == done or step % per_epoch == 0:
            order = torch.randperm(len(images), generator=generator(seed, "order", step // per_epoch)).to(device)
        place = step % per_epoch * recipe.batch
        x = prepared(images[order[place : place + recipe.batch]])
        stream = generator(seed, "views", step, device=device)
        loss = nt_xent(network(view(x, stream)), network(view(x, stream)), 1 / betas[step])
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip < math.inf:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimizer.step()
        losses[step] = loss.detach()
        checkpoint.save({"done": torch.tensor(step + 1), "losses": losses} | _state(network, optimizer))
    return losses


def _state(network: Network, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    held = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        held |= {f"optimizer.{index}.{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    return held


def _restore(network: Network, optimizer: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    begin = "network."
    network.load_state_dict({n.removeprefix(begin): v for n, v in saved.items() if n.startswith(begin)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in saved.items():
        if name.startswith("optimizer."):
            _, index, entry = name.split(".")
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


@torch.no_grad()
def features(network: Network, images: UInt8[Tensor, "n c h w"], chunk: int = 1000) -> Float[Tensor, "n d"]:
    """The backbone's outputs, without augmentation."""
    network.eval()
    return torch.cat([network.backbone(prepared(part)) for part in images.split(chunk)])
