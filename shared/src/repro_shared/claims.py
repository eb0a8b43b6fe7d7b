"""The claims of a paper as named statements with a machine-checked verdict.

A paper's `claims.py` is a list of `Claim`; each check turns the result tables into a `Finding`; `evaluate` applies the
rules that no check may bend (an unfinished experiment is not judged, a smoke run proves nothing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from repro_shared.results import Results

Verdict = Literal["supported", "contradicted", "inconclusive", "not-run"]
Kind = Literal["published", "derived", "theorem", "identity"]


@dataclass(frozen=True)
class Finding:
    """What a check found: a measured value, its interval and what follows from them."""

    measured: float | None
    """Our value in the claim's unit; None where there is nothing to measure."""
    low: float | None
    """Lower end of the interval; -inf or None where it is unbounded or unknown."""
    high: float | None
    """Upper end of the interval; inf or None where it is unbounded or unknown."""
    n: int
    """Independent measurements (seeds, pairs, ...) behind the value."""
    verdict: Verdict
    why: str
    """One or two sentences: what was compared with which threshold, and caveats."""

    def __post_init__(self):
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict = {self.verdict!r}; choose one of {', '.join(get_args(Verdict))}")
        if any(value is not None and math.isnan(value) for value in (self.measured, self.low, self.high)):
            raise ValueError(f"NaN in {self}: leave undefined values out of the statistics, or give None")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"interval [{self.low}, {self.high}] is upside down")


@dataclass(frozen=True)
class Claim:
    """One statement of the paper (or of ours about it) that can turn out wrong."""

    id: str
    statement: str
    source: str
    """Where the statement stands: section, figure, table, or "our derivation"."""
    kind: Kind
    """"published" by the authors, "derived" by us, "theorem" (checked numerically), or "identity" (true whatever the
    data are, so no evidence for anything).
    """
    published: float | str | None
    """The value in the paper, in `unit`; text where it is not a number; None where there is none."""
    unit: str
    experiment: str
    """Name of the experiment whose run decides the claim."""
    figure: str | None
    """Name of the figure that shows it, as in `figures()` of the experiment."""
    check: Callable[[dict[str, Results]], Finding]
    """Results by experiment name -> finding. Its docstring says why its threshold is what it is."""

    def __post_init__(self):
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind = {self.kind!r} of claim {self.id}; choose one of {', '.join(get_args(Kind))}")


def evaluate(claims: Iterable[Claim], results: dict[str, Results], preset: str) -> list[dict]:
    """Judge every claim; returns JSON-ready dicts in the order of `claims` (infinities become None).

    An experiment without results, or with unfinished cells, is "not-run" and its check is not called. With the preset
    "smoke" checks run, so that the machinery is proven, but "supported" and "contradicted" become "inconclusive".
    An exception in a check is a bug and is not caught.
    """
    judged = []
    for claim in claims:
        experiment = results.get(claim.experiment)
        finding = _finding(claim, results, preset)
        judged.append(
            {
                "id": claim.id,
                "statement": claim.statement,
                "source": claim.source,
                "kind": claim.kind,
                "published": claim.published,
                "measured": _finite(finding.measured),
                "low": _finite(finding.low),
                "high": _finite(finding.high),
                "unit": claim.unit,
                "n": finding.n,
                "verdict": finding.verdict,
                "why": finding.why,
                "preset": preset,
                "experiment": claim.experiment,
                "figure": claim.figure,
                "run": f"{claim.experiment}/run.json" if experiment is not None and experiment.provenance else None,
            }
        )
    return judged


def _finding(claim: Claim, results: dict[str, Results], preset: str) -> Finding:
    experiment = results.get(claim.experiment)
    if experiment is not None and experiment.missing:
        why = f"{experiment.missing} cells of {claim.experiment} are not there ({experiment.reason})"
        return Finding(None, None, None, 0, "not-run", f"{why}: run `reproduce --preset {preset}`, which goes on")
    if experiment is None or experiment.table.empty:
        return Finding(None, None, None, 0, "not-run", f"the experiment {claim.experiment} was not run")
    finding = claim.check(results)
    if preset == "smoke" and finding.verdict in ("supported", "contradicted"):
        why = f"smoke size proves the machinery, not the claim. {finding.why}"
        return Finding(finding.measured, finding.low, finding.high, finding.n, "inconclusive", why)
    return finding


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and its two-sided Student t interval: mean +- t_{n-1, (1+confidence)/2} s / sqrt(n), s with n - 1.

    One value has the interval (-inf, inf). NaN and an empty list are refused: they are not measurements.
    """
    import numpy as np
    from scipy.special import stdtrit

    sample = np.asarray(list(values), dtype=float)
    if sample.size == 0 or np.isnan(sample).any():
        raise ValueError(f"mean_interval needs at least one number and no NaN, got {sample.tolist()}")
    mean = float(sample.mean())
    if sample.size == 1:
        return mean, -math.inf, math.inf
    half = float(stdtrit(sample.size - 1, (1 + confidence) / 2) * sample.std(ddof=1) / math.sqrt(sample.size))
    return mean, mean - half, mean + half


def verdict_from_interval(
    low: float | None,
    high: float | None,
    *,
    supported_above: float | None = None,
    supported_below: float | None = None,
    contradicted_below: float | None = None,
    contradicted_above: float | None = None,
) -> Verdict:
    """Verdict of an interval against a threshold: the whole interval has to lie on one side of it.

    Give one of `supported_above` (supported when low > it) and `supported_below` (supported when high < it). The
    contradiction threshold is the same number unless `contradicted_below` (resp. `contradicted_above`) moves it away,
    which leaves a zone of indifference between the two. None as an end means unbounded.
    """
    low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
    if (supported_above is None) == (supported_below is None):
        raise ValueError("give exactly one of supported_above and supported_below")
    if supported_below is not None:  # mirror
        above = None if contradicted_above is None else -contradicted_above
        return verdict_from_interval(-high, -low, supported_above=-supported_below, contradicted_below=above)
    if low > supported_above:
        return "supported"
    return (
        "contradicted"
        if high < (supported_above if contradicted_below is None else contradicted_below)
        else "inconclusive"
    )
