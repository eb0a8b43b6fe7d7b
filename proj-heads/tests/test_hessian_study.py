"""The Hessian study at smoke size: its curves again, by autodiff on the weights of every measured step."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from naive import equal, pixels, unit
from torch import nn

from proj_heads.augment import Views
from proj_heads.experiments import hessian
from proj_heads.experiments.pretrained import images
from proj_heads.losses import NegativeCosine, SquaredError
from proj_heads.pretraining import pretrain
from proj_heads.seeds import generator

SEED = 4  # not the one that a forgotten seed would be
SIMSIAM = replace(hessian.PRESETS["smoke"][1], seed=SEED)


@cache
def curves(cell) -> dict:
    (record,) = hessian.run(cell, Path("not written to"))
    return record


def kept(cell) -> dict[int, tuple]:
    """Backbone output of view 1 and target of view 2 of the test images, and head and predictor, at every step."""
    train, test = images(cell)
    pair = Views(28, scale=(0.2, 1.0))(pixels(test)[: cell.batch], generator(cell.seed, "probe"))
    found = {}

    @torch.no_grad()
    def watch(step, nets):
        for part in nets:
            part.eval()
        z1, z2 = (nets.backbone(view) for view in pair)
        weights = [w.clone().double() for part in (nets.head, nets.predictor) for w in part.parameters()]
        found[step] = z1.double(), z2.double(), nets.head(z2).double(), weights
        for part in nets:
            part.train()

    pretrain(train.x, cell, cell.seed, watch=watch)
    return found


FUNCTIONS = {"linear": lambda a: a, "relu": torch.relu, "gelu": nn.functional.gelu, "swish": nn.functional.silu}
LOSSES = {
    "squared": lambda h, c: ((h - c) ** 2).sum() / 2,
    "cosine": lambda h, c: -(h @ c) / (h.norm() * c.norm()),
}
PARTS = {"squared": SquaredError, "cosine": NegativeCosine}  # whose sizes say what rounding is


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_curves_are_those_of_autodiff_at_every_measured_step(activation):
    cell = replace(SIMSIAM, activation=activation, every=3, alpha=1.0)  # far from H = 0, where counts are of rounding
    record, stages = curves(cell), kept(cell)
    assert list(record["step"]) == [0, 3, 6] and record["d"] == 16
    s = FUNCTIONS[activation]
    for at, step in enumerate(record["step"]):
        z1, z2, targets, (w1, w2, w3, w4) = stages[step]
        for reading, loss in LOSSES.items():
            eigenvalues, metric_eigenvalues, shares, rounding = [], [], [], []
            for z, c in zip(z1[: cell.samples], targets, strict=False):

                def head(x):
                    return w4 @ s(w3 @ (w2 @ s(w1 @ x)))  # noqa: B023

                def of_z(x):
                    return loss(head(x), c)  # noqa: B023

                total = torch.autograd.functional.hessian(of_z, z)
                jacobian = torch.autograd.functional.jacobian(head, z)
                inner = torch.autograd.functional.hessian(lambda h: loss(h, c), head(z))  # noqa: B023
                metric = jacobian.T @ inner @ jacobian
                eigenvalues.append(torch.linalg.eigvalsh(total))
                metric_eigenvalues.append(torch.linalg.eigvalsh(metric))
                shares.append((total - metric).norm() / total.norm())
                parts = PARTS[reading](c[None]).curvature(head(z)[None])
                bulk = jacobian.T @ torch.diag(parts.diagonal[0].expand(len(c))) @ jacobian
                size = bulk.norm() + (jacobian.T @ parts.factors[0]).norm() ** 2 * parts.core[0].norm()
                rounding.append(1e-10 * torch.stack([size + (total - metric).norm(), size]))
            found = {
                name: record[f"{reading}_{name}"][at] for name in ("negative", "metric_negative", "below_zero", "share")
            }
            for i, (name, values) in enumerate((("negative", eigenvalues), ("metric_negative", metric_eigenvalues))):
                counts = [int((v < -least[i]).sum()) for v, least in zip(values, rounding, strict=True)]
                assert found[name] == np.mean(counts), (reading, step, name)
                if name == "negative":
                    assert found["below_zero"] == np.mean(np.array(counts) > 0)
            assert found["share"] == pytest.approx(float(np.mean(shares)), rel=1e-5, abs=1e-12)
            lowest, highest = (np.mean([float(v[i]) for v in eigenvalues]) for i in (0, -1))
            assert record[f"{reading}_highest"][at] == pytest.approx(highest, rel=1e-6)
            assert record[f"{reading}_lowest"][at] == pytest.approx(lowest, rel=1e-6, abs=1e-12 * highest)
        u = unit(torch.cat([z1, z2]).numpy())
        assert record["std"][at] == pytest.approx(u.std(0, ddof=1).mean(), rel=1e-4)
        values = np.linalg.eigvalsh(np.cov(u.T))
        assert record["lambda_max"][at] == pytest.approx(values[-1], rel=1e-4)
        condition = values[-1] / values[0] if values[0] > 1e-12 * values[-1] else np.nan  # a ReLU of z may be dead
        assert record["condition"][at] == pytest.approx(condition, rel=1e-3, nan_ok=True)
        assert np.isfinite(condition) or step > 0
        shares = values[values > 0] / values.sum()
        assert record["effective_rank"][at] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)


def test_a_singular_covariance_has_no_condition_number():
    few, more = (curves(replace(SIMSIAM, seed=1, batch=batch)) for batch in (8, 32))  # 16 and 64 in 16 dimensions
    assert np.isnan(few["condition"]).all() and np.isfinite(few["lambda_max"]).all()
    assert (more["condition"] > 100).all()


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("seed", [0, 1])
def test_straight_heads_have_no_negative_eigenvalue_under_the_squared_error(activation, seed):
    record = curves(replace(SIMSIAM, activation=activation, seed=seed, every=1))
    assert len(record["step"]) == SIMSIAM.steps + 1
    assert (record["squared_negative"] == 0).all() and (record["squared_metric_negative"] == 0).all()
    assert (record["squared_share"] == 0).all() and (record["cosine_share"] == 0).all()  # M is exactly zero
    assert np.isinf(record["squared_critical"]).all()
    assert (record["cosine_lowest"] < 0).any()  # the loss's own


@pytest.mark.parametrize("activation", ["gelu", "swish"])
def test_smooth_heads_have_some_and_none_of_them_is_of_the_metric(activation):
    record = curves(replace(SIMSIAM, activation=activation, alpha=1.0, every=1))
    assert (record["squared_negative"] > 0).all() and (record["squared_share"] > 0).all()
    assert (record["squared_metric_negative"] == 0).all()


def test_equal_seeds_give_equal_curves_and_others_different_ones():
    record = curves(SIMSIAM)
    (again,), (other,) = (hessian.run(replace(SIMSIAM, seed=seed), Path("nowhere")) for seed in (SEED, 1))
    assert equal(record, again)
    for name in ("cosine_lowest", "squared_highest", "std", "lambda_max"):
        assert not np.isin(record[name], other[name]).any()
