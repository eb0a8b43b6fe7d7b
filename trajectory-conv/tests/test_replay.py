"""The authors' published numbers, from their own random stream: `numpy.random.seed(0)`, replayed in the order of calls.

Source: the result files of the authors' repository "explicit-hoffman-constants", commit 4fd9dd0 (one run each).
"""

from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from trajectory_conv.designs import DESIGNS, ReplayDraws, normalise, target
from trajectory_conv.geometry import cone_ratio, identification
from trajectory_conv.hoffman import AffineHoffman, affine_hoffman, affine_hoffman_2
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import find_optimum, solve


class Cone(NamedTuple):
    """One line of trajectory_cone_containment{,_fista}/trajectory_analysis.log, as it is printed there."""

    design: str
    method: str
    first: int | None
    last: float
    late: float
    """Mean over the last 1000 iterates."""
    largest: float
    percent: float
    """Iterates with a ratio of at most 1."""


CONES = [
    Cone("gaussian", "ista", 23, 0.0, 0.0, 1.172827, 99.7),
    Cone("rademacher", "ista", 45, 0.0, 0.0, 0.966761, 100.0),
    Cone("uniform", "ista", 34, 0.0, 0.0, 1.002654, 100.0),
    Cone("spiked_0.3", "ista", 831, 0.0, 0.0, 0.551788, 100.0),
    Cone("spiked_0.7", "ista", None, 0.050362, 0.096846, 0.452475, 100.0),
    Cone("ar1_0.5", "ista", 68, 0.0, 0.0, 0.888484, 100.0),
    Cone("ar1_0.7", "ista", 161, 0.0, 0.0, 1.094066, 99.0),
    Cone("power_law", "ista", None, 0.460500, 0.529483, 0.933470, 100.0),
    Cone("gaussian", "fista", 10, 0.0, 0.0, 1.289682, 99.8),
    Cone("rademacher", "fista", 13, 0.0, 0.0, 1.062675, 99.9),
    Cone("uniform", "fista", 11, 0.0, 0.0, 1.111333, 99.9),
    Cone("spiked_0.3", "fista", 78, 0.0, 0.0, 0.759917, 100.0),
    Cone("spiked_0.7", "fista", 154, 0.0, 0.0, 0.452729, 100.0),
    Cone("ar1_0.5", "fista", 18, 0.0, 0.0, 0.970586, 100.0),
    Cone("ar1_0.7", "fista", 27, 0.0, 0.0, 1.186301, 99.4),
    Cone("power_law", "fista", 640, 0.0, 0.000074, 0.988152, 100.0),
]


@pytest.fixture(scope="module")
def problems():
    """Design -> (problem, optimum); one stream: each design is followed by its target, y is free of noise."""
    draws, found = ReplayDraws(0), {}
    for name in ["gaussian", "rademacher", "uniform", "spiked_0.3", "spiked_0.7", "ar1_0.5", "ar1_0.7", "power_law"]:
        matrix = DESIGNS[name](draws, 200, 400)
        problem = lasso(matrix, matrix @ target(draws, 400, 10), 0.15)
        found[name] = problem, find_optimum(problem).x
    return found


@pytest.mark.parametrize("published", CONES, ids=lambda cone: f"{cone.method}-{cone.design}")
def test_iterates_enter_the_face_and_the_cone_when_the_authors_say(problems, published):
    problem, optimum = problems[published.design]
    trace = solve(problem, 2000, published.method, optimum)
    ratio = cone_ratio(trace)
    assert identification(problem, trace).first == published.first
    np.testing.assert_allclose(
        [ratio[-1], ratio[1000:].mean(), ratio.max()],
        [published.last, published.late, published.largest],
        rtol=0,
        atol=0.51e-6,  # printed to six digits
    )
    assert 100 * np.mean(ratio <= 1) == pytest.approx(published.percent, abs=0.051)  # printed to one digit
    assert (ratio <= 3).all()


def blocks(matrix, support):
    """G_SS and G_{S^c S}."""
    on = np.zeros(matrix.shape[1], dtype=bool)
    on[support] = True
    return (matrix[:, on].T @ matrix[:, on] / len(matrix), matrix[:, ~on].T @ matrix[:, on] / len(matrix))


COLUMNS = ["h2", "upper2", "h1", "upper1", "hinf", "upperinf", "interaction", "curvature"]
AMBIENT = {
    400: [
        *(21.390924054928558, 21.404743514897714, 246.2528081268509, 246.2719927077898),
        *(20.708488882995166, 20.70848888299517, 18.859809561417435, 1.5718232234011424),
    ],
    450: [
        *(22.318280980246374, 22.330483390458188, 272.6400943838367, 272.86571471856263),
        *(20.708488882995166, 20.70848888299517, 19.904267386816976, 1.5718232234011424),
    ],
}
"""ambient_dimension_scaling/data: dimension -> the columns above."""


def test_the_constant_grows_with_the_ambient_dimension_as_published():
    """Gaussian, n = 200, lambda = .1: the design, its target with s = 10, then 50 new columns at a time."""
    draws = ReplayDraws(0)
    matrix = DESIGNS["gaussian"](draws, 200, 400)
    support = np.flatnonzero(target(draws, 400, 10))
    for d, published in AMBIENT.items():
        if d > 400:
            matrix = np.hstack([matrix, normalise(draws.normal(200, 50))])
        found = affine_hoffman(*blocks(matrix, support), 0.1, 0.0)
        np.testing.assert_allclose([getattr(found, name) for name in COLUMNS], published, rtol=1e-11)


SUPPORTS = {
    2: [17.74340961928013, 17.72807775761047, 0.12603770140056686, 0.3162272437245804, 0.16106455129052089],
    4: [18.35005092694194, 18.31210461501094, 0.14964535172832857, 0.5888096125981219, 0.7997978781722312],
}
"""sparse_hoffman_distributions/data, Gaussian: s -> mean, median, variance, skewness, excess kurtosis of H_2."""


def test_the_constant_over_random_supports_has_the_published_moments():
    """n = 300, d = 600, lambda = .1: Gaussian and spiked .8 first, each with a target of s = 1; then the supports."""
    draws = ReplayDraws(0)
    matrix = DESIGNS["gaussian"](draws, 300, 600)
    target(draws, 600, 1)
    DESIGNS["spiked_0.8"](draws, 300, 600)
    target(draws, 600, 1)
    gram = matrix.T @ matrix / 300
    square = gram @ gram
    constants = jax.vmap(affine_hoffman_2, (0, 0, None, None))
    for s, published in SUPPORTS.items():
        supports = np.stack([draws.subset(600, s) for _ in range(2000)])
        at = supports[:, :, None], supports[:, None, :]
        h2 = np.asarray(constants(gram[at], square[at] - gram[at] @ gram[at], 0.1, 0.0))
        found = [h2.mean(), np.median(h2), h2.var(), skew(h2), kurtosis(h2)]
        np.testing.assert_allclose(found, published, rtol=1e-10)


TIGHTNESS = {
    "gaussian": [1.0001683717376604, 1.0701704020592475, 1.000218877100147],
    "spiked_0.5": [1.0004301104265196, 1.0074195901496807, 1.0004125136543345],
    "spiked_0.8": [1.002649668888627, 1.0080148506883293, 1.0012559110474823],
}
"""hoffman_bound_tightness/data, n = 100, d = 500, s = 5: medians of H2 upper/exact, H2 upper/lower, H1 upper/exact."""


def test_the_bounds_are_as_tight_as_published():
    """lambda = .1, designs innermost; each of 30 trials draws the design, a target that is not used, the support."""
    draws = ReplayDraws(0)
    for name, published in TIGHTNESS.items():
        trials = []
        for _ in range(30):
            matrix = DESIGNS[name](draws, 100, 500)
            target(draws, 500, 5)
            trials.append(affine_hoffman(*blocks(matrix, draws.subset(500, 5)), 0.1, 0.0))
        all_ = AffineHoffman(*map(np.array, zip(*trials, strict=True)))
        ratios = [all_.upper2 / all_.h2, all_.upper2 / all_.lower2, all_.upper1 / all_.h1]
        np.testing.assert_allclose(np.median(ratios, axis=1), published, rtol=1e-12)
