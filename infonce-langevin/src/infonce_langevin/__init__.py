"""Temperature annealing of InfoNCE as simulated annealing: the method of "Asymptotic and Finite-Time Guarantees for
Langevin-Based Temperature Annealing in InfoNCE".

Public names are loaded when first used, so importing the package is free.
"""

from importlib import import_module

_NAMES = {
    "competitors": "parallel_tempering restarts",
    "descent": "descend",
    "dynamics": "Langevin Metropolis",
    "energies": "Contrastive FrozenAnchor dcl gradient hard hard_incl infonce",
    "langevin": "Hitting Run acceptance simulate",
    "noise": "Constant Equatorial HessianNoise Isotropic Matched",
    "oracles.bound": "chi_square_bound recommend_schedule",
    "oracles.fokker_planck": "evolve gibbs_law mean_exit_times relaxation_rates",
    "oracles.gibbs": "gibbs_mass low_temperature_law",
    "oracles.kramers": "escape_rate stays_trapped",
    "oracles.landscapes": "Landscape circle critical_depth torus",
    "oracles.string_method": "string_barrier",
    "schedules": "Cosine Exponential Fixed Linear Log Sqrt Tabulated constant_speed ending_at",
    "temperature": "Adaptive TemperatureScheduler measure",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
