"""Where statements stand, and what they are about."""

import pandas as pd

TABLES = {"source": "author's saved tables, 8 widths, 5 seeds", "kind": "published"}
UNMEASURED = {"source": "abstract (not measured by the author)", "kind": "published", "published": None}
OURS = {"source": "our derivation", "kind": "derived", "published": None}

NONLINEAR = {"sine_gordon": "Sine-Gordon", "allen_cahn": "Allen-Cahn", "kdv_published": "KdV as published"}
LABELS = NONLINEAR | {"poisson": "Poisson", "kdv": "corrected KdV"}


def name_of(pde: str) -> str:
    """As part of an id."""
    return pde.replace("_", "-")


def value(table: pd.DataFrame, pde: str, activation: str, column: str) -> float:
    """An entry of a table in `published`."""
    return float(table[(table.pde == pde) & (table.activation == activation)][column].iloc[0])
