"""What a width can represent, without any training: random tanh features and a linear least-squares fit of u* (ours).

An upper bound on the error that capacity alone would leave, not the capacity itself: trained hidden weights align with
a front, random ones do not.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import lstsq

from pinn_scaling.measures import fine_grid, relative_error, values
from pinn_scaling.network import Parameters, activations
from pinn_scaling.pdes.base import Pde
from pinn_scaling.points import Counts, draw
from pinn_scaling.seeds import key

SCALES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Standard deviations of the slopes along x, per half length of the domain."""
TILTS = (0.0, 0.1, 1.0)
"""Those along t over those along x; 0 suits what does not move."""


def feature_errors(pde: Pde, width: int, kappa: float, seed: int) -> Float[np.ndarray, "scales tilts"]:
    """Relative L2 error on the fine grid of the best v and c for hidden weights of each law; the smallest one counts.

    Hinges pass through uniform points of the domain; fitted at max(2000, 8 N) points, in float64.
    """
    kappa, d = pde.checked(kappa), len(pde.domain)
    low, high = np.asarray(pde.domain).T
    slopes = jax.random.normal(key(seed, "features", "slopes"), (width, d), float) / ((high - low) / 2)
    centres = low + (high - low) * jax.random.uniform(key(seed, "features", "centres"), (width, d), float)
    z = draw(key(seed, "features", "points"), pde, Counts(max(2000, 8 * width), 1, 1), jnp.float64).interior
    target, fine = np.asarray(pde.truth(z, kappa)), fine_grid(pde)
    truth = pde.truth(jnp.asarray(fine), kappa)

    def error(scale, tilt):
        w = scale * slopes * jnp.asarray([tilt, 1.0])[-d:]
        b = -jnp.sum(w * centres, axis=1)
        features = np.asarray(activations("tanh", z @ w.T + b, 0)[0])
        *v, c = lstsq(np.column_stack([features, np.ones(len(z))]), target)[0]
        return relative_error(values(Parameters(w, b, jnp.asarray(v), jnp.asarray(c)), fine), truth)

    return np.asarray([[error(scale, tilt) for tilt in (TILTS if d > 1 else TILTS[-1:])] for scale in SCALES])
