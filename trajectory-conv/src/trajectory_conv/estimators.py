"""scikit-learn estimators whose fit ends in a certificate: `Lasso`, `ElasticNet`, with weights the adaptive ones.

    from trajectory_conv import Lasso
    model = Lasso(alpha=0.1).fit(X, y)
    print(model.geometry_)              # KKT violation, duality gap, face, mu_S, L_S, contraction per step

Same objectives and parameter names as in scikit-learn: ||y - Xb||^2 / (2n) + alpha l1_ratio ||b||_1
+ alpha (1 - l1_ratio) / 2 ||b||^2, intercept not penalised.
"""

import warnings
from numbers import Integral, Real

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from trajectory_conv.certificate import Geometry, certify
from trajectory_conv.problems import elastic_net, require
from trajectory_conv.solvers import NotConverged, find_optimum


class ElasticNet(RegressorMixin, BaseEstimator):
    """Elastic net by FISTA with restart and a Newton step on the face: an exact optimum with its `geometry_`.

    alpha > 0, 0 < l1_ratio <= 1, tol: KKT violation relative to max_j |x_j'y| / n, max_iter: FISTA steps,
    penalty_weights: w_j > 0 of the l1 norm (adaptive elastic net). A fit that does not get there warns.
    """

    coef_: Float[np.ndarray, " d"]
    intercept_: float
    geometry_: Geometry | None
    """None where there is nothing to explain: X or y is constant."""

    def __init__(
        self, alpha=1.0, l1_ratio=0.5, *, fit_intercept=True, tol=1e-10, max_iter=100_000, penalty_weights=None
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.penalty_weights = penalty_weights

    def fit(self, X, y):  # noqa: N803 (scikit-learn's names)
        """Fit to X (n, d) and y (n,)."""
        for name, kind, fits, advice in (
            ("alpha", Real, lambda value: 0 < value < np.inf, "a penalty > 0"),
            ("l1_ratio", Real, lambda value: 0 < value <= 1, "0 < l1_ratio <= 1"),
            ("tol", Real, lambda value: 0 <= value < np.inf, "a tolerance >= 0"),
            ("max_iter", Integral, lambda value: value >= 1, "a whole number >= 1"),
        ):
            value = getattr(self, name)
            require(isinstance(value, kind) and fits(value), f"{name} = {value!r}: choose {advice}")
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)  # noqa: N806
        x_mean, y_mean = (X.mean(0), y.mean()) if self.fit_intercept else (np.zeros(X.shape[1]), 0.0)
        centred, target = X - x_mean, y - y_mean
        if not centred.any() or not (centred.T @ target).any():  # nothing to explain: zero is the optimum
            self.coef_, self.geometry_, self.n_iter_ = np.zeros(X.shape[1]), None, 1
        else:
            lam1, lam2 = self.alpha * self.l1_ratio, self.alpha * (1 - self.l1_ratio)
            problem = elastic_net(centred, target, lam1, lam2, self.penalty_weights)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", NotConverged)
                self.coef_, _, self.n_iter_ = find_optimum(problem, self.tol, self.max_iter)
            for warning in caught:
                category = ConvergenceWarning if warning.category is NotConverged else warning.category
                warnings.warn(str(warning.message), category, stacklevel=2)
            self.geometry_ = certify(self.coef_, problem, self.tol)
        self.intercept_ = float(y_mean - x_mean @ self.coef_)
        return self

    def predict(self, X):  # noqa: N803
        """X b + intercept."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)  # noqa: N806
        return X @ self.coef_ + self.intercept_


class Lasso(ElasticNet):
    """The LASSO, with `penalty_weights` the adaptive lasso; see `ElasticNet`."""

    def __init__(self, alpha=1.0, *, fit_intercept=True, tol=1e-10, max_iter=100_000, penalty_weights=None):
        super().__init__(
            alpha,
            1.0,
            fit_intercept=fit_intercept,
            tol=tol,
            max_iter=max_iter,
            penalty_weights=penalty_weights,
        )
