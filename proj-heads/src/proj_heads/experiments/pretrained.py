"""What the experiments that pretrain a network have in common: their settings, data and device."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from proj_heads.experiments.checked import require_seed
from proj_heads.recipe import Recipe
from repro_shared import UserError

if TYPE_CHECKING:
    from proj_heads.data import Images

DATA_FOLDER = "PROJ_HEADS_DATA"
"""Environment variable with the folder of the data, which `--data-dir` sets; without it `data.load` looks around."""
FRESH_SEEDS = range(6, 9)
"""Seeds of `default`: thresholds and recipes were settled on runs of seeds 0 to 5."""
VIEWS_A_SECOND = {"small_cnn": 20_000, "resnet18_cifar": 54, "vit_tiny": 161}
"""Forward and backward on one core of the machine that the committed results are of."""


@dataclass(frozen=True)
class Pretraining(Recipe):
    data: Literal["fashion-mnist", "digits", "cifar10", "cifar100"] = "fashion-mnist"
    """Data set; digits are scikit-learn's, scaled up to 28 x 28."""
    device: str = "cpu"
    """torch device."""
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        require_seed(self)

    def cpu_hours(self) -> float:
        """About how long training takes on one core."""
        return 2 * self.steps * self.batch / VIEWS_A_SECOND[self.backbone] / 3600


def images(cell) -> tuple[Images, Images]:
    """Training and test set of the cell's data; `UserError` where the training set has no whole batch."""
    folder = Path(os.environ[DATA_FOLDER]) if os.environ.get(DATA_FOLDER) else None
    train, test = _loaded(cell.data, folder)
    if cell.batch > len(train):
        raise UserError(f"batch = {cell.batch}, but {cell.data} has {len(train)} images; choose a smaller batch")
    return train, test


@lru_cache(maxsize=1)
def _loaded(name: str, folder: Path | None) -> tuple[Images, Images]:
    """Unpacked and checked once per worker, not for each of its cells: .3 s. Nobody changes the images."""
    from proj_heads.data import load

    return load(name, True, folder), load(name, False, folder)
