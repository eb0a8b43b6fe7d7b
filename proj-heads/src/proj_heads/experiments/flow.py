"""Does gradient flow escape collapse where SGD does? (claim C5, which is about continuous time)

One cell is one head and one start with all its seeds: a small network (an affine backbone 16 -> 16, head 16 -> 32
-> 16, predictor 16 -> 8 -> 16, no batch norm anywhere) on one batch of 32 pairs of views of 4 x 4 pixels, standardised
pixel by pixel. All its parameters follow the stop-gradient field in continuous time (`flow.flow`), twice, at two
tolerances; numbers are of the finer one and `error` is the deviation of the other. Beside it gradient descent from the
same start, with steps of .5, what the published lr = .05 and momentum .9 amount to, and of .05. Starts:

mean_shift   representations on a common vector plus epsilon times their differences: true collapse
pseudo       the head's weights times alpha, the authors' start, where no representation is collapsed

A path *escapes* once the spread of its unit outputs is more than ten times the least until then. Some paths run into a
zero of the predictor's output for an image, where the loss is singular; they are followed until the field relaxes at
the last of the rates `stiffest` (ReLU heads, whose field jumps, at times only until `limit`). Whether a path escapes
that is left before its spread has risen so far is not known, nor how much any path that is left has grown by the end.

From the authors' start most paths are left early, and where is the question: they are followed to limits of 1e4, 1e5
and 1e6, and what is recorded at each tells a zero, which all of them find, from a narrow pass. From mean_shift a higher
limit only costs time (1e6 three times as much as 2e4, linear heads, seeds 0 to 7), so that it is lower. Expect 20 s per
cell of `default` (mean_shift) and 10 s (pseudo) on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from proj_heads.experiments.checked import require_positive
from proj_heads.experiments.collapse import ESCAPE, FRESH_SEEDS, Activation, Data, require_seeds
from proj_heads.experiments.pretrained import images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Start = Literal["mean_shift", "pseudo"]
SIDE = 4
"""Pixels along a side of a view."""
FIRST = 1e-3
"""The first recorded time after 0."""
EVALUATION = 7e-5
"""Seconds a member and evaluation of the field, on one core of the machine that the committed results are of."""


@dataclass(frozen=True)
class Config:
    activation: Activation = "swish"
    """Of head and predictor."""
    start: Start = "mean_shift"
    """See the head of the module."""
    alpha: float = 0.1
    """Factor on the head's weights (pseudo)."""
    epsilon: float = 0.02
    """Factor on the differences between representations (mean_shift)."""
    time: float = 300.0
    """Length of the path; 600 SGD steps of the published lr and momentum are as long."""
    points: int = 80
    """Recorded times, equally spaced in log t."""
    tolerance: float = 1e-3
    """Of a step's error, see `rkc.integrate`; the path is computed with this and with twice as much."""
    stiffest: tuple[float, ...] = (2e4,)
    """Rates of relaxation (1/time), ascending: what a path meets at each is recorded, and it is left at the last."""
    limit: int = 100_000
    """Evaluations of the field after which no path is followed any further."""
    descent: tuple[float, ...] = (0.5, 0.05)
    """Steps of the gradient descents."""
    batch: int = 32
    """Images, of each of which there are two views."""
    width: int = 32
    """Hidden width of the head; d = k = half of it, and the predictor has a quarter of it."""
    data: Data = "fashion-mnist"
    """Data set; digits are scikit-learn's, scaled up to 28 x 28."""
    device: str = "cpu"
    """torch device."""
    seeds: tuple[int, ...] = tuple(range(8))
    """Members of the cell; each has an initial value and a batch of its own."""

    def __post_init__(self):
        require_positive(
            self, "alpha", "epsilon", "time", "points", "tolerance", "stiffest", "limit", "descent", "batch", "width"
        )
        require_seeds(self)
        for name, known in (("activation", Activation), ("start", Start), ("data", Data)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} = {getattr(self, name)!r}; choose from {', '.join(get_args(known))}")
        if self.time <= FIRST or self.points < 3:
            raise ValueError(f"time = {self.time}, points = {self.points}; choose time > {FIRST} and points >= 3")
        if self.batch < 2 or self.width % 4:
            raise ValueError(
                f"batch = {self.batch}, width = {self.width}; choose at least 2 images and a multiple of 4"
            )
        if max(self.descent) > self.time:
            raise ValueError(f"descent = {self.descent}; choose steps <= time = {self.time:g}")
        if tuple(sorted(set(self.stiffest))) != self.stiffest:
            raise ValueError(f"stiffest = {self.stiffest}; choose rates that ascend")

    def cpu_hours(self) -> float:
        """About how long the paths take on one core; those near singularities may take up to `limit` evaluations."""
        evaluations = 2 * min(self.limit, 5_000 + 40 * self.time) + sum(self.time / step for step in self.descent)
        return evaluations * len(self.seeds) * EVALUATION / 3600


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per seed: spread along the flow and along each descent, how far the path was followed and how well,
    the smallest predictor output at its end relative to the mean one (`nearest_zero`), time and smallest output at each
    of the rates `stiffest` (`met_...`, `nearest_...`), and the linearised growth of differences around the mean
    representation, at the start and settled (at a thirtieth of the time, when the predictor has found its equilibrium).
    """
    from proj_heads.flow import descend, flow
    from proj_heads.seeds import generator
    from proj_heads.siamese import Program, simsiam_loss, unit
    from proj_heads.stacked import representation_std

    x = _batch(cell)  # (m, inputs, 2, batch)
    members = [_member(cell, generator(seed, "init"), x[i]) for i, seed in enumerate(cell.seeds)]
    program = Program(members[0])
    x, theta = x.to(cell.device), program.pack(members, x.dtype).to(cell.device)
    times = np.concatenate([[0.0], np.geomspace(FIRST, cell.time, cell.points - 1)])
    path = flow(program, theta, x, times, cell.tolerance, cell.stiffest, cell.limit)
    rough = flow(program, theta, x, times, 2 * cell.tolerance, cell.stiffest[:1], cell.limit)
    descents = {step: descend(program, theta, x, times, step) for step in cell.descent}
    settled = int(np.searchsorted(times, cell.time / 30))
    last = program.outputs(path.last, x)
    std_end, loss_end = representation_std(unit(last.h)), simsiam_loss(last.h, last.p)
    nearest, at_limits = _nearest_zero(last.p), [_nearest_zero(program.outputs(state, x).p) for state in path.met]
    records = []
    for i, seed in enumerate(cell.seeds):
        std, stopped = path.std[:, i].cpu().numpy(), bool(path.end[i] < cell.time)
        known = np.isfinite(std)
        along = np.append(times[known], float(path.end[i])), np.append(std[known], float(std_end[i]))
        records.append({
            "seeds": seed,
            "reached": float(path.end[i]),
            "stopped": stopped,
            "nearest_zero": float(nearest[i]),
            **{f"met_{rate:g}": float(path.met_at[j, i]) for j, rate in enumerate(cell.stiffest)},
            **{f"nearest_{rate:g}": float(at_limits[j][i]) for j, rate in enumerate(cell.stiffest)},
            **_spread(*along, stopped),
            "error": float(np.nanmax(np.abs(rough.std[:, i].cpu().numpy() / std - 1))),
            "stiffness": float(path.stiffness[i]),
            "evaluations": path.evaluations,
            "loss_end": float(loss_end[i]),
            "rate_start": _growth_rate(program, path.theta[0, i].cpu(), x[i].cpu()),
            "rate_settled": _growth_rate(program, path.theta[settled, i].cpu(), x[i].cpu()),
            **{
                f"{name}_{step:g}": value
                for step, found in descents.items()
                for name, value in _spread(found.time, found.std[:, i].cpu().numpy()).items()
                if name in ("growth", "escaped", "escape_time")
            },
            "step": np.arange(len(times)),
            "time_of_step": times,
            "std": std,
            "std_backbone": path.std_backbone[:, i].cpu().numpy(),
            "loss": path.loss[:, i].cpu().numpy(),
            **{f"std_{step:g}": found.std[:, i].cpu().numpy() for step, found in descents.items()},
        })  # fmt: skip
    return records


def _batch(cell: Config):
    """Each member's pairs of views in float64; every pixel has mean 0 and standard deviation 1 over both views."""
    from proj_heads.stacked import MemberViews

    data, _ = images(cell)
    x = next(MemberViews(data.x, cell.seeds, cell.batch, SIDE)).double()
    flat = x.flatten(2)
    mean, std = flat.mean(2), flat.std(2).clamp_min(1e-6)  # a pixel that is always black stays 0
    return (x - mean[..., None, None]) / std[..., None, None]


def _member(cell: Config, stream, x):
    """A member at its start; x (inputs, 2, batch) are its views."""
    from torch import nn

    from proj_heads.backbones import initialised_from
    from proj_heads.heads import build_head, pseudo_collapse_
    from proj_heads.siamese import Siamese, mean_shift_

    d = k = cell.width // 2
    with initialised_from(stream):
        backbone = nn.Sequential(nn.Linear(len(x), d))
    head = build_head(d, cell.width, k, cell.activation, norm=False, generator=stream)
    predictor = build_head(k, cell.width // 4, k, cell.activation, norm=False, generator=stream)
    member = Siamese(*(network.double() for network in (backbone, head, predictor)))
    if cell.start == "pseudo":
        pseudo_collapse_(member.head, cell.alpha)
    else:
        mean_shift_(member.backbone, x.flatten(1).T, cell.epsilon)
    return member


def _nearest_zero(p):
    """Each member's smallest output of the predictor over its mean one; p (m, k, 2, batch)."""
    size = p.norm(dim=1).flatten(1)
    return size.amin(1) / size.mean(1)


def _spread(times: np.ndarray, std: np.ndarray, stopped: bool = False) -> dict:
    """What became of the spread; `rise` is the largest one over the least until then. A path that was left before it
    had escaped (`stopped`) may yet do so.
    """
    rises = std / np.minimum.accumulate(std)
    escaped = bool(rises.max() > ESCAPE)
    return {
        "std_start": float(std[0]),
        "std_min": float(std.min()),
        "std_end": float(std[-1]),
        "growth": float(std[-1] / std[0]),
        "rise": float(rises.max()),
        "escaped": None if stopped and not escaped else escaped,
        "escape_time": float(times[np.argmax(rises > ESCAPE)]) if escaped else None,
    }


def _growth_rate(program, theta, x) -> float | None:
    """Rate at which differences between representations would grow around their mean, if each one followed the
    stop-gradient field of its own loss and nothing else moved: the largest real part of the linearised field
    (`collapse_spectra`; times the number of images, as the loss is their mean). None where the path has ended before.
    """
    import copy

    import torch

    from proj_heads.collapse_spectra import abscissa, simsiam_linearisation

    if not torch.isfinite(theta).all():
        return None
    member = program.unpack_(theta, copy.deepcopy(program.networks))
    with torch.no_grad():
        point = member.backbone(x.flatten(1).T).mean(0)
    found = simsiam_linearisation(member.head, member.predictor, point, x.shape[-1])
    return x.shape[-1] * abscissa(found.shared)


def _cells(**settings) -> list[Config]:
    """The four heads from both starts; all but a few paths from the authors' start end before t = 0.4. Those of ReLU
    heads, along jumps of the field, are given up earlier.
    """
    base = Config(**settings)
    heads = [replace(base, activation=name) for name in ("linear", "relu", "gelu", "swish")]
    pseudo = {"start": "pseudo", "time": min(1.0, base.time), "stiffest": (1e4, 1e5, 1e6)}
    limits = {"relu": min(4_000, base.limit)}
    return [
        *heads,
        *(replace(cell, **pseudo, limit=limits.get(cell.activation, min(30_000, base.limit))) for cell in heads),
    ]


PRESETS: dict[str, list[Config]] = {
    "smoke": _cells(data="digits", time=2.0, points=12, batch=8, width=16, seeds=(0, 1), limit=1_000),
    "default": _cells(seeds=FRESH_SEEDS),
    "paper": _cells(time=2_000.0, limit=2_000_000, seeds=tuple(range(16))),
}


def figures(results: Results) -> dict[str, Figure]:
    """Spread along flow and descent, and what the linearisation says beforehand."""
    from proj_heads.experiments.flow_figures import draw

    return draw(results)
