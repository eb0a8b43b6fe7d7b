"""Training by Adam as published, many runs as one program (paper, section 3).

Adam with rate 1e-3, fresh points at every step, 25,000 steps, float32. A run is a seed and a kappa; all runs of a call
share the equation, the width and the recipe: they are one compilation, one `scan` over the steps of a `vmap` over runs,
and are shared out over the devices where there are several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from pinn_scaling.loss import Loss, loss_and_gradient
from pinn_scaling.measures import published_grid, relative_error
from pinn_scaling.network import Activation, Law, Parameters, derivatives, initialise
from pinn_scaling.pdes.base import Pde
from pinn_scaling.points import Counts, draw, published_counts
from pinn_scaling.seeds import key

DECAY = 0.999
"""Of the moving average of the weights (ours)."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the paper's."""

    steps: int = 25_000
    rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine (ours): constant for the first half, then half a cosine to zero."""
    activation: Activation = "tanh"
    law: Law = "published"
    precision: Literal["float32", "float64"] = "float32"
    counts: Counts | None = None
    """Numbers of points; by default the paper's, which grow with the width."""
    fresh: bool = True
    """New points at every step, or the same ones throughout."""
    log_every: int = 50

    def __post_init__(self):
        if self.steps < 1 or self.log_every < 1 or self.steps % self.log_every:
            raise ValueError(f"{self.steps} steps are no multiple of log_every = {self.log_every}: choose them so")
        if not self.rate > 0:
            raise ValueError(f"the rate {self.rate} must be positive")


RECIPE = Recipe()
SPEC = PartitionSpec("runs")


class Trained(NamedTuple):
    """Leading axis: runs."""

    parameters: Parameters
    """The last iterate, which is what the paper reports."""
    average: Parameters
    """The exponential moving average of the weights."""
    error: Float[np.ndarray, "runs logs"]
    """Relative L2 error on the published grid after log_every, 2 log_every, ... steps."""
    loss: Loss
    """Its terms [runs, logs], before the last step of each block, on that step's points."""
    failed: Int[np.ndarray, " runs"]
    """The first step whose loss was not finite; -1 for a sound run."""


def train(pde: Pde, width: int, kappas: Sequence[float], seeds: Sequence[int], recipe: Recipe = RECIPE) -> Trained:
    """Run i has kappas[i] and seeds[i]. Five runs or more keep a core busy; they cost little more than one.

    Raises ValueError for a width or a kappa out of range, and for lists that do not match.
    """
    if not 0 < len(kappas) == len(seeds):
        raise ValueError(f"{len(kappas)} kappas and {len(seeds)} seeds: give one of each per run, and one run or more")
    runs, devices = len(kappas), jax.device_count()
    each = -(-runs // devices)
    groups = max(1, each // 5) if jax.default_backend() == "cpu" else 1
    padded = devices * groups * -(-each // groups)
    inputs = (
        np.asarray([pde.checked(kappa) for kappa in kappas], recipe.precision),
        *(np.stack([jax.random.key_data(key(seed, name)) for seed in seeds]) for name in ("init", "points")),
    )
    inputs = [np.concatenate([x, np.repeat(x[-1:], padded - runs, axis=0)]) for x in inputs]
    mesh = Mesh(jax.devices(), ("runs",))
    inputs = [jax.make_array_from_callback(x.shape, NamedSharding(mesh, SPEC), x.__getitem__) for x in inputs]
    trained = _train(pde, width, recipe, mesh, groups, *inputs)
    if jax.process_count() > 1:
        trained = multihost_utils.process_allgather(trained, tiled=True)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:runs], trained)


@partial(jax.jit, static_argnames=("pde", "width", "recipe", "mesh", "groups"))
def _train(pde, width, recipe, mesh, groups, kappas, init_keys, point_keys) -> Trained:
    """All runs: shared out over the mesh, and a device's share in groups (of five, say) that fit into its cache."""

    def run(kappa, init_key, point_key):
        init_key, point_key = map(jax.random.wrap_key_data, (init_key, point_key))
        return _run(pde, width, recipe, kappa, init_key, point_key)

    def share(*inputs):
        grouped = [x.reshape(groups, -1, *x.shape[1:]) for x in inputs]
        found = jax.lax.map(lambda group: jax.vmap(run)(*group), grouped)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), found)

    shared = jax.shard_map(share, mesh=mesh, in_specs=SPEC, out_specs=SPEC, check_vma=False)
    return shared(kappas, init_keys, point_keys)


def _run(pde, width, recipe: Recipe, kappa, init_key, point_key) -> Trained:
    """One run."""
    dtype = kappa.dtype
    parameters = initialise(init_key, width, pde.domain, recipe.activation, recipe.law, dtype)
    optimiser = optax.adam(_schedule(recipe))
    counts = recipe.counts or published_counts(pde, width)
    test = jnp.asarray(published_grid(pde).reshape(-1, len(pde.domain)), dtype)
    truth = pde.truth(test, kappa)

    def sample(number):
        return draw(jax.random.fold_in(point_key, number) if recipe.fresh else point_key, pde, counts, dtype)

    def step(state, now):
        number, points = now
        parameters, moments, average, failed, _ = state
        loss, gradient = loss_and_gradient(pde, parameters, points, kappa, recipe.activation)
        updates, moments = optimiser.update(gradient, moments)
        parameters = optax.apply_updates(parameters, updates)
        average = optax.incremental_update(parameters, average, 1 - DECAY)
        failed = jnp.where((failed < 0) & ~jnp.isfinite(loss.total), number, failed)
        return (parameters, moments, average, failed, loss), None

    def block(state, numbers):
        state, _ = jax.lax.scan(step, state, (numbers, jax.vmap(sample)(numbers)))
        return state, (relative_error(derivatives(state[0], test, ("u",), recipe.activation).u, truth), state[-1])

    numbers = jnp.arange(recipe.steps, dtype=jnp.int32).reshape(-1, recipe.log_every)
    zero = Loss(*jnp.zeros((3,), dtype))
    state = (parameters, optimiser.init(parameters), parameters, jnp.int32(-1), zero)
    (parameters, _, average, failed, _), (error, loss) = jax.lax.scan(block, state, numbers)
    return Trained(parameters, average, error, loss, failed)


def _schedule(recipe: Recipe):
    if recipe.schedule == "constant":
        return recipe.rate
    half = recipe.steps // 2
    decay = optax.cosine_decay_schedule(recipe.rate, recipe.steps - half)
    return optax.join_schedules([optax.constant_schedule(recipe.rate), decay], [half])
