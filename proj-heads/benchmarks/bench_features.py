"""Features once for all probes, and orbits in one pass: against the authors' loops over the same frozen network.

They run the backbone on every batch of every epoch of each of four probes (z and h, linear and MLP), and on the images
of an orbit one at a time. Both sides train the same probes for the same five epochs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proj_heads.augment import orbit
from proj_heads.backbones import small_cnn
from proj_heads.data import to_float
from proj_heads.features import extract, layerwise
from proj_heads.heads import build_head
from proj_heads.probes import published_probe
from proj_heads.seeds import generator
from repro_shared.benchmarks import entry, in_turns

IMAGES, CLASSES, EPOCHS, BATCH = 5_000, 4, 5, 256
PROBES = (("z", None), ("z", 256), ("h", None), ("h", 512))
"""Place and hidden width of the four probes (None: linear)."""


def pair() -> tuple[nn.Module, nn.Module]:
    stream = generator(0, "networks")
    return small_cnn(1, 16, stream).eval(), build_head(64, 256, 256, generator=stream).eval()


def probes() -> dict:
    backbone, head = pair()
    x = torch.randint(256, (IMAGES, 1, 28, 28), generator=generator(0, "images"), dtype=torch.uint8)
    y = torch.randint(CLASSES, (IMAGES,), generator=generator(0, "labels"))

    def ours() -> None:
        features = layerwise(backbone, head, x)
        for place, hidden in PROBES:
            published_probe(features[place], y, generator(0, "probe"), hidden, EPOCHS)

    def peer() -> None:
        for place, hidden in PROBES:
            d = 64 if place == "z" else 256
            layers = (
                [nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES)] if hidden else [nn.Linear(d, CLASSES)]
            )
            probe = nn.Sequential(*layers)
            optimizer = torch.optim.Adam(probe.parameters(), 1e-3, fused=True)
            for _ in range(EPOCHS):
                for rows in torch.randperm(IMAGES).split(BATCH):
                    with torch.no_grad():
                        features = backbone(to_float(x[rows]))
                        features = head(features) if place == "h" else features
                    loss = F.cross_entropy(probe(features), y[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()

    mine, theirs = in_turns(ours, peer, 3)
    name = f"four probes of five epochs on {IMAGES:,} images, features included"
    return entry(name, mine, theirs, "backbone run for every batch", "s", "none: no target was set")


def orbits(images: int = 50) -> dict:
    backbone, _ = pair()
    x = torch.rand(images, 1, 28, 28, generator=generator(0, "orbits"))
    moved = orbit(x, "rotation", torch.linspace(0, 360, 12).tolist()).flatten(0, 1)
    found: dict[str, Tensor] = {}

    def ours() -> None:
        found["ours"] = extract(backbone, moved)

    @torch.no_grad()
    def peer() -> None:
        found["peer"] = torch.cat([backbone(image[None]) for image in moved])

    mine, theirs = in_turns(ours, peer, 5)
    apart = float((found["ours"] - found["peer"]).abs().max())
    assert apart < 1e-5, f"the two differ by {apart:.1e}"
    name = f"features of the orbits of {images} images, 12 views each"
    return entry(name, mine, theirs, "one view at a time", "s", "none: no target was set")


def run() -> list[dict]:
    return [probes(), orbits()]
