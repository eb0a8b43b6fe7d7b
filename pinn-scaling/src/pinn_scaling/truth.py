"""Is the claimed solution of a problem one? Substitute it, and compare it with a computed one.

Errors of a trained network are distances to u*, so a wrong u* is a floor that no training passes: the published "truth"
of KdV is one (relative distance 0.42 to 1.6 from the solution).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from pinn_scaling.pdes import Condition, Derivatives, Pde
from pinn_scaling.references import REFERENCES

ROUNDING = 1e-9
"""Largest residual of a solution, relative to its largest derivative: float64 leaves below 1e-12 (ours)."""
TAIL = 1e-5
"""Largest violation of a condition, relative to max |u*|: fronts are not quite flat at the ends (Allen-Cahn with
kappa = 4 misses -1 and 1 by 1.4e-6; ours).
"""
AGREEMENT = 1e-5
"""Largest relative distance from the reference, which is good to 1e-6 (ours)."""


@dataclass(frozen=True)
class TruthReport:
    """What `check_truth` found; `print` it."""

    pde: str
    kappa: float
    residual: float
    """max |F| over the inner grid."""
    scale: float
    """The largest derivative of u* there, at least 1."""
    conditions: dict[str, float]
    """Site -> largest violation of its conditions, relative to max |u*|."""
    distance: float | None
    """Relative L2 distance from the reference solution; None if there is none, or it was not asked for."""

    @property
    def passes(self) -> bool:
        """Equation, conditions and (where known) reference agree with u*."""
        solves = self.residual <= ROUNDING * self.scale
        fits = all(violation <= TAIL for violation in self.conditions.values())
        return solves and fits and (self.distance is None or self.distance <= AGREEMENT)

    def __str__(self) -> str:
        parts = [f"residual {self.residual:.2g}", *(f"{site} {value:.2g}" for site, value in self.conditions.items())]
        if self.distance is not None:
            parts.append(f"distance from the reference {self.distance:.4g}")
        verdict = "solves the problem" if self.passes else "does NOT solve the problem"
        return f"{self.pde}, kappa = {self.kappa:g}: the claimed solution {verdict} ({', '.join(parts)})"


def check_truth(pde: Pde, kappa: float, reference: bool = True) -> TruthReport:
    """Judge u* of a problem by its equation (float64, 40 x 400 inner points), by its conditions (400 points each) and,
    unless `reference` is False or the problem has none, by `distance`.

    For the published kappas a reference takes about a second, but for published KdV with kappa = 8 (4 s) and 16 (15 s).
    ValueError where kappa is out of range for the problem, or for the reference of published KdV (above 16).
    """
    kappa = pde.checked(kappa)
    inner = _grid(*(_middles(*ends, n) for ends, n in zip(pde.domain, (40, 400)[-len(pde.domain) :], strict=True)))
    values = derivatives(pde, ("u", *(name for name in pde.derivatives if name != "u")), inner, kappa)
    largest = {name: float(abs(field).max()) for name, field in values._asdict().items() if field is not None}
    conditions = {}
    for condition in pde.conditions:
        violation = _violation(pde, condition, kappa) / (largest["u"] or 1.0)
        conditions[condition.site] = float(np.maximum(conditions.get(condition.site, 0.0), violation))
    return TruthReport(
        pde=pde.name,
        kappa=kappa,
        residual=float(abs(pde.residual(values, inner, kappa)).max()),
        scale=max(1.0, *largest.values()),
        conditions=conditions,
        distance=distance(pde, kappa) if reference and pde.name in REFERENCES else None,
    )


def distance(pde: Pde, kappa: float, shape: tuple[int, int] = (31, 401)) -> float:
    """||u* - u|| / ||u*|| over a uniform grid of t and x with its ends, u from `REFERENCES`; (31, 31) is the author's
    test grid.
    """
    *time, x = (np.linspace(*ends, n) for ends, n in zip(pde.domain, shape[-len(pde.domain) :], strict=True))
    times = time[0] if time else np.zeros(1)
    claimed = np.asarray(pde.truth(_grid(*time, x), kappa)).reshape(len(times), len(x))
    return float(np.linalg.norm(REFERENCES[pde.name](kappa, times, x) - claimed) / np.linalg.norm(claimed))


@partial(jax.jit, static_argnums=(0, 1))
def derivatives(
    pde: Pde, fields: tuple[str, ...], z: Float[Array, "points d"], kappa: Float[ArrayLike, ""]
) -> Derivatives:
    """Partial derivatives of u* by nested automatic differentiation."""

    def field(name: str) -> Float[Array, " points"]:
        function = partial(pde.truth, kappa=kappa)
        for letter in name.removeprefix("u").removeprefix("_"):
            function = _partial(function, 0 if letter == "t" else -1)
        return jax.vmap(function)(z)

    return Derivatives(**{name: field(name) for name in fields})


def _partial(function: Callable, axis: int) -> Callable:
    return lambda z: jax.grad(function)(z)[axis]


def _violation(pde: Pde, condition: Condition, kappa: float) -> float:
    """max |equation| over the points of a site and the equations that hold there."""
    *time, (left, right) = pde.domain
    edge = [np.linspace(*time[0], 400)] if time else []

    def at(x: float | np.ndarray, times: list[np.ndarray] = edge) -> tuple[Derivatives, Float[Array, "points d"]]:
        z = _grid(*times, np.atleast_1d(x))
        return derivatives(pde, condition.derivatives, z, kappa), z

    match condition.site:
        case "initial":
            sides = [at(np.linspace(left, right, 400), [np.array([time[0][0]])])]
        case "left":
            sides = [at(left)]
        case "right":
            sides = [at(right)]
        case "faces":
            sides = [at(left), at(right)]
        case "jump":
            (low, _), (high, z) = at(left), at(right)
            sides = [(jax.tree.map(jnp.subtract, high, low), z)]
    return float(np.max([abs(equation(d, z, kappa)).max() for equation in condition.equations for d, z in sides]))


def _grid(*axes: np.ndarray) -> Float[Array, "points d"]:
    """All combinations, in the order of (t, x)."""
    return jnp.stack([jnp.asarray(axis).ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)


def _middles(low: float, high: float, n: int) -> np.ndarray:
    """Middles of n equal cells: no point at t = 0, where the heat kernel of Cole and Hopf has no t derivative."""
    return low + (high - low) * (np.arange(n) + 0.5) / n
