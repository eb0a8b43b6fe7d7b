"""Per-sample losses against autodiff: values, gradients, Hessians. Batch losses, also lightly's, against loops."""

import math

import pytest
import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from torch.func import grad, hessian, jacrev

from proj_heads.losses import (
    CrossEntropy,
    Differentiated,
    NegativeCosine,
    PerSampleLoss,
    SquaredError,
    columns,
    congruence,
    dino_loss,
    info_nce,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(name, rows=slice(None)):
    target = normal(5, 7, seed=1)[rows]
    return {
        "squared": lambda: SquaredError(target),
        "cosine": lambda: NegativeCosine(target),
        "cross_entropy": lambda: CrossEntropy(target.softmax(1), 0.3),
        "any": lambda: Differentiated(lambda h: (h.sin() * target).sum(1) + h.square().sum(1).sqrt()),
    }[name]()


NAMES = ["squared", "cosine", "cross_entropy", "any"]


@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_hessian_are_those_of_the_value(name):
    h, loss = normal(5, 7), make(name)
    assert isinstance(loss, PerSampleLoss)
    for i in range(5):
        one = make(name, slice(i, i + 1))

        def value(x, one=one):
            return one.value(x[None])[0]

        assert loss.value(h)[i] == pytest.approx(value(h[i]).item(), abs=1e-15)
        torch.testing.assert_close(loss.gradient(h)[i], grad(value)(h[i]), rtol=0, atol=1e-14)
        torch.testing.assert_close(loss.hessian(h)[i], hessian(value)(h[i]), rtol=0, atol=2e-14)


def test_values_are_the_textbook_ones():
    h, c = normal(5, 7), normal(5, 7, seed=1)
    assert make("squared").value(h)[2] == pytest.approx(
        0.5 * sum((a - b) ** 2 for a, b in zip(h[2], c[2], strict=True))
    )
    assert make("cosine").value(h).mean() == pytest.approx(NegativeCosineSimilarity()(h, c).item(), abs=1e-15)
    dino = -(c.softmax(1) * torch.log_softmax(h / 0.3, 1)).sum(1)
    torch.testing.assert_close(make("cross_entropy").value(h), dino, rtol=0, atol=1e-14)


def test_dino_is_lightlys_and_has_a_residual_where_teacher_and_student_are_one():
    h, teacher, center = normal(5, 7), normal(5, 7, seed=1), normal(7, seed=2)
    lightlys = DINOLoss(7, warmup_teacher_temp=0.04, warmup_teacher_temp_epochs=1, teacher_temp=0.04).double()
    lightlys.center.copy_(center)
    expected = lightlys([teacher, teacher], [h, h], epoch=0)
    assert dino_loss(teacher, center).value(h).mean() == pytest.approx(expected.item(), rel=1e-8)  # its tau is float32
    collapsed = 0.1 * h[:1].expand(5, 7)
    sharpened, centred = (dino_loss(collapsed, c).gradient(collapsed) for c in (torch.zeros(7).double(), 0.1 * h[0]))
    p, sharper = torch.softmax(collapsed / 0.1, 1), torch.softmax(collapsed / 0.04, 1)
    torch.testing.assert_close(centred, (p - 1 / 7) / 0.1)
    torch.testing.assert_close(sharpened, (p - sharper) / 0.1)
    assert (sharpened.norm(dim=1) > 0.01).all() and (centred.norm(dim=1) > 0.01).all()


def test_cosine_hessian_has_the_eigenvalues_of_the_closed_form_and_is_never_semidefinite():
    h, c = normal(400, 6), normal(400, 6, seed=1)
    loss = NegativeCosine(c)
    s, r2 = -loss.value(h)[:, None], h.square().sum(1, keepdim=True)
    root = (4 - 3 * s**2).sqrt()
    expected = torch.cat([(s - root) / 2, s.expand(-1, 4), (s + root) / 2], 1) / r2
    found = torch.linalg.eigvalsh(loss.hessian(h))
    assert ((found - expected.sort(1).values).abs().amax(1) / found.abs().amax(1)).max() < 1e-14
    negative = (found < 0).sum(1)
    assert (negative[s[:, 0] > 0] == 1).all() and (negative[s[:, 0] < 0] == 5).all()
    assert 100 < (s > 0).sum() < 300
    aligned = NegativeCosine(2 * h)  # s = 1: the only semidefinite case
    assert torch.linalg.eigvalsh(aligned.hessian(h))[:, 0].abs().max() < 1e-13
    assert aligned.gradient(h).abs().max() < 1e-15
    tangent = torch.eye(6, dtype=torch.float64) - h[:, :, None] * h[:, None] / r2[..., None]
    torch.testing.assert_close(tangent @ loss.hessian(h) @ tangent, (s / r2)[..., None] * tangent, rtol=0, atol=1e-11)


def test_a_moving_target_turns_the_cosine_gradient_as_predicted():
    h, c = normal(3, 5), normal(3, 5, seed=1)
    expected = torch.stack(
        [jacrev(lambda t, i=i: NegativeCosine(t[None]).gradient(h[i : i + 1])[0])(c[i]) for i in range(3)]
    )
    torch.testing.assert_close(NegativeCosine(c).gradient_by_target(h), expected, rtol=0, atol=1e-14)


def test_cross_entropy_is_semidefinite_and_blind_to_a_common_shift():
    loss, h = make("cross_entropy"), normal(5, 7)
    values = torch.linalg.eigvalsh(loss.hessian(h))
    assert values[:, 0].abs().max() < 1e-14 and values[:, 1].min() > 1e-4
    assert (loss.hessian(h).sum(2)).abs().max() < 1e-13 and loss.gradient(h).sum(1).abs().max() < 1e-14
    assert loss.gradient(h).norm(dim=1).min() > 0.1  # rho != 0: theorem 4.1's premise can hold for DINO


@pytest.mark.parametrize("name", NAMES)
def test_pulling_back_is_the_dense_product(name):
    h, loss, jacobian = normal(5, 7), make(name), normal(5, 7, 3, seed=2)
    for j in (jacobian, jacobian[0]):
        expected, (found, size) = j.mT @ loss.hessian(h) @ j, loss.curvature(h).pull_back(j)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        product = torch.linalg.matrix_norm(j, 2) ** 2 * torch.linalg.matrix_norm(loss.hessian(h), 2)  # ||J||^2 ||H||
        assert (size > product / 10).all() and (size < 30 * product).all()
        assert (size >= torch.linalg.matrix_norm(expected, 2)).all()


def test_pulling_back_with_a_gram_matrix_saves_the_tall_jacobian():
    h, inner, weight = normal(5, 7), normal(5, 4, 3, seed=2), normal(7, 4, seed=3)
    for name in ("squared", "cosine"):
        curvature = make(name).curvature(h)
        short = curvature._replace(factors=weight.T @ curvature.factors)
        expected, found = curvature.pull_back(weight @ inner), short.pull_back(inner, weight.T @ weight)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_congruence_and_columns_are_the_plain_ones():
    matrix, weights, x = normal(7, 3), normal(5, 7, seed=1), normal(5, 3, seed=2)
    for i, found in enumerate(congruence(matrix, weights)):
        torch.testing.assert_close(found, matrix.T @ torch.diag(weights[i]) @ matrix, rtol=0, atol=1e-13)

    def function(x):
        return torch.stack([x.prod(1), x[:, 0].sin()], 1)

    found = columns(function, x, chunk=2)
    for i in range(5):
        torch.testing.assert_close(found[i], jacrev(lambda v: function(v[None])[0])(x[i]), rtol=0, atol=1e-14)


def test_losses_answer_in_the_dtype_of_the_outputs():
    h = normal(5, 7)
    for loss in (SquaredError(h.float()), NegativeCosine(h.float()), CrossEntropy(h.softmax(1).float())):
        for x in (h + 1, (h + 1).float()):
            parts = (loss.value(x), loss.gradient(x), loss.hessian(x), *loss.curvature(x))
            assert all(part.dtype == x.dtype for part in parts)


def test_bad_targets_are_refused_with_advice():
    with pytest.raises(ValueError, match="temperature = 0.0; choose a number > 0"):
        CrossEntropy(torch.full((2, 4), 0.25), 0.0)
    with pytest.raises(ValueError, match="must be >= 0 and sum to 1 in each row: give the teacher's softmax"):
        CrossEntropy(torch.full((2, 4), 0.5))
    with pytest.raises(ValueError, match="the zero vector, which has no direction"):
        NegativeCosine(torch.zeros(2, 3)).gradient(torch.ones(2, 3))
    for loss in (make("squared"), make("cosine"), make("cross_entropy")):
        with pytest.raises(ValueError, match=r"targets are \(5, 7\), outputs \(4, 7\): give each output its target"):
            loss.gradient(normal(4, 7))
    with pytest.raises(ValueError, match="temperature = -1.0; choose a number > 0"):
        info_nce(torch.ones(2, 3), torch.ones(2, 3), -1.0)


# ---- batch losses against loops


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def test_info_nce_takes_one_direction_and_the_negatives_of_the_other_view():
    h1, h2 = normal(6, 4), normal(6, 4, seed=1)
    total = 0.0
    for i in range(6):
        logits = [cosine(h1[i], h2[j]) / 0.2 for j in range(6)]
        total -= logits[i] - math.log(sum(map(math.exp, logits)))
    assert info_nce(h1, h2, 0.2).item() == pytest.approx(total / 6, rel=1e-14)
    assert abs(info_nce(h1, h2, 0.2) - info_nce(h2, h1, 0.2)) > 1e-3  # not symmetric


def test_nt_xent_of_lightly_is_the_symmetric_one_with_2n_minus_2_negatives():
    h = torch.cat([normal(6, 4), normal(6, 4, seed=1)])
    total = 0.0
    for a in range(12):
        logits = {b: cosine(h[a], h[b]) / 0.2 for b in range(12) if b != a}
        total -= logits[(a + 6) % 12] - math.log(sum(map(math.exp, logits.values())))
    assert NTXentLoss(0.2)(h[:6], h[6:]).item() == pytest.approx(total / 12, rel=1e-14)


def test_vicreg_of_lightly_is_the_published_one():
    a, b = 0.5 * normal(6, 4), 0.5 * normal(6, 4, seed=1)

    def one(x):
        centred = x - x.mean(0)
        covariance = centred.T @ centred / 5
        hinge = sum(max(0.0, 1 - math.sqrt(covariance[j, j] + 1e-4)) for j in range(4)) / 4
        return hinge, sum(covariance[i, j] ** 2 for i in range(4) for j in range(4) if i != j) / 4

    (hinge_a, cov_a), (hinge_b, cov_b) = one(a), one(b)
    expected = 25 * (a - b).square().mean() + 25 * (hinge_a + hinge_b) / 2 + cov_a + cov_b
    assert VICRegLoss()(a, b).item() == pytest.approx(expected.item(), rel=1e-14)


def test_barlow_twins_of_lightly_is_the_published_one():
    a, b = normal(6, 4), normal(6, 4, seed=1)
    first, second = ((x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt() for x in (a, b))
    c = first.T @ second / 6
    expected = sum((c[i, j] - 1) ** 2 if i == j else 0.005 * c[i, j] ** 2 for i in range(4) for j in range(4))
    assert BarlowTwinsLoss()(a, b).item() == pytest.approx(expected.item(), rel=1e-14)
