"""Adaptive penalty weights from a running mean of each latent's activity (paper, method; authors' code).

    a_j   <-  beta a_j + (1 - beta) m_j            m_j: batch mean of h_j, a_j(0) = 1
    e_j    =  max(a_j, 1e-5)
    ref    =  mean of the largest max(1, floor(d q)) entries of e
    w_j    =  clip((ref / e_j)^gamma, w_min, w_max)
    omega_j = 1 + (w_j - 1) f(t)                   f: 0 before the delay T0, then linear to 1 over R steps

The weights are constants of the loss: no gradient flows through them. Because `ref` is the mean of the *busiest*
latents, w_j < 1 occurs only among those; everywhere else the weight lies in [1, w_max]. De facto the weights prune rare
latents.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-5
"""Floor of the activity, so that a silent latent has a finite weight (authors' code)."""

Statistic = Literal["published", "debiased", "conditional"]
"""What the weights are computed from.

published    the running mean that starts at 1: beta^t of "pseudo-activity" stays in every a_j and damps all weights
debiased     the running mean divided by 1 - beta^t, started at 0 (as in Adam): the mean that was actually seen (our
             variant)
conditional  E[h_j | h_j > 0], the running mean over the running firing rate: amplitude alone, so rarity is not punished
             (our variant)
"""
STATISTICS: tuple[str, ...] = get_args(Statistic)


def update_activity(
    activity: Float[Tensor, "*m d"], batch_mean: Float[Tensor, "*m d"], decay: Float[Tensor, "*m 1"] | float
) -> Float[Tensor, "*m d"]:
    """One step of the exponential moving average, a <- beta a + (1 - beta) m. In place; returns `activity`."""
    return activity.lerp_(batch_mean.to(activity.dtype), 1 - decay)


def adaptive_weights(
    activity: Float[Tensor, "*m d"],
    gamma: Float[Tensor, "*m"] | float = 0.5,
    reference_fraction: Float[Tensor, "*m"] | float = 0.05,
    weight_min: float = 0.01,
    weight_max: float = 10.0,
) -> Float[Tensor, "*m d"]:
    """Weights w_j = clip((ref / max(a_j, 1e-5))^gamma, w_min, w_max), one per latent.

    activity: a_j >= 0. gamma: exponent; 0 gives w = 1, the plain elastic net. reference_fraction: q, the share of
    latents whose mean activity is the reference. Leading dimensions are independent SAEs; gamma and q may differ
    between them. The defaults are those of the published runs (the class defaults in the authors' code differ).
    """
    e = activity.clamp_min(EPSILON)
    d = e.shape[-1]
    exact = d * (1 + 1e-6)  # floor(0.01 * 200) is 2, also where 0.01 is a float32
    if isinstance(reference_fraction, Tensor):
        count = (exact * reference_fraction.double()).floor().long().clamp_min(1).unsqueeze(-1)
        running_sum = e.sort(dim=-1, descending=True).values.cumsum(-1)
        reference = running_sum.gather(-1, (count - 1).expand(*e.shape[:-1], 1)) / count
    else:  # one SAE inside a trainer: fewer small operations, no transfer to the device
        reference = e.topk(max(1, int(exact * reference_fraction))).values.mean(-1, keepdim=True)
    exponent = gamma.unsqueeze(-1) if isinstance(gamma, Tensor) else gamma
    return (reference / e).pow(exponent).clamp(weight_min, weight_max)


def ramp(step: int, delay: int, ramp_steps: int) -> float:
    """Share f(t) of the adaptive part at 1-based `step`: 0 for t < delay, else min(1, (t - delay) / ramp_steps)."""
    if step < delay:
        return 0.0
    return min(1.0, (step - delay) / ramp_steps) if ramp_steps > 0 else 1.0


class Activity:
    """The running statistics behind the weights of M SAEs of d latents, for one `Statistic`.

    `state` holds plain tensors, so a trainer can save and restore it: `mean` (M, d) and, for the conditional form,
    `rate`.
    """

    def __init__(self, shape: tuple[int, ...], decay: Float[Tensor, "*m"] | float, statistic: Statistic, device=None):
        if statistic not in STATISTICS:
            raise ValueError(f"unknown activity statistic {statistic!r}; choose one of {', '.join(STATISTICS)}")
        self.statistic = statistic
        self.decay = torch.as_tensor(decay, dtype=torch.float32, device=device).unsqueeze(-1)
        start = torch.zeros if statistic == "debiased" else torch.ones
        self.state = {"mean": start(shape, device=device)}
        if statistic == "conditional":
            self.state["rate"] = torch.ones(shape, device=device)

    def update(self, codes: Float[Tensor, "*m batch d"]) -> None:
        """Take in one batch of codes h >= 0."""
        update_activity(self.state["mean"], codes.mean(-2), self.decay)
        if self.statistic == "conditional":
            update_activity(self.state["rate"], (codes > 0).to(codes.dtype).mean(-2), self.decay)

    def value(self, step: int) -> Float[Tensor, "*m d"]:
        """The activity a_j after `step` updates."""
        if self.statistic == "debiased":
            return self.state["mean"] / (1 - self.decay.double() ** step).float()
        if self.statistic == "conditional":
            return self.state["mean"] / self.state["rate"]  # both decay alike: a silent latent keeps its ratio
        return self.state["mean"]

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state` saved from an equal object."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
