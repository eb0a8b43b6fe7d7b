"""Checks that every experiment's config needs."""

import math

from pinn_scaling.pdes import PDES


def require_positive(cell, *names: str) -> None:
    """Raise a ValueError that says what to do unless these fields are finite and > 0, all entries of a tuple."""
    for name in names:
        value = getattr(cell, name)
        if value == ():
            raise ValueError(f"{name} is empty; choose at least one number > 0")
        if not all(math.isfinite(entry) and entry > 0 for entry in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} = {value}; choose numbers > 0")


def require_seeds(cell) -> None:
    """Raise a ValueError unless there are seeds that JAX takes, each once."""
    if not cell.seed or len(set(cell.seed)) < len(cell.seed) or not all(0 <= seed < 2**32 for seed in cell.seed):
        raise ValueError(f"seed = {cell.seed}; choose one seed or more, all different, >= 0 and < 2^32")


def require_problem(cell) -> None:
    """Raise a ValueError unless the PDE is known and posed for every kappa."""
    if cell.pde not in PDES:
        raise ValueError(f"unknown pde {cell.pde!r}; choose from {', '.join(PDES)}")
    if not cell.kappa or len(set(cell.kappa)) < len(cell.kappa):
        raise ValueError(f"kappa = {cell.kappa}; choose one or more, all different")
    for kappa in cell.kappa:
        PDES[cell.pde].checked(kappa)
