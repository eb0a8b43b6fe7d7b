"""The experiments' smoke cells, run once, and what their numbers are compared with: textbook loops, whole matrices."""

from functools import cache
from pathlib import Path

import numpy as np


@cache
def records(module, number: int) -> tuple:
    """(cell, its records) of a smoke cell."""
    cell = module.PRESETS["smoke"][number]
    return cell, module.run(cell, Path("not written to"))


def cells(module, **settings) -> list[tuple]:
    """(cell, its records) of the smoke cells with these settings."""
    wanted = [
        number
        for number, cell in enumerate(module.PRESETS["smoke"])
        if all(getattr(cell, name) == value for name, value in settings.items())
    ]
    assert wanted
    return [records(module, number) for number in wanted]


def iterates(matrix, y, lam: float, steps: int, accelerated: bool = False) -> np.ndarray:
    """x_0, ..., x_{steps-1} of ISTA or FISTA on the LASSO, as in a textbook."""
    n, d = matrix.shape
    gram, linear = matrix.T @ matrix / n, matrix.T @ y / n
    length = np.linalg.norm(gram, 2)
    x, previous, t, path = np.zeros(d), np.zeros(d), 1.0, []
    for _ in range(steps):
        path.append(x)
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        v = x + (t - 1) / following * (x - previous) if accelerated else x
        z = v - (gram @ v - linear) / length
        x, previous, t = np.sign(z) * np.maximum(np.abs(z) - lam / length, 0), x, following
    return np.array(path)


def objective(matrix, y, lam: float, x) -> np.ndarray:
    return ((x @ matrix.T - y) ** 2).sum(-1) / (2 * len(y)) + lam * np.abs(x).sum(-1)


def kkt_norms(matrix, support, lam: float) -> list[float]:
    """2-, 1- and infinity-norm of the inverse of the whole KKT matrix."""
    on = np.isin(np.arange(matrix.shape[1]), support)
    gram = matrix.T @ matrix / len(matrix)
    blocks = [
        [gram[np.ix_(on, on)], np.zeros((on.sum(), (~on).sum()))],
        [gram[np.ix_(~on, on)], lam * np.eye((~on).sum())],
    ]
    inverse = np.linalg.inv(np.block(blocks))
    return [np.linalg.norm(inverse, order) for order in (2, 1, np.inf)]
