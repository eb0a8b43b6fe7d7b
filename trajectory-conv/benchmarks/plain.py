"""The peer of the trajectory benchmarks: ISTA as one would write it in NumPy, with the same numbers along the path."""

import numpy as np


def ista(matrix: np.ndarray, y: np.ndarray, lam: float, optimum: np.ndarray, iterations: int) -> dict[str, np.ndarray]:
    """Gap, error, residual, cone ratio and support of x_0, ..., x_{N-1}; arithmetic in the Gram form."""
    n, d = matrix.shape
    gram, linear, constant = matrix.T @ matrix / n, matrix.T @ y / n, y @ y / (2 * n)
    lipschitz = np.linalg.eigvalsh(gram)[-1]

    def objective(x, image):
        return x @ image / 2 - linear @ x + constant + lam * np.abs(x).sum()

    best = objective(optimum, gram @ optimum)
    support = optimum != 0
    gap, error, residual, ratio, sizes, common = (np.empty(iterations) for _ in range(6))
    supports = np.empty((iterations, d), dtype=bool)
    x = np.zeros(d)
    for k in range(iterations):
        image = gram @ x
        step = x - (image - linear) / lipschitz
        new = np.sign(step) * np.maximum(np.abs(step) - lam / lipschitz, 0)
        away = np.abs(x - optimum)
        gap[k] = objective(x, image) - best
        error[k] = np.linalg.norm(away)
        residual[k] = lipschitz * np.linalg.norm(new - x)
        ratio[k] = away[~support].sum() / max(away[support].sum(), 1e-300)
        supports[k] = x != 0
        sizes[k], common[k] = supports[k].sum(), (supports[k] & support).sum()
        x = new
    return {"gap": gap, "error": error, "residual": residual, "ratio": ratio, "size": sizes, "common": common}
