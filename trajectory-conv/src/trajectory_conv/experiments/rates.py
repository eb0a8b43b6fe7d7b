"""Does the geometry of the faces visited bound, and predict, the speed? (claims C1, C3, C4)

The decisive test of the paper, which the authors' repository does not have. One cell is one seed with all its designs
(LASSO of the size of the cone study). For each design:

- the certificate of the faces visited, bound_k = delta_0 prod (1 - mu_j / L), against the true gap at every iterate of
  ISTA and of the restricted step;
- the measured contraction on the final face against 1 - mu_S / L;
- contraction and effective condition number before and after identification;
- what the step 1 / L_S of the face brings: steps to a gap of 1e-10, and products with H, for ISTA, FISTA, FISTA with
  restart and the restricted step.

Expect 10 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive
from trajectory_conv.experiments.instances import Instances, instances, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

DESIGNS = (
    "gaussian", "rademacher", "uniform", "spiked_0.1", "spiked_0.3", "spiked_0.7", "ar1_0.5", "ar1_0.7", "ar1_0.9",
    "power_law",
)  # fmt: skip
METHODS = ("ista", "fista", "restart", "restricted")
RESOLVED = 1e-13
"""Gaps above this are compared with the certificate: below, x* itself is not known well enough (ours)."""
EPS = 1e-10
"""Gap that steps are counted to (ours)."""


@dataclass(frozen=True)
class Config(Instances):
    designs: tuple[str, ...] = DESIGNS
    """Names in `designs.DESIGNS`."""
    n: int = 200
    """Samples (rows of A)."""
    d: int = 400
    """Features (columns of A)."""
    s: int = 10
    """Non-zeros of the target, +-1."""
    lam: float = 0.15
    """l1 penalty."""
    iterations: int = 100_000
    """At most so many steps; a run ends when ||R|| <= 1e-13 L ||x*||."""
    curve: int = 200
    """Points of the recorded curves."""

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "iterations", "curve")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per design."""
    from trajectory_conv.geometry import margin, steps_to, trajectory_certificate
    from trajectory_conv.problems import lasso
    from trajectory_conv.solvers import find_optimum, solve

    records = []
    for instance in instances(cell):
        problem = lasso(instance.matrix, instance.y, cell.lam)
        optimum = find_optimum(problem).x
        if not optimum.any():
            raise UserError(f"lam = {cell.lam}: the optimum on {instance.design} is zero; choose a smaller lam")
        stop = 1e-13 * float(problem.lipschitz) * np.linalg.norm(optimum)
        traces = {method: solve(problem, cell.iterations, method, optimum, stop=stop) for method in METHODS}
        restricted = traces["restricted"]
        records.append({
            "designs": instance.design,
            "margin": margin(problem, optimum),
            **_speed(problem, traces["ista"], optimum),
            "bound_ratio_restricted": _bound_ratio(restricted, trajectory_certificate(problem, restricted)),
            **_fista_rate(problem, traces["fista"]),
            **{f"steps_{method}": steps_to(trace.gap, EPS) for method, trace in traces.items()},
            "products_restricted": _products(restricted),
            **_curves(problem, traces, cell.curve),
        })  # fmt: skip
    return records


def _products(trace) -> int | None:
    """Products with H up to the gap: steps, rejected ones twice, and those of the estimates of L_S."""
    from trajectory_conv.geometry import steps_to

    steps = steps_to(trace.gap, EPS)
    return None if steps is None else int(trace.products[:steps].sum())


def _speed(problem, trace, optimum) -> dict:
    """Certificate, identification and contraction of an ISTA run."""
    from trajectory_conv.geometry import (
        face_geometry,
        fitted_rate,
        identification,
        identification_radius,
        local_rate,
        restricted_constants,
        trajectory_certificate,
    )

    lipschitz = float(problem.lipschitz)
    face, found, certificate = (
        face_geometry(problem, optimum),
        identification(problem, trace),
        trajectory_certificate(problem, trace),
    )
    resolved = trace.gap > RESOLVED
    speed = lipschitz * (1 - trace.gap[1:][resolved[1:]] / trace.gap[:-1][resolved[1:]])  # contraction, unit of mu
    allowed = certificate.mu[:-1][resolved[1:]]
    at = found.face
    radius = identification_radius(problem, optimum)
    close = trace.error < radius
    late = {} if at is None else _after(trace, at, speed, resolved)
    early = speed[:at]
    rate = fitted_rate(trace, at) if at is not None else None
    constants = restricted_constants(trace)
    return {
        "mu": face.mu,
        "smoothness": face.smoothness,
        "lipschitz": lipschitz,
        "active": face.size,
        "rank_deficient": face.rank_deficient,
        "first": found.first,
        "permanent": found.permanent,
        "face_identified": at,
        "promised": int(close.argmax()) + 1 if close.any() else None,  # by the margin: identified from here on
        "faces": len(trace.faces),
        "largest_face": int((trace.faces != 0).sum(1).max()),
        "bound_ratio": _bound_ratio(trace, certificate),
        "step_ratio": _largest((1 - speed / lipschitz) / (1 - np.minimum(allowed / lipschitz, 1))),
        "bound_at_end": float(certificate.bound[resolved][-1] / trace.gap[resolved][-1]),
        "pl": constants.pl,
        "error_bound": constants.error_bound,
        "growth": constants.growth,
        "condition_start": float(certificate.condition[0]),
        "condition_worst": float(certificate.condition[resolved].max()),
        "singular_steps": int((certificate.mu == 0).sum()),
        "condition_end": lipschitz / face.mu,
        "measured_rate": rate,
        "predicted_rate": local_rate(face, lipschitz).iterate,
        "rate_ratio": (1 - rate) * lipschitz / face.mu if rate is not None else None,
        "speed_before": float(np.median(early)) if len(early) else None,
        "mu_before": float(np.median(certificate.mu[:at])) if len(early) else None,
        "slowest_before": float(early.min()) if len(early) else None,
        **late,
    }


def _bound_ratio(trace, certificate) -> float | None:
    """Largest gap over bound at the resolved steps after the first, where the two are equal."""
    gap, bound = trace.gap[1:], certificate.bound[1:]
    return _largest(gap[gap > RESOLVED] / bound[gap > RESOLVED])


def _largest(values) -> float | None:
    """None where there is none: a run that is over after one step has no step to judge."""
    return float(values.max()) if len(values) else None


def _after(trace, at: int, speed, resolved) -> dict:
    """Realised contraction and restricted PL after identification."""
    from trajectory_conv.geometry import restricted_constants
    from trajectory_conv.solvers import Scalars

    late = speed[at:]
    if len(late) == 0:
        return {}
    points = Scalars(*(values[at:] for values in trace[: len(Scalars._fields)]))
    return {
        "speed_after": float(np.median(late)),
        "slowest_after": float(late.min()),
        "pl_after": restricted_constants(points).pl,
    }


def _fista_rate(problem, trace) -> dict:
    """FISTA's measured contraction on the final face."""
    from trajectory_conv.geometry import fitted_rate, identification

    found = identification(problem, trace)
    rate = fitted_rate(trace, found.face) if found.face is not None else None
    return {"fista_first": found.first, "fista_permanent": found.permanent, "fista_rate": rate}


def _curves(problem, traces, points: int) -> dict:
    """Gaps of all methods, and the certificate with its effective condition number, at common steps."""
    from trajectory_conv.geometry import trajectory_certificate

    certificate = trajectory_certificate(problem, traces["ista"])
    kept = thinned(len(traces["ista"].gap), points)

    def at(values):
        padded = np.full(len(kept), np.nan)
        inside = kept < len(values)
        padded[inside] = values[kept[inside]]
        return padded

    return {
        "step": kept,
        **{f"gap_{method}": at(trace.gap) for method, trace in traces.items()},
        "bound": certificate.bound[kept],
        "condition": certificate.condition[kept],
        "size": (traces["ista"].faces != 0).sum(1)[traces["ista"].face][kept].astype(float),
    }


def _seeds(count: int, cell: Config) -> list[Config]:
    return [replace(cell, seed=seed) for seed in range(count)]


PRESETS: dict[str, list[Config]] = {
    "smoke": _seeds(1, Config(designs=("gaussian", "ar1_0.7"), n=60, d=120, s=4, iterations=3_000, curve=40)),
    "default": _seeds(8, Config()),
    "paper": _seeds(30, Config()),
}


def figures(results: Results) -> dict[str, Figure]:
    """Certificate against gap, measured against predicted rate, before and after, and what the restricted step
    brings.
    """
    from trajectory_conv.experiments.rates_figures import draw

    return draw(results)
