"""Augmenting whole batches of tensors against torchvision's transforms, one image after another.

The peer is what a data loader's worker does for two views of each image: RandomResizedCrop, RandomHorizontalFlip,
RandomRotation and, for 8 in 10 images, ColorJitter; on PIL images, as in the authors' code, or on tensors.
"""

from collections.abc import Callable

import torch
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

from proj_heads.augment import Views
from proj_heads.seeds import generator
from repro_shared.benchmarks import entry, in_turns

BATCH = 256


def run() -> list[dict]:
    """Views per second of either side."""
    entries = []
    for title, channels, size in (("grey 28 x 28", 1, 28), ("colour 32 x 32", 3, 32)):
        x = torch.rand(BATCH, channels, size, size, generator=generator(0, "images"))
        peers = {
            "PIL images": one_by_one(
                torchvision_views(size, transforms.ToTensor()), [to_pil_image(image) for image in x]
            ),
            "tensors": one_by_one(torchvision_views(size), list(x)),
        }
        for peer_name, peer in peers.items():
            seconds = in_turns(whole_batch(x), peer)
            ours, theirs = (2 * BATCH / value for value in seconds)
            entries.append(
                entry(
                    f"SimCLR views, {title}, batch of {BATCH}",
                    ours,
                    theirs,
                    f"torchvision, {peer_name}",
                    "views/s",
                    "ratio >= 5",
                )
            )
    return entries


def whole_batch(x: torch.Tensor) -> Callable[[], None]:
    """Two views of every image by `Views`."""
    views, stream = Views.simclr(x.shape[-1]), generator(0, "views")

    def work() -> None:
        views(x, stream)

    return work


def torchvision_views(size: int, *last: Callable) -> Callable:
    """The authors' augmentation of one image."""
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
    steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.RandomRotation(45)]
    return transforms.Compose([*steps, transforms.RandomApply([jitter], p=0.8), *last])


def one_by_one(transform: Callable, images: list) -> Callable[[], None]:
    """Two views of every image, stacked into batches."""

    def work() -> None:
        for _ in range(2):
            torch.stack([transform(image) for image in images])

    return work
