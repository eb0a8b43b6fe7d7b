"""Trained linear probes: is a target linear in the query's stream, in whatever direction (ours)?

The lens looks along the head's direction alone; a probe finds the best one. It is fit on half of the episodes and
judged on the others. Targets worth probing: Bayes log-odds, the log-likelihood ratio (clipped for task B, whose tails
would decide the fit), |x|^2 of the query for task B.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from icl_lrt.estimates import Estimate, correlation, pearson, share_as_extreme

PENALTIES = np.logspace(-1, 5, 7)
"""Of the squared weights of standardised features, for the sum of squared errors; leave-one-out chooses."""


class Probe(NamedTuple):
    """A layer's ridge probe on the episodes that it was not fit on."""

    layer: int
    pearson: Estimate
    p: float
    """Share of the null at least as large in size."""
    null: Float[Tensor, " permutations"]
    """Pearson's r when the targets of whole episodes are permuted among the episodes, before the fit; the first one is
    the r itself.
    """


def ridge_probes(
    streams: Float[Tensor, "depth batch m width"],
    target: Float[Tensor, "batch m"],
    generator: torch.Generator,
    permutations: int = 200,
) -> list[Probe]:
    """A probe of each layer's stream (layer 0: the embedding) for one target, with its permutation null."""
    batch, m = target.shape
    half = batch // 2
    target = target.double().cpu()
    keys = torch.rand(permutations, batch, generator=generator, device=generator.device).cpu()
    orders = torch.cat([torch.arange(batch)[None], keys.argsort(-1)])
    targets = target[orders].permute(1, 2, 0)  # (batch, m, 1 + permutations)
    found = []
    for layer, stream in enumerate(streams.double().cpu()):
        ridge = make_pipeline(StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True))
        ridge.fit(stream[:half].flatten(0, 1), targets[:half].flatten(0, 1))
        predicted = torch.from_numpy(ridge.predict(stream[half:].flatten(0, 1)))
        null = pearson(predicted.mT, targets[half:].flatten(0, 1).mT)
        estimate = correlation(predicted[:, 0].view(-1, m), target[half:])
        found.append(Probe(layer, estimate, share_as_extreme(null[0], null), null))
    return found
