"""Training by Adam as published, many runs as one program (paper, section 3).

Adam with rate 1e-3, fresh points at every step, 25,000 steps, float32. A run is a seed and a kappa; all runs of a call
share the equation, the width and the recipe: they are one compilation, one `scan` over the steps of a `vmap` over runs,
and are shared out over the devices where there are several. The steps are taken in segments, between which the state
can be kept in a file: a training that was killed goes on from there and ends with the same numbers, bit by bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from pinn_scaling.checkpoints import load, save
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
SEGMENT = 25
"""Most blocks of `log_every` steps between two checkpoints: 1250 steps as published."""
SPEC = PartitionSpec("runs")


class State(NamedTuple):
    """Where a run has got to."""

    parameters: Parameters
    moments: Any
    """Adam's."""
    average: Parameters
    failed: Int[Array, "*runs"]
    loss: Loss
    """Before the last step."""


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


def train(
    pde: Pde,
    width: int,
    kappas: Sequence[float],
    seeds: Sequence[int],
    recipe: Recipe = RECIPE,
    checkpoint: Path | None = None,
) -> Trained:
    """Run i has kappas[i] and seeds[i]. Five runs or more keep a core busy; they cost little more than one.

    With a `checkpoint` (.npz) the state is kept there after every segment, and the same call goes on from it.
    ValueError for a width or a kappa out of range and lists that do not match, `UserError` for a foreign checkpoint.
    """
    if not 0 < len(kappas) == len(seeds):
        raise ValueError(f"{len(kappas)} kappas and {len(seeds)} seeds: give one of each per run, and one run or more")
    runs, devices = len(kappas), jax.device_count()
    each = -(-runs // devices)
    groups = max(1, each // 5) if jax.default_backend() == "cpu" else 1
    padded = devices * groups * -(-each // groups)
    mesh = Mesh(jax.devices(), ("runs",))

    def shared(x: np.ndarray):
        return jax.make_array_from_callback(x.shape, NamedSharding(mesh, SPEC), x.__getitem__)

    inputs = (
        np.asarray([pde.checked(kappa) for kappa in kappas], recipe.precision),
        *(np.stack([jax.random.key_data(key(seed, name)) for seed in seeds]) for name in ("init", "points")),
    )
    kappa, init_keys, point_keys = (
        shared(np.concatenate([x, np.repeat(x[-1:], padded - runs, axis=0)])) for x in inputs
    )
    blocks = recipe.steps // recipe.log_every
    segment = next(n for n in range(min(SEGMENT, blocks), 0, -1) if blocks % n == 0)
    state = _begin(pde, width, recipe, mesh, groups, kappa, init_keys)
    logs = (np.zeros((padded, 0), recipe.precision), Loss(*np.zeros((3, padded, 0), recipe.precision)))
    name = f"{pde.name}, {width} neurons, kappas {list(kappas)}, seeds {list(seeds)}, {recipe}, {padded} runs"
    if checkpoint is not None and checkpoint.exists():
        state, logs = load(checkpoint, name, (state, logs))
        state = jax.tree.map(shared, state)
    for start in range(logs[0].shape[1], blocks, segment):
        state, log = _advance(pde, recipe, mesh, groups, segment, state, start * recipe.log_every, kappa, point_keys)
        logs = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), logs, _gathered(log))
        if checkpoint is not None:
            save(checkpoint, name, (_gathered(state), logs))
    (error, loss), state = logs, _gathered(state)
    trained = Trained(state.parameters, state.average, error, loss, state.failed)
    return jax.tree.map(lambda leaf: leaf[:runs], trained)


def _gathered(tree):
    """As NumPy arrays, from all processes where there are several."""
    if jax.process_count() > 1:
        tree = multihost_utils.process_allgather(tree, tiled=True)
    return jax.tree.map(np.asarray, tree)


def _over_runs(mesh: Mesh, groups: int, run, *inputs):
    """`run` for all: shared out over the mesh, and a device's share in groups (of five, say) that fit its cache."""

    def share(*inputs):
        grouped = jax.tree.map(lambda x: x.reshape(groups, -1, *x.shape[1:]), inputs)
        found = jax.lax.map(lambda group: jax.vmap(run)(*group), grouped)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), found)

    return jax.shard_map(share, mesh=mesh, in_specs=SPEC, out_specs=SPEC, check_vma=False)(*inputs)


@partial(jax.jit, static_argnames=("pde", "width", "recipe", "mesh", "groups"))
def _begin(pde, width, recipe, mesh, groups, kappas, init_keys) -> State:
    return _over_runs(mesh, groups, partial(_start, pde, width, recipe), kappas, init_keys)


@partial(jax.jit, static_argnames=("pde", "recipe", "mesh", "groups", "blocks"))
def _advance(pde, recipe, mesh, groups, blocks, state, first, kappas, point_keys):
    firsts = jnp.full(kappas.shape, first, jnp.int32)
    return _over_runs(mesh, groups, partial(_continue, pde, recipe, blocks), state, firsts, kappas, point_keys)


def _start(pde, width, recipe: Recipe, kappa, init_key) -> State:
    """One run before its first step."""
    dtype, init_key = kappa.dtype, jax.random.wrap_key_data(init_key)
    parameters = initialise(init_key, width, pde.domain, recipe.activation, recipe.law, dtype)
    zero = Loss(*jnp.zeros((3,), dtype))
    return State(parameters, _optimiser(recipe).init(parameters), parameters, jnp.int32(-1), zero)


def _continue(pde, recipe: Recipe, blocks: int, state: State, first, kappa, point_key):
    """One run, `blocks` blocks of log_every steps from step `first` on, and its logs."""
    dtype, point_key = kappa.dtype, jax.random.wrap_key_data(point_key)
    optimiser = _optimiser(recipe)
    counts = recipe.counts or published_counts(pde, len(state.parameters.b))
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
        return State(parameters, moments, average, failed, loss), None

    def block(state, numbers):
        if recipe.fresh:
            state, _ = jax.lax.scan(step, state, (numbers, jax.vmap(sample)(numbers)))
        else:
            points = sample(0)
            state, _ = jax.lax.scan(lambda state, number: step(state, (number, points)), state, numbers)
        found = derivatives(state.parameters, test, ("u",), recipe.activation).u
        return state, (relative_error(found, truth), state.loss)

    numbers = first + jnp.arange(blocks * recipe.log_every, dtype=jnp.int32).reshape(blocks, -1)
    return jax.lax.scan(block, state, numbers)


def _optimiser(recipe: Recipe) -> optax.GradientTransformation:
    """Adam with the rate or its schedule."""
    if recipe.schedule == "constant":
        return optax.adam(recipe.rate)
    half = recipe.steps // 2
    decay = optax.cosine_decay_schedule(recipe.rate, recipe.steps - half)
    return optax.adam(optax.join_schedules([optax.constant_schedule(recipe.rate), decay], [half]))
