"""Made-up networks of which every claim of `claims.mechanism` holds, and what has to change against each of them.

No other test file is imported here: `worlds` and `plants` take these in.
"""

import numpy as np

from icl_lrt.experiments import dynamics, mechanism

SEEDS = range(4)
TASKS = ("task_A_regular", "task_B_regular")
Recorded = list[tuple[object, list[dict]]]


def _noise(seed: int, place: int = 0) -> float:
    """A factor near 1 that differs between seeds."""
    return 1 + 0.01 * np.sin(7 * seed + place)


def _layers(a: bool, noise: float) -> dict:
    """The lens reads task A after the first layer, a probe both tasks, and only what is in A's stream is used."""
    by_layer = {
        "lens_published_{}_pearson": (0.0, 0.26 if a else -0.02, 0.87 if a else 0.71),
        "lens_cut_{}_pearson": (0.0, 0.26 if a else 0.02, 0.9),
        "lens_llr_{}_spearman": (0.0, 0.26 if a else 0.02, 0.9),
        "probe_cut_{}": (0.0, 0.27 if a else 0.25, 0.9),
        "probe_norm_{}": (0.0, 0.6 if a else 0.95, 0.9),
        "patch_labels_{}": (0.0, 0.25 if a else 0.02, 1.0),
    }
    return {
        name.format(layer): value * noise for name, values in by_layer.items() for layer, value in enumerate(values)
    }


def _heads(a: bool, noise: float) -> dict:
    """Task A has aligned heads in both layers, one of them dear, task B in the last; all of them vote as they write."""
    return {
        "first_alignment": (0.75 if a else 0.15) * noise, "last_alignment_for": 0.85 * noise,
        "last_alignment_against": 0.8 * noise, "first_vote": 0.2, "last_vote": 0.8,
        "first_aligned_vote": 0.15 * noise, "last_aligned_vote": 0.4 * noise, "zero_alignment_pearson": 0.45 * noise,
        "zero_alignment_pearson_p": 0.3, "zero_size_pearson": 0.6, "mean_alignment_pearson": 0.4,
        "costliest_drop": (0.11 if a else 0.03) * noise, "costliest_alignment": 0.85 * noise, "first_zero_bce": 0.5,
        "first_mean_bce": 0.15 * noise, "share_heads_0": (0.12 if a else 0.01) * noise, "share_feedforward_0": 0.01,
    }  # fmt: skip


def mechanism_world() -> Recorded:
    recorded = []
    for cell in (mechanism.Config(variant, seed=seed) for variant in TASKS for seed in SEEDS):
        known = cell.task_name == "A", _noise(cell.seed)
        recorded.append((cell, [{"diverged": False} | _layers(*known) | _heads(*known)]))
    return recorded


def dynamics_world() -> Recorded:
    """Each logit is a smoother for a while, task A's of the published kernel, at step 500, and ends at Bayes."""
    recorded, step = [], np.arange(0, 2400, 100)
    for variant in TASKS:
        for seed in SEEDS:
            noise, late = _noise(seed), 1 / (1 + np.exp(-(step - 900) / 150))  # Bayes, from step 900 on
            early = np.exp(-(((step - 500) / 150) ** 2))
            curves = {"accuracy": 0.5 + 0.29 * late, "bce": 0.69 - 0.24 * late, "bayes": 0.98 * late * noise}
            for kernel in ("dot", "fair"):
                curves |= {
                    kernel: (0.55 * early + 0.29 * late) * noise,
                    f"{kernel}_given_bayes": 0.5 * early * noise,
                    f"bayes_given_{kernel}": 0.97 * late * noise,
                }
            scalars = {"diverged": False, "bayes_accuracy": 0.79, "dot_accuracy": 0.56, "fair_accuracy": 0.71}
            record = {"step": step} | curves | scalars | {"bayes_dot": 0.3, "bayes_fair": 0.7}
            recorded.append((dynamics.Config(variant, seed=seed), [record]))
    return recorded


WORLDS = {"mechanism": mechanism_world, "dynamics": dynamics_world}
"""Experiment -> its cells and records."""


def _network(column: str, value, task: str, **where) -> tuple:
    return "mechanism", column, value, {"variant": f"task_{task}_regular"} | where


def _watched(column: str, value, task: str = "A", **where) -> tuple:
    return "dynamics", column, value, {"variant": f"task_{task}_regular"} | where


PLANTS: dict[str, tuple] = {
    "C5-training-peak": _watched("dot", lambda r: r / 2),
    "C5-training-phase": _watched("bayes_given_dot", 0.9),
    "C5-training-order": _watched("bayes", 0.95, step=100),
    "C5-training-end": _watched("dot", 0.45, step=2300),
    "C5-training-B": _watched("fair_given_bayes", 0.0, "B"),
    "C6-lens-A": _network("lens_published_1_pearson", 0.05, "A"),
    "C6-lens-B": _network("lens_published_1_pearson", -0.3, "B"),
    "C6-lens-same-target": _network("lens_cut_1_pearson", 0.25, "B"),
    "C6-probe-B": _network("probe_cut_1", 0.05, "B"),
    "C6-probe-gap": _network("probe_cut_1", 0.6, "A"),
    "C6-norm-B": _network("probe_norm_1", 0.8, "B"),
    "C6-patch-A": _network("patch_labels_1", 0.05, "A"),
    "C6-patch-B": _network("patch_labels_1", -0.3, "B"),
    "C6-direct": _network("share_feedforward_0", 0.5, "B"),
    "C7-first-A": _network("first_alignment", 0.4, "A"),
    "C7-first-B": _network("first_alignment", 0.6, "B"),
    "C7-last-A": _network("last_alignment_against", -0.6, "A"),
    "C7-last-B": _network("last_alignment_for", 0.3, "B"),
    "C7-votes-first-A": _network("first_aligned_vote", -0.1, "A"),
    "C7-votes-last-A": _network("last_aligned_vote", -0.1, "A"),
    "C7-votes-last-B": _network("last_aligned_vote", -0.1, "B"),
    "C7-drop": _network("zero_alignment_pearson", -0.9, "B"),
    "C7-drop-chance": _network("zero_alignment_pearson_p", 0.001, "A", seed=1),
    "C7-costliest": _network("costliest_alignment", -0.8, "A"),
    "C7-one-head": _network("costliest_drop", 0.2, "B"),
    "C7-mean-ablation": _network("first_mean_bce", lambda added: 10 * added, "B"),
}
"""Claim -> experiment, column, new value or a function of the old ones, and the rows: what contradicts it."""

BESIDES: dict[str, set[str]] = {
    # Where the lens has no gap there is nothing of it that a probe could leave.
    "C6-lens-same-target": {"C6-probe-gap"},
    # What a probe does not read in B, but does in A, is a gap.
    "C6-probe-B": {"C6-probe-gap"},
}
"""What else a plant takes away, and why it cannot be otherwise; nothing where an id is not there."""

ABOUT_EVERY_VALUE = {"C7-drop-chance"}
"""Statements that one value can contradict; all others are judged over seeds."""
