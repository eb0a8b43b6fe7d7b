"""Exact spectra of the effective Hessian while SimSiam trains (claims C4 and C6)

One cell is one head and one seed: a small network trained by SimSiam without batch norms in the heads, as in the
authors' Hessian tracker. At some steps the Hessian of each of 32 samples with respect to the backbone's output is
computed exactly, in float64, and read twice: with the cosine loss that is trained, whose own Hessian is indefinite, and
with the squared error on the same outputs and targets. Expect 15 s per cell of `default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from proj_heads.experiments.pretrained import FRESH_SEEDS, Pretraining, images
from repro_shared import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results


SINGULAR = 1e-12
"""A covariance has no condition number if its lowest eigenvalue is below this share of its largest (ours: outputs in
float32 leave 1e-14), or if there are no more outputs, 2 x `batch`, than dimensions."""


@dataclass(frozen=True)
class Config(Pretraining):
    objective: Literal["simsiam"] = "simsiam"
    """The only one with the predictor that is measured here."""
    norm: bool = False
    """Batch norms in the head and predictor, which are measured with their running statistics."""
    alpha: float = 0.1
    """Factor on the head's initial linear maps: the authors' "collapsed" start; 1 is the ordinary one."""
    steps: int = 600
    batch: int = 128
    """Images a step, of which there are two views; as many test images are looked at."""
    lr: float = 0.05
    """SGD's; momentum .9, no weight decay."""
    every: int = 30
    """Steps between two measurements."""
    samples: int = 32
    """Samples whose Hessian is computed."""

    def __post_init__(self):
        super().__post_init__()
        if self.objective != "simsiam":
            raise ValueError(f"objective = {self.objective!r}; only simsiam has the predictor that is measured here")
        if not 1 <= self.every <= self.steps:
            raise ValueError(f"every = {self.every}; choose a number from 1 to steps = {self.steps}")
        if not 1 <= self.samples <= self.batch:
            raise ValueError(f"samples = {self.samples}; choose a number from 1 to batch = {self.batch}")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: curves over `step` of the probe's quantities for both readings, and, of the unit backbone outputs, of
    the std and of their covariance's largest eigenvalue, condition number (nothing added; NaN where it is singular) and
    effective rank; NaN from where training has `diverged`.
    """
    import torch

    from proj_heads.augment import Views
    from proj_heads.data import to_float
    from proj_heads.features import evaluating
    from proj_heads.hessian import HessianProbe
    from proj_heads.orbits import effective_rank, to_unit
    from proj_heads.pretraining import pretrain
    from proj_heads.seeds import generator
    from proj_heads.stacked import covariance_spectrum, representation_std

    train, test = images(cell)
    if cell.batch > len(test):
        raise UserError(f"batch = {cell.batch}, but {cell.data} has {len(test)} test images; choose a smaller batch")
    view = Views.simsiam(train.x.shape[-1])
    pair = view(to_float(test.x[: cell.batch]), generator(cell.seed, "probe")).to(cell.device)
    measured = []

    @torch.no_grad()
    def watch(step: int, networks) -> None:
        if step % cell.every:
            return
        with evaluating(networks.backbone, networks.head):
            z1, z2 = (networks.backbone(part) for part in pair)
            target = networks.head(z2)
        probe = HessianProbe(torch.nn.Sequential(networks.head, networks.predictor), samples=cell.samples)
        u = to_unit(torch.cat([z1, z2]).double()).T[None]
        values = covariance_spectrum(u)[0]
        full = u.shape[2] > u.shape[1] and values[0] > SINGULAR * values[-1]
        spread = {
            "std": float(representation_std(u)[0]),
            "lambda_max": float(values[-1]),
            "condition": float(values[-1] / values[0]) if full else float("nan"),
            "effective_rank": float(effective_rank(values)),
        }
        measured.append(probe(step, z1, target) | spread)

    trained = pretrain(train.x, cell, cell.seed, cell.device, watch)
    names = [name for name in measured[0] if name != "step"]
    curves = {name: np.array([entry[name] for entry in measured], dtype=float) for name in names}
    steps = np.array([entry["step"] for entry in measured])
    return [{"step": steps, "d": trained.backbone.d, "diverged": trained.diverged, **curves}]


def _seeds(seeds: range, *cells: Config) -> list[Config]:
    return [replace(cell, seed=seed) for cell in cells for seed in seeds]


_BASE = Config()
_HEADS = [replace(_BASE, activation=name) for name in ("linear", "relu", "gelu", "swish")]
_NORMAL = replace(_BASE, activation="swish", alpha=1.0)
_PUBLISHED = replace(
    _BASE, data="cifar10", backbone="resnet18_cifar", width=2048, predictor=512, steps=19_500, batch=256, every=195,
    device="cuda",
)  # fmt: skip

PRESETS: dict[str, list[Config]] = {
    "smoke": [
        replace(_BASE, data="digits", activation=name, cnn_width=4, width=16, predictor=8, steps=8, batch=32, every=4,
                samples=4)
        for name in ("relu", "swish")
    ],
    "default": _seeds(FRESH_SEEDS, *_HEADS, _NORMAL),
    "paper": _seeds(
        range(3),
        *(replace(_PUBLISHED, activation=name) for name in ("linear", "relu", "gelu", "swish")),
        replace(_PUBLISHED, activation="swish", alpha=1.0),
    ),
}  # fmt: skip


def figures(results: Results) -> dict[str, Figure]:
    """Negative eigenvalues, lowest eigenvalue and share of M along training."""
    from proj_heads.experiments.hessian_figures import draw

    return draw(results)
