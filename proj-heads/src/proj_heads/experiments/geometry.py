"""What pretraining makes of a head: guillotine, curvature, orbits, depth, objectives (claims C8 to C13)

One cell is one pretrained pair of backbone and head. It is saved and loaded again as a checkpoint, and then everything
is measured on that one pair:

- guillotine: probes for rotation (0, 90, 180, 270 degrees) and class on z, after each layer of the head, and on h;
  converged ones (linear and MLP), and for some heads the authors' five epochs of Adam on features as they come;
- curvature of small rotations, orbits of whole turns, the pull-back metric along augmentations and along differences
  between images, with the head given z as in training, and given z / ||z|| as the authors have it;
- the authors' statistics of pretrained models for rotation, brightness, contrast and blur.

`default`: Fashion-MNIST, three seeds of each. `paper`: the authors' networks and data, on a GPU. Expect 20 to 40 s per
cell of `default` on one core.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from proj_heads.experiments.pretrained import FRESH_SEEDS, Pretraining, images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

ORBITS = {
    "turn": np.linspace(0, 45, 12),
    "brightness": np.linspace(0.6, 1.4, 12),
    "contrast": np.linspace(0.2, 2.0, 12),
    "blur": np.linspace(0.1, 3.0, 12),
    "hue": np.linspace(-0.4, 0.4, 12),
    "saturation": np.linspace(0.0, 2.0, 12),
}
"""Name of the columns -> values along it; `turn` is a rotation, and grey images have no hue and no saturation."""


@dataclass(frozen=True)
class Config(Pretraining):
    probe_train: int = 5_000
    """Training images of the converged probes."""
    published_train: int = 0
    """Training images of the authors' probes, who take all 50,000; 0: leave these probes out."""
    probe_test: int = 5_000
    """Test images of the probes."""
    orbit_images: int = 200
    """Test images whose orbits are followed."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("probe_train", "probe_test", "orbit_images"):
            if getattr(self, name) < 20:
                raise ValueError(f"{name} = {getattr(self, name)}; choose at least 20 images")
        if self.published_train < 0:
            raise ValueError(f"published_train = {self.published_train}; choose some images, or 0 for no such probes")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: accuracies `<task>_<probe>_<place>`, geometry `<quantity>` (and `unit_<quantity>`), orbits
    `<orbit>_<quantity>`; how many images these are of; whether training has `diverged`, and if so nothing else but its
    losses.
    """
    from proj_heads.checkpoints import Headed, load_headed, save_headed
    from proj_heads.pretraining import pretrain

    train, test = images(cell)
    numbers = _available(cell, train, test)
    cell = replace(cell, **numbers)
    trained = pretrain(train.x, cell, cell.seed, cell.device)
    record = numbers | {
        "loss_first": float(trained.losses[0]),
        "loss_last": float(trained.losses[-20:].mean()),
        "diverged": trained.diverged,
    }
    if trained.diverged:
        return [record]
    path = scratch / "pair.safetensors"
    save_headed(path, Headed(trained.backbone, trained.head, cell.objective))
    pair = load_headed(path, "native").to(cell.device)
    record |= _guillotine(cell, pair, train, test)
    record |= _geometry(cell, pair, test)
    return [record | _orbits(cell, pair, test)]


def _available(cell: Config, train, test) -> dict[str, int]:
    """How many images of those asked for there are. They go into the record, in place of the settings."""
    held = {
        "probe_train": len(train),
        "published_train": len(train),
        "probe_test": len(test),
        "orbit_images": len(test),
    }
    asked = {name: getattr(cell, name) for name in held}
    fewer = [f"{name} = {held[name]} instead of {asked[name]}" for name in held if held[name] < asked[name]]
    if fewer:
        warnings.warn(f"{cell.data} has fewer images than asked for: {', '.join(fewer)}", stacklevel=2)
    return {name: min(held[name], asked[name]) for name in held}


def _guillotine(cell: Config, pair, train, test) -> dict:
    """Accuracy in per cent at each place where the head can be cut, by each probe."""
    from proj_heads.features import layerwise
    from proj_heads.orbits import effective_rank
    from proj_heads.probes import linear_probe, mlp_probe, ridge_probe, rotated
    from proj_heads.seeds import generator
    from proj_heads.stacked import covariance_spectrum

    some = {True: train.subset(slice(cell.probe_train)), False: test.subset(slice(cell.probe_test))}
    tasks = {}
    for task in ("rotation", "class"):
        for fitting, part in some.items():
            x, y = part.x, part.y
            if task == "rotation":
                x, y = rotated(part.x, generator(cell.seed, "rotation", str(fitting)))
            tasks[task, fitting] = layerwise(pair.backbone, pair.head, x), y.to(cell.device)
    record = {}
    for task in ("rotation", "class"):
        (features, labels), (held, answers) = tasks[task, True], tasks[task, False]
        for place, x in features.items():
            stream = generator(cell.seed, "probe", task, place)
            probes = {"linear": linear_probe(x, labels), "mlp": mlp_probe(x, labels, stream)}
            if task == "class":
                probes["ridge"] = ridge_probe(x, labels)
            record |= {
                f"{task}_{name}_{place}": 100 * probe.accuracy(held[place], answers) for name, probe in probes.items()
            }
    if cell.published_train:
        record |= _published_probes(cell, pair, train, *tasks["rotation", False])
    plain = tasks["class", False][0]
    record |= {
        f"rank_{place}": float(effective_rank(covariance_spectrum(plain[place].T[None]))[0]) for place in ("z", "h")
    }
    return record


def _published_probes(cell: Config, pair, train, held: dict, answers) -> dict:
    """The authors' probes for rotation on z and h."""
    from proj_heads.features import layerwise
    from proj_heads.probes import published_probe, rotated
    from proj_heads.seeds import generator

    x, labels = rotated(train.x[: cell.published_train], generator(cell.seed, "rotation", "published"))
    features, labels = layerwise(pair.backbone, pair.head, x), labels.to(cell.device)
    record = {}
    for place, hidden in (("z", 256), ("h", 512)):
        stream = generator(cell.seed, "probe", "published", place)
        for name, width in (("linear", None), ("mlp", hidden)):
            probe = published_probe(features[place], labels, stream, width)
            record[f"rotation_published_{name}_{place}"] = 100 * probe.accuracy(held[place], answers)
    return record


def _geometry(cell: Config, pair, test) -> dict:
    """Orbits of rotations, and the metric; `unit_...` with the head given z / ||z||."""
    import torch

    from proj_heads.augment import orbit
    from proj_heads.geometry import head_geometry
    from proj_heads.seeds import generator

    rows = torch.randperm(len(test), generator=generator(cell.seed, "orbits"))[: cell.orbit_images]
    some = test.subset(rows)

    def turned(x, values):
        return orbit(x, "rotation", values)

    record = {}
    for prefix, given in (("", "raw"), ("unit_", "unit")):
        seen = head_geometry(pair.backbone, pair.head, some.x, turned, given, labels=some.y)
        record |= {
            f"{prefix}compression": seen.compression.unit,
            f"{prefix}compression_total": seen.compression.total,
            f"{prefix}compression_centred": seen.compression.centred,
            f"{prefix}class_gain": seen.class_gain,
            f"{prefix}raw_class_gain": seen.raw_class_gain,
            f"{prefix}offset_h": seen.h.offset,
        }
        if given == "raw":
            record |= {
                "curvature_z": float(seen.z.curvature.mean()),
                "curvature_h": float(seen.h.curvature.mean()),
                "curvature_ratio": seen.curvature_ratio,
                "centred_curvature_ratio": seen.centred_curvature_ratio,
                # of z minus its mean, which moves nothing but the origin
                "isometry_compression": float(seen.z.spread.unit.mean() / seen.z.spread.centred.mean()),
                "isometry_curvature_ratio": float(seen.z.centred_curvature.mean() / seen.z.curvature.mean()),
                "offset_z": seen.z.offset,
                "length_ratio": seen.length_ratio,
                "turning_ratio": seen.turning_ratio,
                "metric_rank": seen.metric_rank,
                "along_augmentation": seen.augmentation_anisotropy,
                "along_semantic": seen.semantic_anisotropy,
                "plane_z": seen.z.plane.coordinates[:, :12].cpu().numpy(),
                "plane_h": seen.h.plane.coordinates[:, :12].cpu().numpy(),
                "plane_class": some.y[:12].cpu().numpy(),
                "spectrum": seen.spectrum.mean(0).cpu().numpy(),
            }
    return record


def _orbits(cell: Config, pair, test) -> dict:
    """The authors' statistics of pretrained models, along each orbit."""
    from proj_heads.augment import orbit
    from proj_heads.data import to_float
    from proj_heads.pair_orbits import orbit_statistics

    x, record = to_float(test.x[: cell.orbit_images]).to(cell.device), {}
    for name, values in ORBITS.items():
        if name in ("hue", "saturation") and x.shape[1] != 3:
            continue
        moved = orbit(x, "rotation" if name == "turn" else name, values.tolist())
        found = orbit_statistics(pair.backbone, pair.head, x, moved)
        record |= {f"{name}_{quantity}": value for quantity, value in found._asdict().items()}
    return record


def _seeds(seeds: range, *cells: Config) -> list[Config]:
    return [replace(cell, seed=seed) for cell in cells for seed in seeds]


_SIMCLR = Config(steps=300)
_DEPTHS = [replace(_SIMCLR, activation="swish", depth=depth, published_train=50_000) for depth in (1, 2, 3)]
_RANGES = [replace(_SIMCLR, rotation=degrees) for degrees in (0.0, 90.0, 180.0)]
_RANGES += [replace(_SIMCLR, published_train=50_000)]
_OTHERS = [
    *(replace(_SIMCLR, objective="dino", lr=3e-4, steps=450, norm=norm) for norm in (True, False)),  # (not) collapsed
    replace(_SIMCLR, objective="vicreg"),
    replace(_SIMCLR, objective="barlow"),
]
_PUBLISHED = Config(
    data="cifar10", backbone="resnet18_cifar", width=2048, steps=9_750, batch=256, probe_train=50_000,
    published_train=50_000, probe_test=10_000, device="cuda",
)  # fmt: skip

PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config(
            data="digits", objective=objective, cnn_width=4, width=16, steps=8, batch=32, depth=depth,
            probe_train=200, published_train=200, probe_test=100, orbit_images=24,
        )
        for objective, depth in (("simclr", 1), ("simclr", 3), ("vicreg", 2), ("dino", 2))
    ],
    "default": _seeds(FRESH_SEEDS, *_OTHERS, *_RANGES, *_DEPTHS),  # the longest first
    "paper": [
        *_seeds(range(3), _PUBLISHED, replace(_PUBLISHED, backbone="vit_tiny"), replace(_PUBLISHED, data="cifar100")),
        *_seeds(
            range(3),
            *(replace(_PUBLISHED, activation="swish", depth=depth, batch=512, steps=4_850) for depth in (1, 2, 3)),
            *(replace(_PUBLISHED, rotation=degrees) for degrees in (0.0, 90.0, 180.0)),
            *(replace(_PUBLISHED, objective=name) for name in ("vicreg", "barlow", "dino")),
        ),
    ],
}  # fmt: skip


def figures(results: Results) -> dict[str, Figure]:
    """Guillotine, gap against augmentation range, curvature and orbits, depth, objectives, orbits in the plane."""
    from proj_heads.experiments.geometry_figures import draw

    return draw(results)
