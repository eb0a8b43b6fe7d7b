"""Are the claimed solutions solutions? (ours)

Each is substituted into its equation and its conditions, and compared with a numerical solution of the problem
(`check_truth`). One cell is one problem with all its kappas. Expect a second per kappa on one core, but 20 s for
published KdV with kappa = 8 and 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pinn_scaling.experiments.checked import require_problem
from pinn_scaling.pdes import PDES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results


@dataclass(frozen=True)
class Config:
    pde: str = "kdv_published"
    """Name of the problem, in `pdes.PDES`."""
    kappa: tuple[float, ...] = (1.0,)
    """Hardness values."""
    reference: bool = True
    """Compare with a numerical solution, too."""

    def __post_init__(self):
        require_problem(self)


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per kappa. For published KdV also the distance on the author's test grid, and both functions."""
    import numpy as np

    from pinn_scaling.references import REFERENCES
    from pinn_scaling.truth import check_truth, distance

    pde = PDES[cell.pde]
    records = []
    for kappa in cell.kappa:
        report = check_truth(pde, kappa, cell.reference)
        record = {
            "kappa": kappa,
            "residual": report.residual / report.scale,
            "condition": max(report.conditions.values()),
            "distance": report.distance,
            "passes": report.passes,
        }
        if cell.pde == "kdv_published" and cell.reference:
            x, times = np.linspace(*pde.domain[1], 401), np.linspace(*pde.domain[0], 6)
            z = np.stack(np.meshgrid(times, x, indexing="ij"), axis=-1)
            record |= {"test_grid_distance": distance(pde, kappa, (31, 31)), "x": x, "times": times}
            record |= {"claimed": np.asarray(pde.truth(z, kappa)), "computed": REFERENCES[cell.pde](kappa, times, x)}
        records.append(record)
    return records


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config(pde="poisson"),
        Config(pde="kdv_published", kappa=(0.25, 1.0)),
        Config(pde="kdv", kappa=(1.0,)),
    ],
    "default": [Config(pde=name, kappa=pde.kappas) for name, pde in PDES.items()],
    "paper": [Config(pde=name, kappa=pde.kappas) for name, pde in PDES.items()],
}


def figures(results: Results) -> dict[str, Figure]:
    """The published truth of KdV beside the solution; residuals and distances of all."""
    from pinn_scaling.experiments.truth_figures import draw

    return draw(results)
