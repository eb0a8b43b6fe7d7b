"""How much of the language model's loss survives when an SAE's reconstruction replaces the residual stream.

For the residual vectors a of a window batch, all from one run of the lower blocks (`SplitModel.residual`):

    correct patch     a <- s SAE(a / s)     s = ||a|| / sqrt(n); the SAE sees what it was trained on
    published patch   a <- SAE(a)           authors' code: raw activations in, output unscaled (labelled `raw`)
    mean ablation     a <- mean of a over the batch
    zero ablation     a <- 0

    CE recovered = 1 - (CE_patched - CE_clean) / (CE_ablated - CE_clean)

CE is the next-token cross-entropy and KL = KL(clean || patched) the divergence of the next-token distributions, in nats
per token. Position 0 is neither patched nor counted (our choice: its attention sink was never in the training data; the
published runs treated it as any other; `patch_first=True` does so).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from aen_sae.activations import normalise
from aen_sae.language_model import SplitModel

Sae = Callable[[Float[Tensor, "tokens n"]], Float[Tensor, "tokens n"]]
"""Anything that maps activations to their reconstructions."""


def reconstruct(sae: Sae, a: Float[Tensor, "*tokens n"]) -> Float[Tensor, "*tokens n"]:
    """s SAE(a / s) with s = ||a|| / sqrt(n) per token; homogeneous: reconstruct(sae, c a) = c reconstruct(sae, a)."""
    x, scale = normalise(a)
    return sae(x.reshape(-1, a.shape[-1])).reshape(a.shape) * scale


def ce_recovered(ce_clean, ce_patched, ce_ablated):
    """1 - (CE_patched - CE_clean) / (CE_ablated - CE_clean): 1 is a perfect patch, 0 one as bad as the ablation."""
    return 1 - (ce_patched - ce_clean) / (ce_ablated - ce_clean)


@torch.inference_mode()
def patching_scores(
    model: SplitModel,
    windows: Int[np.ndarray, "windows seq"],
    saes: Mapping[str, Sae],
    *,
    raw: bool = True,
    patch_first: bool = False,
    windows_per_batch: int = 4,
) -> dict[str, dict[str, float]]:
    """Scores of each SAE in `saes`, by name, over `windows` (held-out ones).

    Lower blocks, clean logits and ablations are computed once for all SAEs; each SAE then costs one run of the upper
    blocks (two with `raw`, which adds the published patch). The mean ablation uses the mean over each batch of
    `windows_per_batch` windows.

    ce_clean, ce_mean_ablated, ce_zero_ablated   the references, equal for all SAEs
    ce, kl                                       of the patched model; ce - ce_clean is the paper's degradation
    ce_recovered                                 against mean ablation, the mean over batches (as published)
    ce_recovered_ratio, ce_recovered_zero        from the mean CEs over all batches, against mean and zero ablation
    raw_ce, raw_kl, raw_ce_recovered             the same for the published patch
    """
    first = 0 if patch_first else 1
    totals: dict[str, dict[str, float]] = {name: defaultdict(float) for name in saes}
    for start in range(0, len(windows), windows_per_batch):
        batch = np.asarray(windows[start : start + windows_per_batch], dtype=np.int64)
        tokens = torch.from_numpy(batch).to(model.device)
        residual = model.residual(tokens).float()
        a = residual[:, first:]  # what is patched
        clean = _Clean(model, residual, tokens, first)
        ce_mean, _ = clean.compare(a.mean((0, 1)).expand_as(a))
        ce_zero, _ = clean.compare(torch.zeros_like(a))
        for name, sae in saes.items():
            ce, kl = clean.compare(reconstruct(sae, a))
            scores = {"ce_clean": clean.ce, "ce_mean_ablated": ce_mean, "ce_zero_ablated": ce_zero, "ce": ce, "kl": kl}
            scores["ce_recovered"] = ce_recovered(clean.ce, ce, ce_mean)
            if raw:
                ce, kl = clean.compare(sae(a.reshape(-1, model.n)).reshape(a.shape))
                scores |= {"raw_ce": ce, "raw_kl": kl, "raw_ce_recovered": ce_recovered(clean.ce, ce, ce_mean)}
            for key, value in scores.items():
                totals[name][key] += value * len(tokens) / len(windows)
    for mean in totals.values():
        mean["ce_recovered_ratio"] = ce_recovered(mean["ce_clean"], mean["ce"], mean["ce_mean_ablated"])
        mean["ce_recovered_zero"] = ce_recovered(mean["ce_clean"], mean["ce"], mean["ce_zero_ablated"])
    return {name: dict(mean) for name, mean in totals.items()}


class _Clean:
    """Clean predictions of a batch of windows, at the positions that are patched and have a next token."""

    def __init__(self, model: SplitModel, residual: Float[Tensor, "windows seq n"], tokens: Tensor, first: int):
        self._model, self._first = model, first
        self._unpatched = residual[:, :first]
        self._targets = tokens[:, first + 1 :]
        self._logits = model.logits(residual)[:, first:-1]
        self._log_normaliser = self._logits.logsumexp(-1)
        self._probabilities = self._logits.softmax(-1)
        self.ce = self._cross_entropy(self._logits, self._log_normaliser)

    def _cross_entropy(self, logits: Tensor, log_normaliser: Tensor) -> float:
        return (log_normaliser - logits.gather(-1, self._targets.unsqueeze(-1)).squeeze(-1)).mean().item()

    def compare(self, patch: Float[Tensor, "windows patched n"]) -> tuple[float, float]:
        """(CE, KL(clean || patched)) with `patch` in place of the residual stream, means over tokens in nats."""
        logits = self._model.logits(torch.cat([self._unpatched, patch], dim=1))[:, self._first : -1]
        log_normaliser = logits.logsumexp(-1)
        # sum_v p_v (log p_v - log q_v) with log q_v = logit_v - log_normaliser: saves two (tokens, vocab) arrays
        kl = torch.linalg.vecdot(self._probabilities, self._logits - logits) + log_normaliser - self._log_normaliser
        return self._cross_entropy(logits, log_normaliser), kl.mean().item()
