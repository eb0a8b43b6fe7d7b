"""A made-up world in which every claim holds, also those that our data contradict: plain records from simple formulas.

Each function returns the cells of one experiment with their records, as `run` would; `WORLDS` names them all.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from infonce_langevin.checks.toy import CURVE
from infonce_langevin.experiments import bound, contrastive, noise, shapes, toy, traps
from repro_shared.results import Results

SEEDS = range(4)
GIBBS = {6.0: 0.55, 10.0: 0.866, 200.0: 1.0}
Recorded = list[tuple[object, list[dict]]]
World = dict[str, Results]


def wobble(seed: int, place: int = 0) -> float:
    """A small number that differs between seeds."""
    return 0.002 * np.sin(7 * seed + place)


def of_all_seeds(cells: list) -> list:
    """The settings of these cells, each once per seed of this world."""
    settings = dict.fromkeys(replace(cell, seed=0) for cell in cells)
    return [replace(cell, seed=seed) for cell in settings for seed in SEEDS]


# ---- toy


def _rates(cell: toy.Config) -> list[dict]:
    """The published curve; at other end points a step at one rate for all of them, and at two in the mean."""
    records = []
    for end in cell.beta:
        half = {20.0: 25.0, 40.0: 25.0 * 1.06}.get(end)  # not quite 1: see `of_the_landscape`
        for c in cell.rates:
            success = CURVE[c] if end == 10 else 1 / (1 + (c / half) ** 3)
            records.append(
                {"c": c, "end": end, "needed": 100, "reached": end, "success": success + wobble(cell.seed),
                 "held": 0.866 + wobble(cell.seed)}
            )  # fmt: skip
    return records


def _gibbs(cell: toy.Config) -> list[dict]:
    return [
        {"kind": f"{method}, {start}", "end": end, "success": (GIBBS[end] if end < 200 else 0.9) + wobble(cell.seed),
         "exact": GIBBS[end], "exact_error": 1e-3}
        for method in ("langevin", "metropolis") for start in ("uniform", "minimum", "maximum") for end in cell.beta
    ]  # fmt: skip


def _descent(cell: toy.Config) -> list[dict]:
    stuck = 0.0 if cell.d == 3 else 0.007 + wobble(cell.seed)
    return [{"kind": name, "stuck": stuck, "highest": 1e-5} for name in ("hard", "infonce .1", "infonce .5", "dcl .2")]


def _string(cell: toy.Config) -> list[dict]:
    return [{"kind": "infonce .1", "barrier": 0.0 if cell.d == 3 else 0.027, "path": np.linspace(0, -1, 40)}]


MEANS = {("log", 0.1): 6855.0, ("log", 1.0): 652.0, ("log", 10.0): 150.0, ("log", 100.0): 11.0, ("fixed", 10.0): 159.3,
         ("fixed", 100.0): 130.0}  # fmt: skip


def _hitting(cell: toy.Config) -> list[dict]:
    records = []
    for (kind, value), mean in MEANS.items():
        labels = {"c": value, "end": 10.0} if kind == "log" else {"c": 0.0, "end": value}
        mean = mean * (1 + wobble(cell.seed))
        failure = 0.459 + wobble(cell.seed) if labels["c"] == 10 else 0.0
        records.append(
            {"kind": kind, "mean": mean, "median": mean, "p95": mean, "p99": mean, "failure": failure,
             "hits": np.array([1, 2])} | labels
        )  # fmt: skip
    return records


def _shapes(cell: toy.Config) -> list[dict]:
    return [
        {"kind": kind, "end": 100.0, "needed": count, "success": 0.9 + wobble(cell.seed, place)}
        for place, kind in enumerate(("log", "sqrt", "linear")) for count in cell.steps
    ]  # fmt: skip


def toy_world() -> Recorded:
    make = {"rates": _rates, "gibbs": _gibbs, "descent": _descent, "string": _string, "hitting": _hitting,
            "shapes": _shapes}  # fmt: skip
    return [(cell, make[cell.part](cell)) for cell in of_all_seeds(toy.PRESETS["default"])]


# ---- noise


def noise_world() -> Recorded:
    """The trace is all there is."""
    recorded = []
    for cell in of_all_seeds(noise.PRESETS["default"]):
        records = []
        for place, kind in enumerate((*noise.MODELS, noise.CORRECTED)):
            level = {"small": 0.97, "large": 0.01}.get(kind.split(",")[0], 0.866)
            level = 0.866 if kind == noise.CORRECTED else level
            success = level + wobble(cell.seed, place)
            if cell.part == "fixed":
                records += [{"kind": kind, "end": end, "success": success, "exact": level} for end in cell.beta]
            elif kind != noise.CORRECTED:
                records += [{"kind": kind, "c": c, "end": 10.0, "success": success} for c in cell.rates]
        recorded.append((cell, records))
    return recorded


# ---- traps


def _escaped(cell: traps.Config, ratio: float) -> float:
    return 1e-4 if ratio <= 1 else 0.3 if cell.part == "exact" else 1 - 1 / ratio


def traps_world() -> Recorded:
    """A sharp transition at c*, under both couplings."""
    step, recorded = np.array([1, 100, 10_000, 1_000_000]), []
    for cell in traps.PRESETS["default"]:
        if cell.part == "depth":
            kinds = {
                "anchor, hard": 2**0.5 - 1,
                "anchor, tau .2": 0.2757,
                "square, hard": 1 / 16,
                "square, infonce .1": 0.028,
            }
            records = [
                {"kind": kind, "depth": depth, "barrier": depth, "critical": 1 / depth, "deviation": 1e-10}
                for kind, depth in kinds.items()
            ]
        elif cell.part == "exact":
            records = [
                {"ratio": ratio, "kind": kind, "critical": 2.4, "estimate": 2.4, "last": share * _escaped(cell, ratio),
                 "step": step, "trapped": share * _escaped(cell, ratio) * np.ones(len(step))}
                for ratio in cell.ratios for kind, share in (("trap", 1.0), ("uniform", 0.25))
            ]  # fmt: skip
        else:
            continue
        recorded.append((cell, records))
    for cell in of_all_seeds([cell for cell in traps.PRESETS["default"] if cell.part in ("chains", "square")]):
        records = [
            {"ratio": ratio, "kind": "trap", "exact": _escaped(cell, ratio),
             "trapped_at_end": _escaped(cell, ratio) * (1 + wobble(cell.seed))}
            for ratio in cell.ratios
        ]  # fmt: skip
        recorded.append((cell, records))
    return recorded


# ---- shapes and the bound

SUCCESS = {"log": 0.85, "sqrt": 0.95, "linear": 0.98, "cosine": 0.985, "exponential": 0.99, "adaptive": 0.95,
           "adaptive, relaxing": 0.92, "fixed": 0.75}  # fmt: skip
BUDGET = {"log": 0.85, "log, restarts": 0.97, "exponential": 0.98, "exponential, restarts": 0.98, "tempering": 0.95}


def shapes_world() -> Recorded:
    presets = shapes.PRESETS["default"]
    exact = [
        (cell, [{"kind": kind, "success": value} for kind, value in SUCCESS.items()])
        for cell in presets if cell.part == "exact"
    ]  # fmt: skip
    budget = [
        (
            cell,
            [{"kind": kind, "success": value + wobble(cell.seed, k)} for k, (kind, value) in enumerate(BUDGET.items())],
        )
        for cell in of_all_seeds([cell for cell in presets if cell.part == "budget"])
    ]
    return exact + budget


def bound_world() -> Recorded:
    """The failure falls like t^-(c eps), and the bound is half as much again."""
    step, recorded = np.array([10, 100, 1000, 10_000, 100_000]), []
    for cell in bound.PRESETS["default"]:
        records = []
        for ratio in (*cell.ratios, 0.62):
            predicted = ratio / 0.4142 * cell.eps
            exact = step**-predicted
            records.append(
                {"ratio": ratio, "recommended": ratio == 0.62, "exponent": predicted + 0.02, "predicted": predicted,
                 "last_bound": 1e-3 * (1 + abs(ratio - 0.62)), "step": step, "exact": exact, "bound": 1.5 * exact,
                 "gibbs": exact}
            )  # fmt: skip
        recorded.append((cell, records))
    return recorded


# ---- contrastive training

ACCURACY = {"random": 79.0, "tau 1": 76.0, "tau .5": 81.0, "tau .2": 81.0, "tau .05": 81.0, "tau 1e-6": 78.0, "log":
            81.5, "published log": 80.0, "published sqrt": 80.1}  # fmt: skip


def contrastive_world() -> Recorded:
    """What was published, and annealing does a little good."""
    recorded = []
    for place, cell in enumerate(of_all_seeds(contrastive.PRESETS["default"])):
        accuracy = ACCURACY[cell.plan] + 10 * wobble(cell.seed, place)
        sharp = cell.plan == "tau .2"
        recorded.append((cell, [
            {"origin": "made up", "train_images": 10_000, "diverged": False, "accuracy": accuracy,
             "alignment": 0.37 + wobble(place) if sharp else 0.16,
             "uniformity": -3.1 + wobble(place) if sharp else -2.3,
             "rank": 10.0, "step": np.arange(0, 240, 10), "loss": np.linspace(6, 5, 24)}
        ]))  # fmt: skip
    return recorded


WORLDS: dict[str, Callable[[], Recorded]] = {
    "toy": toy_world,
    "noise": noise_world,
    "traps": traps_world,
    "shapes": shapes_world,
    "bound": bound_world,
    "contrastive": contrastive_world,
}
"""Experiment -> its cells and records."""


def world() -> World:
    """Fresh results of all experiments."""
    return {name: Results.from_records(make(), name) for name, make in WORLDS.items()}
