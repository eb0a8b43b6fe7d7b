"""Adaptive elastic-net sparse autoencoders: the method of "Feature Starvation as Geometric Instability in Sparse
Autoencoders".

Public names are loaded when first used, so importing the package is free and what does not need SAELens runs without
it.
"""

from importlib import import_module

_MODULES = {
    "AENTrainingSAE": "sae",
    "AENTrainingSAEConfig": "sae",
    "CodingMap": "coding_map",
    "amortisation_gap": "coding_map",
    "lipschitz_bound": "coding_map",
    "local_lipschitz": "coding_map",
    "Recipe": "stacked",
    "Stack": "stacked",
    "Training": "stacked",
    "train": "stacked",
    "Spiked": "spiked",
    "SpikedStream": "spiked",
    "adaptive_weights": "weights",
    "initialise": "initialisation",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
