"""Adaptive elastic-net sparse autoencoders: the method of "Feature Starvation as Geometric Instability in Sparse
Autoencoders".

Public names are loaded when first used, so importing the package is free and what does not need SAELens runs without
it.
"""

from importlib import import_module

_NAMES = {
    "exact_code": "CodingMap amortisation_gap coding_map half_square kkt_residual lipschitz_bound local_lipschitz",
    "irrepresentable": "irrepresentable_lhs starvation_forecast support_margin",
    "initialisation": "initialise",
    "sae": "AENTrainingSAE AENTrainingSAEConfig to_saelens",
    "spiked": "Spiked SpikedStream",
    "stacked": "Recipe SparseAutoencoder Stack Training train",
    "weights": "adaptive_weights",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
