"""A PDE solved by a single-layer network, with any of the optimisers: the same initial network, the same loss.

adam, adam+cosine, adam+ema             the paper's training; with a rate that falls; its averaged weights     float32
adam+fixed                              Adam on the points of the methods below, the same at every step        float32
lbfgs, lm, lm-continuation, varpro      `full_batch`: on fixed points                                          float64

Errors are measured on grids that have nothing to do with the points.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinn_scaling.full_batch import minimise
from pinn_scaling.loss import Loss, loss_and_gradient
from pinn_scaling.measures import band_errors, fine_grid, grid, published_grid, relative_error, values
from pinn_scaling.network import Activation, Law, Parameters
from pinn_scaling.pdes.base import Pde
from pinn_scaling.points import dense_counts, draw
from pinn_scaling.seeds import key
from pinn_scaling.training import Recipe, train

Method = Literal["adam", "adam+cosine", "adam+ema", "adam+fixed", "lbfgs", "lm", "lm-continuation", "varpro"]


class Solution(NamedTuple):
    """Leading axis: seeds."""

    parameters: Parameters
    error: Float[Array, " seeds"]
    """Relative L2 error on the published grid; NaN for a run that failed."""
    fine_error: Float[Array, " seeds"]
    """The same on a grid that resolves every front."""
    bands: Float[Array, "seeds bands"]
    """Relative error per band of frequencies (`measures.BANDS`), at 21 times."""
    loss: Loss
    """Its terms on dense points that no method has seen."""


def solve(
    pde: Pde,
    width: int,
    kappa: float,
    method: Method = "adam",
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    steps: int | None = None,
    law: Law = "published",
    activation: Activation = "tanh",
) -> Solution:
    """Networks of `width` neurons for `pde` at `kappa`, one per seed, all at once.

    `steps` replaces the 25,000 of Adam, or `full_batch.STEPS`.

    Raises ValueError for an unknown method, a width or kappa out of range, and where float64 is needed but disabled.
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}: choose from {', '.join(get_args(Method))}")
    if method.startswith("adam"):
        recipe = Recipe(
            steps=steps or Recipe.steps,
            schedule="cosine" if method == "adam+cosine" else "constant",
            law=law,
            activation=activation,
            counts=dense_counts(width) if method == "adam+fixed" else None,
            fresh=method != "adam+fixed",
        )
        trained = train(pde, width, [kappa] * len(seeds), seeds, recipe)
        parameters = trained.average if method == "adam+ema" else trained.parameters
    else:
        parameters = minimise(pde, width, kappa, method, seeds, steps, law, activation).parameters
    return measure(pde, parameters, [kappa] * len(seeds), seeds, activation)


def measure(
    pde: Pde, parameters: Parameters, kappas: Sequence[float], seeds: Sequence[int], activation: Activation = "tanh"
) -> Solution:
    """What there is to know of networks, one for each of `kappas` and `seeds`; all in float64."""
    keys = jnp.stack([key(seed, "evaluation") for seed in seeds])
    grids = (published_grid(pde), fine_grid(pde), grid(pde, 21, 512, midpoints=True))
    runs = (parameters, jnp.asarray(kappas, float), keys)
    return Solution(parameters, *_measured(pde, activation, grids, *runs))


@partial(jax.jit, static_argnames=("pde", "activation"))
def _measured(pde: Pde, activation: Activation, grids, parameters: Parameters, kappas, keys):
    """Everything but the parameters."""

    def one(run):
        parameters, kappa, key = run
        parameters = jax.tree.map(lambda leaf: leaf.astype(float), parameters)
        test, fine, modes = ((values(parameters, z, activation), pde.truth(z, kappa)) for z in grids)
        points = draw(key, pde, dense_counts(len(parameters.b)), jnp.float64)
        loss, _ = loss_and_gradient(pde, parameters, points, kappa, activation)
        return relative_error(*test), relative_error(*fine), band_errors(*modes), loss

    return jax.lax.map(one, (parameters, kappas, keys))
