"""An SVM dual and hand-made traces for the tests of the geometry."""

import numpy as np

from trajectory_conv import svm_dual
from trajectory_conv.solvers import Trace


def svm(c=0.05, samples=60):
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, 6))
    return svm_dual(x @ x.T, np.sign(x[:, 0] + 0.5 * random.normal(size=samples)), c)


def trace_of(signs, optimum, error=None):
    """A hand-made trace with the given faces, one row a step."""
    faces, number = np.unique(np.asarray(signs, np.int8), axis=0, return_inverse=True)
    error = np.ones(len(signs)) if error is None else error
    face, x = number.ravel(), np.zeros(len(optimum))
    return Trace(error**2, *5 * [error], face, faces, np.ones_like(face), x, np.asarray(optimum), "ista")
