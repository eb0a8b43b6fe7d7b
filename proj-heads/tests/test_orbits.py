"""Statistics of orbits: known curves, naive formulas, invariances."""

import math

import pytest
import torch
import torch.nn.functional as F
from vectors import normal, orthogonal

from proj_heads.orbits import (
    anchor_cosine,
    arc_length_curvature,
    class_orbit_ratio,
    discrete_curvature,
    effective_rank,
    orbit_spread,
    participation_ratio,
    path_length,
    pca_orbits,
    to_unit,
    trajectory_rank,
    turning,
    variance_ratio,
)

D, K = 10, 7


def circle(radius, steps=12, dim=5, turn=2 * math.pi):
    """A circle about a point that is not 0, in a plane that is not an axis plane; (steps, 1, dim)."""
    angle = torch.arange(steps, dtype=torch.float64) * turn / steps
    plane = torch.zeros(steps, dim, dtype=torch.float64)
    plane[:, 0], plane[:, 1] = radius * angle.cos(), radius * angle.sin()
    return (plane @ orthogonal(dim).T + normal(dim))[:, None]


@pytest.mark.parametrize("radius", [0.01, 1.0, 30.0])
def test_a_circle_of_12_points(radius):
    points = circle(radius)
    close = dict(rtol=1e-10, atol=0)
    torch.testing.assert_close(orbit_spread(points, "raw"), torch.tensor([radius**2], dtype=torch.float64), **close)
    kappa = 2 * radius * (1 - math.cos(math.pi / 6))
    torch.testing.assert_close(discrete_curvature(points, "raw"), torch.tensor([kappa], dtype=torch.float64), **close)
    torch.testing.assert_close(
        arc_length_curvature(points, "raw"), torch.tensor([1 / radius], dtype=torch.float64), **close
    )
    torch.testing.assert_close(trajectory_rank(points), torch.tensor([2.0], dtype=torch.float64), **close)
    side = 2 * math.sin(math.pi / 12)  # of the regular 12-gon in the unit circle, and the bend at a corner
    assert path_length(points, "raw").item() == pytest.approx(11 * side * radius)
    assert turning(points, "raw").item() == pytest.approx(10 * side)


def test_a_straight_line_has_no_curvature_at_any_speed():
    even, uneven = torch.arange(8.0), torch.tensor([0.0, 1, 1, 1.5, 4, 4.1, 9, 9])  # with steps of length 0
    for times in (even, uneven):
        points = times.double()[:, None, None] * normal(1, 3, D) + normal(1, 3, D, seed=1)
        assert arc_length_curvature(points, "raw").abs().max() < 1e-12
        assert turning(points, "raw").abs().max() < 1e-12
        torch.testing.assert_close(trajectory_rank(points), torch.ones(3).double())
    assert discrete_curvature(even.double()[:, None, None] * normal(1, 3, D), "raw").abs().max() < 1e-12


def test_curvature_per_arc_length_does_not_depend_on_the_step_and_the_published_one_does():
    fine, coarse = circle(2.0, steps=60, turn=math.pi), circle(2.0, steps=30, turn=math.pi)
    assert (arc_length_curvature(fine, "raw") / arc_length_curvature(coarse, "raw")).item() == pytest.approx(
        1, abs=1e-12
    )
    assert (discrete_curvature(coarse, "raw") / discrete_curvature(fine, "raw")).item() == pytest.approx(4, rel=1e-2)
    assert (discrete_curvature(3 * fine, "raw") / discrete_curvature(fine, "raw")).item() == pytest.approx(3)
    with_rest = torch.cat([fine[:20], fine[19:20], fine[19:]])  # two steps that do not move
    torch.testing.assert_close(arc_length_curvature(with_rest, "raw"), arc_length_curvature(fine, "raw"))
    back = torch.tensor([0.0, 1, 0])[:, None, None].double() * normal(1, 1, D)
    length = (back[1] - back[0]).norm().item()
    assert arc_length_curvature(back, "raw").item() == pytest.approx(2 / length)  # the tangent turns round
    assert arc_length_curvature(torch.ones(4, 1, D), "raw").isnan()
    for scale in (1e-6, 1e6):
        torch.testing.assert_close(turning(scale * fine, "raw"), turning(fine, "raw"))
    assert turning(fine, "raw").item() == pytest.approx(math.pi, rel=0.05)


def test_published_curvature_is_that_of_the_authors_loop():
    points = normal(6, 3, D)
    unit = F.normalize(points, dim=-1)
    for image in range(3):
        steps = [(unit[i + 1, image] - 2 * unit[i, image] + unit[i - 1, image]).norm() for i in range(1, 5)]
        assert discrete_curvature(points)[image].item() == pytest.approx(float(sum(steps)) / 4, rel=1e-12)


def test_spread_is_half_the_mean_over_all_ordered_pairs():
    points = normal(9, 4, D)
    pairs = (points[:, None] - points[None]).pow(2).sum(-1)  # (9, 9, 4)
    torch.testing.assert_close(orbit_spread(points, "raw"), pairs.mean((0, 1)) / 2)
    centre = points.mean(0)
    torch.testing.assert_close(orbit_spread(points, "raw"), (points - centre).pow(2).sum(-1).mean(0))
    torch.testing.assert_close(orbit_spread(points), orbit_spread(F.normalize(points, dim=-1), "raw"))


def test_total_scale_takes_out_width_and_scale():
    points = normal(9, 4, D) + normal(1, 4, D, seed=1)
    share = orbit_spread(points, "total")
    wide = 1000 * torch.cat([points, points, points], -1)
    torch.testing.assert_close(orbit_spread(wide, "total"), share)
    flat = points.flatten(0, 1)
    assert (orbit_spread(points, "raw") / (flat - flat.mean(0)).pow(2).sum(1).mean() - share).abs().max() < 1e-12
    one = points[:, :1]
    assert orbit_spread(one, "total").item() == pytest.approx(1)  # a single orbit is all the variance there is


def test_seen_from_the_mean_neither_offset_nor_scale_count_and_seen_from_the_origin_they_do():
    """z minus its mean is an isometry: what it changes is not a matter of the head."""
    points, labels = normal(9, 6, D) + 2 * normal(1, 6, D, seed=1), torch.tensor([0, 0, 1, 1, 2, 2])
    moved = 3 * points + 50 * torch.ones(D).double()
    for statistic in (orbit_spread, discrete_curvature, turning):
        torch.testing.assert_close(statistic(moved, "centred"), statistic(points, "centred"))
    torch.testing.assert_close(orbit_spread(moved, "total"), orbit_spread(points, "total"))
    found = anchor_cosine(moved, 3 * points[0] + 50, "centred")
    torch.testing.assert_close(found, anchor_cosine(points, points[0], "centred"))
    assert class_orbit_ratio(moved, labels, "raw").ratio == pytest.approx(
        class_orbit_ratio(points, labels, "raw").ratio
    )
    assert (orbit_spread(moved) < 0.1 * orbit_spread(points)).all()
    assert (anchor_cosine(moved, 3 * points[0] + 50) > 0.99).all()


def test_centred_vectors_are_those_of_a_naive_loop():
    points, middle = normal(4, 3, D), normal(4, 3, D).flatten(0, 1).mean(0)
    for image in range(3):
        units = [(point - middle) / (point - middle).norm() for point in points[:, image]]
        centre = torch.stack(units).mean(0)
        expected = sum((one - centre).square().sum() for one in units) / 4
        assert orbit_spread(points, "centred")[image].item() == pytest.approx(expected.item())
        first = [one @ units[0] for one in units]
        assert anchor_cosine(points, points[0], "centred")[image].item() == pytest.approx(sum(first).item() / 4)


def test_orthogonal_maps_change_no_statistic_but_the_coordinates():
    points, labels = normal(9, 6, D) + 2 * normal(1, 6, D, seed=1), torch.tensor([0, 0, 1, 1, 2, 2])
    turned = points @ orthogonal(D)
    for statistic in (orbit_spread, discrete_curvature, arc_length_curvature):
        for scale in ("raw", "total", "unit", "centred"):
            torch.testing.assert_close(statistic(turned, scale), statistic(points, scale))
    torch.testing.assert_close(trajectory_rank(turned), trajectory_rank(points))
    assert class_orbit_ratio(turned, labels) == pytest.approx(class_orbit_ratio(points, labels))
    one, other = pca_orbits(points), pca_orbits(turned)
    torch.testing.assert_close(one.coordinates.abs(), other.coordinates.abs())


def test_class_orbit_ratio_is_that_of_a_naive_loop():
    points, labels = normal(5, 6, D) + 3 * normal(1, 6, D, seed=1), torch.tensor([4, 9, 4, 0, 9, 0])
    unit = F.normalize(points, dim=-1)
    intra = [(unit[i, n] - unit[j, n]).norm() for n in range(6) for i in range(5) for j in range(i)]
    centres = [unit[:, labels == label].reshape(-1, D).mean(0) for label in (0, 4, 9)]
    inter = [(centres[i] - centres[j]).norm() for i in range(3) for j in range(i)]
    found = class_orbit_ratio(points, labels)
    assert found.intra == pytest.approx(float(sum(intra)) / len(intra))
    assert found.inter == pytest.approx(float(sum(inter)) / len(inter))
    assert found.ratio == pytest.approx(found.inter / found.intra)


def test_effective_rank_and_participation_ratio_of_known_spectra():
    for spectrum, count in ((torch.eye(6)[0], 1), (torch.ones(6), 6), (torch.tensor([2.0, 2, 2, 0, 0, 0]), 3)):
        assert effective_rank(spectrum).item() == pytest.approx(count)
        assert participation_ratio(spectrum).item() == pytest.approx(count)
    halves = torch.tensor([0.5, 0.25, 0.25])
    assert effective_rank(halves).item() == pytest.approx(2**1.5)
    assert participation_ratio(halves).item() == pytest.approx(1 / 0.375)
    torch.testing.assert_close(effective_rank(7 * halves.expand(3, 3)), effective_rank(halves).expand(3))


def test_trajectory_rank_is_that_of_the_singular_values():
    points = normal(6, 3, D)
    for image in range(3):
        values = torch.linalg.svdvals(points[:, image] - points[:, image].mean(0)) ** 2
        assert trajectory_rank(points)[image].item() == pytest.approx(effective_rank(values).item())


def test_variance_ratio_and_cosine():
    z, h, anchor = normal(6, 3, D), normal(6, 3, K, seed=1), normal(3, D, seed=2)
    found = variance_ratio(z, h)
    torch.testing.assert_close(found.per_dimension, z.var(0).mean(-1) / h.var(0).mean(-1))
    torch.testing.assert_close(found.total, z.var(0).sum(-1) / h.var(0).sum(-1))
    torch.testing.assert_close(anchor_cosine(z, anchor), F.cosine_similarity(z, anchor[None], dim=-1).mean(0))


def test_pca_finds_the_plane_of_a_circle():
    plane = pca_orbits(circle(3.0), scale="raw")
    torch.testing.assert_close(plane.coordinates.norm(dim=-1), torch.full((12, 1), 3.0).double())
    torch.testing.assert_close(plane.share, torch.full((2,), 0.5).double())
    points = normal(6, 3, D)
    again = pca_orbits(points.flip(0), scale="raw")  # another order, the same signs
    torch.testing.assert_close(again.coordinates.flip(0), pca_orbits(points, scale="raw").coordinates)


def test_where_no_point_moves_there_is_no_class_orbit_ratio():
    still = torch.ones(5, 6, D).double()
    found = class_orbit_ratio(still, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert found.intra == found.inter == 0 and math.isnan(found.ratio)


def test_zero_has_no_direction_and_stays_zero():
    assert to_unit(torch.zeros(2, 3)).eq(0).all()


def test_mistakes_are_explained(unchecked):
    for message, call in {
        "choose from raw, total, unit": lambda: orbit_spread(normal(3, 2, 4), "both"),
        "give points": lambda: orbit_spread(normal(3, 4)),
        "3 or more values": lambda: discrete_curvature(normal(2, 2, 4)),
        "give one for each": lambda: class_orbit_ratio(normal(3, 2, 4), torch.zeros(3).int()),
        "at least 2 of each": lambda: class_orbit_ratio(normal(3, 2, 4), torch.zeros(2).int()),
        "no 2 axes": lambda: pca_orbits(normal(3, 2, 1)),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
