"""Annealed temperatures in contrastive training on real images, beside fixed ones (claim C6).

One cell is one schedule, optimizer and seed; runs of a seed have the same first weights, batches and views. The
backbone is judged by a linear probe on the test set, and by alignment, uniformity and effective rank of the head's
outputs. Expect 10 s per cell of `default` on one core. `paper` is the published protocol on CIFAR-10, some two
hours a cell on a GPU.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infonce_langevin.experiments.checked import require_positive
from infonce_langevin.experiments.toy import FRESH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

DATA_FOLDER = "INFONCE_LANGEVIN_DATA"
"""Environment variable with the folder of the data, as --data-dir sets it."""
LOW, HIGH, FACTOR = 1.0, 1e6, 0.01
"""Published: beta between 1 and 1e6, of whose range the schedules go 1 %: from 1e3 to 1e4."""
STEPS_PER_SECOND = {"small": 24.0, "resnet18": 0.2}
"""On one core, for the refusal of long runs: our own measurement, batches of 256 and 128."""
FIXED = {"tau 1": 1.0, "tau .5": 2.0, "tau .2": 5.0, "tau .05": 20.0, "tau 1e-6": HIGH}
"""Plan -> fixed beta. The published "fixed low" is tau 1, the "fixed high" tau 1e-6."""
PLANS = ("random", *FIXED, "log", "cosine", "published log", "published sqrt", "published linear")
Plan = Literal["random", "tau 1", "tau .5", "tau .2", "tau .05", "tau 1e-6", "log", "cosine", "published log",
               "published sqrt", "published linear"]  # fmt: skip


@dataclass(frozen=True)
class Config:
    plan: Plan = "log"
    """How beta = 1 / tau goes. random: no training; log and cosine: from 1 to 20; published ones: from some 1e3
    to 1e4 (see `betas`).
    """
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = 2e-3
    """Learning rate."""
    weight_decay: float = 0.0
    clip: float = math.inf
    """Largest norm of the gradient."""
    batch: int = 256
    steps: int = 240
    """Training steps; of the published protocol 390 an epoch."""
    network: Literal["small", "resnet18"] = "small"
    data: Literal["fashion-mnist", "digits", "cifar10"] = "fashion-mnist"
    images: int = 10_000
    """Training images, for the network and for the probe; at most as many as there are."""
    tested: int = 10_000
    """Test images, at most as many as there are."""
    seed: int = 0
    device: str = "cpu"
    """torch device."""

    def __post_init__(self):
        require_positive(self, "lr", "batch", "steps", "images", "tested")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}; choose a seed >= 0")
        if self.batch > self.images:
            raise ValueError(f"batch = {self.batch} of {self.images} images; choose a smaller batch")
        if (self.network == "resnet18") != (self.data == "cifar10"):
            raise ValueError(
                f"network = {self.network} on {self.data}; choose resnet18 for cifar10, small for the others"
            )

    def cpu_hours(self) -> float:
        return 0.0 if self.plan == "random" else self.steps / STEPS_PER_SECOND[self.network] / 3600


def betas(plan: str, steps: int, per_epoch: int = 1) -> list[float]:
    """Inverse temperature in each step. `log` is 1 + 19 ln(1 + k) / ln(steps), `cosine` half a cosine from 1 to 20. The
    published ones are constant within an epoch, t = 0 to T - 1 of them, with the shares of the range

        log  ln(t + 2) / ln(T + 1)        sqrt  sqrt((t + 1) / T)        linear  (t + 1) / T
    """
    if plan in FIXED:
        return [FIXED[plan]] * steps
    if plan == "log":
        return [1 + 19 * math.log1p(k) / math.log(steps) for k in range(steps)]
    if plan == "cosine":
        return [1 + 19 * (1 - math.cos(math.pi * k / (steps - 1))) / 2 for k in range(steps)]
    shape, epochs = plan.removeprefix("published "), math.ceil(steps / per_epoch)
    shares = {
        "log": lambda t: math.log(t + 2) / math.log(epochs + 1),
        "sqrt": lambda t: math.sqrt((t + 1) / epochs),
        "linear": lambda t: (t + 1) / epochs,
    }
    return [LOW + (HIGH - LOW) * FACTOR * shares[shape](k // per_epoch) for k in range(steps)]


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: test `accuracy` of the probe, in per cent; `alignment`, `uniformity` and `rank` of the head's outputs
    for two views of 1,000 test images; `diverged` where the loss did. With the curve of the loss at every tenth step.
    """
    import numpy as np
    import torch

    from infonce_langevin.data import load
    from infonce_langevin.seeds import generator
    from infonce_langevin.simclr import Recipe, features, make_network, prepared, train, view
    from infonce_langevin.temperature import measure

    folder = os.environ.get(DATA_FOLDER) or None
    training, test = (load(cell.data, part, folder) for part in (True, False))
    training, test = (
        held.subset(slice(count)).to(cell.device) for held, count in ((training, cell.images), (test, cell.tested))
    )
    network = make_network(cell.network, training.x.shape[1], cell.seed).to(cell.device)
    recipe = Recipe(cell.optimizer, cell.lr, cell.weight_decay, cell.clip, cell.batch)
    losses = np.zeros(0)
    if cell.plan != "random":
        plan = betas(cell.plan, cell.steps, max(len(training) // cell.batch, 1) if cell.network == "resnet18" else 1)
        losses = train(network, training.x, plan, recipe, cell.seed, scratch).double().cpu().numpy()
    diverged = not np.isfinite(losses).all()
    record = {"origin": training.origin, "train_images": len(training), "diverged": diverged}
    if not diverged:
        held = [features(network, part.x).cpu().numpy() for part in (training, test)]
        record["accuracy"] = probe(held[0], training.y.cpu().numpy(), held[1], test.y.cpu().numpy())
        stream, x = generator(cell.seed, "measured", device=cell.device), prepared(test.x[:1000])
        with torch.no_grad():
            found = measure(network(view(x, stream)), network(view(x, stream)))
        record |= {"alignment": float(found.alignment), "uniformity": float(found.uniformity)}
        record |= {"rank": float(found.effective_rank)}
    step = np.arange(0, len(losses), 10)
    return [record | {"step": step, "loss": losses[step]}]


def probe(x, y, tested, labels) -> float:
    """Test accuracy in per cent of a logistic regression on the features as they are (C = 1, as published)."""
    from sklearn.linear_model import LogisticRegression

    return 100 * float(LogisticRegression(max_iter=1_000).fit(x, y).score(tested, labels))


def figures(results: Results) -> dict[str, Figure]:
    """Probe accuracy beside the fixed temperatures, and the geometry of the head's outputs."""
    from infonce_langevin.experiments.contrastive_figures import draw

    return draw(results)


SGD = {"optimizer": "sgd", "lr": 0.05, "clip": 1.0}
"""Ours: the published clip, and a rate at which 240 steps change something."""
PUBLISHED = {"optimizer": "sgd", "lr": 3e-4, "weight_decay": 1e-6, "clip": 1.0, "batch": 128, "steps": 78_000,
             "network": "resnet18", "data": "cifar10", "images": 50_000, "device": "cuda"}  # fmt: skip
ADAM_PLANS = ("tau 1", "tau .2", "tau .05", "log")
SGD_PLANS = ("tau 1", "tau 1e-6", "published log", "published sqrt")
_SMOKE = {"data": "digits", "steps": 10, "batch": 64, "images": 200, "tested": 100}


def _cells(seeds: tuple[int, ...]) -> list[Config]:
    return [
        cell
        for seed in seeds
        for cell in (
            Config("random", seed=seed),
            *(Config(plan, seed=seed) for plan in ADAM_PLANS),
            *(Config(plan, seed=seed, **SGD) for plan in SGD_PLANS),
        )
    ]


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config("random", **_SMOKE),
        *(Config(plan, **_SMOKE) for plan in ADAM_PLANS),
        *(Config(plan, **_SMOKE, **SGD) for plan in SGD_PLANS),
    ],
    "default": _cells(FRESH),
    "paper": [
        Config(plan, seed=seed, **PUBLISHED)
        for seed in range(3333, 3341)
        for plan in ("random", *SGD_PLANS, "published linear")
    ],
}
"""`paper` has eight seeds from the first of the three published ones on."""
