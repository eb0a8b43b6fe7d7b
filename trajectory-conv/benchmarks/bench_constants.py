"""Hoffman constants and recovery maps against the direct way: inverting M, fitting every point of the grid."""

import numpy as np

from repro_shared.benchmarks import cpu_seconds, entry, in_turns
from trajectory_conv.designs import ReplayDraws, gaussian
from trajectory_conv.experiments import hoffman, phase
from trajectory_conv.hoffman import affine_hoffman


def one_constant(n: int = 200, d: int = 1000, s: int = 20) -> dict:
    """All of `affine_hoffman` for one design, against the inverse of M and its three norms."""
    matrix = gaussian(ReplayDraws(0), n, d)
    gram = matrix.T @ matrix / n
    active, cross = gram[:s, :s], gram[s:, :s]

    def ours() -> None:
        float(affine_hoffman(active, cross, 0.1, 0.0).h2)

    def peer() -> None:
        full = np.block([[active, np.zeros((s, d - s))], [cross, 0.1 * np.eye(d - s)]])
        inverse = np.linalg.inv(full)
        for norm in (1, 2, np.inf):
            np.linalg.norm(inverse, norm)

    mine, theirs = in_turns(ours, peer, 3)
    return entry(
        f"affine KKT Hoffman constant, d = {d}, s = {s}",
        1e3 * mine,
        1e3 * theirs,
        "inverse of M and its norms",
        "ms",
        "ratio >= 10",
    )


def tightness() -> dict:
    """The authors' 108 cells x 30 designs; the peer is the limit that was set."""
    cell = hoffman.PRESETS["default"][0]
    seconds = cpu_seconds(lambda: hoffman.run(cell, None))
    return entry("bound tightness, 3,240 designs", seconds, 90.0, "limit", "s", "ours <= 90 s")


def recovery_map() -> dict:
    """35 x 30 points by the primal-dual witness against scikit-learn's elastic net at every point."""
    from sklearn.linear_model import ElasticNet

    cell = phase.Config(stream="replay")
    matrix, b, y, noise = phase._data(cell)
    support = b != 0
    gram, linear = matrix.T @ matrix / cell.n, matrix.T @ y / cell.n
    blocks = (gram[np.ix_(support, support)], gram[np.ix_(~support, support)], linear[support], linear[~support])
    lam1 = np.linspace(0.5 * np.abs(matrix[:, ~support].T @ noise).max() / cell.n, cell.lam1_max, cell.lam1_points)
    lam2 = np.logspace(-3, 1.5, cell.lam2_points)
    found = {}

    def ours() -> None:
        found["ours"] = phase._maps(*blocks, np.sign(b[support]), lam1, lam2)[0]

    def peer() -> None:
        found["peer"] = np.array([[
            np.array_equal(
                np.abs(
                    ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-8, max_iter=10_000,
                               precompute=gram * cell.n)
                    .fit(matrix, y).coef_
                ) > 1e-6, support)
            for l1 in lam1] for l2 in lam2])  # fmt: skip

    mine, theirs = in_turns(ours, peer, 1)
    return entry(
        f"recovery map, 1,050 points ({(found['ours'] == found['peer']).sum()} decisions equal)",
        mine,
        theirs,
        "scikit-learn ElasticNet at every point",
        "s",
        "ours <= 1 s",
    )


def run() -> list[dict]:
    return [one_constant(), recovery_map(), tightness()]
