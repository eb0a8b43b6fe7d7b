"""Networks that the experiments look at: what they are, and where they are kept.

Several experiments look at the same network. It is trained once, by whichever comes first, and kept as a file that is
named by all that it depends on: recipe, seed, code of the training, and versions of the packages.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np

from icl_lrt.recipe import PUBLISHED, REPAIRED, Recipe, faithful, multi_query
from repro_shared import UserError

if TYPE_CHECKING:
    from icl_lrt.model import Transformer
    from icl_lrt.tasks import Episodes, Task
    from icl_lrt.training import History

MODELS_FOLDER = "ICL_LRT_MODELS"
"""Environment variable with the folder of trained networks, which the command line sets."""
Variant = Literal[
    "task_A_regular", "task_B_regular", "task_A_OOD", "interleaved", "no_labels", "shuffled_labels", "shuffled_context",
    "frozen_attention", "frozen_qk", "frozen_pos", "no_pos", "noisy_labels_p0.1", "noisy_labels_p0.2",
    "noisy_labels_p0.4", "context_increase", "context_increase_repaired",
]  # fmt: skip
SIZES = {
    "published": {},
    "small": {"d": 8, "width": 64, "feedforward": 256, "heads": 4, "sigma_k": 3.0},
    "tiny": {"d": 4, "context": 16, "width": 32, "feedforward": 64, "heads": 2, "sigma_k": 1.0},
}
"""Changes of the published network and episodes (small and tiny are ours)."""
FRESH_SEEDS = (3, 4, 5)
"""Seeds of `default`: our recipe was chosen on seeds 0 to 2."""
PUBLISHED_SEEDS = (0, 1, 2)
"""Seeds of `paper`."""
FLOPS = {"bf16": 1.8e11, "fp32": 6e10}
"""Operations a second in training on one core of the machine that the committed results are of."""
WATCHED = 1_000
"""Episodes of one query that a network is asked while it trains (ours)."""
WATCHES = 24
"""How many times, at equal distances (ours)."""


@dataclass(frozen=True)
class Training:
    """One trained network: a published row, a method, a size and a seed."""

    variant: Variant = "task_A_regular"
    """Row of the published table; `context_increase_repaired` has really 64 points (ours)."""
    method: Literal["multi_query", "faithful"] = "multi_query"
    """multi_query: ours, 32 queries a context behind a mask. faithful: as published."""
    size: Literal["published", "small", "tiny"] = "published"
    """d 16, 32 points, width 128; or d 8, width 64; or d 4, 16 points, width 32 with sigma_k = 1."""
    layers: int = 2
    """Encoder layers."""
    points: int | None = None
    """n, labelled points of an episode and positions of the network; None: those of the variant and size."""
    steps: int | None = None
    """Training steps; None: those of the method."""
    seed: int = 0
    device: str = field(default="cpu", metadata={"identity": False})
    """torch device, for instance cuda. Not part of the cell's identity: any device may go on with the results."""

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed = {self.seed}; choose a seed >= 0 and < 2^32")
        self.recipe()  # which checks the rest

    @property
    def task_name(self) -> Literal["A", "B"]:
        return "B" if self.variant == "task_B_regular" else "A"

    def recipe(self) -> Recipe:
        method = {"multi_query": multi_query, "faithful": faithful}[self.method]
        changes = SIZES[self.size] | (PUBLISHED | REPAIRED)[self.variant] | {"layers": self.layers}
        if self.points is not None:
            changes |= {"context": self.points, "points": None}
        if self.steps is not None:
            changes |= {"steps": self.steps}
        return method(**changes)

    def task(self, sigma_k: float | None = None) -> Task:
        """What it is trained on, or the same with another nuisance shift."""
        from icl_lrt.tasks import ShiftedMean, Variance

        recipe = self.recipe()
        if self.task_name == "B":
            return Variance(recipe.architecture.d)
        return ShiftedMean(recipe.architecture.d, recipe.sigma_k if sigma_k is None else sigma_k)

    def of_seeds(self, count: int) -> list[Training]:
        """The same with the seeds 0, 1, ..., `count` - 1."""
        return [replace(self, seed=seed) for seed in range(count)]

    def cpu_hours(self) -> float:
        """About how long training takes on one core; none if the network is kept."""
        if any(_path(self, watched).exists() for watched in (True, False)):
            return 0.0
        recipe = self.recipe()
        a = recipe.architecture
        points = recipe.n * (2 if a.layout == "interleaved" else 1)
        tokens = recipe.batch * (points + recipe.queries if a.masked else recipe.queries * (points + 1))
        weights = a.layers * (4 * a.width**2 + 2 * a.width * a.feedforward)
        return recipe.steps * 6 * tokens * weights / FLOPS[recipe.precision] / 3600


class Kept(NamedTuple):
    """A trained network and what is known of its training."""

    model: Transformer
    history: History
    diverged: bool
    watched_step: np.ndarray
    """(watches,): steps done when it was asked."""
    watched_logit: np.ndarray
    """(watches, WATCHED): its logits for `watched_episodes`."""


def watched_episodes(cell: Training) -> Episodes:
    """What the networks of this task are asked while they train; the same for all seeds."""
    from icl_lrt.seeds import generator

    return cell.task().sample(WATCHED, cell.recipe().n, 1, generator(0, "watched"))


def trained(cell: Training, scratch: Path, watched: bool = True) -> Kept:
    """The network of this cell, from its file or trained now; interrupted training goes on from `scratch`.

    watched: ask it while it trains, which takes about a sixth longer (half of a small network's time) and does not
    change it. Networks that were not asked are other files.
    """
    import filelock

    from icl_lrt.training import History

    path = _path(cell, watched)
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = path.with_suffix(".npz")
    with filelock.FileLock(path.with_suffix(".lock")):  # another worker may be training it
        if not path.exists():
            _train(cell, path, notes, scratch, watched)
    try:
        with np.load(notes) as kept:
            history = History(*(kept[name] for name in History._fields))
            answers = kept["watched_step"], kept["watched_logit"]
            return Kept(_load(path, cell.device), history, bool(kept["diverged"]), *answers)
    except (UserError, OSError, ValueError, KeyError, BadZipFile) as error:
        advice = "remove it and run the same command again, which trains it anew"
        raise UserError(f"the kept network {path} is damaged: {advice}") from error


def _load(path: Path, device: str) -> Transformer:
    from icl_lrt import checkpoints

    return checkpoints.load(path).to(device)


def _train(cell: Training, path: Path, notes: Path, scratch: Path, watched: bool) -> None:
    import torch

    from icl_lrt import checkpoints
    from icl_lrt.mechanism import logits
    from icl_lrt.training import train

    recipe, asked = cell.recipe(), watched_episodes(cell)
    at = set(np.linspace(0, recipe.steps, WATCHES if watched else 0).round().astype(int).tolist())
    answered = scratch / "watched.npz"
    answers = dict(np.load(answered)) if answered.exists() else {}  # step -> logits, of a run that was interrupted

    def watch(step: int, model: torch.nn.Module) -> None:
        if step in at and str(step) not in answers:
            answers[str(step)] = logits(model, asked)[:, 0].float().numpy(force=True)
            _write(answered, answers)

    result = train(recipe, cell.seed, cell.device, watch, scratch)
    of_watches = {
        "watched_step": np.array([int(step) for step in answers]),
        "watched_logit": np.array([*answers.values()]),
    }
    _write(notes, result.history._asdict() | of_watches | {"diverged": result.diverged})
    checkpoints.save(result.model, path, recipe, seed=cell.seed)  # last: its presence says that all is there


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    from repro_shared.files import storage, write_atomic

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with storage(path.parent):
        write_atomic(path, buffer.getvalue())


def _path(cell: Training, watched: bool) -> Path:
    """Where this network is kept."""
    from icl_lrt.training import train
    from repro_shared.cells import sha256_json
    from repro_shared.provenance import plain
    from repro_shared.workers import stamp_of

    folder = os.environ.get(MODELS_FOLDER)
    folder = Path(folder) if folder else Path.home() / ".cache" / "icl-lrt" / "models"
    digest = sha256_json([plain(cell.recipe()), cell.seed, stamp_of(train, "icl-lrt")])[:12]
    kind = "" if watched else "-unwatched"
    return folder / f"{cell.variant}-{cell.size}-seed{cell.seed}-{digest}{kind}.safetensors"
