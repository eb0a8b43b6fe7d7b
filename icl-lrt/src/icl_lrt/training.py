"""Training on episodes that are drawn as they are needed, and what became of it.

    trained = train(multi_query("A"), seed=0)
    trained.model                              the state of least validation loss
    trained.history.validation_accuracy        at `trained.history.step`

Every step and every validation has a random stream of its own, named by the seed and the step: runs that differ in
anything but the seed see the same episodes, and a resumed run goes on with those that it would have seen.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from icl_lrt.model import Transformer
from icl_lrt.recipe import Recipe, Shuffle
from icl_lrt.seeds import generator
from icl_lrt.stacked import Stack, accuracy, cross_entropy
from icl_lrt.tasks import Episodes, ShiftedMean, Variance, flip_labels
from repro_shared import UserError
from repro_shared.files import storage, write_atomic


class History(NamedTuple):
    """One row per validation. Losses are mean cross-entropies in nats, accuracies shares."""

    step: Int[np.ndarray, " rows"]
    """Steps done."""
    loss: Float[np.ndarray, " rows"]
    """In training, the mean over the steps since the row before."""
    accuracy: Float[np.ndarray, " rows"]
    validation_loss: Float[np.ndarray, " rows"]
    validation_accuracy: Float[np.ndarray, " rows"]


class Trained(NamedTuple):
    """What training gave."""

    model: Transformer
    """The state of least validation loss, in evaluation mode; the initial state if there is none."""
    history: History
    diverged: bool
    """The loss became infinite or undefined: the history ends there."""


def task_of(recipe: Recipe, validation: bool = False) -> ShiftedMean | Variance:
    """The task of training, or of validation."""
    if recipe.task == "B":
        return Variance(recipe.architecture.d)
    moved = validation and recipe.validation_sigma_k is not None
    return ShiftedMean(recipe.architecture.d, recipe.validation_sigma_k if moved else recipe.sigma_k)


def schedule(recipe: Recipe, step: int) -> tuple[float, float]:
    """(lr, beta1) of AdamW in a step, 0 <= step < recipe.steps.

    one_cycle (as published, torch's OneCycleLR with its defaults): cosines from lr / 25 up to lr in the first 30 % of
    the steps, and down to lr / 250,000; beta1 from .95 to .85 and back. warmup_cosine (ours): linear in the first
    10 %, then a cosine to 0; beta1 is .9.
    """
    if recipe.schedule == "one_cycle":
        peak, last = 0.3 * recipe.steps - 1, recipe.steps - 1
        if step <= peak:
            share = step / peak
            return _cosine(recipe.lr / 25, recipe.lr, share), _cosine(0.95, 0.85, share)
        share = (step - peak) / (last - peak)
        return _cosine(recipe.lr, recipe.lr / 25 / 1e4, share), _cosine(0.85, 0.95, share)
    rising = max(1, recipe.steps // 10)
    if step < rising:
        return recipe.lr * (step + 1) / rising, 0.9
    return _cosine(recipe.lr, 0.0, (step - rising) / (recipe.steps - rising)), 0.9


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def shuffled(episodes: Episodes, which: Shuffle | None, generator: torch.Generator) -> Episodes:
    """The contexts after one permutation that all episodes share: of the labels against their points, or of pairs."""
    if which is None:
        return episodes
    order = torch.randperm(episodes.y.shape[1], generator=generator, device=generator.device)
    changed = episodes._replace(y=episodes.y[:, order])
    return changed if which == "labels" else changed._replace(x=episodes.x[:, order])


def training_episodes(recipe: Recipe, seed: int, step: int, device: str | torch.device = "cpu") -> Episodes:
    """The batch of a step."""
    stream = generator(seed, "data", step, device=device)
    episodes = task_of(recipe).sample(recipe.batch, recipe.n, recipe.queries, stream)
    if recipe.label_noise:
        episodes = episodes._replace(y=flip_labels(episodes.y, recipe.label_noise, stream))
    return shuffled(episodes, recipe.shuffle, stream)


def validation_episodes(recipe: Recipe, seed: int, step: int, device: str | torch.device = "cpu") -> Iterator[Episodes]:
    """The batches of the validation after so many steps."""
    stream = generator(seed, "validation", *([step] if recipe.fresh_validation else []), device=device)
    task = task_of(recipe, validation=True)
    for start in range(0, recipe.validation_episodes, 4 * recipe.batch):
        count = min(4 * recipe.batch, recipe.validation_episodes - start)
        yield shuffled(task.sample(count, recipe.n, recipe.queries, stream), recipe.shuffle, stream)


def train(
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    watch: Callable[[int, Transformer], None] | None = None,
    scratch: Path | None = None,
) -> Trained:
    """Train one model. `watch(step, model)` is called before every step and after the last; see `train_seeds`."""
    run = _Run(recipe, [seed], device, scratch)
    return run.train(watch and (lambda step: watch(step, run.stack.models[0])))[0]


def train_seeds(
    recipe: Recipe, seeds: Sequence[int], device: str = "cpu", scratch: Path | None = None, stacked: bool | None = None
) -> list[Trained]:
    """Train a model per seed: all as one tensor program (`stacked`; by default on a GPU), or one after the other.

    The results are the same to rounding. With a folder `scratch` the state is kept there at every validation, and the
    same call goes on from it to the very numbers of a run that was never stopped.
    """
    if stacked is None:
        stacked = torch.device(device).type == "cuda"
    groups = [list(seeds)] if stacked else [[seed] for seed in seeds]
    return [trained for group in groups for trained in _Run(recipe, group, device, scratch).train()]


class _Run:
    """A stack on its way through a recipe."""

    def __init__(self, recipe: Recipe, seeds: list[int], device: str, scratch: Path | None):
        self.recipe, self.seeds, self.device, self.step = recipe, seeds, device, 0
        self.stack = Stack(recipe, seeds, device)
        self.best = {name: parameter.detach().clone() for name, parameter in self.stack.parameters.items()}
        self.best_loss = torch.full((len(seeds),), torch.inf, device=device)
        self.rows: list[Float[Tensor, "5 s"]] = []
        self.file = scratch and scratch / f"training-{'-'.join(map(str, seeds))}.safetensors"

    def train(self, watch: Callable[[int], None] | None = None) -> list[Trained]:
        if self.file and self.file.exists():
            self._resume()
        while self.step < self.recipe.steps and self._sound():
            self._interval(watch)
            if self.file:
                self._save()
        if watch is not None:
            watch(self.step)
        return [self._trained(i) for i in range(len(self.seeds))]

    def _sound(self) -> bool:
        """Whether any member's losses were finite so far."""
        return not self.rows or bool(self.rows[-1].isfinite().all(0).any())

    def _interval(self, watch: Callable[[int], None] | None) -> None:
        """Train to the next validation, and validate."""
        sums, start = torch.zeros(2, len(self.seeds), device=self.device), self.step
        stop = min(start + self.recipe.validate_every, self.recipe.steps)
        for self.step in range(start, stop):
            if watch is not None:
                watch(self.step)
            batches = [training_episodes(self.recipe, seed, self.step, self.device) for seed in self.seeds]
            sums += torch.stack(self.stack.step(together(batches), *schedule(self.recipe, self.step)))
        self.step = stop
        means, validated = sums / (stop - start), self._validate()
        self.rows.append(torch.cat([torch.full_like(means[:1], stop), means, validated]))
        better = validated[0] < self.best_loss
        self.best_loss = torch.where(better, validated[0], self.best_loss)
        for name, parameter in self.stack.parameters.items():  # into tensors of its own: the parameters move on
            self.best[name][better] = parameter.detach()[better]

    @torch.no_grad()
    def _validate(self) -> Float[Tensor, "2 s"]:
        """Mean loss and accuracy."""
        sums = torch.zeros(2, len(self.seeds), device=self.device)
        streams = [validation_episodes(self.recipe, seed, self.step, self.device) for seed in self.seeds]
        for batches in zip(*streams, strict=True):
            episodes = together(batches)
            logits = self.stack.logits(episodes)
            measured = cross_entropy(logits, episodes.label), accuracy(logits, episodes.label)
            sums += torch.stack(measured) * len(batches[0].label)
        return sums / self.recipe.validation_episodes

    def _trained(self, i: int) -> Trained:
        model = self.stack.models[i]
        for name, parameter in model.named_parameters():
            parameter.data = self.best[name][i].clone()
        rows = torch.stack(self.rows)[:, :, i].cpu().numpy()  # (rows, 5)
        finite = np.isfinite(rows).all(1)
        rows = rows[: finite.argmin() + 1] if not finite.all() else rows
        step, *curves = rows.T
        return Trained(model.eval(), History(step.astype(int), *curves), not finite.all())

    def _made_by(self) -> str:
        return repr((self.recipe, self.seeds))

    def _save(self) -> None:
        from safetensors.torch import save

        tensors = self.stack.state() | {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {"best_loss": self.best_loss, "rows": torch.stack(self.rows), "step": torch.tensor(self.step)}
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        with storage(self.file.parent, "free its space and run the same command again"):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.file, save(tensors, {"made_by": self._made_by()}))

    def _resume(self) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, "pt") as file:
                tensors = {name: file.get_tensor(name).to(self.device, copy=True) for name in file.keys()}
                metadata = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{self.file} is damaged ({error}): remove it and training starts anew") from error
        if metadata.get("made_by") != self._made_by():
            raise UserError(f"{self.file} belongs to another run: remove it, or train this one elsewhere")
        self.stack.load(tensors)
        self.best = {name: tensors[f"best.{name}"] for name in self.best}
        self.best_loss, self.rows, self.step = tensors["best_loss"], list(tensors["rows"]), int(tensors["step"])


def together(batches: Sequence[Episodes]) -> Episodes:
    """Each member's episodes in one tensor, members first."""
    return Episodes(*(torch.stack(values) for values in zip(*batches, strict=True)))
