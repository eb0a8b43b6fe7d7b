"""The law of an annealed diffusion on a landscape, without chains: the Fokker-Planck equation as a jump process.

From node i to its neighbour j at the rate

    G_ij = exp(-beta (U_j - U_i) / 2) / (beta h^2)

which tends to the generator (1 / beta) Delta - grad U . grad of the decoupled diffusion as h -> 0, and has exp(-beta U)
as its stationary law, in detailed balance, on any grid (ours). Laws are row vectors: p' = p G.

The literal coupling of the paper, one beta in the loss and in the noise, is beta G(beta^2) with U at its limit: the
same process at the inverse temperature beta^2, in another clock.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.sparse import linalg

from infonce_langevin.oracles.landscapes import Landscape
from infonce_langevin.schedules import Schedule

Coupling = Literal["decoupled", "literal"]


def gibbs_law(landscape: Landscape, beta: float) -> Float[np.ndarray, " m"]:
    """exp(-beta U), normalised over the nodes."""
    weights = np.exp(-beta * (landscape.energy - landscape.energy.min()))
    return weights / weights.sum()


def generator(landscape: Landscape, beta: float) -> sparse.csr_array:
    """G at inverse temperature beta, in units of 1 / time."""
    return _assembled(landscape, beta, lambda rise: np.exp(-beta * rise / 2))


def _symmetrised(landscape: Landscape, beta: float) -> sparse.csr_array:
    """-D G D^-1 with D = diag(pi)^(1/2): symmetric, 1 / (beta h^2) between neighbours."""
    rates = generator(landscape, beta)
    flat = _assembled(landscape, beta, np.ones_like)
    return -(flat - sparse.diags_array(flat.diagonal() - rates.diagonal())).tocsr()


def _assembled(landscape: Landscape, beta: float, factor) -> sparse.csr_array:
    """factor(U_j - U_i) / (beta h^2) for all neighbours, and what makes rows sum to zero."""
    u, count = landscape.energy, len(landscape.energy)
    rows, columns, values = [], [], []
    for step in np.concatenate([landscape.directions, -landscape.directions]):
        there = landscape.moved(step)
        rows.append(np.arange(count))
        columns.append(there)
        values.append(factor(u[there] - u))
    values = np.concatenate(values) / (beta * landscape.spacing**2)
    jumps = sparse.csr_array((values, (np.concatenate(rows), np.concatenate(columns))), shape=(count, count))
    return (jumps - sparse.diags_array(jumps.sum(1))).tocsr()


def evolve(
    landscape: Landscape,
    schedule: Schedule,
    law: Float[np.ndarray, " m"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    per_decade: int = 60,
    coupling: Coupling = "decoupled",
) -> Float[np.ndarray, "t m"]:
    """The law at each of the increasing `times`, from `law` at time 0.

    Extrapolated implicit Euler: twice the law after two half steps minus that after a whole one, with beta at the end
    of each (part of a) step, so that the Gibbs law is the fixed point where beta rests. The first step is .01 at most
    and the others grow by equal factors, `per_decade` of them from t to 10 t; they end at `times` too. Second order;
    entries that are nearly 0 may come out negative by what the error is. Each step solves sparse systems: for the
    circle, and small tori.
    """
    times = np.asarray(times, float)
    if not (np.diff(times, prepend=0) > 0).all():
        raise ValueError("times must be positive and increase")
    first = min(0.01, times[0] / 10)
    steps = math.ceil(per_decade * math.log10(times[-1] / first))
    grid = np.unique(np.concatenate([np.geomspace(first, times[-1], steps + 1), times]))
    grid = np.stack([grid - np.diff(grid, prepend=0) / 2, grid], 1)  # middle and end of each step
    betas = schedule(torch.from_numpy(grid)).numpy()
    eye = sparse.eye_array(len(law), format="csc")

    def solved(law: Float[np.ndarray, " m"], beta: float, duration: float) -> Float[np.ndarray, " m"]:
        rates = beta * generator(landscape, beta**2) if coupling == "literal" else generator(landscape, beta)
        return linalg.splu((eye - duration * rates.T).tocsc()).solve(law)

    p, now, held = np.asarray(law, float), 0.0, []
    for (_, end), (beta_middle, beta_end) in zip(grid.tolist(), betas.tolist(), strict=True):
        halves = solved(solved(p, beta_middle, (end - now) / 2), beta_end, (end - now) / 2)
        p, now = 2 * halves - solved(p, beta_end, end - now), end
        if end in times:
            held.append(p)
    return np.stack(held)


def relaxation_rates(landscape: Landscape, beta: float, count: int = 2) -> Float[np.ndarray, " count"]:
    """The smallest non-zero eigenvalues of -G: rates at which the process forgets. The first is the spectral gap.

    By shift and invert; absolute errors are about 1e-13 / (beta h^2), which limits what can be told of tiny gaps.
    """
    symmetric = _symmetrised(landscape, beta).tocsc()
    start = np.sqrt(gibbs_law(landscape, beta))  # the eigenvector of 0, so that the others are found beside it
    values = linalg.eigsh(
        symmetric, count + 1, sigma=-1e-6 / (beta * landscape.spacing), v0=start + 1e-3, return_eigenvectors=False
    )
    return np.sort(values)[1:]


def mean_exit_times(landscape: Landscape, beta: float, target: Bool[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Mean time until `target` is entered, from each node: -G T = 1 outside, T = 0 inside.

    By conjugate gradients on the symmetric system; raises RuntimeError where they do not converge, as on coarse grids
    at low temperature.
    """
    outside = np.flatnonzero(~target)
    symmetric = _symmetrised(landscape, beta)[outside][:, outside]
    root = np.sqrt(gibbs_law(landscape, beta)[outside])
    jacobi = sparse.diags_array(1 / symmetric.diagonal())
    solved, failed = linalg.cg(symmetric, root, rtol=1e-10, maxiter=20_000, M=jacobi)
    if failed:
        raise RuntimeError(f"mean exit times at beta = {beta} did not converge: use a finer grid or a smaller beta")
    times = np.zeros(len(landscape.energy))
    times[outside] = solved / root
    return times
