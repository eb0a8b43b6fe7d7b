"""What is trained, and how: settings, and nothing that needs torch.

faithful("A")                        the published training: one query a sequence, 15,620 steps
multi_query("B", steps=800)          ours: many queries share a context behind a mask
faithful(**PUBLISHED["no_pos"])      a published row; multi_query(**...) trains the same variant our way
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Task = Literal["A", "B"]
Layout = Literal["pairs", "interleaved"]
Positions = Literal["learned", "frozen", "none"]
Frozen = Literal["nothing", "qk", "attention"]
Schedule = Literal["one_cycle", "warmup_cosine"]
Precision = Literal["bf16", "fp32"]
Shuffle = Literal["labels", "pairs"]

INTERLEAVED_POSITIONS = 512
"""Length of the published table of positions for the interleaved layout."""


def _require_known(settings, **choices) -> None:
    for name, known in choices.items():
        if getattr(settings, name) not in get_args(known):
            raise ValueError(f"{name} = {getattr(settings, name)!r}: choose from {', '.join(get_args(known))}")


@dataclass(frozen=True)
class Architecture:
    """The published network; its variants are switches."""

    d: int = 16
    """Dimension of an input."""
    context: int = 32
    """n, labelled points: the table of positions has n + 1 rows (pairs) or 512 (interleaved)."""
    width: int = 128
    """Units of a token's stream."""
    heads: int = 4
    """Attention heads of a layer; each has width / heads units."""
    layers: int = 2
    """Encoder layers."""
    feedforward: int = 512
    """Hidden units of a layer's feed-forward network."""
    layout: Layout = "pairs"
    """A token for each labelled point, or one for its input and one for its label."""
    labels: bool = True
    """False: the labels are not shown."""
    positions: Positions = "learned"
    """frozen: those of the initialisation. none: no table, so the context may have any length."""
    frozen: Frozen = "nothing"
    """What gradient descent leaves as it was drawn. qk: W_Q and W_K, which weight decay still shrinks (as published).
    attention: all four projections with their biases.
    """
    masked: bool = False
    """True: tokens read the context and themselves only."""

    def __post_init__(self):
        _require_known(self, layout=Layout, positions=Positions, frozen=Frozen)
        sizes = ("d", "context", "width", "heads", "layers", "feedforward")
        if bad := [name for name in sizes if getattr(self, name) < 1]:
            raise ValueError(f"{bad[0]} = {getattr(self, bad[0])}: choose a whole number >= 1")
        if self.width % self.heads:
            raise ValueError(f"width = {self.width} does not split into {self.heads} heads: choose a multiple")
        if self.layout == "interleaved" and not self.labels:
            raise ValueError("the interleaved layout has label tokens: take layout pairs for a model without labels")
        if self.layout == "interleaved" and self.positions != "none" and 2 * self.context >= INTERLEAVED_POSITIONS:
            raise ValueError(f"context = {self.context}: interleaved positions go to {INTERLEAVED_POSITIONS // 2 - 1}")


@dataclass(frozen=True)
class Recipe:
    """One training run but for its seed. The defaults are those of `multi_query("A")`."""

    task: Task = "A"
    """A: shifted mean. B: variance."""
    sigma_k: float = 3.0
    """Standard deviation of the nuisance shift in each coordinate (task A)."""
    validation_sigma_k: float | None = None
    """The same in validation, by which the best state is chosen; None: as in training."""
    architecture: Architecture = Architecture(masked=True)
    points: int | None = None
    """n, labelled points of an episode; None: the architecture's context."""
    queries: int = 32
    """M, queries of an episode. Without a mask each is a sequence of its own."""
    label_noise: float = 0.0
    """p, chance that a label of the context is flipped, in training only; the queries' labels are clean."""
    shuffle: Shuffle | None = None
    """What is permuted in every forward pass, in training and validation, by one permutation for the whole batch:
    the labels against their points, or the pairs.
    """
    steps: int = 2_300
    batch: int = 32
    """Episodes a step; none is used twice."""
    lr: float = 1e-3
    """Largest step size of AdamW (beta2 .999)."""
    schedule: Schedule = "warmup_cosine"
    """See `training.schedule`."""
    weight_decay: float = 1e-4
    """Of all parameters that are trained."""
    clip: float = 1.0
    """Largest norm of the whole gradient."""
    precision: Precision = "bf16"
    """bf16: automatic mixed precision, on any device; parameters and their updates stay in float32."""
    validate_every: int = 100
    """Steps between two validations; there is one after the last step."""
    validation_episodes: int = 256
    fresh_validation: bool = False
    """True: new episodes at every validation (as published). False: always the same ones."""

    def __post_init__(self):
        _require_known(self, task=Task, schedule=Schedule, precision=Precision)
        if self.shuffle not in (None, *get_args(Shuffle)):
            raise ValueError(f"shuffle = {self.shuffle!r}: choose from {', '.join(get_args(Shuffle))}, or None")
        for name in ("queries", "steps", "batch", "validate_every", "validation_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: choose a whole number >= 1")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: choose a number > 0")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay = {self.weight_decay}: choose a number >= 0")
        for name in ("sigma_k", "validation_sigma_k"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} = {value}: choose a number >= 0")
        if self.validation_sigma_k is not None and self.task == "B":
            raise ValueError("task B has no nuisance shift: leave out validation_sigma_k")
        if not 0 <= self.label_noise <= 1:
            raise ValueError(f"label_noise = {self.label_noise}: choose a probability")
        if self.points is not None and self.points < 1:
            raise ValueError(f"points = {self.points}: choose a whole number >= 1")
        if self.architecture.positions != "none" and self.n > self.architecture.context:
            raise ValueError(
                f"points = {self.points} for positions of {self.architecture.context}: "
                "choose fewer, a larger context, or positions none"
            )

    @property
    def n(self) -> int:
        """Labelled points of an episode."""
        return self.architecture.context if self.points is None else self.points


def faithful(task: Task, **changes: Any) -> Recipe:
    """The published training: 20 epochs of 781 batches, validated after each on 5,000 new episodes, in float32.

    `changes` are fields of `Recipe` or of its `Architecture`.
    """
    settings = {
        "masked": False, "queries": 1, "steps": 20 * 781, "batch": 64, "lr": 3e-4, "schedule": "one_cycle",
        "weight_decay": 1e-4, "clip": 1.0, "precision": "fp32", "validate_every": 781, "validation_episodes": 5_000,
        "fresh_validation": True,
    }  # fmt: skip
    return _recipe({"task": task} | settings | changes)


def multi_query(task: Task, **changes: Any) -> Recipe:
    """Our training, many times faster: 32 queries share a context, which cannot read them.

    2,300 steps for task A and 1,500 for B, a minute on one core, come as near to Bayes as the published networks do:
    for three seeds cross-entropies .008 to .011 and .005 to .007 above its (published: .011 to .04, .006 to .010).
    `changes` are fields of `Recipe` or of its `Architecture`.
    """
    return _recipe({"task": task, "masked": True, "steps": 2_300 if task == "A" else 1_500} | changes)


def _recipe(settings: dict[str, Any]) -> Recipe:
    names = {field.name for field in fields(Architecture)}
    inner = {name: value for name, value in settings.items() if name in names}
    outer = {name: value for name, value in settings.items() if name not in names}
    architecture = replace(outer.pop("architecture", Architecture()), **inner)
    return Recipe(architecture=architecture, **outer)


PUBLISHED: dict[str, dict[str, Any]] = {
    "task_A_regular": {"task": "A"},
    "task_B_regular": {"task": "B"},
    "task_A_OOD": {"task": "A", "validation_sigma_k": 9.0},
    "interleaved": {"task": "A", "layout": "interleaved"},
    "no_labels": {"task": "A", "labels": False},
    "shuffled_labels": {"task": "A", "shuffle": "labels"},
    "shuffled_context": {"task": "A", "shuffle": "pairs"},
    "frozen_attention": {"task": "A", "frozen": "attention"},
    "frozen_qk": {"task": "A", "frozen": "qk"},
    "frozen_pos": {"task": "A", "positions": "frozen"},
    "no_pos": {"task": "A", "positions": "none"},
    "noisy_labels_p0.1": {"task": "A", "label_noise": 0.1},
    "noisy_labels_p0.2": {"task": "A", "label_noise": 0.2},
    "noisy_labels_p0.4": {"task": "A", "label_noise": 0.4},
    "context_increase": {"task": "A", "context": 64, "points": 32},
}
"""The fifteen published rows as changes of a recipe. The published context_increase has positions for 64 points and
episodes of 32."""

REPAIRED: dict[str, dict[str, Any]] = {"context_increase_repaired": {"task": "A", "context": 64}}
"""What a published row was meant to be (ours): episodes of 64 points."""
