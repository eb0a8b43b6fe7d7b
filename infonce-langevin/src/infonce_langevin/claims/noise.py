"""Anisotropic noise, as published and at an equal trace (claim C7)."""

from infonce_langevin.checks.noise import curve, equal_trace, explained, law, published
from infonce_langevin.claims.sources import FILES, OURS
from repro_shared.claims import Claim

NOISE_RUN = {"experiment": "noise", "figure": "noise"}

NOISE: list[Claim] = [
    Claim(
        id="C7-small", statement="Noise of diag(1, 1, .1) instead of I raises success at fixed beta = 10",
        published=0.106,
        unit="", check=published("small", supported_above=0.0), **FILES, **NOISE_RUN,
    ),
    Claim(
        id="C7-large", statement="Noise of diag(20, 20, 10) lowers it", published=-0.855, unit="",
        check=published("large", supported_below=0.0), **FILES, **NOISE_RUN,
    ),
    Claim(
        id="C7-explained", statement="That is the trace, not the anisotropy: share of the first effect that "
        "isotropic noise of "
        "the same trace has (90 %)", unit="%", check=explained, **OURS, **NOISE_RUN,
    ),
    Claim(
        id="C7-equal-small", statement="At an equal trace diag(1, 1, .1) changes nothing at beta = 10 (within .02)",
        unit="",
        check=equal_trace("small", 10.0), **OURS, **NOISE_RUN,
    ),
    Claim(
        id="C7-equal-large", statement="Nor does diag(20, 20, 10) at beta = 200 (within .02)", unit="",
        check=equal_trace("large", 200.0), **OURS, **NOISE_RUN,
    ),
    Claim(
        id="C7-curve", statement="Nor along the curve of success against c: largest difference at an equal trace (.05)",
        unit="", check=curve, **OURS, **NOISE_RUN,
    ),
    Claim(
        id="C7-law", statement="diag(1, 1, .1) has the Gibbs mass at the temperature of its trace (beta = 10, within "
        ".02)",
        unit="", check=law("small"), **OURS, **NOISE_RUN,
    ),
    Claim(
        id="C7-corrected", statement="With the corrected drift it has the Gibbs mass at beta itself (within .02)",
        unit="",
        check=law("small, corrected"), **OURS, **NOISE_RUN,
    ),
]  # fmt: skip
