"""The geometry of a head: its metric, what `head_geometry` is made of, invariances, and the published protocol."""

import pytest
import torch
import torch.nn.functional as F
from lightly.models.modules import heads as lightly_heads
from torch import nn
from vectors import normal, orthogonal

from proj_heads.augment import rotate
from proj_heads.backbones import initialised_from, small_cnn
from proj_heads.geometry import (
    anisotropy,
    head_geometry,
    metric_spectrum,
    orbit_features,
    pullback_metric,
    semantic_differences,
)
from proj_heads.heads import build_head
from proj_heads.orbits import (
    anchor_cosine,
    arc_length_curvature,
    class_orbit_ratio,
    discrete_curvature,
    effective_rank,
    orbit_spread,
    path_length,
    pca_orbits,
    trajectory_rank,
    turning,
)
from proj_heads.seeds import generator

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # lightly's use of the old weight_norm

D, K = 10, 7


# --- the metric ---------------------------------------------------------------------------------------------------


def lightly_dino(d, k):
    with initialised_from(generator(0)):
        return lightly_heads.DINOProjectionHead(d, 16, 5, k)


HEADS = {
    "swish": lambda d, k: build_head(d, 16, k, generator=generator(0)),
    "gelu without norm": lambda d, k: build_head(d, 16, k, "gelu", norm=False, generator=generator(0)),
    "relu": lambda d, k: build_head(d, 16, k, "relu", depth=3, generator=generator(0)),
    "lightly's dino": lightly_dino,
}


def trained(head, d):
    """Batch-norm statistics as after training, which are not 0 and 1."""
    with torch.no_grad():
        for step in range(3):
            head.train()(4 * normal(64, d, seed=step).float() + 1)
    return head


@pytest.mark.parametrize("k", [K, 30])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("name", HEADS)
def test_metric_is_that_of_autograd_sample_by_sample(name, unit, k):
    head, z = trained(HEADS[name](D, k), D), 3 * normal(4, D, seed=5).float()
    metric = pullback_metric(head, z, unit=unit)
    assert head.training and next(head.parameters()).dtype == torch.float32
    head = head.eval().double()
    for row, point in enumerate(z.double()):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: F.normalize(head(one[None])[0], dim=0) if unit else head(one[None])[0], point
        )
        torch.testing.assert_close(metric[row], jacobian.mT @ jacobian, rtol=1e-9, atol=1e-14)


def test_metric_of_a_linear_head_is_the_mahalanobis_metric():
    head = nn.Linear(D, K, bias=False).double()
    metric, weight = pullback_metric(head, normal(3, D), unit=False), head.weight.detach()
    torch.testing.assert_close(metric, (weight.T @ weight).expand(3, D, D))
    spectrum = metric_spectrum(metric)
    torch.testing.assert_close(spectrum[:, :K], torch.linalg.svdvals(weight).pow(2).expand(3, K))
    assert (spectrum[:, K:] < 1e-14).all() and (spectrum >= 0).all()
    # unit: the direction of h itself is lost, (I - hh') W / ||h||
    z = normal(3, D)
    h = z @ weight.T
    unit, norm = F.normalize(h, dim=1), h.norm(dim=1)
    projected = (weight - unit[:, :, None] * (unit @ weight)[:, None]) / norm[:, None, None]
    torch.testing.assert_close(pullback_metric(head, z), projected.mT @ projected)


def test_metric_predicts_how_far_the_output_moves():
    head, z, v = trained(HEADS["swish"](D, K), D).eval().double(), 2 * normal(5, D), normal(5, D, seed=1)
    step = 1e-5
    moved = (F.normalize(head(z + step * v), dim=1) - F.normalize(head(z - step * v), dim=1)).norm(dim=1) / (2 * step)
    form = torch.einsum("ni,nij,nj->n", v, pullback_metric(head, z), v)
    torch.testing.assert_close(form.sqrt(), moved, rtol=1e-6, atol=0)


def test_anisotropy_is_one_on_average_and_zero_where_the_head_is_blind():
    metric = pullback_metric(trained(HEADS["swish"](D, K), D), 2 * normal(3, D))
    torch.testing.assert_close(anisotropy(torch.eye(D).expand(3, D, D), normal(3, D)), torch.ones(3))
    _, directions = torch.linalg.eigh(metric)  # a basis of orthogonal directions for each image
    values = torch.stack([anisotropy(metric, directions[:, :, i]) for i in range(D)])
    torch.testing.assert_close(values.mean(0), torch.ones(3).double())
    assert values[0].abs().max() < 1e-12  # k < d: some directions are lost
    torch.testing.assert_close(values[-1], metric_spectrum(metric)[:, 0] / metric_spectrum(metric).mean(1))
    torch.testing.assert_close(anisotropy(metric, 9 * directions[:, :, -1]), values[-1])
    assert anisotropy(metric, torch.zeros(3, D)).isnan().all()


def test_semantic_differences_are_between_classes_where_labels_are_known():
    z, labels = normal(6, D), torch.tensor([0, 0, 1, 1, 1, 0])
    torch.testing.assert_close(semantic_differences(z)[:2], z[1:3] - z[:2])
    torch.testing.assert_close(semantic_differences(z)[-1], z[0] - z[-1])
    expected = z[[2, 2, 5, 5, 5, 2]] - z
    torch.testing.assert_close(semantic_differences(z, labels), expected)


# --- the whole ----------------------------------------------------------------------------------------------------


def turn(x, values):
    return torch.stack([rotate(x, float(value)) for value in values])


def images(n=12, size=16):
    low = torch.rand(n, 1, 4, 4, generator=generator(0, "images"))
    return F.interpolate(low, size=(size, size), mode="bilinear")


LABELS = torch.arange(12) % 3


def pair(head="swish"):
    backbone = small_cnn(1, 4, generator(0))
    with torch.no_grad():
        backbone.train()(images())
    z = backbone.eval()(images()).detach()
    net = HEADS[head](16, K) if head in HEADS else head
    with torch.no_grad():
        net.train()(z)
    return backbone.train(), net.train()


@pytest.mark.parametrize("head", ["swish", "lightly's dino"])
def test_head_geometry_is_made_of_its_parts(head):
    backbone, head = pair(head)
    modes = [module.training for module in (*backbone.modules(), *head.modules())]
    found = head_geometry(backbone, head, images(), turn, labels=LABELS, metric_images=5, tangent=8)
    assert [module.training for module in (*backbone.modules(), *head.modules())] == modes
    backbone.eval(), head.eval()
    with torch.no_grad():
        anchor = backbone(images())
        orbit = torch.stack([backbone(rotate(images(), float(a))) for a in range(0, 360, 30)])
        path = torch.stack([backbone(rotate(images(), float(a))) for a in range(0, 46, 5)])
        tangent = backbone(rotate(images(), 8.0)) - backbone(rotate(images(), -8.0))
        for space, layer in ((found.z, nn.Identity()), (found.h, head)):

            def f(z, layer=layer):
                return layer(z.flatten(0, -2)).unflatten(0, z.shape[:-1])

            for scale in ("raw", "total", "unit"):
                torch.testing.assert_close(getattr(space.spread, scale), orbit_spread(f(orbit), scale))
            torch.testing.assert_close(space.curvature, discrete_curvature(f(path)))
            torch.testing.assert_close(space.arc_curvature, arc_length_curvature(f(path)))
            torch.testing.assert_close(space.length, path_length(f(path)))
            torch.testing.assert_close(space.turning, turning(f(path)))
            torch.testing.assert_close(space.rank, trajectory_rank(f(path)))
            torch.testing.assert_close(space.cosine, anchor_cosine(f(path), f(anchor)))
            assert space.classes == pytest.approx(class_orbit_ratio(f(orbit), LABELS))
            torch.testing.assert_close(space.plane.coordinates, pca_orbits(f(orbit)).coordinates)
    metric = pullback_metric(head, anchor[:5])
    torch.testing.assert_close(found.spectrum, metric_spectrum(metric))
    torch.testing.assert_close(found.augmentation, anisotropy(metric, tangent[:5]))
    torch.testing.assert_close(found.semantic, anisotropy(metric, semantic_differences(anchor, LABELS)[:5]))
    assert found.augmentation_anisotropy == pytest.approx(found.augmentation.median().item())
    assert found.compression.unit == pytest.approx((found.z.spread.unit.mean() / found.h.spread.unit.mean()).item())
    assert found.curvature_ratio == pytest.approx((found.h.curvature.mean() / found.z.curvature.mean()).item())
    assert found.class_gain == pytest.approx(found.h.classes.ratio / found.z.classes.ratio)
    assert found.length_ratio == pytest.approx((found.h.length.mean() / found.z.length.mean()).item())
    assert found.turning_ratio == pytest.approx((found.h.turning.mean() / found.z.turning.mean()).item())
    assert found.cosine_gain == pytest.approx((found.h.cosine - found.z.cosine).mean().item())
    torch.testing.assert_close(found.variance.total, found.variance.per_dimension * 16 / K)
    assert found.metric_rank == pytest.approx(effective_rank(found.spectrum).mean().item()) and found.metric_rank < K
    assert (found.d, found.k) == (16, K)


def test_published_protocol_is_that_of_a_head_given_unit_vectors():
    backbone, head = pair()
    published = head_geometry(backbone, head, images(), turn, "unit", labels=LABELS)
    backbone.eval(), head.eval()
    with torch.no_grad():
        orbit = torch.stack([backbone(rotate(images(), float(a))) for a in range(0, 360, 30)])
        h = head(F.normalize(orbit, dim=-1).flatten(0, 1)).unflatten(0, (12, 12))
    torch.testing.assert_close(published.h.spread.unit, orbit_spread(h))
    torch.testing.assert_close(published.z.spread.unit, orbit_spread(orbit))
    assert published.class_gain == pytest.approx(
        class_orbit_ratio(h, LABELS).ratio / class_orbit_ratio(orbit, LABELS).ratio
    )


def test_protocols_agree_for_a_homogeneous_head_and_not_for_one_with_batch_norm():
    """S5.1: without biases and batch norm, unit(h(z)) = unit(h(unit(z)))."""

    def compression(head, head_input):
        return head_geometry(*pair(head), images(), turn, head_input).compression.unit

    homogeneous = build_head(16, 16, K, "relu", norm=False, generator=generator(0))
    assert compression(homogeneous, "unit") == pytest.approx(compression(homogeneous, "raw"), rel=1e-4)

    backbone = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256), nn.Linear(256, 16), Scale(30.0))  # ||z|| >> 1
    head = build_head(16, 16, K, "relu", generator=generator(0))
    with torch.no_grad():
        backbone[2].weight.copy_(normal(16, 256) / 16)
        for _ in range(50):
            head.train()(backbone.train()(images(100)))
        head[-1].bias += 1.0  # training leaves an offset
    found = {mode: head_geometry(backbone, head, images(100), turn, mode) for mode in ("raw", "unit")}
    assert found["unit"].compression.unit > 20 * found["raw"].compression.unit
    assert torch.equal(found["unit"].z.spread.unit, found["raw"].z.spread.unit)


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, z):
        return self.factor * z


def test_orthogonal_changes_of_basis_change_nothing():
    backbone, head = pair()
    q, p = (nn.Linear(dim, dim, bias=False) for dim in (16, K))
    back = nn.Linear(16, 16, bias=False)
    with torch.no_grad():
        q.weight.copy_(orthogonal(16)), p.weight.copy_(orthogonal(K, seed=1)), back.weight.copy_(q.weight.T)
    one = head_geometry(backbone, head, images(), turn, labels=LABELS, tangent=8)
    turned = nn.Sequential(backbone, q), nn.Sequential(back, head, p)
    other = head_geometry(*turned, images(), turn, labels=LABELS, tangent=8)
    assert other.compression == pytest.approx(one.compression, rel=1e-3)
    torch.testing.assert_close(other.spectrum, one.spectrum, rtol=1e-3, atol=1e-4)
    for name in ("curvature_ratio", "arc_curvature_ratio", "augmentation_anisotropy", "metric_rank", "class_gain"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-3)


def test_a_head_that_is_blind_to_the_augmentation_has_a_singular_metric_along_it():
    """Proposition 5.1: h(T_t z) = const gives Jv = 0. Half of z turns with the image, the other is its mean."""

    class Pixels(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, 0, 0, :4], x.mean((2, 3)).expand(-1, 4)], 1)

    class Second(nn.Module):
        def forward(self, z):
            return torch.cat([z[:, 4:], 1 + z[:, 4:] ** 2], 1)

    def shift(x, values):  # moves pixels, keeps the mean
        return torch.stack([x.roll(round(value), -1) for value in values])

    found = head_geometry(Pixels(), Second(), images(), shift, orbit=range(6), path=range(4), tangent=1)
    assert found.augmentation.abs().max() < 1e-8 and found.semantic_anisotropy > 1e-3
    assert found.h.spread.unit.max() < 1e-10 < found.z.spread.unit.min()


def test_str_says_what_was_measured():
    text = str(head_geometry(*pair(), images(), turn, labels=LABELS))
    assert "d = 16 -> k = 7, 12 images, the head is given z\n" in text and "class / orbit" in text
    assert max(map(len, text.splitlines())) <= 100
    published = str(head_geometry(*pair(), images(), turn, "unit"))
    assert "z / ||z|| (published protocol)" in published and "class / orbit" not in published


def test_images_may_be_bytes_and_chunks_change_nothing(monkeypatch):
    x = (images() * 255).round().byte()
    one = head_geometry(*pair(), x.float() / 255, turn)
    monkeypatch.setattr("proj_heads.geometry._CHUNK", 1)
    other = head_geometry(*pair(), x, turn, batch_size=5)
    torch.testing.assert_close(other.spectrum, one.spectrum, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(other.h.curvature, one.h.curvature, rtol=1e-3, atol=1e-5)


def test_mistakes_are_explained(unchecked):
    backbone, head = pair()
    x = images()
    untracked = nn.Sequential(nn.Linear(16, 5), nn.BatchNorm1d(5, track_running_stats=False))
    lost = nn.Linear(16, 5)
    nn.init.constant_(lost.bias, float("inf"))
    for message, call in {
        "choose from raw, unit": lambda: head_geometry(backbone, head, x, turn, "both"),
        "at least 2 images": lambda: head_geometry(backbone, head, x[:1], turn),
        "all images are of one class": lambda: head_geometry(backbone, head, x, turn, labels=torch.zeros(12).int()),
        "with nn.Flatten": lambda: head_geometry(nn.Identity(), head, x, turn),
        "augment gave shape": lambda: orbit_features(backbone, x, lambda x, values: x, [0]),
        "z has shape": lambda: pullback_metric(head, torch.zeros(3)),
        "the head is a function: make it an nn.Module": lambda: head_geometry(backbone, lambda z: z, x, turn),
        "the backbone is a function": lambda: head_geometry(lambda x: x.flatten(1), head, x, turn),
        "keep track_running_stats": lambda: head_geometry(backbone, untracked, x, turn),
        "the backbone's output has NaN or inf": lambda: head_geometry(backbone, head, x * float("nan"), turn),
        "the head's output has NaN or inf": lambda: head_geometry(backbone, lost, x, turn),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
