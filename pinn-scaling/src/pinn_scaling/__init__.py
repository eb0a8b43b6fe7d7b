"""Scaling of single-layer PINNs in width and nonlinearity: the method of "Scaling Laws and Pathologies of Single-Layer
PINNs", and the experiments that tell optimisation from capacity.

Importing the package allows JAX 64 bits; training says its precision itself (float32 as published, float64 for
Gauss-Newton methods). Public names are loaded when first used, so importing the package itself is free.
"""

import os
import sys
from importlib import import_module

os.environ["JAX_ENABLE_X64"] = "1"  # read when jax is imported, which happens later
if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)

_NAMES = {
    "approximation": "feature_errors",
    "full_batch": "minimise",
    "gauss_newton": "levenberg_marquardt variable_projection",
    "loss": "loss_and_gradient residual_jacobian residuals",
    "measures": "BANDS band_errors effective_rank fine_grid published_grid relative_error tangent_spectrum values",
    "network": "Parameters derivatives initialise jacobian",
    "pdes": "PDES Condition Derivatives Pde",
    "points": "Counts Points draw",
    "scaling": "fit_scaling",
    "solution": "Solution measure solve",
    "training": "Recipe train",
    "truth": "check_truth",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
