"""A made-up world in which every claim holds, also those that our data contradict: plain records from simple formulas.

Each function returns the cells of one experiment with their records, as `run` would; `WORLDS` names them all.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from proj_heads.experiments import collapse, flow, geometry, hessian, theory
from repro_shared.results import Results

SEEDS = range(4)
MEMBERS = tuple(range(8))
"""Seeds of a cell that trains several at a time."""
SMOOTH = ("gelu", "swish")
ORBITS = ("turn", "brightness", "contrast", "blur")
Recorded = list[tuple[object, list[dict]]]
World = dict[str, Results]


def noise(seed: int, place: int = 0) -> float:
    """A factor near 1 that differs between seeds."""
    return 1 + 0.01 * np.sin(7 * seed + place)


def of_all_seeds(cells: list) -> list:
    """The settings of these cells, each once per seed of this world."""
    settings = dict.fromkeys(replace(cell, seed=0) for cell in cells)
    return [replace(cell, seed=seed) for cell in settings for seed in SEEDS]


# ---- theory


def _hessian(cell: theory.Config) -> list[dict]:
    """No loss, not even the cosine, gives linear and ReLU heads a negative eigenvalue; smooth heads have several."""
    records = []
    for activation in cell.activation:
        smooth = activation in SMOOTH
        for loss in cell.loss:
            records.append({"activation": activation, "loss": loss, "deviation": 1e-15, "interaction": 0.5 * smooth,
                            "negative": 5.0 * smooth, "negative_most": 7 * smooth, "metric_negative": 0.0,
                            "below_zero": (1 - 0.01 * noise(cell.seed)) * smooth})  # fmt: skip
    return records


def _critical(cell: theory.Config) -> list[dict]:
    """Nearly every smooth head is destabilised by any residual, also those wider than z."""
    return [
        {"activation": activation, "outputs": k, "zero": 0.97 * noise(cell.seed) if activation in SMOOTH else 0.0,
         "finite": int(activation in SMOOTH and k > cell.d), "median": 0.0, "separates": 1.0}
        for activation in cell.activation for k in cell.outputs
    ]  # fmt: skip


def _whitening(cell: theory.Config) -> list[dict]:
    return [{"rank": r, "on": 1e-15, "off": 1e-15, "elsewhere": 1.0 + r} for r in cell.rank]


def _curvature(cell: theory.Config) -> list[dict]:
    return [
        {"potential": name, "floor": 1.0 if name == "quadratic" else 1.5 * noise(cell.seed),
         "curvature_deviation": 0.2 if name == "softmax and quadratic" else 1e-13}
        | ({"rank_one_error": 0.5} if name == "softmax and quadratic" else {})
        for name in cell.potential
    ]  # fmt: skip


def _curve(cell: theory.Config) -> list[dict]:
    return [{"path_width": width, "error": width**-3.0, "constant_floor": 1.4} for width in cell.path_width]


def _bound(cell: theory.Config) -> list[dict]:
    return [{"definite": kind, "ratio": 0.9, "positive": 300, "over_paper": 2.0} for kind in cell.definite]


def _collapse(cell: theory.Config) -> list[dict]:
    """Every loss has a gradient at collapse, and collapse is a saddle behind smooth heads only."""
    return [
        {"objective": objective, "activation": activation, "negative": 5 * (activation in SMOOTH), "gradient": 0.3}
        for objective in cell.objective for activation in ("none", *cell.activation)
    ]  # fmt: skip


def _targets(cell: theory.Config) -> list[dict]:
    """Every objective has a residual at collapse, and only smooth heads (nearly always) a negative eigenvalue."""
    records = []
    for activation in cell.activation:
        smooth = activation in SMOOTH
        for target in cell.target:
            records.append({"target": target, "activation": activation, "residual": 0.5, "residual_median": 2.0,
                            "negative": 4.0 * smooth, "negative_most": 6 * smooth, "metric_negative": 0.0,
                            "below_zero": (1 - 0.01 * noise(cell.seed)) * smooth, "critical": 0.1})  # fmt: skip
    return records


def _field(cell: theory.Config) -> list[dict]:
    """Differences grow at rest, behind whichever head."""
    return [
        {"activation": activation, "state": state, "shared": 0.2 * (state == "equilibrium"), "frozen": 1e-16}
        for activation in cell.activation for state in cell.state
    ]  # fmt: skip


def _invariance(cell: theory.Config) -> list[dict]:
    return [{"activation": activation, "along": 1e-15} for activation in cell.activation]


def _fisher(cell: theory.Config) -> list[dict]:
    """The rank falls wherever V lies."""
    return [{"position": position, "rank_z": 8, "rank_h": 6, "bound": 6} for position in cell.position]


PARTS = {
    "hessian": _hessian, "critical": _critical, "whitening": _whitening, "curvature": _curvature, "path": _curve,
    "bound": _bound, "collapse": _collapse, "targets": _targets, "field": _field, "invariance": _invariance,
    "fisher": _fisher,
}  # fmt: skip


def theory_world() -> Recorded:
    cells = of_all_seeds([cell for cell in theory.PRESETS["default"] if cell.part in PARTS])
    return [(cell, PARTS[cell.part](cell)) for cell in cells]


# ---- collapse and flow


def _member(cell: collapse.Config, seed: int) -> dict:
    """Only the authors' start and true collapse collapse, and smooth heads alone escape, at any rate; batch norm, large
    steps and another objective rescue the others. Heads without batch norm are fast, whatever their start.
    """
    rises = cell.activation in SMOOTH or cell.lr > 0.05 or cell.objective == "infonce"
    collapsed = cell.collapse != "none" and not cell.norm
    head = (1e-3 if cell.norm else 1e-1) * noise(seed)
    return {
        "seeds": seed, "collapsed": collapsed, "ends_collapsed": collapsed and not rises,
        "escaped": collapsed and rises, "ever_escaped": collapsed and rises, "rise": 40.0 if rises else 1.1,
        "mean_update_head": head, "mean_update_backbone": 1e-3, "timescale": head / 1e-3,
        "timescale_median": head / 2e-3,
        "spearman_condition": 0.95 * noise(seed), "spearman_effective_rank": -0.6 * noise(seed),
    }  # fmt: skip


def collapse_world() -> Recorded:
    cells = [replace(cell, seeds=MEMBERS) for cell in collapse.PRESETS["default"]]
    return [(cell, [_member(cell, seed) for seed in MEMBERS]) for cell in cells]


def _path(cell: flow.Config, seed: int) -> dict:
    """Spread grows behind smooth heads and decays behind others, by descent as by the flow, and at the rates that the
    linearised field has; from the authors' start all paths run into a zero of the predictor.
    """
    growth, pseudo = (30.0 if cell.activation in SMOOTH else 0.5) * noise(seed), cell.start == "pseudo"
    reached = [0.1, 0.103, 0.104] if pseudo else [np.nan]
    return {
        "seeds": seed, "reached": 0.104 if pseudo else cell.time, "stopped": pseudo, "error": 1e-3,
        "stiffness": 1.2 * cell.stiffest[-1], "growth": growth, "rise": max(growth, 1.2), "escaped": growth > 10,
        "growth_0.05": 1.01 * growth, "escaped_0.5": growth > 10,
        "rate_start": growth / 100, "rate_settled": growth / 50,
        **{f"met_{rate:g}": time for rate, time in zip(cell.stiffest, reached, strict=True)},
        **{f"nearest_{rate:g}": time and rate**-0.5 for rate, time in zip(cell.stiffest, reached, strict=True)},
    }  # fmt: skip


def flow_world() -> Recorded:
    cells = [replace(cell, seeds=MEMBERS) for cell in flow.PRESETS["default"]]
    return [(cell, [_path(cell, seed) for seed in MEMBERS]) for cell in cells]


# ---- hessian


def hessian_world() -> Recorded:
    """From step 60 on smooth heads have 30 negative eigenvalues, linear and ReLU heads none under either loss, and the
    spread and the condition number of the covariance rise together. Before, and without pseudo-collapse, counts are
    of no consequence.
    """
    recorded = []
    for cell in of_all_seeds(hessian.PRESETS["default"]):
        step = np.arange(0, cell.steps, cell.every)
        many = 30 * noise(cell.seed) if cell.activation in SMOOTH else 0.0
        counts = np.where((step >= 60) & (cell.alpha < 1), many, 15.0)
        curves = {f"{reading}_negative": counts for reading in ("cosine", "squared")}
        curves |= {"squared_metric_negative": np.zeros(len(step))}
        curves |= {"cosine_below_zero": counts / 64}
        curves |= {
            "std": 0.01 + step * 1e-4 * noise(cell.seed),
            "condition": 10.0 + step,
            "lambda_max": 0.1 + step * 1e-3,
        }
        curves |= {"effective_rank": 20 - step * 1e-2}
        recorded.append((cell, [{"step": step, "d": 64} | curves]))
    return recorded


# ---- geometry


def _probes(cell: geometry.Config, wobble: float) -> dict:
    """z is easier to read, and more so behind deep heads and wide rotations; MLP over linear is twice as much on h."""
    at_z = {"linear": 90.0, "mlp": 95.0, "published_linear": 80.0, "published_mlp": 84.0}
    gaps = {
        "linear": 3.0 * cell.depth,
        "mlp": 1 + cell.rotation / 40,
        "published_linear": 5 + 5.0 * cell.depth,
        "published_mlp": 1 + 5.0 * cell.depth,
    }
    record = {f"rotation_{probe}_z": at_z[probe] for probe in at_z}
    record |= {f"rotation_{probe}_h": at_z[probe] - gaps[probe] * wobble for probe in at_z}
    return record | {"class_linear_z": 80.0, "class_linear_h": 80 - 3 * wobble, "rank_h": 6.0}


def _space(cell: geometry.Config, wobble: float) -> dict:
    """The head bends paths, compresses orbits whatever it is given, and is nearly singular along them."""
    gain = (0.9, 1.25, 1.5)[cell.depth - 1] * wobble
    return {
        "curvature_ratio": 1.9 * wobble, "length_ratio": 1.5, "turning_ratio": 1.3 * wobble, "compression": 20 * wobble,
        "compression_total": 5.0 * wobble, "compression_centred": 4.0, "unit_compression": 22 * wobble,
        "unit_compression_total": 5.0 * wobble, "class_gain": gain, "unit_class_gain": gain, "raw_class_gain": gain,
        "centred_curvature_ratio": 1.6 * wobble, "isometry_compression": 0.2 * wobble,
        "isometry_curvature_ratio": 2.5 * wobble, "offset_z": 0.9, "offset_h": 0.3, "unit_offset_h": 0.98,
        "along_augmentation": 0.06 * wobble / cell.depth, "along_semantic": 1.5,
    }  # fmt: skip


def _orbits(cell: geometry.Config, wobble: float) -> dict:
    """DINO's heads flatten orbits and draw them together, with batch norm or without; all others do the reverse. All
    compress rotations.
    """
    dino = cell.objective == "dino"
    record = {}
    for orbit in ORBITS:
        record |= {
            f"{orbit}_variance_unit": 5 * wobble,
            f"{orbit}_variance_share": 3 * wobble,
            f"{orbit}_centred_curvature_ratio": (0.6 if dino else 1.5) * wobble,
            f"{orbit}_raw_curvature_ratio": (0.5 if dino else 2.0) * wobble,
            f"{orbit}_turning_ratio": (0.7 if dino else 1.3) * wobble,
            f"{orbit}_cosine_gain": (0.2 if dino else -0.2) * wobble,
            f"{orbit}_centred_cosine_gain": (0.1 if dino else -0.1) * wobble,
        }
    return record


def geometry_world() -> Recorded:
    recorded = []
    for place, cell in enumerate(of_all_seeds(geometry.PRESETS["default"])):
        wobble = noise(cell.seed, place)
        recorded.append((cell, [_probes(cell, wobble) | _space(cell, wobble) | _orbits(cell, wobble)]))
    return recorded


WORLDS: dict[str, Callable[[], Recorded]] = {
    "theory": theory_world,
    "collapse": collapse_world,
    "flow": flow_world,
    "hessian": hessian_world,
    "geometry": geometry_world,
}
"""Experiment -> its cells and records."""


def world() -> World:
    """Fresh results of all experiments."""
    return {name: Results.from_records(make(), name) for name, make in WORLDS.items()}
