"""What both training experiments sweep: methods, each with the product of the coefficients that it reads."""

import math
from dataclasses import dataclass, fields
from itertools import product
from typing import Literal, get_args

from aen_sae.experiments.checked import require_positive
from aen_sae.stacked import Recipe

Method = Literal["l1", "elastic_net", "adaptive_lasso", "aen", "topk", "topk_auxk", "batchtopk", "jumprelu", "gated"]
"""The paper's methods, TopK with AuxK, and three of SAELens's architectures."""
READS: dict[str, tuple[str, ...]] = {
    "l1": ("l1",),
    "elastic_net": ("l1", "l2"),
    "adaptive_lasso": ("l1", "gamma", "ema_decay", "reference_fraction"),
    "aen": ("l1", "l2", "gamma", "ema_decay", "reference_fraction"),
    "topk": ("k",),
    "topk_auxk": ("k",),
    "batchtopk": ("k",),
    "jumprelu": ("jumprelu_l0",),
    "gated": ("gated_l1",),
}
"""The fields whose product is a method's grid."""
LABELS = {
    "l1": "L1",
    "elastic_net": "elastic net",
    "adaptive_lasso": "adaptive lasso",
    "aen": "AEN",
    "topk": "TopK",
    "topk_auxk": "TopK + AuxK",
    "batchtopk": "BatchTopK",
    "jumprelu": "JumpReLU",
    "gated": "gated",
}
"""Names for people."""
PENALISED = ("l1", "elastic_net", "adaptive_lasso", "aen")
"""Methods with a ReLU code and penalties: they train as one stack."""
SAELENS = ("batchtopk", "jumprelu", "gated")
"""Methods trained by SAELens's own trainer."""


@dataclass(frozen=True)
class Grid:
    method: tuple[Method, ...] = ("l1",)
    """Training rules; each is run for every combination of the fields that it reads."""
    l1: tuple[float, ...] = (0.001,)
    """lambda_1 values (l1, elastic_net, adaptive_lasso, aen)."""
    l2: tuple[float, ...] = (0.0001,)
    """lambda_2 values (elastic_net, aen)."""
    gamma: tuple[float, ...] = (0.5,)
    """Exponents of the adaptive weights (adaptive_lasso, aen)."""
    ema_decay: tuple[float, ...] = (0.9999,)
    """beta values of the activity average, in [0, 1) (adaptive_lasso, aen)."""
    reference_fraction: tuple[float, ...] = (0.05,)
    """q values, share of latents that define the reference activity (adaptive_lasso, aen)."""
    k: tuple[int, ...] = (8,)
    """Active latents per sample (topk, topk_auxk, batchtopk)."""
    jumprelu_l0: tuple[float, ...] = (0.3,)
    """l0_coefficient values of SAELens's jumprelu."""
    gated_l1: tuple[float, ...] = (0.3,)
    """l1_coefficient values of SAELens's gated architecture."""
    statistic: Literal["published", "debiased", "conditional"] = "published"
    """Activity behind the weights: published EMA, its debiased form, or E[h | h > 0]."""

    def __post_init__(self):
        if not self.method:
            raise ValueError(f"no method; choose at least one of {', '.join(get_args(Method))}")
        for method in self.method:
            if method not in READS:
                raise ValueError(f"unknown method {method!r}; choose from {', '.join(get_args(Method))}")
            if empty := [field for field in READS[method] if not getattr(self, field)]:
                raise ValueError(f"method {method} needs at least one value of {' and of '.join(empty)}")
        require_positive(self, "jumprelu_l0", "gated_l1")
        if not all(0 <= beta < 1 for beta in self.ema_decay) or not all(0 < q <= 1 for q in self.reference_fraction):
            raise ValueError(
                f"ema_decay = {self.ema_decay}, reference_fraction = {self.reference_fraction}; "
                "choose values in [0, 1) and in (0, 1]"
            )
        if not all(math.isfinite(c) and c >= 0 for c in (*self.l1, *self.l2, *self.gamma)) or min([*self.k, 1]) < 1:
            given = f"l1 = {self.l1}, l2 = {self.l2}, gamma = {self.gamma}, k = {self.k}"
            raise ValueError(f"{given}; choose coefficients >= 0 and k >= 1")

    def members(self, *methods: str) -> list[dict]:
        """One dict of labels per SAE, for those of `methods` that are in the grid: its method and coefficients.

        A coefficient that the method does not read is None.
        """
        coefficients = [f.name for f in fields(Grid) if f.name not in ("method", "statistic")]
        return [
            {"method": method} | dict.fromkeys(coefficients) | dict(zip(READS[method], values, strict=True))
            for method in self.method
            if method in methods
            for values in product(*(getattr(self, field) for field in READS[method]))
        ]


def recipe(member: dict, scale: float = 1.0) -> Recipe:
    """The stacked trainer's recipe for one member; its lambdas are multiplied by `scale`."""
    if member["k"] is not None:
        return Recipe(k=member["k"], auxk=float(member["method"] == "topk_auxk"))
    given = {name: member[name] for name in READS[member["method"]]}
    return Recipe(**given | {name: scale * given[name] for name in ("l1", "l2") if name in given})
