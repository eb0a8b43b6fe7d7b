"""Annealing the temperature of any contrastive loss in training, and what representations look like on the way.

scheduler = TemperatureScheduler(loss, Log(2.0, offset=2.0), lowest=0.05)
for views in data:
    loss(*network(views)).backward()
    optimizer.step()
    scheduler.step()                              # sets loss.temperature = 1 / beta
scheduler.log(z0, z1)                             # a row for scheduler.rows
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.schedules import Schedule, check_positive


@runtime_checkable
class HasTemperature(Protocol):
    """For instance lightly's NTXentLoss."""

    temperature: float


class Adaptive(NamedTuple):
    """Constant thermodynamic speed, without a plan: beta grows by speed / spread at each step (ours).

    `spread` is the standard deviation of the energy that the caller measures, for instance over the anchors of a batch.
    """

    start: float
    end: float
    speed: float


class TemperatureScheduler:
    """Sets `loss.temperature` to 1 / beta at the time step * dt, kept between `lowest` and `highest`."""

    def __init__(
        self,
        loss: HasTemperature,
        schedule: Schedule | Adaptive,
        dt: float = 1.0,
        lowest: float = 1e-3,
        highest: float = 1.0,
    ):
        check_positive(dt=dt, lowest=lowest, highest=highest)
        if not hasattr(loss, "temperature"):
            raise ValueError(f"{type(loss).__name__} has no attribute temperature that could be annealed")
        if lowest > highest:
            raise ValueError(f"lowest = {lowest} and highest = {highest}: choose lowest <= highest")
        if isinstance(schedule, Adaptive):
            check_positive(start=schedule.start, end=schedule.end, speed=schedule.speed)
        self.loss, self.schedule, self.dt, self.lowest, self.highest = loss, schedule, dt, lowest, highest
        self.rows: list[dict[str, int | float]] = []
        self.steps, self.beta = 0, 0.0
        self._set(schedule.start if isinstance(schedule, Adaptive) else self._planned())

    def _planned(self) -> float:
        return float(self.schedule(torch.tensor(self.steps * self.dt, dtype=torch.float64)))

    def _set(self, beta: float) -> None:
        self.beta = min(max(beta, 1 / self.highest), 1 / self.lowest)
        self.loss.temperature = 1 / self.beta

    def step(self, spread: float | None = None) -> None:
        """Go on by one step; `Adaptive` needs the energy's standard deviation."""
        if isinstance(self.schedule, Adaptive):
            if spread is None:
                raise ValueError("an adaptive schedule needs step(spread=...), the energy's standard deviation")
            check_positive(spread=spread)
        self.steps += 1
        if isinstance(self.schedule, Adaptive):
            self._set(min(self.beta + self.schedule.speed / spread, self.schedule.end))
        else:
            self._set(self._planned())

    def log(self, z0: Float[Tensor, "batch d"], z1: Float[Tensor, "batch d"]) -> dict[str, int | float]:
        """Measure two views of a batch, and keep the numbers with the step and the temperature."""
        measured = {name: float(value) for name, value in measure(z0, z1)._asdict().items()}
        self.rows.append({"step": self.steps, "temperature": self.loss.temperature} | measured)
        return self.rows[-1]

    def state_dict(self) -> dict:
        return {"steps": self.steps, "beta": self.beta, "rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict` was taken; the schedule itself is the constructor's."""
        self.steps, self.rows = state["steps"], [dict(row) for row in state["rows"]]
        self._set(state["beta"])


class Measured(NamedTuple):
    """Of unit embeddings of two views."""

    alignment: Float[Tensor, ""]
    """Mean |z - z'|^2 over positive pairs (Wang and Isola): 0 where views agree."""
    uniformity: Float[Tensor, ""]
    """ln of the mean of exp(-2 |x - y|^2) over pairs of different images, the mean over both views: 0 at collapse."""
    effective_rank: Float[Tensor, ""]
    """exp of the entropy of the normalised eigenvalues of the covariance over both views; NaN at collapse."""


def measure(z0: Float[Tensor, "batch d"], z1: Float[Tensor, "batch d"]) -> Measured:
    """Alignment, uniformity and effective rank, in float64; rows are divided by their norms first."""
    z0, z1 = (torch.nn.functional.normalize(z.detach().double(), dim=1) for z in (z0, z1))
    if z0.shape != z1.shape or len(z0) < 2:
        raise ValueError(
            f"views of shapes {tuple(z0.shape)} and {tuple(z1.shape)}: give two equal ones, 2 rows or more"
        )
    uniformity = [torch.pdist(z).square().mul(-2).exp().mean().log() for z in (z0, z1)]
    both = torch.cat([z0, z1])
    spectrum = torch.linalg.svdvals(both - both.mean(0)).square()
    rank = torch.special.entr(spectrum / spectrum.sum()).sum().exp()
    return Measured((z0 - z1).square().sum(1).mean(), (uniformity[0] + uniformity[1]) / 2, rank)
