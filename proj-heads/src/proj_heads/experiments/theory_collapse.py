"""Parts of the experiment `theory` on collapse: the losses' Hessians there, and SimSiam's linearised field."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from proj_heads import collapse_spectra
from proj_heads.experiments.theory import Config
from proj_heads.experiments.theory_hessian import Draws
from proj_heads.hessian import effective_hessian, spectrum
from proj_heads.losses import NegativeCosine, dino_loss

_D, _K = 6, 5
"""Sizes of z and h in this module: Hessians have 2 N d rows."""


def collapse(cell: Config) -> list[dict]:
    """Per objective, on the outputs themselves (activation "none") and behind heads, 2N equal inputs: the lowest and
    highest eigenvalue, the count of negative ones, the gradient. Without a head also the closed form of the lowest and
    the deviation of the whole spectrum from it, relative to the largest eigenvalue.
    """
    draws, records = Draws(cell), []
    z, output = draws.normal("z", _D), draws.normal("output", _K)
    heads = {"none": None} | {name: draws.head(name, _D, cell.width, _K) for name in cell.activation}
    for objective in cell.objective:
        loss = collapse_spectra.published_loss(objective)
        for activation, head in heads.items():
            found = collapse_spectra.at_collapse(loss, output if head is None else z, cell.batch, head)
            values = torch.linalg.eigvalsh(found.hessian)
            size = values.abs().max()
            record = {
                "objective": objective,
                "activation": activation,
                "lowest": float(values[0]),
                "highest": float(values[-1]),
                "relative": float(values[0] / size),
                "negative": int((values < -1e-10 * size).sum()),
                "gradient": float(found.gradient.norm()),
            }
            if head is None:
                levels = collapse_spectra.LEVELS[objective](cell.batch, _K, float(output.norm()))
                expected = collapse_spectra.eigenvalues_of(levels)
                record |= {"closed": float(expected[0]), "deviation": float((values - expected).abs().max() / size)}
            records.append(record)
    return records


def targets(cell: Config) -> list[dict]:
    """Per objective whose targets are held and head, over the samples, each of which is a collapsed state (a z that all
    images have; teacher = student): the least and the median norm of the residual rho, how many eigenvalues of H and of
    G are negative (mean and most), the share of samples with any, the median of t*. Heads are wider than z (k > d), as
    DINO's are.
    """
    draws, records = Draws(cell), []
    z, zero = draws.normal("z", cell.samples, cell.d), torch.zeros(cell.k, dtype=torch.float64)
    for activation in cell.activation:
        projector = draws.head(activation, cell.d, cell.width, cell.k, "projector")
        predictor = draws.head(activation, cell.k, cell.width // 2, cell.k, "predictor")
        output = projector(z).detach()
        objectives = {
            "DINO sharpened": (projector, dino_loss(output, zero)),
            "DINO centred": (projector, dino_loss(output, output)),
            "SimSiam predictor": (nn.Sequential(projector, predictor), NegativeCosine(output)),
        }
        for target in cell.target:
            head, loss = objectives[target]
            residual = loss.gradient(head(z).detach()).norm(dim=1)
            seen = spectrum(effective_hessian(head, z, loss))
            records.append({
                "target": target,
                "activation": activation,
                "residual": float(residual.min()),
                "residual_median": float(residual.median()),
                "negative": float(seen.negative.double().mean()),
                "negative_most": int(seen.negative.max()),
                "metric_negative": float(seen.metric_negative.double().mean()),
                "metric_negative_most": int(seen.metric_negative.max()),
                "below_zero": float((seen.negative > 0).double().mean()),
                "critical": float(np.median(seen.critical)),
            })  # fmt: skip
    return records


def field(cell: Config) -> list[dict]:
    """Per head (projector and predictor of the same kind) and state of the predictor, rates in units of the norm of the
    one-sample block: the fastest growth of differences between samples and between views (largest real part), how many
    directions of the former grow, the growth that one sample with a frozen target would show, the speed of the
    collapsed point itself, and the deviations of autodiff from closed form and from central differences.
    """
    draws, records = Draws(cell), []
    point = draws.normal("z", _D)
    for activation in cell.activation:
        projector = draws.head(activation, _D, cell.width, _K, "projector")
        for state in cell.state:
            if state == "no predictor":
                predictor = nn.Identity()
            else:
                predictor = draws.head(activation, _K, cell.width // 2, _K, "predictor")
                if state == "equilibrium":
                    collapse_spectra.equilibrate_(projector, predictor, point)
            force = collapse_spectra.simsiam_field(projector, predictor)
            found = collapse_spectra.linearise(force, point, cell.batch)
            closed = collapse_spectra.simsiam_linearisation(projector, predictor, point, cell.batch)
            size = float(torch.linalg.matrix_norm(found.within, 2))
            shared = torch.linalg.eigvals(found.shared).real
            at_rest = force(point.expand(2, cell.batch, -1).contiguous()).detach()
            records.append({
                "activation": activation,
                "state": state,
                "shared": collapse_spectra.abscissa(found.shared) / size,
                "views": collapse_spectra.abscissa(found.views) / size,
                "growing": int((shared > 1e-10 * size).sum()),
                "frozen": collapse_spectra.abscissa(found.within) / size,
                "initial": collapse_spectra.initial_growth(found.shared) / size,
                "drift": float(at_rest.norm() / (size * point.norm())),
                "deviation": max(float((a - b).abs().max()) / size for a, b in zip(found, closed, strict=True)),
                "differences": float((_response(force, point, cell.batch) - found.shared).abs().max() / size),
            })  # fmt: skip
    return records


def _response(force, point: Tensor, n: int, step: float = 1e-5) -> Tensor:
    """(d, d): central differences of the field when sample 1 moves along an axis and sample 2 against it, in both
    views.
    """
    z = point.expand(2, n, -1)
    columns = []
    for axis in step * torch.eye(len(point), dtype=point.dtype):
        moved = torch.zeros_like(z)
        moved[:, 0], moved[:, 1] = axis, -axis
        change = (force(z + moved) - force(z - moved)) / (2 * step)
        columns.append((change[0, 0] - change[0, 1]) / 2)
    return torch.stack(columns, 1).detach()
