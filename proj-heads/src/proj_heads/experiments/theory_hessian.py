"""Parts of the experiment `theory` on the effective Hessian: H = G + M, critical residuals, homogeneity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from proj_heads.experiments.theory import Config
from proj_heads.heads import build_head, pseudo_collapse_
from proj_heads.hessian import effective_hessian, spectrum
from proj_heads.losses import CrossEntropy, NegativeCosine, PerSampleLoss, SquaredError
from proj_heads.seeds import generator


class Draws:
    """Named random numbers of a cell, float64."""

    def __init__(self, cell: Config):
        self.cell = cell

    def stream(self, *name: str | int) -> torch.Generator:
        return generator(self.cell.seed, "theory", self.cell.part, *name)

    def normal(self, name: str, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.stream(name), dtype=torch.float64)

    def orthonormal(self, name: str, n: int, r: int) -> Tensor:
        return torch.linalg.qr(self.normal(name, n, r))[0]

    def head(
        self, activation: str, d: int, width: int, k: int, name: str = "head", norm: bool = False
    ) -> nn.Sequential:
        """Two bias-free maps."""
        return build_head(d, width, k, activation, 2, norm, self.stream(name)).double()


def _cosine(h: Tensor, c: Tensor) -> Tensor:
    return -nn.functional.cosine_similarity(h, c, dim=0)


def _cross_entropy(h: Tensor, c: Tensor) -> Tensor:
    return nn.functional.cross_entropy(h / 0.1, c.softmax(0))


LOSSES: dict[str, tuple[Callable[[Tensor], PerSampleLoss], Callable[[Tensor, Tensor], Tensor]]] = {
    "squared": (SquaredError, lambda h, c: (h - c).square().sum() / 2),
    "cosine": (NegativeCosine, _cosine),
    "cross-entropy": (lambda c: CrossEntropy(c.softmax(1), 0.1), _cross_entropy),
}
"""Name -> (our loss for targets c, torch's function of one output and one target)."""


def hessian(cell: Config) -> list[dict]:
    """Per head (projector and predictor) and loss, over the samples: the largest relative deviation between closed form
    and torch.func.hessian, the same for central differences, counts of negative eigenvalues of H and G (mean and
    extremes), the share of samples with any, lambda_min and lambda_max (means), the median of t*, the spectra of the
    first sample. Targets are random; those of the cosine are 45 degrees from the output, as in training (s > 0).
    """
    draws, records = Draws(cell), []
    z, noise = draws.normal("z", cell.samples, cell.d), draws.normal("target", cell.samples, cell.k)
    for activation in cell.activation:
        head = nn.Sequential(
            draws.head(activation, cell.d, cell.width, cell.k, "projector"),
            draws.head(activation, cell.k, cell.width // 2, cell.k, "predictor"),
        )
        for name in cell.loss:
            ours, torchs = LOSSES[name]
            unit, other = nn.functional.normalize(head(z).detach()), nn.functional.normalize(noise)
            target = unit + other if name == "cosine" else noise
            loss = ours(target)
            found = effective_hessian(head, z, loss)
            seen = spectrum(found)

            def value(x: Tensor, c: Tensor, head=head, torchs=torchs) -> Tensor:
                return torchs(head(x[None])[0], c)

            exact = torch.func.vmap(torch.func.hessian(value))(z, target).detach()
            size = exact.abs().amax((1, 2))
            records.append({
                "activation": activation,
                "loss": name,
                "deviation": float((found.total - exact).abs().amax((1, 2)).div(size).max()),
                "differences": float((_differences(head, z, loss) - found.total).abs().amax((1, 2)).div(size).max()),
                "interaction": float(found.interaction.abs().max()),
                "share": float(seen.share.mean()),
                "negative": float(seen.negative.double().mean()),
                "negative_least": int(seen.negative.min()),
                "negative_most": int(seen.negative.max()),
                "metric_negative": float(seen.metric_negative.double().mean()),
                "metric_negative_most": int(seen.metric_negative.max()),
                "lowest": float(seen.values[:, 0].mean()),
                "highest": float(seen.values[:, -1].mean()),
                "below_zero": float((seen.negative > 0).double().mean()),
                "critical": float(np.median(seen.critical)),
                "values": seen.values[0].numpy(),
                "metric_values": seen.metric_values[0].numpy(),
            })  # fmt: skip
    return records


def _differences(head: nn.Module, z: Tensor, loss: PerSampleLoss, step: float = 1e-5) -> Tensor:
    """(batch, d, d): central differences of the gradient of the loss by z."""

    def slope(z: Tensor) -> Tensor:
        return torch.func.grad(lambda x: loss.value(head(x)).sum())(z)

    axes = step * torch.eye(z.shape[1], dtype=z.dtype)
    return torch.stack([(slope(z + axis) - slope(z - axis)) / (2 * step) for axis in axes], 2).detach()


def critical(cell: Config) -> list[dict]:
    """Per head and output size, for residuals of length 1 and H_L = I: t* over the samples, and how well it separates:
    lambda_min(G + t M) at 0.99, 1 and 1.01 t*, relative to the largest eigenvalue of G.
    """
    draws, records = Draws(cell), []
    z = draws.normal("z", cell.samples, cell.d)
    for activation in cell.activation:
        for k in cell.outputs:
            head = draws.head(activation, cell.d, cell.width, k)
            residual = nn.functional.normalize(draws.normal(f"residual {k}", cell.samples, k))
            found = effective_hessian(head, z, SquaredError(head(z).detach() - residual))
            metric, interaction, t = found.metric, found.interaction, spectrum(found).critical
            kept = t.isfinite() & (t > 0)
            size = torch.linalg.eigvalsh(metric)[kept, -1]
            below, at, above = (
                torch.linalg.eigvalsh(metric[kept] + factor * t[kept, None, None] * interaction[kept])[:, 0] / size
                for factor in (0.99, 1.0, 1.01)
            )
            records.append({
                "activation": activation,
                "outputs": k,
                "zero": float((t == 0).double().mean()),
                "infinite": float(t.isinf().double().mean()),
                "finite": int(kept.sum()),
                "median": float(np.median(t)),
                "least": float(t.min()),
                "error": float(at.abs().max()) if kept.any() else 0.0,
                "separates": float(((below > 0) & (above < 0)).double().mean()) if kept.any() else 1.0,
                "residuals": t.numpy(),
            })  # fmt: skip
    return records


def homogeneity(cell: Config) -> list[dict]:
    """Per head: the largest change of a normalised output, over outputs and samples, when every linear map is
    multiplied by alpha; without batch norm, and with it in training mode.
    """
    draws, records = Draws(cell), []
    z = draws.normal("z", cell.samples, cell.d)
    for activation in cell.activation:
        found = {}
        for name, norm in (("change", False), ("change_with_norm", True)):
            head = draws.head(activation, cell.d, cell.width, cell.k, norm=norm).train()
            before = nn.functional.normalize(head(z))
            after = nn.functional.normalize(pseudo_collapse_(head, cell.alpha)(z))
            found[name] = float((after - before).detach().abs().max())
        records.append({"activation": activation, **found})
    return records
