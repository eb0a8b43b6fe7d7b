"""The decisive test: is it optimisation or capacity? (claim C8)

Same equation, width, initial network and loss; the optimiser changes, and with it the points: fresh ones for Adam as
published, many fixed ones for the better optimisers. Adam on those very points tells the two apart. Beside them stand
Adam's averaged weights and a rate that falls (what is left is no noise of the last iterate), and what random features
of the same width can represent. So an error is split into noise (last iterate - falling rate), training (falling rate -
best optimiser: optimisation and sampling) and the rest, an upper bound on what capacity leaves. Errors are those on the
fine grid. One cell is one problem and one width. Expect 20 to 90 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from pinn_scaling.experiments.adam import REFERENCE_UP_TO
from pinn_scaling.experiments.checked import require_positive, require_problem, require_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Method = Literal[
    "features", "adam", "adam+ema", "adam+cosine", "adam+fixed", "lbfgs", "lm", "lm-continuation", "varpro"
]
"""Those of `solve`, and random features (`approximation`)."""


@dataclass(frozen=True)
class Config:
    pde: str = "allen_cahn"
    """Name of the problem, in `pdes.PDES`."""
    kappa: tuple[float, ...] = (16.0,)
    """Hardness."""
    width: int = 16
    """Neurons N."""
    method: tuple[Method, ...] = ("adam", "lm")
    """Optimisers, and `features`."""
    seed: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Of initial network and points."""
    adam_steps: int = 25_000
    """Adam steps."""
    steps: int = 0
    """Iterations of the other optimisers; 0 for their own (`full_batch.STEPS`)."""

    def __post_init__(self):
        require_positive(self, "width", "adam_steps")
        require_seeds(self)
        require_problem(self)
        if unknown := [name for name in self.method if name not in get_args(Method)] or not self.method:
            raise ValueError(f"method = {self.method}, {unknown}; choose from {', '.join(get_args(Method))}")
        if self.steps < 0 or self.adam_steps % 50:
            raise ValueError(f"steps = {self.steps}, adam_steps = {self.adam_steps}; choose >= 0, a multiple of 50")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per kappa, method and seed."""
    return [record for kappa in cell.kappa for method in cell.method for record in _solved(cell, kappa, method)]


def _solved(cell: Config, kappa: float, method: str) -> list[dict]:
    import jax
    import jax.numpy as jnp

    from pinn_scaling.approximation import feature_errors
    from pinn_scaling.measures import grid, relative_error, values
    from pinn_scaling.pdes import PDES
    from pinn_scaling.references import REFERENCES
    from pinn_scaling.solution import solve

    pde = PDES[cell.pde]
    labels = [{"kappa": kappa, "method": method, "seed": seed} for seed in cell.seed]
    if method == "features":
        return [
            label | {"fine_error": float(feature_errors(pde, cell.width, kappa, label["seed"]).min())}
            for label in labels
        ]
    steps = cell.adam_steps if method.startswith("adam") else cell.steps or None
    found = solve(pde, cell.width, kappa, method, cell.seed, steps)
    records = [
        label
        | {
            "error": float(found.error[i]),
            "fine_error": float(found.fine_error[i]),
            "bands": np.asarray(found.bands[i]),
        }
        | {f"loss_{name}": float(term[i]) for name, term in found.loss._asdict().items()}
        for i, label in enumerate(labels)
    ]
    if cell.pde == "kdv_published" and kappa <= REFERENCE_UP_TO:
        z = grid(pde, 31, 401)
        solution = jnp.asarray(REFERENCES[cell.pde](kappa, z[:, 0, 0], z[0, :, 1]))
        off = jax.lax.map(lambda network: relative_error(values(network, z), solution), found.parameters)
        records = [record | {"reference_error": float(e)} for record, e in zip(records, off, strict=True)]
    return records


TEN = tuple(range(1, 11))
ADAM = ("adam", "adam+ema", "adam+cosine")
SIXTEEN = [
    Config(pde="poisson", kappa=(1.0,), method=("features", *ADAM, "lbfgs", "lm", "varpro")),
    Config(pde="allen_cahn", kappa=(4.0, 64.0), method=("features", *ADAM, "lm")),
    Config(pde="allen_cahn", kappa=(16.0,), method=("features", *ADAM, "adam+fixed", "lm")),
    Config(pde="sine_gordon", kappa=(2.0,), method=("features", *ADAM, "lbfgs", "lm", "lm-continuation")),
    Config(pde="sine_gordon", kappa=(16.0,), method=("features", *ADAM, "adam+fixed", "lm", "lm-continuation")),
    Config(pde="kdv", kappa=(1.0, 16.0), method=("features", *ADAM, "lm")),
    Config(pde="kdv", kappa=(4.0,), method=("features", *ADAM, "adam+fixed", "lm")),
    Config(pde="kdv_published", kappa=(1.0,), method=("adam", "lm")),
]
OTHER_WIDTHS = [
    Config(pde=pde, kappa=(kappa,), width=width, method=("features", "adam", method), seed=(1, 2, 3))
    for pde, kappa, method in (
        ("allen_cahn", 64.0, "lm"),
        ("sine_gordon", 16.0, "lm-continuation"),
        ("kdv", 16.0, "lm"),
    )
    for width in (8, 32)
]

PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config(
            pde="poisson", kappa=(1.0,), width=4, seed=(1, 2), adam_steps=50, steps=5,
            method=("features", *ADAM, "adam+fixed", "lbfgs", "lm", "varpro"),
        ),
    ],
    "default": SIXTEEN + OTHER_WIDTHS,
    "paper": [
        *(replace(cell, seed=TEN) for cell in SIXTEEN),
        *(replace(cell, seed=TEN, width=width) for cell in OTHER_WIDTHS[::2] for width in (4, 8, 32, 64)),
    ],
}  # fmt: skip


def figures(results: Results) -> dict[str, Figure]:
    """Errors by method; errors against width, Adam's and the best; noise, optimisation and the rest."""
    from pinn_scaling.experiments.decisive_figures import draw

    return draw(results)
