"""Gradient flow: training in the limit of small steps, which the paper's argument about collapse is about.

    d theta / dt = -g(theta),      g: gradient of SimSiam's loss on a fixed batch, with the targets held constant

With the stop-gradient g is the gradient of no function, but it is a field. `flow` follows it with an integrator that
chooses its own steps (`rkc`), `descend` with equal steps: full-batch gradient descent. SGD with learning rate lr and
momentum m advances the time by lr / (1 - m) a step, .5 in the published runs. Float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from proj_heads import rkc
from proj_heads.siamese import Program, simsiam_loss, unit
from proj_heads.stacked import representation_std


@dataclass(frozen=True)
class Trajectory:
    """M members at T times."""

    time: Float[np.ndarray, " t"]
    theta: Float[Tensor, "t m p"]
    std: Float[Tensor, "t m"]
    """`representation_std` of the head's outputs."""
    std_backbone: Float[Tensor, "t m"]
    loss: Float[Tensor, "t m"]
    evaluations: int
    """Of the field."""
    last: Float[Tensor, "m p"]
    """Each member at its end."""
    end: Float[Tensor, " m"]
    """Time that each member was followed to; NaN after it."""
    stiffness: Float[Tensor, " m"]
    """Largest rate of relaxation that was met (spectral radius of the field's Jacobian); NaN for `descend`."""
    met_at: Float[Tensor, "limits m"]
    """Time at which each member first relaxed faster than at each of the rates `stiffest`; NaN where it never did."""
    met: Float[Tensor, "limits m p"]
    """Its state then."""


def flow(
    program: Program,
    theta: Float[Tensor, "m p"],
    x: Float[Tensor, "m inputs 2 batch"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    tolerance: float = 1e-3,
    stiffest: Sequence[float] = (1e6,),
    limit: int = 10_000_000,
) -> Trajectory:
    """The members' states at `times`, from `theta` at times[0]; see `rkc.integrate` for the tolerance and the limit.

    A member is followed until its field relaxes faster than at the last of the rates `stiffest` (ascending): the loss
    is singular where the predictor's output for some image is zero, and paths do run into such points and are held
    there. No limit tells a singularity from a narrow pass; `met_at` and `met`, for rising limits, do. The field of a
    ReLU head jumps, and a path may run along a jump; the integrator then takes many more steps.
    """
    x = x.double()
    solved = rkc.integrate(
        lambda state: -program.gradient(state, x)[1],
        theta.double(), times, tolerance, stiffest=stiffest, limit=limit,
    )  # fmt: skip
    per_member = solved.last, solved.end, solved.stiffness, solved.met_at, solved.met
    return _measured(program, x, times, solved.states, solved.evaluations, *per_member)


def descend(
    program: Program,
    theta: Float[Tensor, "m p"],
    x: Float[Tensor, "m inputs 2 batch"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    step: float,
) -> Trajectory:
    """theta <- theta - step g(theta). `times` are rounded to whole steps from times[0]."""
    x, theta, states, done = x.double(), theta.double(), [], 0
    at = np.rint((np.asarray(times, float) - times[0]) / step).astype(int)
    for steps in at:
        for _ in range(steps - done):
            theta = theta - step * program.gradient(theta, x)[1]
        states.append(theta)
        done = int(steps)
    unknown, end = states[0].new_full((len(theta),), torch.nan), states[0].new_full((len(theta),), step * done)
    met_at, met = unknown.new_empty(0, len(theta)), theta.new_empty(0, *theta.shape)
    per_member = theta, times[0] + end, unknown, met_at, met
    return _measured(program, x, times[0] + step * at, torch.stack(states), done, *per_member)


@torch.no_grad()
def _measured(
    program: Program, x: Tensor, times, states: Float[Tensor, "t m p"], evaluations: int, *per_member: Tensor
):
    """What a trajectory records of its states."""
    outputs = [program.outputs(state, x) for state in states]
    std, std_backbone = (
        torch.stack([representation_std(unit(output)) for output in kind])
        for kind in ([at.h for at in outputs], [at.z for at in outputs])
    )
    loss = torch.stack([simsiam_loss(at.h, at.p) for at in outputs])
    return Trajectory(np.asarray(times, float), states, std, std_backbone, loss, evaluations, *per_member)
