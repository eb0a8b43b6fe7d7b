"""Annealing in contrastive training (claim C6). The published numbers are of another network and data than
`default`.
"""

from infonce_langevin.checks.contrastive import alike, difference
from infonce_langevin.claims.sources import OURS, TABLE
from repro_shared.claims import Claim

RUN = {"experiment": "contrastive", "figure": "accuracy"}

TRAINING: list[Claim] = [
    Claim(
        id="C6-low", statement="Annealing beats the low fixed beta = 1: probe accuracy, published log minus that (SGD)",
        published=9.81, unit="points", check=difference("published log", "tau 1", "sgd", supported_above=0.0),
        **TABLE, **RUN,
    ),
    Claim(
        id="C6-high", statement="Annealing beats the high fixed beta = 1e6: published log minus that (SGD)",
        published=7.34,
        unit="points", check=difference("published log", "tau 1e-6", "sgd", supported_above=0.0), **TABLE, **RUN,
    ),
    Claim(
        id="C6-order", statement="The low fixed beta is the worst: high minus low (SGD)", published=2.47, unit="points",
        check=difference("tau 1e-6", "tau 1", "sgd", supported_above=0.0), **TABLE, **RUN,
    ),
    Claim(
        id="C6-shape", statement="log and sqrt are alike: sqrt minus log (SGD, within 1 point)", published=-0.12,
        unit="points", check=alike("published sqrt", "published log", "sgd"), **TABLE, **RUN,
    ),
    Claim(
        id="C6-collapse", statement="The high fixed beta does harm: its accuracy minus that of the untrained network "
        "(SGD, "
        "below 0)", unit="points", check=difference("tau 1e-6", "random", "sgd", supported_below=0.0), **OURS, **RUN,
    ),
    Claim(
        id="C6-useful", statement="Annealing beats a usual fixed temperature: log from 1 to .05 minus tau = .2 (Adam)",
        unit="points", check=difference("log", "tau .2", "adam", supported_above=0.0), **OURS, **RUN,
    ),
    Claim(
        id="C6-alike", statement="They are alike: log from 1 to .05 minus tau = .2 (Adam, within 1 point)",
        unit="points",
        check=alike("log", "tau .2", "adam"), **OURS, **RUN,
    ),
    Claim(
        id="C6-uniformity", statement="Temperature does change the geometry: uniformity at tau = .2 minus that at 1 "
        "(Adam, "
        "below 0)", unit="", check=difference("tau .2", "tau 1", "adam", "uniformity", supported_below=0.0), **OURS,
        **RUN,
    ),
    Claim(
        id="C6-alignment", statement="And alignment: at tau = .2 minus that at 1 (Adam, above 0)", unit="",
        check=difference("tau .2", "tau 1", "adam", "alignment", supported_above=0.0), **OURS, **RUN,
    ),
]  # fmt: skip
