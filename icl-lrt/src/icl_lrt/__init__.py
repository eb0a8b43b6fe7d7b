"""Transformers that learn in context to approximate likelihood-ratio tests: the method of "Implicit Statistical
Inference in Transformers".

Public names are loaded when first used, so importing the package is free.
"""

from importlib import import_module

_NAMES = {
    "checkpoints": "load load_published save",
    "classifier": "ICLClassifier centred rescaled",
    "comparison": "compare",
    "model": "Transformer",
    "recipe": "Architecture PUBLISHED REPAIRED Recipe faithful multi_query",
    "tasks": "Episodes ShiftedMean Variance flip_labels",
    "training": "train train_seeds",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
