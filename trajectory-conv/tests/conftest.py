"""Small regression problems on the named designs, made once and shared."""

from functools import cache
from typing import NamedTuple

import jaxtyping
import numpy as np
import pytest

from trajectory_conv import DESIGNS, Problem, ReplayDraws, find_optimum, lasso
from trajectory_conv.designs import target


class Regression(NamedTuple):
    """Data y = Ab + noise and their LASSO."""

    matrix: np.ndarray
    y: np.ndarray
    problem: Problem
    optimum: np.ndarray


@cache
def make_regression(name: str, n: int = 60, d: int = 120, s: int = 4, lam: float = 0.2) -> Regression:
    draws = ReplayDraws(0)  # NumPy's legacy stream: the same data with every version of everything
    matrix = DESIGNS[name](draws, n, d)
    y = matrix @ target(draws, d, s) + 0.05 * draws.normal(n)
    problem = lasso(matrix, y, lam)
    return Regression(matrix, y, problem, find_optimum(problem).x)


@pytest.fixture(scope="session")
def regression():
    """A function of (design, n, d, s, lam): the data, the LASSO and its optimum."""
    return make_regression


@pytest.fixture
def unchecked(monkeypatch):
    """As for a user: nothing checks shapes and types before our own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
