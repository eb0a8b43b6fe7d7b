"""What trained networks do inside: where the answer appears, which heads carry it, what happens without them (C6, C7)

One cell is one network, the same as in `regular`, asked on fresh episodes. Everything is measured for both tasks alike:

- lens: the head's answer after each layer, against the log-likelihood ratio, and against the published target, which is
  the label in task B; trained linear probes beside it, with a null of permuted targets;
- OV alignment of each head, and what is lost without the head (zero- and mean-ablation, paired), with exact permutation
  tests of their correlation over heads; how the query's attention votes;
- interventions: the query's stream after a layer taken from a run with other labels, or with another context;
- direct attribution: how much of the logit's variance is written by which part.

Expect 20 s per cell of `default` on one core once the network is there (`trained.trained`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from icl_lrt.experiments.performance import Evaluation, estimates, fresh_episodes
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, trained
from icl_lrt.recipe import PUBLISHED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

CUT = 10.0
"""Nats where the log-likelihood ratio is cut, in both tasks, for what is linear in it: task B's runs to hundreds, and
its tails would decide every fit; in task A nothing is beyond (ours).
"""
DONORS = ("labels", "context")
"""Runs that the query's stream is taken from; "query" is for networks without a mask only."""


@dataclass(frozen=True)
class Config(Evaluation):
    episodes: int = 1_200
    """Fresh episodes."""
    queries: int = 8
    """Queries of an episode; standard errors are over episodes."""
    permutations: int = 200
    """Of targets (probes) and labels (votes), for their nulls."""

    def __post_init__(self):
        super().__post_init__()
        if self.episodes < 128 or self.permutations < 1:
            raise ValueError(
                f"episodes = {self.episodes}, permutations = {self.permutations}; choose at least 128, which are two "
                "batches of 64, and 1"
            )
        if not self.recipe().architecture.labels:
            raise ValueError(
                f"variant = {self.variant} is not shown labels: choose one that is, {', '.join(_LABELLED)}"
            )


_LABELLED = [name for name, changes in PUBLISHED.items() if changes.get("labels", True)]


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record. By layer l of the query's stream (0: the embedding): `lens_<target>_<l>_<statistic>`,
    `probe_<target>_<l>`, `patch_<donor>_<l>`. By layer (rows) and head (columns), arrays: `alignment`, `<kind>_drop`,
    `vote_<...>`, `share_head`; of these, `first_...` and `last_...` layer, and the `costliest_...` head. Correlations
    of the drop with the alignment, or with its size: `<kind>_<alignment or size>_<statistic>`. Shares of the logit's
    variance: `share_<part>`. Standard errors end in `_se`.
    """
    from icl_lrt.mechanism import trace

    kept = trained(cell, scratch)
    episodes = fresh_episodes(cell, cell.task())
    seen = trace(kept.model, episodes)
    record = {"diverged": kept.diverged} | _layers(cell, kept.model, episodes, seen)
    record |= _heads(cell, kept.model, episodes, seen)
    return [record | _patches(kept.model, episodes) | _shares(kept.model, seen)]


def _layers(cell: Config, model, episodes, seen) -> dict:
    """What can be read from the query's stream after each layer: by the head, and by a trained probe."""
    from icl_lrt.mechanism import PUBLISHED_TARGET, logit_lens, readouts, ridge_probes
    from icl_lrt.seeds import generator

    cut = episodes.llr.clamp(-CUT, CUT)
    lens, record = logit_lens(model, seen.streams), {}
    for name, target in {"llr": episodes.llr, "cut": cut, "label": episodes.label}.items():
        for layer in readouts(lens, target, generator(cell.seed, "lens", name)):
            place = f"lens_{name}_{layer.layer}"
            record |= estimates(f"{place}_pearson", layer.pearson) | estimates(f"{place}_spearman", layer.spearman)
            if name == PUBLISHED_TARGET[cell.task_name]:
                place = f"lens_published_{layer.layer}"
                record |= estimates(f"{place}_pearson", layer.pearson_batched)
                record |= estimates(f"{place}_spearman", layer.spearman_batched)
    for name, target in {"cut": cut, "norm": episodes.query.double().square().sum(-1)}.items():
        stream = generator(cell.seed, "probe", name)
        for probe in ridge_probes(seen.streams, target, stream, cell.permutations):
            place = f"probe_{name}_{probe.layer}"
            null = float(probe.null[1:].abs().quantile(0.95))
            record |= estimates(place, probe.pearson) | {f"{place}_p": probe.p, f"{place}_null": null}
    return record


def _heads(cell: Config, model, episodes, seen) -> dict:
    """OV alignment, ablations with their tests, votes; and of these what the claims are about."""
    from icl_lrt.estimates import pearson, spearman
    from icl_lrt.mechanism import ablations, alignment_test, ov_alignment, voting
    from icl_lrt.seeds import generator

    ov = ov_alignment(model)
    alignment = ov.alignment.double().numpy(force=True)
    record = {"alignment": alignment, "alignment_norm": ov.norm.double().numpy(force=True)}
    for kind in ("zero", "mean"):
        lost = ablations(model, episodes, kind)
        for name, measure in {"drop": "accuracy_drop", "bce": "bce_increase", "rmse": "logit_rmse"}.items():
            found = [getattr(ablation, measure) for ablation in lost]
            record[f"{kind}_{name}"] = np.reshape([one.value for one in found], alignment.shape)
            record[f"{kind}_{name}_se"] = np.reshape([one.se for one in found], alignment.shape)
        for given, values in {"alignment": ov.alignment, "size": ov.alignment.abs()}.items():
            for name, of in {"pearson": pearson, "spearman": spearman}.items():
                test = alignment_test(values, lost, generator(cell.seed, "heads", kind, given, name), of)
                record |= {f"{kind}_{given}_{name}": test.r, f"{kind}_{given}_{name}_p": test.p}
    votes = voting(seen, episodes.y, episodes.llr, generator(cell.seed, "votes"), cell.permutations)
    for name, value in {
        "pearson": lambda vote: vote.pearson.value,
        "spearman": lambda vote: vote.spearman.value,
        "p": lambda vote: vote.p,
        "entropy": lambda vote: vote.entropy,
        "to_self": lambda vote: vote.to_self,
    }.items():
        record[f"vote_{name}"] = np.reshape([value(vote) for vote in votes], alignment.shape)
    costliest = np.unravel_index(record["zero_drop"].argmax(), alignment.shape)
    voting_along = (alignment * record["vote_spearman"]).mean(1)
    return record | {
        "first_alignment": float(np.abs(alignment[0]).max()),
        "last_alignment_for": float(alignment[-1].max()),
        "last_alignment_against": float(-alignment[-1].min()),
        "first_vote": float(np.abs(record["vote_spearman"][0]).max()),
        "last_vote": float(np.abs(record["vote_spearman"][-1]).max()),
        "first_aligned_vote": float(voting_along[0]),
        "last_aligned_vote": float(voting_along[-1]),
        "first_zero_bce": float(record["zero_bce"][0].sum()),
        "first_mean_bce": float(record["mean_bce"][0].sum()),
        "costliest_drop": float(record["zero_drop"][costliest]),
        "costliest_alignment": float(alignment[costliest]),
        "costliest_layer": int(costliest[0]) + 1,
    }


def _patches(model, episodes) -> dict:
    """Share of the way from the base's logit to the donor's, the query's stream being the donor's after a layer."""
    from icl_lrt.mechanism import patches

    record = {}
    for donor in DONORS:
        for patch in patches(model, episodes, donor):
            record |= estimates(f"patch_{donor}_{patch.layer}", patch.recovery)
    return record


def _shares(model, seen) -> dict:
    """Of the logit's variance, by the part that wrote it; `share_heads_<l>` and so on add up to 1."""
    from icl_lrt.mechanism import attributions, variance_shares

    written, layers = attributions(model, seen), range(len(model.layers))
    parts = {name: written[name] for name in ("embedding", "biases")}
    for layer in layers:
        heads = [part for name, part in written.items() if name.startswith(f"layer {layer} head")]
        parts |= {f"heads_{layer}": sum(heads), f"feedforward_{layer}": written[f"layer {layer} feed-forward"]}
    record = {}
    for name, share in variance_shares(parts, seen.logit).items():
        record |= estimates(f"share_{name}", share)
    single = {name: part for name, part in written.items() if " head " in name}
    shares = [share.value for share in variance_shares(single, seen.logit).values()]
    return record | {"share_head": np.reshape(shares, (len(layers), -1))}


_TASKS = ("task_A_regular", "task_B_regular")
_SMOKE = {"size": "tiny", "steps": 150, "episodes": 200, "queries": 2, "permutations": 20}

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(variant, **_SMOKE) for variant in _TASKS],
    "default": [Config(variant, seed=seed) for variant in _TASKS for seed in FRESH_SEEDS],
    "paper": [
        Config(variant, method, seed=seed, episodes=6_400, queries=1)
        for variant in _TASKS
        for method in ("faithful", "multi_query")
        for seed in PUBLISHED_SEEDS
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Lens and probes, OV maps, ablation and votes against alignment, patching, attribution."""
    from icl_lrt.experiments.mechanism_figures import draw

    return draw(results)
