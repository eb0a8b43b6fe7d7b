"""Linear convergence by the geometry of the faces visited: the method of "Trajectory-Restricted Optimization Conditions
and Geometry-Aware Linear Convergence".

Everything is float64: importing the package switches JAX to 64 bits. Public names are loaded when first used, so
importing the package itself is free.
"""

import os
import sys
from importlib import import_module

os.environ["JAX_ENABLE_X64"] = "1"  # read when jax is imported, which happens later
if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)

_NAMES = {
    "balance": "constrained_split coupled_split primal_dual_witness statistical_threshold unconstrained_split",
    "certificate": "Geometry certify duality_gap",
    "designs": "DESIGNS KeyDraws ReplayDraws",
    "estimators": "ElasticNet Lasso",
    "geometry": "cone_ratio face_geometry global_error_bound"
    " identification local_rate margin restricted_constants trajectory_certificate",
    "hoffman": "affine_hoffman polyhedron_hoffman",
    "leverage": "cross_leverage",
    "losses": "LeastSquares Logistic",
    "problems": "Composite Problem Quadratic box_qp composite elastic_net lasso nnls svm_dual",
    "prox": "Box WeightedL1 soft_threshold",
    "solvers": "NotConverged Trace find_optimum measure polish solve",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
