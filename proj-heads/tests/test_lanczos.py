"""Extreme eigenvalues of operators that are too large to be formed, and why the published estimate of them fails."""

import pytest
import torch
from small_heads import draws, normal, simsiam
from torch import nn

from proj_heads.hessian import effective_hessian
from proj_heads.lanczos import extreme_eigenvalues, hessian_product
from proj_heads.losses import NegativeCosine


def naive_two_step(matvec, n, generator, steps=20):
    """The authors' estimate of lambda_min: power iteration on H, then on H - lambda_first I, in float32."""

    def iterate(product):
        v = torch.randn(n, generator=generator)
        for _ in range(steps):
            v = product(v)
            v = v / (v.norm() + 1e-8)
        return v @ product(v)

    first = iterate(matvec)
    return float(iterate(lambda v: matvec(v) - first * v) + first)


def dense(matrix):
    return lambda v: matrix.to(v) @ v


def test_lanczos_finds_a_negative_end_that_the_two_step_power_iteration_misses():
    matrix = torch.diag(torch.tensor([-3.0, 1.0, 2.0]))
    assert naive_two_step(dense(matrix), 3, draws()) == pytest.approx(2, abs=1e-2)  # claims lambda_min = +2
    found = extreme_eigenvalues(dense(matrix), 3, draws())
    assert found.lowest == pytest.approx(-3, abs=1e-12) and found.highest == pytest.approx(2, abs=1e-12)


def test_lanczos_sees_the_scale_of_a_collapsed_head_where_the_power_iteration_dies():
    basis = torch.linalg.qr(normal(60, 60))[0]
    matrix = 1e-10 * basis @ torch.diag(torch.linspace(-4.2, 1, 60, dtype=torch.float64)) @ basis.T
    assert abs(naive_two_step(dense(matrix), 60, draws())) < 1e-20  # "exactly zero"
    found = extreme_eigenvalues(dense(matrix), 60, draws())
    assert found.lowest == pytest.approx(-4.2e-10, rel=1e-8) and found.highest == pytest.approx(1e-10, rel=1e-8)


def test_lanczos_brings_certificates():
    matrix = normal(80, 80)
    matrix = matrix + matrix.T
    exact = torch.linalg.eigvalsh(matrix)
    found = extreme_eigenvalues(dense(matrix), 80, draws())
    assert found.lowest == pytest.approx(exact[0].item(), abs=found.lowest_residual + 1e-12)
    assert found.highest == pytest.approx(exact[-1].item(), abs=found.highest_residual + 1e-12)
    assert max(found.lowest_residual, found.highest_residual) < 1e-8 and 20 < found.products < 400
    again = extreme_eigenvalues(dense(matrix), 80, draws())
    assert again == found
    zero = extreme_eigenvalues(torch.zeros_like, 80, draws())
    assert zero[:4] == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="did not reach tolerance = 1e-14 in 1 restarts: raise either"):
        extreme_eigenvalues(dense(torch.diag(torch.linspace(0, 1, 2000) ** 9)), 2000, draws(), 1e-14, 1)
    with pytest.raises(ValueError, match="n = 0; choose the operator's size"):
        extreme_eigenvalues(dense(matrix), 0, draws())


@pytest.mark.parametrize("activation", ["linear", "swish"])
def test_products_with_the_batch_hessian_are_the_blocks_over_the_batch_size(activation):
    head, z, target = simsiam(activation), normal(5, 6), normal(5, 12, seed=1)
    loss = NegativeCosine(target)
    product = hessian_product(head, z, loss)
    v = normal(30, seed=3)
    blocks = torch.block_diag(*effective_hessian(head, z, loss).total) / 5
    torch.testing.assert_close(product(v), blocks @ v, rtol=0, atol=1e-15)
    torch.testing.assert_close(product(2 * v), 2 * product(v), rtol=0, atol=1e-15)
    values = torch.linalg.eigvalsh(blocks)
    found = extreme_eigenvalues(product, 30, draws())
    assert found.lowest == pytest.approx(values[0].item(), abs=1e-10)
    assert found.highest == pytest.approx(values[-1].item(), abs=1e-10)
    flat = hessian_product(nn.Sequential(nn.Linear(6, 12)).double(), z, lambda h: h.sum(1))
    assert not flat(v).any()  # linear in z


def test_the_power_iteration_reports_a_positive_lowest_eigenvalue_on_a_relu_head_at_its_start():
    """Its targets point away from the outputs, so the eigenvalue of largest size is the negative one."""
    head = simsiam("relu", d=16, width=48, k=32, hidden=24).float()
    product = hessian_product(head, normal(8, 16), NegativeCosine(-normal(8, 32, seed=1)))
    exact = extreme_eigenvalues(product, 128, draws())
    assert exact.lowest == pytest.approx(-0.0376, abs=1e-3) and exact.lowest_residual < 1e-10
    for seed in range(5):
        assert naive_two_step(lambda v: product(v.double()).to(v), 128, draws(seed)) > 0.02
