"""The projection head as a trainable Riemannian metric: the method of "The Geometry of Projection Heads: Conditioning,
Invariance, and Collapse".

Public names are loaded when first used, so importing the package is free.
"""

from importlib import import_module

_NAMES = {
    "augment": "Views orbit rotate",
    "backbones": "resnet18_cifar small_cnn vit_tiny",
    "checkpoints": "Headed load_headed save_headed",
    "collapse_spectra": "at_collapse published_loss simsiam_field simsiam_linearisation",
    "conditioning": "fisher_rank hessian_metric_riemann isotropy_error sectional_curvature whitening_head",
    "data": "load",
    "features": "extract layerwise",
    "flow": "descend",
    "geometry": "HeadGeometry anisotropy head_geometry metric_spectrum pullback_metric",
    "heads": "build_head pseudo_collapse_",
    "hessian": "EffectiveHessian HessianProbe critical_residual effective_hessian spectrum",
    "lanczos": "extreme_eigenvalues hessian_product",
    "losses": "CrossEntropy NegativeCosine SquaredError info_nce",
    "orbits": "class_orbit_ratio discrete_curvature effective_rank orbit_spread turning",
    "pair_orbits": "OrbitStatistics orbit_statistics",
    "pretraining": "Recipe pretrain",
    "probes": "linear_probe mlp_probe published_probe ridge_probe",
    "siamese": "Program Sizes mean_shift_",
    "stacked": "MemberViews Stack representation_std train",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
