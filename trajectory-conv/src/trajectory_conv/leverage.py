"""Cross-leverage: how much of an inactive feature the active ones already explain (paper's companion experiments).

h_j = ||Pi_S a_j||^2 / n in [0, 1] for columns of norm sqrt(n), with Pi_S the projector on the range of A_S.
"""

import numpy as np
from jaxtyping import Bool, Float


def cross_leverage(matrix: Float[np.ndarray, "n d"], support: Bool[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """h_j for every column; 1 for active ones of norm sqrt(n). Columns of another norm can exceed 1.

    A support whose columns are dependent is fine: the projector is on their span.
    """
    left, values, _ = np.linalg.svd(matrix[:, support], full_matrices=False)
    basis = left[:, values > max(matrix.shape) * np.finfo(float).eps * values.max(initial=0.0)]
    return ((basis.T @ matrix) ** 2).sum(0) / len(matrix)


def pruned(
    leverage: Float[np.ndarray, " d"], support: Bool[np.ndarray, " d"], threshold: float
) -> Bool[np.ndarray, " d"]:
    """The columns that stay when inactive ones with h_j > threshold are dropped."""
    return support | (leverage <= threshold)


def interaction_bound(leverage: Float[np.ndarray, " d"], support: Bool[np.ndarray, " d"], smoothness: float) -> float:
    """||G_{S^c S}||_2 <= sqrt(L_S sum_{j not in S} h_j)."""
    return float(np.sqrt(smoothness * leverage[~support].sum()))
