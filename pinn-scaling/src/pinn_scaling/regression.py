"""Ordinary least squares, y = X b + e, and the tests that the paper and its re-analysis use.

s^2 = RSS / (n - p) for n points and p coefficients; log likelihood of Gaussian errors at the maximum,
log L = -n/2 (log(2 pi RSS / n) + 1), and the variance is NOT counted as a parameter (the convention of statsmodels and
of the author):

    AIC = 2 p - 2 log L        BIC = p log n - 2 log L        adjusted R^2 = 1 - (1 - R^2) (n - 1) / (n - p)
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

Kind = Literal["t", "normal", "hc3"]
"""Student t with n - p degrees of freedom; +- 1.96 standard errors, as published; t with HC3 standard errors."""


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Regression:
    """A least-squares fit. Standard errors, intervals and p are NaN where there are as many coefficients as points (p
    also where the fit is exact).
    """

    names: tuple[str, ...]
    coef: Float[np.ndarray, " p"]
    cov: Float[np.ndarray, "p p"]
    """s^2 (X'X)^-1."""
    cov_hc3: Float[np.ndarray, "p p"]
    """(X'X)^-1 X' diag(e_i^2 / (1 - h_i)^2) X (X'X)^-1, h the leverage: unequal variances (MacKinnon and White)."""
    points: int
    rss: float
    tss: float
    """Sum of squares around the mean: X is taken to hold a constant."""

    def __getitem__(self, name: str) -> float:
        """The coefficient of that name."""
        return float(self.coef[self.names.index(name)])

    @property
    def dof(self) -> int:
        """n - p, what is left to estimate the variance from."""
        return self.points - len(self.coef)

    @property
    def r2(self) -> float:
        """1 - RSS / TSS."""
        return 1 - _ratio(self.rss, self.tss)

    @property
    def adj_r2(self) -> float:
        """Adjusted R^2."""
        return 1 - (1 - self.r2) * _ratio(self.points - 1, self.dof)

    @property
    def aic(self) -> float:
        """Akaike's criterion; minus infinity where the fit is exact."""
        return 2 * len(self.coef) - 2 * self._log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion."""
        return float(len(self.coef) * np.log(self.points)) - 2 * self._log_likelihood

    @property
    def _log_likelihood(self) -> float:
        if self.rss == 0:
            return np.inf
        return float(-self.points / 2 * (np.log(2 * np.pi * self.rss / self.points) + 1))

    def se(self, name: str, kind: Kind = "t") -> float:
        """Standard error of a coefficient."""
        at = self.names.index(name)
        return float(np.sqrt((self.cov_hc3 if kind == "hc3" else self.cov)[at, at]))

    def p(self, name: str) -> float:
        """Two-sided p of the t-test of coefficient = 0."""
        return float(2 * stats.t.sf(_ratio(abs(self[name]), self.se(name)), self.dof))

    def interval(self, name: str, kind: Kind = "t") -> Interval:
        """A coefficient with its 95 % interval."""
        return self.combination({name: 1.0}, kind)

    def combination(self, weights: dict[str, float], kind: Kind = "t") -> Interval:
        """sum_j w_j b_j with its 95 % interval."""
        w = np.array([weights.get(name, 0.0) for name in self.names])
        quantile = 1.96 if kind == "normal" else stats.t.ppf(0.975, self.dof)
        value = float(w @ self.coef)
        half = float(quantile * np.sqrt(w @ (self.cov_hc3 if kind == "hc3" else self.cov) @ w))
        return Interval(value, value - half, value + half)


def ols(names: tuple[str, ...], design: Float[np.ndarray, "n p"], y: Float[np.ndarray, " n"]) -> Regression:
    """Fit y on the columns of `design`, which holds or spans a constant.

    ValueError where the columns are linearly dependent (fewer points than coefficients, or a constant column too many).
    """
    n, p = design.shape
    if np.linalg.matrix_rank(design) < p:
        raise ValueError(f"{n} points do not determine {', '.join(names)}: give more widths or kappas")
    inverse = np.linalg.inv(design.T @ design)
    coef = np.linalg.lstsq(design, y)[0]
    residual = y - design @ coef
    rss = float(residual @ residual)
    with np.errstate(divide="ignore", invalid="ignore"):
        leverage = np.einsum("ni,ij,nj->n", design, inverse, design)
        projection = inverse @ (design.T * (residual / (1 - leverage)))
    return Regression(
        names=names,
        coef=coef,
        cov=inverse * _ratio(rss, n - p),
        cov_hc3=projection @ projection.T,
        points=n,
        rss=rss,
        tss=float(((y - y.mean()) ** 2).sum()),
    )


class FTest(NamedTuple):
    """F-test of a model within a larger one."""

    f: float
    p: float


def f_test(restricted: Regression, full: Regression) -> FTest:
    """F = ((RSS_0 - RSS_1) / (p_1 - p_0)) / (RSS_1 / (n - p_1)), p from F(p_1 - p_0, n - p_1); NaN where n = p_1."""
    more = restricted.dof - full.dof
    f = _ratio((restricted.rss - full.rss) / more, _ratio(full.rss, full.dof))
    return FTest(f, float(stats.f.sf(f, more, full.dof)))


class Correlation(NamedTuple):
    """A rank correlation, and the two-sided p of none."""

    rho: float
    p: float


def rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Correlation:
    """Spearman's. For n <= 8 p counts permutations, as the usual t approximation fails there: it calls four values in
    order p = 0, where 2 of 24 orders are as good. NaN for n < 3 and where x or y does not vary.
    """
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan)
    rho, p = stats.spearmanr(x, y)
    if len(x) <= 8:
        first, second = (stats.zscore(stats.rankdata(values)) for values in (x, y))
        every = np.array(list(permutations(first))) @ second / len(x)
        p = (abs(every) >= abs(rho) - 1e-9).mean()
    return Correlation(float(rho), float(p))


def _ratio(above: float | int, below: float | int) -> float:
    return above / below if below else np.nan
