"""Do the exact statements hold, and do the closed forms agree with autodiff? (claims C1, C2, C3, C4, C13; sections 3-5)

hessian      H = G + M by closed form and by torch.func; counts of negative eigenvalues by head and loss
critical     the residual t* at which a smooth head's H stops being semidefinite
whitening    theorem 3.1: a linear head whitens one loss Hessian on a subspace, and nothing else
curvature    proposition 3.3: Riemann tensors of loss metrics, and what is left to a constant head
path         theorem 3.2: an MLP head makes G the identity along a path
bound        proposition 3.4 and corollary 3.5: how well a head must approximate
collapse     the losses' Hessians at exact collapse, alone and behind heads
targets      the same for DINO, and for SimSiam with its predictor, whose targets are held: residual and Hessian
field        SimSiam's stop-gradient field at collapse: which differences grow
invariance   propositions 5.1 and 5.2: G along the orbit of an invariant head
fisher       theorem 5.3: the rank of the Fisher information
homogeneity  what the authors' pseudo-collapsed initialisation changes

One cell is one part and one seed; everything is float64. Expect 0.1 s per cell on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from proj_heads.experiments.checked import require_positive, require_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Part = Literal[
    "hessian", "critical", "whitening", "curvature", "path", "bound", "collapse", "targets", "field", "invariance",
    "fisher", "homogeneity",
]  # fmt: skip
PARTS = get_args(Part)
ACTIVATIONS = ("linear", "relu", "gelu", "swish")
LOSSES = ("squared", "cosine", "cross-entropy")
POTENTIALS = ("gaussian", "softmax", "softmax and quadratic", "separable", "quadratic")
OBJECTIVES = ("InfoNCE", "NT-Xent", "VICReg", "Barlow Twins", "SimSiam")
DINO = ("DINO sharpened", "DINO centred")
TARGETS = (*DINO, "SimSiam predictor")
STATES = ("no predictor", "drawn", "equilibrium")
CHOICES = {
    "activation": ACTIVATIONS,
    "loss": LOSSES,
    "potential": POTENTIALS,
    "definite": ("semidefinite", "indefinite"),
    "objective": OBJECTIVES,
    "target": TARGETS,
    "state": STATES,
    "position": ("inside", "outside"),
}
"""Fields that name what is measured, and their possible values."""


@dataclass(frozen=True)
class Config:
    part: Part = "hessian"
    """Which question, see the head of the module."""
    d: int = 16
    """Size of the backbone output z; at least 8."""
    width: int = 64
    """Hidden units of heads; predictors have half as many."""
    k: int = 32
    """Size of the head's output."""
    samples: int = 32
    """Points z (or random draws, in `bound` ten times as many) that each record sums up."""
    batch: int = 6
    """N: samples per view in `collapse` and `field`."""
    activation: tuple[str, ...] = ACTIVATIONS
    """Heads; bias-free, two maps, without batch norm."""
    loss: tuple[str, ...] = LOSSES
    """hessian: the losses of the output; targets and teachers are random."""
    outputs: tuple[int, ...] = (8, 32)
    """critical: sizes k of the head's output; one below d (G singular), one above."""
    rank: tuple[int, ...] = (2, 8)
    """whitening: ranks r of the loss Hessian, up to d and k."""
    potential: tuple[str, ...] = POTENTIALS
    """curvature: losses u -> L(u) as potentials of a metric."""
    path_width: tuple[int, ...] = (4, 8, 16, 32, 64)
    """path: hidden units of the MLP head."""
    definite: tuple[str, ...] = ("semidefinite", "indefinite")
    """bound: the loss Hessians."""
    objective: tuple[str, ...] = OBJECTIVES
    """collapse: the losses, with their published parameters."""
    target: tuple[str, ...] = TARGETS
    """targets: DINO with a center that is still zero (sharpened) or has come to the outputs (centred); SimSiam with its
    predictor as drawn.
    """
    state: tuple[str, ...] = STATES
    """field: the predictor: none, as drawn, or with its last map changed to keep the collapsed output."""
    position: tuple[str, ...] = ("inside", "outside")
    """fisher: whether the invariant directions carry information."""
    alpha: float = 0.1
    """homogeneity: the factor of every linear map."""
    seed: int = 0

    def __post_init__(self):
        require_positive(self, "d", "width", "k", "samples", "batch", "outputs", "rank", "path_width", "alpha")
        require_seed(self)
        if self.part not in PARTS:
            raise ValueError(f"unknown part {self.part!r}; choose from {', '.join(PARTS)}")
        for name, known in CHOICES.items():
            if unknown := set(getattr(self, name)) - set(known):
                raise ValueError(f"unknown {name} {min(unknown)!r}; choose from {', '.join(known)}")
        if self.d < 8 or self.k < 2 or self.batch < 2 or self.width < 2:
            raise ValueError(
                f"d = {self.d}, k = {self.k}, batch = {self.batch}, width = {self.width}; choose d >= 8, others >= 2"
            )
        if self.part == "whitening" and max(self.rank) > min(self.d, self.k):
            raise ValueError(f"rank = {self.rank}; choose ranks up to d = {self.d} and k = {self.k}")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Deviations, counts and slacks of the cell's part; see the function of that name for its records."""
    from proj_heads.experiments import theory_collapse, theory_conditioning, theory_hessian

    parts = {
        "hessian": theory_hessian.hessian,
        "critical": theory_hessian.critical,
        "homogeneity": theory_hessian.homogeneity,
        "whitening": theory_conditioning.whitening,
        "curvature": theory_conditioning.curvature,
        "path": theory_conditioning.path,
        "bound": theory_conditioning.bound,
        "invariance": theory_conditioning.invariance,
        "fisher": theory_conditioning.fisher,
        "collapse": theory_collapse.collapse,
        "targets": theory_collapse.targets,
        "field": theory_collapse.field,
    }
    return parts[cell.part](cell)


def _seeds(count: int, *cells: Config) -> list[Config]:
    return [replace(cell, seed=seed) for cell in cells for seed in range(count)]


PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(part=part, samples=8) for part in PARTS],
    "default": _seeds(8, *(Config(part=part) for part in PARTS)),
    "paper": _seeds(30, *(Config(part=part) for part in PARTS)),
}


def figures(results: Results) -> dict[str, Figure]:
    """Spectra of G and H, critical residuals, collapse Hessians, growth rates, curvature and isotropy."""
    from proj_heads.experiments.theory_figures import draw

    return draw(results)
