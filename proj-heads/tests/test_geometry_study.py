"""The geometry study at smoke size: its numbers again, by loops and by other libraries."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from naive import equal, pixels, unit
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from proj_heads.checkpoints import load_headed
from proj_heads.data import load
from proj_heads.experiments import geometry
from proj_heads.pretraining import pretrain
from proj_heads.seeds import generator

SEED = 4  # not the one that a forgotten seed would be
SIMCLR = replace(geometry.PRESETS["smoke"][1], depth=2, activation="swish", steps=20, seed=SEED)


class Ran(NamedTuple):
    """A cell's record and the pair of networks that it was measured on."""

    record: dict
    backbone: nn.Module
    head: nn.Module


@cache
def ran(cell) -> Ran:
    with TemporaryDirectory() as folder:
        (record,) = geometry.run(cell, Path(folder))
        pair = load_headed(Path(folder) / "pair.safetensors", "native")
    return Ran(record, pair.backbone, pair.head)


CELLS = {"simclr": SIMCLR} | {
    cell.objective: replace(cell, seed=SEED) for cell in geometry.PRESETS["smoke"] if cell.objective != "simclr"
}


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]


@torch.no_grad()
def forward(ran: Ran, x) -> tuple[np.ndarray, np.ndarray]:
    """z and h of these images, in float64."""
    z = ran.backbone(x)
    return z.double().numpy(), ran.head(z).double().numpy()


def turned(cell, fitting: bool):
    """The images of the rotation task, turned one by one, and the quarter turns."""
    data = load(cell.data, fitting)
    x = data.x[: cell.probe_train if fitting else cell.probe_test]
    turns = torch.randint(4, (len(x),), generator=generator(cell.seed, "rotation", str(fitting)))
    quarters = [torch.rot90(image, int(k), (1, 2)) for image, k in zip(x, turns, strict=True)]
    return torch.stack(quarters).float() / 255, turns.numpy()


def logistic_accuracy(x, y, held, answers) -> float:
    """Per cent; scikit-learn on standardised features, its default penalty at n = 10,000."""
    mean, deviation = x.mean(0), x.std(0)
    keep = deviation > 1e-6 * abs(mean) + 1e-12
    x, held = ((part - mean)[:, keep] / deviation[keep] for part in (x, held))
    fitted = LogisticRegression(C=1 / (len(x) * 1e-4), tol=1e-8, max_iter=20_000).fit(x, y)
    return 100 * fitted.score(held, answers)


def test_accuracies_of_linear_probes_are_those_of_scikit_learn(cell):
    found = ran(cell)
    (x, y), (held, answers) = turned(cell, True), turned(cell, False)
    for place, given, asked in zip("zh", forward(found, x), forward(found, held), strict=True):
        expected = logistic_accuracy(given, y, asked, answers)
        assert found.record[f"rotation_linear_{place}"] == pytest.approx(expected, abs=1)  # one image of 100
    train, test = load(cell.data, True), load(cell.data, False)
    train, test = train.subset(slice(cell.probe_train)), test.subset(slice(cell.probe_test))
    for place, given, asked in zip("zh", forward(found, pixels(train)), forward(found, pixels(test)), strict=True):
        expected = logistic_accuracy(given, train.y.numpy(), asked, test.y.numpy())
        assert found.record[f"class_linear_{place}"] == pytest.approx(expected, abs=1)
        mean, deviation = given.mean(0), np.maximum(given.std(0), 1e-12)
        ridge = Ridge(alpha=1e-3 * len(given)).fit((given - mean) / deviation, np.eye(10)[train.y.numpy()])
        expected = 100 * (ridge.predict((asked - mean) / deviation).argmax(1) == test.y.numpy()).mean()
        assert found.record[f"class_ridge_{place}"] == pytest.approx(expected, abs=1)


def test_accuracies_beat_guessing_and_are_of_every_place_where_the_head_can_be_cut(cell):
    record, inner = ran(cell).record, {"simclr": 1, "vicreg": 2, "dino": 3}[cell.objective]
    places = ["z", *(f"layer{i + 1}" for i in range(inner)), "h"]
    for task, chance in (("rotation", 25), ("class", 10)):
        probes = {"linear": places, "mlp": places}
        probes |= {"ridge": places} if task == "class" else {"published_linear": "zh", "published_mlp": "zh"}
        expected = {f"{task}_{probe}_{place}" for probe, where in probes.items() for place in where}
        assert {name for name in record if name.startswith(task) and name != "class_gain"} == expected
        assert all(0 <= record[name] <= 100 for name in expected)
        assert record[f"{task}_linear_z"] > chance + 10


def test_effective_ranks_are_those_of_the_covariance(cell):
    found = ran(cell)
    test = load(cell.data, False).subset(slice(cell.probe_test))
    for place, features in zip("zh", forward(found, pixels(test)), strict=True):
        share = np.linalg.eigvalsh(np.cov(features.T)).clip(0)
        share = share[share > 0] / share.sum()
        assert found.record[f"rank_{place}"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)


def chosen(cell):
    """The images whose whole turns are followed."""
    test = load(cell.data, False)
    return test.subset(torch.randperm(len(test), generator=generator(cell.seed, "orbits"))[: cell.orbit_images])


def rotations(cell, found, degrees, normalise=False):
    """z and h (images, degrees, dimensions), every image turned by itself; `normalise` what the head is given."""
    z, h = [], []
    for image in pixels(chosen(cell)):
        x = torch.stack([tv.rotate(image, float(angle)) for angle in degrees])
        with torch.no_grad():
            features = found.backbone(x)
            given = features / features.norm(dim=1, keepdim=True) if normalise else features
            z.append(features.double().numpy())
            h.append(found.head(given).double().numpy())
    return np.array(z), np.array(h)


def spread(orbits) -> float:
    """Mean over images of the mean squared distance to the middle of the orbit."""
    return np.mean([[np.sum((point - orbit.mean(0)) ** 2) for point in orbit] for orbit in orbits])


def total_variance(orbits) -> float:
    points = orbits.reshape(-1, orbits.shape[-1])
    return ((points - points.mean(0)) ** 2).sum(1).mean()


def centred(orbits):
    """Minus the mean of all points."""
    return orbits - orbits.mean((0, 1))


def class_orbit(orbits, labels) -> float:
    """Mean distance of classes' centres over mean distance of points of an orbit."""
    centres = [orbits[labels == label].mean((0, 1)) for label in np.unique(labels)]

    def between(points):
        return np.mean([np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]])

    return between(centres) / np.mean([between(orbit) for orbit in orbits])


@pytest.mark.parametrize("prefix", ["", "unit_"])
def test_compression_and_class_gain_are_those_of_orbits_followed_one_by_one(cell, prefix):
    found = ran(cell)
    z, h = rotations(cell, found, range(0, 360, 30), normalise=prefix == "unit_")
    record, labels = found.record, chosen(cell).y.numpy()
    assert record[f"{prefix}compression"] == pytest.approx(spread(unit(z)) / spread(unit(h)), rel=1e-3)
    total = (spread(z) / total_variance(z)) / (spread(h) / total_variance(h))
    assert record[f"{prefix}compression_total"] == pytest.approx(total, rel=1e-3)
    gain = class_orbit(unit(h), labels) / class_orbit(unit(z), labels)
    assert record[f"{prefix}class_gain"] == pytest.approx(gain, rel=1e-3)
    gain = class_orbit(h, labels) / class_orbit(z, labels)
    assert record[f"{prefix}raw_class_gain"] == pytest.approx(gain, rel=1e-3)
    about = spread(unit(centred(z))) / spread(unit(centred(h)))
    assert record[f"{prefix}compression_centred"] == pytest.approx(about, rel=1e-3)
    offset = np.linalg.norm(unit(h).mean((0, 1)))
    assert record[f"{prefix}offset_h"] == pytest.approx(offset, rel=1e-3)
    if not prefix:
        assert record["offset_z"] == pytest.approx(np.linalg.norm(unit(z).mean((0, 1))), rel=1e-3)
        assert record["isometry_compression"] == pytest.approx(spread(unit(z)) / spread(unit(centred(z))), rel=1e-3)


def curvature(orbits) -> float:
    second = [a - 2 * b + c for orbit in orbits for a, b, c in zip(orbit, orbit[1:], orbit[2:], strict=False)]
    return np.mean([np.linalg.norm(vector) for vector in second])


def length(orbits) -> float:
    return np.mean([sum(np.linalg.norm(b - a) for a, b in zip(o, o[1:], strict=False)) for o in orbits])


def test_curvature_and_length_are_those_of_small_rotations(cell):
    found = ran(cell)
    raw = rotations(cell, found, range(0, 46, 5))
    z, h = map(unit, raw)
    about = [curvature(unit(centred(points))) for points in raw]
    assert found.record["centred_curvature_ratio"] == pytest.approx(about[1] / about[0], rel=1e-3)
    assert found.record["isometry_curvature_ratio"] == pytest.approx(about[0] / curvature(z), rel=1e-3)
    assert found.record["curvature_z"] == pytest.approx(curvature(z), rel=1e-3)
    assert found.record["curvature_h"] == pytest.approx(curvature(h), rel=1e-3)
    assert found.record["curvature_ratio"] == pytest.approx(curvature(h) / curvature(z), rel=1e-3)
    assert found.record["length_ratio"] == pytest.approx(length(h) / length(z), rel=1e-3)


def test_the_metric_is_that_of_autograd(cell):
    found = ran(cell)
    x, labels, head = pixels(chosen(cell)), chosen(cell).y, found.head
    (z, _), around = forward(found, x), rotations(cell, found, (-3, 3))[0]
    directions = {"augmentation": around[:, 1] - around[:, 0], "semantic": []}
    for i in range(len(z)):
        other = next(j % len(z) for j in range(i + 1, i + len(z)) if labels[j % len(z)] != labels[i])
        directions["semantic"].append(z[other] - z[i])

    def output(point):
        h = head(point[None])[0]
        return h / h.norm()

    measured, ranks = {name: [] for name in directions}, []
    for i, point in enumerate(z):
        jacobian = torch.autograd.functional.jacobian(output, torch.tensor(point, dtype=torch.float32))
        jacobian = jacobian.double().numpy()
        metric = jacobian.T @ jacobian
        share = np.linalg.eigvalsh(metric).clip(1e-300) / np.trace(metric)
        ranks.append(np.exp(-(share * np.log(share)).sum()))
        for name, direction in directions.items():
            v = direction[i]
            measured[name].append(v @ metric @ v / (v @ v) / (np.trace(metric) / len(v)))
    for name, values in measured.items():
        assert found.record[f"along_{name}"] == pytest.approx(np.median(values), rel=2e-3)
    assert found.record["metric_rank"] == pytest.approx(np.mean(ranks), rel=2e-3)
    assert found.record["spectrum"].shape == (z.shape[1],) and (np.diff(found.record["spectrum"]) <= 0).all()


TRANSFORMS = {
    "turn": lambda x, value: tv.rotate(x, value),
    "brightness": tv.adjust_brightness,
    "contrast": tv.adjust_contrast,
    "blur": lambda x, value: tv.gaussian_blur(x, 23, value),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_statistics_of_pretrained_models_are_those_of_single_images(cell, name):
    found, record = ran(cell), ran(cell).record
    z, h, gains, first = [], [], [], []
    for image in pixels(load(cell.data, False))[: cell.orbit_images]:
        here = forward(found, torch.stack([TRANSFORMS[name](image, float(v)) for v in geometry.ORBITS[name]]))
        anchors = forward(found, image[None])
        cosines = [(unit(points) @ unit(anchor)[0]).mean() for points, anchor in zip(here, anchors, strict=True)]
        gains.append(cosines[1] - cosines[0])
        first.append(anchors)
        z.append(here[0])
        h.append(here[1])
    z, h = np.array(z), np.array(h)
    total = np.median([spread([a]) / spread([b]) for a, b in zip(z, h, strict=True)])
    assert record[f"{name}_variance_raw"] == pytest.approx(total, rel=2e-3)
    assert record[f"{name}_variance_per_dimension"] == pytest.approx(total * h.shape[2] / z.shape[2], rel=2e-3)
    of_units = np.median([spread([a]) / spread([b]) for a, b in zip(unit(z), unit(h), strict=True)])
    assert record[f"{name}_variance_unit"] == pytest.approx(of_units, rel=2e-3)
    assert record[f"{name}_raw_curvature_ratio"] == pytest.approx(curvature(h) / curvature(z), rel=2e-3)
    expected = curvature(unit(h)) / curvature(unit(z))
    assert record[f"{name}_curvature_ratio"] == pytest.approx(expected, rel=2e-3)
    assert record[f"{name}_cosine_gain"] == pytest.approx(np.mean(gains), abs=1e-5)
    expected = curvature(unit(centred(h))) / curvature(unit(centred(z)))
    assert record[f"{name}_centred_curvature_ratio"] == pytest.approx(expected, rel=2e-3)
    share = (spread(z) / total_variance(z)) / (spread(h) / total_variance(h))
    assert record[f"{name}_variance_share"] == pytest.approx(share, rel=2e-3)
    about = [
        np.mean(
            [(unit(centred(points)[i]) @ unit(at[space] - points.mean((0, 1)))[0]).mean() for i, at in enumerate(first)]
        )
        for space, points in enumerate((z, h))
    ]
    assert record[f"{name}_centred_cosine_gain"] == pytest.approx(about[1] - about[0], abs=1e-5)


def test_grey_images_have_no_hue_and_no_saturation(cell):
    assert not [name for name in ran(cell).record if name.startswith(("hue", "saturation"))]


def test_the_recorded_losses_are_those_of_training(cell):
    trained = pretrain(load(cell.data, True).x, cell, cell.seed)
    record = ran(cell).record
    assert record["loss_first"] == trained.losses[0].item()
    assert record["loss_last"] == pytest.approx(trained.losses[-20:].mean().item())
    weights = zip(trained.head.state_dict().items(), ran(cell).head.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in weights)  # saved and loaded


@pytest.mark.parametrize("objective", ["simclr", "dino"])
def test_equal_seeds_give_equal_records_and_others_different_ones(objective, tmp_path):
    cell, record = CELLS[objective], ran(CELLS[objective]).record
    torch.manual_seed(5)
    (again,), (other,) = (geometry.run(replace(cell, seed=seed), tmp_path / str(seed)) for seed in (SEED, 1))
    assert equal(record, again)
    for name in ("loss_first", "compression", "curvature_ratio", "along_augmentation", "turn_cosine_gain", "rank_h"):
        assert other[name] != record[name]
