"""Cross-leverage: how much of an inactive feature the active ones already explain (paper's companion experiments).

h_j = ||Pi_S a_j||^2 / n in [0, 1] for columns of norm sqrt(n), with Pi_S the projector on the range of A_S.
"""

import numpy as np
from jaxtyping import Bool, Float

from trajectory_conv.problems import checked, require


def cross_leverage(matrix: Float[np.ndarray, "n d"], support: Bool[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """h_j for every column; 1 for active ones of norm sqrt(n). Columns of another norm can exceed 1.

    A support whose columns are dependent is fine: the projector is on their span.
    """
    matrix = checked("A", matrix, ndim=2)
    _require_mask(support, matrix.shape[1])
    left, values, _ = np.linalg.svd(matrix[:, support], full_matrices=False)
    basis = left[:, values > max(matrix.shape) * np.finfo(float).eps * values.max(initial=0.0)]
    return ((basis.T @ matrix) ** 2).sum(0) / len(matrix)


def pruned(
    leverage: Float[np.ndarray, " d"], support: Bool[np.ndarray, " d"], threshold: float
) -> Bool[np.ndarray, " d"]:
    """The columns that stay when inactive ones with h_j > threshold are dropped."""
    _require_mask(support, len(leverage))
    require(threshold >= 0, f"threshold = {threshold}: choose a threshold >= 0")
    return support | (leverage <= threshold)


def interaction_bound(leverage: Float[np.ndarray, " d"], support: Bool[np.ndarray, " d"], smoothness: float) -> float:
    """||G_{S^c S}||_2 <= sqrt(L_S sum_{j not in S} h_j)."""
    _require_mask(support, len(leverage))
    require(smoothness >= 0, f"smoothness = {smoothness}: give L_S >= 0")
    return float(np.sqrt(smoothness * leverage[~support].sum()))


def _require_mask(support: Bool[np.ndarray, " d"], d: int) -> None:
    fits = np.shape(support) == (d,) and np.asarray(support).dtype == bool
    require(fits, f"support is no mask of {d} columns: give one bool for each, as b != 0 does")
