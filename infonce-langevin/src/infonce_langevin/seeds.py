"""Named random streams: a seed fans out by name, so no stream depends on how much another one has drawn."""

import hashlib

import torch


def generator(seed: int, *name: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator for (seed, name), for instance `generator(0, "data", chunk)`; equal names give equal streams on a
    device.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *name))).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)
