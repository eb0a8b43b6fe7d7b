"""Gradient flow: training in the limit of small steps, which the paper's argument about collapse is about.

    d theta / dt = -g(theta),      g: gradient of SimSiam's loss on a fixed batch with the targets held constant

g is not the gradient of any function (stop-gradient), but it is a field, and `flow` follows it with an embedded
Runge-Kutta pair that chooses its own steps (scipy's), in float64. `descend` follows it with equal steps: full-batch SGD
without momentum. SGD with learning rate lr and momentum m goes 1 / (1 - m) as fast: lr / (1 - m) of time a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from proj_heads.siamese import Outputs, Program, unit
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


def flow(
    program: Program,
    theta: Float[Tensor, "m p"],
    x: Float[Tensor, "m inputs 2 batch"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    tolerance: float = 1e-5,
    method: str = "DOP853",
) -> Trajectory:
    """The members' states at `times` (ascending, from the start at times[0]), as one system.

    tolerance: of one step's error, relative to each parameter or, where that is less than 1e-3, to 1e-3. Its root mean
        square over all members' parameters counts. Check a result with a smaller one: errors add up, and grow where the
        field is unstable.
    method: of `scipy.integrate.solve_ivp`.

    Raises RuntimeError when scipy cannot go on (step size down to rounding).
    """
    from scipy.integrate import solve_ivp

    shape, x = theta.shape, x.double()

    def field(_, state: np.ndarray) -> np.ndarray:
        _, gradient, _ = program.gradient(torch.from_numpy(state).view(shape), x)
        return -gradient.flatten().numpy()

    start, times = theta.detach().double().flatten().numpy(), np.asarray(times, dtype=float)
    options = {"method": method, "t_eval": times, "rtol": tolerance, "atol": 1e-3 * tolerance}
    solved = solve_ivp(field, (times[0], times[-1]), start, **options)
    if not solved.success:
        raise RuntimeError(f"the integrator stopped at t = {solved.t[-1]:g} of {times[-1]:g}: {solved.message}")
    return _trajectory(program, x, times, torch.from_numpy(solved.y.T.copy()).view(-1, *shape), solved.nfev)


def descend(
    program: Program,
    theta: Float[Tensor, "m p"],
    x: Float[Tensor, "m inputs 2 batch"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    step: float,
) -> Trajectory:
    """theta <- theta - step g(theta), float64 (explicit Euler). `times` are rounded to whole steps from times[0]."""
    x, theta, kept, done = x.double(), theta.detach().double().clone(), [], 0
    at = np.rint((np.asarray(times, dtype=float) - times[0]) / step).astype(int)
    for steps in at:
        for _ in range(steps - done):
            theta = theta - step * program.gradient(theta, x)[1]
        kept.append(theta)
        done = steps
    return _trajectory(program, x, times[0] + step * at, torch.stack(kept), int(done))


@torch.no_grad()
def _trajectory(program: Program, x: Tensor, time, theta: Float[Tensor, "t m p"], evaluations: int) -> Trajectory:
    """Measured one time after the other."""
    from proj_heads.siamese import simsiam_loss

    outputs: list[Outputs] = [program.outputs(state, x) for state in theta]
    std, std_backbone = (
        torch.stack([representation_std(unit(getattr(at, name))) for at in outputs]) for name in ("h", "z")
    )
    loss = torch.stack([simsiam_loss(at.h, at.p) for at in outputs])
    return Trajectory(np.asarray(time), theta, std, std_backbone, loss, evaluations)
