"""Which heads collapse, and which recover? SimSiam from collapsed starts (claims C5, C6, C7; experiment E1)

One cell is one configuration with all its seeds, trained as one tensor program: SimSiam with the published objective,
SGD with momentum .9 without weight decay at a constant rate, on an MLP (196 -> 64 -> 32, batch norm and ReLU) with the
authors' head and predictor at a sixteenth of their width (32 -> 128 -> 128, 128 -> 32 -> 128) and views of 14 x 14.
Starts:

pseudo       the head's weights times alpha, the authors' "collapsed" start: no representation is collapsed by that
none         the head as it is drawn: the control
mean_shift   representations on a common vector plus epsilon times their differences: true collapse (ours)

From true collapse there is a positive control, too: the same members with InfoNCE as `objective`, which drives outputs
apart, for a tenth of the steps. Where it did not escape, that SimSiam does not would say nothing.

`paper` is this same MLP on Fashion-MNIST with more seeds and steps. The published grid, ResNet-18 and ViT-Tiny on
CIFAR-10 and CIFAR-100, is not in it: its 2,100 GPU epochs are beyond what this study batches.

Two rules were fixed before any of these runs. A run *collapses* if the spread of its unit outputs falls below a tenth
of what is possible, 1/sqrt(k). It *escapes* if its spread at the end is more than ten times its least: the authors show
recoveries of one to two orders of magnitude, and ratios within 2 of 1 where nothing happens. Expect 20 s per cell of
`default` on one core (2 s for the control).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from proj_heads.experiments.checked import require_positive
from proj_heads.experiments.pretrained import images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Activation = Literal["linear", "relu", "gelu", "swish"]
Collapse = Literal["pseudo", "none", "mean_shift"]
Objective = Literal["simsiam", "infonce"]
Data = Literal["fashion-mnist", "digits", "cifar10", "cifar100"]

ESCAPE = 10.0
"""A run escapes if its std at the end is more than so many times its least one."""
COLLAPSED = 0.1
"""A run collapses if its std falls below this share of 1/sqrt(k), the most that unit outputs can have."""
EPOCH = 100
"""Steps at either end whose mean std makes the published ratio (there: epochs of 97 steps)."""
SIDE = 14
"""Pixels along a side of a view."""
FRESH_SEEDS = tuple(range(24, 32))
"""Seeds of `default`: claims were written when runs of seeds 0 to 23 had been seen (see `checks`)."""
VIEWS_A_SECOND = 150_000
"""Forward and backward, of all members together, on one core of the machine that the committed results are of."""


@dataclass(frozen=True)
class Config:
    activation: Activation = "swish"
    """Of head and predictor."""
    norm: bool = False
    """Batch norm after each linear map of head and predictor (never for linear)."""
    lr: float = 0.05
    """Learning rate; constant."""
    collapse: Collapse = "pseudo"
    """Start: see the head of the module."""
    alpha: float = 0.1
    """Factor on the head's weights (pseudo)."""
    epsilon: float = 0.02
    """Factor on the differences between representations (mean_shift)."""
    objective: Objective = "simsiam"
    """infonce: the control, see the head of the module."""
    steps: int = 2_500
    batch: int = 64
    """Images a step, of which there are two views."""
    every: int = 25
    """Steps between two records."""
    width: int = 128
    """Hidden and output width of the head, k."""
    predictor: int = 32
    """Hidden width of the predictor."""
    data: Data = "fashion-mnist"
    """Data set; digits are scikit-learn's, scaled up to 28 x 28."""
    device: str = "cpu"
    """torch device."""
    seeds: tuple[int, ...] = tuple(range(8))
    """Members of the cell; each has initial values, batches and views of its own."""

    def __post_init__(self):
        require_positive(self, "lr", "alpha", "epsilon", "steps", "every", "width", "predictor")
        for name, known in (
            ("activation", Activation), ("collapse", Collapse), ("objective", Objective), ("data", Data)
        ):  # fmt: skip
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} = {getattr(self, name)!r}; choose from {', '.join(get_args(known))}")
        if self.norm and self.activation == "linear":
            raise ValueError("a linear head has no batch norms: choose norm = False or another activation")
        if self.batch < 2:
            raise ValueError(f"batch = {self.batch}; choose at least 2 images")
        require_seeds(self)

    def cpu_hours(self) -> float:
        """About how long training takes on one core, at the default widths."""
        return 2 * len(self.seeds) * self.steps * self.batch / VIEWS_A_SECOND / 3600


def require_seeds(cell) -> None:
    """Raise a ValueError unless there are seeds, different ones and none below 0."""
    if not cell.seeds or len(set(cell.seeds)) < len(cell.seeds) or min(cell.seeds) < 0:
        raise ValueError(f"seeds = {cell.seeds}; choose different numbers >= 0, at least one")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per seed: what became of its spread, the time scales of head and backbone, rank correlations with the
    spread, and the curves of `stacked.CURVES`.
    """
    from proj_heads.siamese import infonce_loss, simsiam_loss
    from proj_heads.stacked import MemberViews, Stack, train

    data, _ = images(cell)
    views = MemberViews(data.x, cell.seeds, cell.batch, SIDE, cell.device)
    objective = {"simsiam": simsiam_loss, "infonce": infonce_loss}[cell.objective]
    stack = Stack(_members(cell, views), cell.lr, every=cell.every, objective=objective, device=cell.device)
    train(stack, views, cell.steps)
    curves = {name: values.numpy() for name, values in stack.curves().items()}
    step, updates = curves.pop("step"), stack.mean_updates()
    records = []
    for i, seed in enumerate(cell.seeds):
        own = {name: values[:, i] for name, values in curves.items()}
        head, backbone = (float(updates[part][i]) for part in ("head", "backbone"))
        records.append({
            "seeds": seed,
            "diverged": not np.isfinite(own["std"]).all(),
            **spread(step, own["std"], cell.width),
            "mean_update_head": head,
            "mean_update_backbone": backbone,
            "timescale": _ratio(head, backbone),
            "timescale_median": _ratio(float(np.median(own["update_head"])), float(np.median(own["update_backbone"]))),
            "timescale_moved": _ratio(float(own["moved_head"].mean()), float(own["moved_backbone"].mean())),
            **correlations(own),
            "loss_end": float(own["loss"][-1]),
            "origin": data.origin,
            "step": step,
            **own,
        })  # fmt: skip
    return records


def _members(cell: Config, views) -> list:
    """Networks of each seed at the cell's start; `views` gives the images that a mean shift is computed on, the first
    batch of training.
    """
    from proj_heads.heads import pseudo_collapse_
    from proj_heads.seeds import generator
    from proj_heads.siamese import Sizes, mean_shift_, siamese

    sizes = Sizes(
        inputs=views.images.shape[1] * SIDE**2, width=cell.width, k=cell.width, predictor=cell.predictor,
        activation=cell.activation, norm=cell.norm,
    )  # fmt: skip
    members = [siamese(sizes, generator(seed, "init")) for seed in cell.seeds]
    first = next(views).cpu() if cell.collapse == "mean_shift" else None
    for i, member in enumerate(members):
        if cell.collapse == "pseudo":
            pseudo_collapse_(member.head, cell.alpha)
        elif first is not None:
            mean_shift_(member.backbone, first[i, :, 0].T, cell.epsilon)
    return members


def spread(step: np.ndarray, std: np.ndarray, k: int) -> dict:
    """What became of the std of unit outputs along a run, by the rules at the head of the module. `ever_escaped` and
    `escape_step` are of the first time that it was more than ten times the least until then, kept or not. A run that
    diverges has none of these numbers: it did not escape, nor did it stay.
    """
    start, least, end = float(std[0]), float(std.min()), float(std[-1])
    risen = np.flatnonzero(std > ESCAPE * np.minimum.accumulate(std))
    found = {
        "std_start": start,
        "std_min": least,
        "std_min_step": int(step[std.argmin()]),
        "std_end": end,
        "std_possible": k**-0.5,
        "rise": _ratio(end, least),
        "growth": _ratio(end, start),
        "published_ratio": _ratio(
            float(std[step > step[-1] - EPOCH].mean()), float(std[step < EPOCH].mean())
        ),
        "collapsed": least < COLLAPSED * k**-0.5,
        "ends_collapsed": end < COLLAPSED * k**-0.5,
        "escaped": end > ESCAPE * least,
        "ever_escaped": len(risen) > 0,
        "escape_step": int(step[risen[0]]) if len(risen) else None,
    }  # fmt: skip
    return found if np.isfinite(std).all() else dict.fromkeys(found)


def correlations(own: dict[str, np.ndarray]) -> dict:
    """Spearman's rank correlations along training (without the start, as published) of the std with the published
    condition number, and with effective rank and participation ratio, which say what a condition number should; for
    the head's outputs and for the backbone's.
    """
    pairs = {
        "condition": ("std", "condition"),
        "effective_rank": ("std", "effective_rank"),
        "participation": ("std", "participation"),
        "lambda_max_backbone": ("std_backbone", "lambda_max_backbone"),
        "effective_rank_backbone": ("std_backbone", "effective_rank_backbone"),
    }
    return {f"spearman_{name}": _spearman(own[a][1:], own[b][1:]) for name, (a, b) in pairs.items()}


def _spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """None where one of them does not vary."""
    from scipy.stats import spearmanr

    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3 or np.ptp(a[known]) == 0 or np.ptp(b[known]) == 0:
        return None
    return float(spearmanr(a[known], b[known]).statistic)


def _ratio(above: float, below: float) -> float | None:
    """None where it is not defined."""
    return above / below if below else None


def _grid(**settings) -> list[Config]:
    """The published comparisons (heads, batch norm, learning rates), the controls, and true collapse."""
    base = Config(**settings)
    heads = [replace(base, activation=name) for name in ("linear", "relu", "gelu", "swish")]
    compared = [replace(base, activation=name) for name in ("relu", "swish")]
    shifted = [replace(cell, collapse="mean_shift") for cell in heads]
    return [
        *heads,
        *(replace(cell, norm=True) for cell in compared),
        *(replace(cell, lr=lr) for lr in (0.005, 0.5) for cell in compared),
        *(replace(cell, collapse="none") for cell in compared),
        *shifted,
        *(replace(cell, objective="infonce", steps=base.steps // 10) for cell in shifted),
    ]


PRESETS: dict[str, list[Config]] = {
    "smoke": _grid(data="digits", steps=60, batch=32, every=10, seeds=(0, 1)),
    "default": _grid(seeds=FRESH_SEEDS),
    "paper": _grid(steps=10_000, every=50, seeds=tuple(range(30))),
}


def figures(results: Results) -> dict[str, Figure]:
    """Spread along training, its end, relative updates, gradients, ranks and the published condition number (E1)."""
    from proj_heads.experiments.collapse_figures import draw

    return draw(results)
