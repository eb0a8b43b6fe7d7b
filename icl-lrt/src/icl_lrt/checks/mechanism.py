"""Inside the networks, and on their way (claims C6, C7 and C5 along training; experiments `mechanism` and `dynamics`).

Thresholds were fixed with one network of each task at hand, seed 0, which is not among the seeds of `default`.
"""

import pandas as pd

from icl_lrt.checks.judging import points, rows, seeds, shown
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, per_seed, worst
from repro_shared.results import Results

READABLE = 0.1
"""Correlation, or share of the way, from which something is there: a tenth. Published networks have .03 at most where
nothing is said to be, .21 to .33 where a part is.
"""
STRONG = 0.5
"""Cosine of a head that is aligned with the answer: about the middle of the published .20 and .70 of the first layer.
Directions at random in 128 dimensions have .09.
"""
LINEAR = 0.9
"""Correlation from which we call a quantity linear in a stream."""
SAME = 0.05
"""Of two correlations that do not differ: some two standard errors of the difference on 1,000 queries."""
EXCESS = 0.1
"""Of the largest of two dozen such differences above another correlation: twice as much."""
BAYES = 0.9
"""Correlation with the Bayes log-odds from which a network of task A is near them; trained ones come to .98."""


def _networks(results: dict[str, Results], task: str, experiment: str = "mechanism") -> pd.DataFrame:
    return rows(results, experiment, variant=f"task_{task}_regular")


def _both(results: dict[str, Results]) -> pd.DataFrame:
    return pd.concat([_networks(results, task) for task in "AB"])


def _gap(results: dict[str, Results], column: str) -> pd.Series:
    """Task A minus task B, by seed."""
    a, b = (seeds(_networks(results, task), column) for task in "AB")
    return a - b


# ---- C6: in which layer


def after_first_layer(task: str, column: str, there: bool) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """`column`, which has a layer in it, after the first one: above `READABLE`, or its size below."""
        table = _networks(results, task)
        layers = range(int(table["layers"].max()) + 1) if len(table) else ()
        why = "After each layer, from the embedding on: "
        why += f"{shown([seeds(table, column.format(layer)).mean() for layer in layers], 2)}."
        values = seeds(table, column.format(1))
        if there:
            return judge(values, why, supported_above=READABLE)
        return judge(values.abs(), why, supported_below=READABLE)

    return check


def lens_gap(results: dict[str, Results]) -> Finding:
    """Lens after the first layer against the log-likelihood ratio, cut at 10 nats in both tasks: A minus B, above
    `READABLE`.
    """
    why = f"By ranks, against the whole ratio: {_gap(results, 'lens_llr_1_spearman').mean():.2f}."
    return judge(_gap(results, "lens_cut_1_pearson"), why, supported_above=READABLE)


def probe_gap(results: dict[str, Results]) -> Finding:
    """A minus B of the probe over the same of the lens, after the first layer: "mostly vanishes" is below half. Without
    a gap of the lens there is no quotient.
    """
    lens, probe = _gap(results, "lens_cut_1_pearson"), _gap(results, "probe_cut_1")
    why = f"A minus B: lens {lens.mean():.2f}, probe {probe.mean():.2f}."
    return judge(probe / lens.where(lens > 0), why, supported_below=0.5)


def norm_is_linear(results: dict[str, Results]) -> Finding:
    """Probe for |x|^2 of the query, of which task B's log-likelihood ratio is a function, after the first layer: above
    `LINEAR`.
    """
    table = _networks(results, "B")
    why = (
        f"Of the embedding, which is linear in x: {seeds(table, 'probe_norm_0').mean():.2f}. In task A, whose rule has "
        f"no use for it: {seeds(_networks(results, 'A'), 'probe_norm_1').mean():.2f}."
    )
    return judge(seeds(table, "probe_norm_1"), why, supported_above=LINEAR)


def first_layer_answers(results: dict[str, Results]) -> Finding:
    """Share of the logit's variance that heads and feed-forward block of the first layer write themselves: A minus B,
    above 0.
    """
    heads = shown([seeds(_networks(results, task), "share_heads_0").mean() for task in "AB"], 2)
    why = f"Heads alone, A and B: {heads}. What later layers make of it does not count here."
    return judge(_gap(results, "share_heads_0") + _gap(results, "share_feedforward_0"), why, supported_above=0.0)


# ---- C7: heads


def alignment(task: str, column: str, strong: bool) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """OV alignment: the largest of a layer, or that of one head. Above `STRONG`, or below."""
        values = seeds(_networks(results, task), column)
        threshold = {"supported_above": STRONG} if strong else {"supported_below": STRONG}
        return judge(values, f"By seed: {shown(values, 2)}.", **threshold)

    return check


def both_signs(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Last layer: the lesser of the strongest alignments for and against the answer; above `STRONG`."""
        table = _networks(results, task)
        sides = pd.DataFrame({side: seeds(table, f"last_alignment_{side}") for side in ("for", "against")})
        why = f"By seed, for: {shown(sides['for'], 2)}; against: {shown(sides['against'], 2)}."
        return judge(sides.min(axis=1, skipna=False), why, supported_above=STRONG)

    return check


def votes(task: str, layer: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """A head's alignment times the rank correlation of its vote with the log-likelihood ratio, mean over the heads
        of the first, or last, layer: above 0. The vote is the query's attention to class 1 minus that to class 0.
        """
        table = _networks(results, task)
        largest = seeds(table, f"{layer}_vote")
        why = f"Largest correlation of a head's vote, in size, by seed: {shown(largest, 2)}."
        return judge(seeds(table, f"{layer}_aligned_vote"), why, supported_above=0.0)

    return check


def aligned_heads_are_worth_more(results: dict[str, Results]) -> Finding:
    """Pearson's r, over the heads of a network, of OV alignment and the accuracy lost without the head
    (zero-ablation), mean of both tasks: above 0.
    """
    table = _both(results)
    size, mean = (seeds(table, name).mean() for name in ("zero_size_pearson", "mean_alignment_pearson"))
    why = f"With the size of the alignment {size:.2f}; with mean-ablation {mean:.2f}."
    return judge(seeds(table, "zero_alignment_pearson"), why, supported_above=0.0)


def no_network_shows_it(results: dict[str, Results]) -> Finding:
    """Least exact permutation p of these correlations: not below .05 over the number of networks (Bonferroni). Where
    there is no correlation, because no head costs anything, its p shows nothing.
    """
    table = _both(results)
    p = table["zero_alignment_pearson_p"].where(table["zero_alignment_pearson"].notna())
    least = 0.05 / max(len(p), 1)
    return worst(p, f"{len(p)} networks: asked for is {least:.4f} or more.", least=least)


def one_head_costs_more(results: dict[str, Results]) -> Finding:
    """Accuracy lost without the most important head (zero-ablation), points: A minus B, above 0."""
    drops = {task: points(seeds(_networks(results, task), "costliest_drop")) for task in "AB"}
    why = f"By seed, A: {shown(drops['A'], 1)}; B: {shown(drops['B'], 1)}."
    return judge(drops["A"] - drops["B"], why, supported_above=0.0)


def zero_overstates(results: dict[str, Results]) -> Finding:
    """Cross-entropy that mean-ablation of the first layer's heads adds over that of zero-ablation, sums over heads,
    mean of both tasks: below half, so that most of the published intervention is a shift never seen in training.
    """
    table = _both(results)
    ratio = table["first_mean_bce"] / table["first_zero_bce"].where(table["first_zero_bce"] > 0)
    why = f"By task, A and B: {shown(ratio.groupby(table['variant']).mean(), 2)}."
    return judge(per_seed(ratio, table["seed"], "mean"), why, supported_below=0.5)


# ---- C5: on the way


def _curves(results: dict[str, Results], task: str) -> dict[int, pd.DataFrame]:
    """Seed -> what was watched of a network, unless its training has diverged."""
    table, curves = _networks(results, task, "dynamics"), results["dynamics"].curves
    sound = table[~table["diverged"].astype(bool)]
    return {seed: curves[curves["row"] == row] for row, seed in sound["seed"].items()}


def _at_peak(results: dict[str, Results], task: str, kernel: str) -> pd.DataFrame:
    """By seed, the watch at which the logit is most like a smoother; missing where the curves have gaps."""
    needed = ["step", "accuracy", "bayes", kernel, f"{kernel}_given_bayes", f"bayes_given_{kernel}"]
    found = pd.DataFrame(columns=needed, index=_networks(results, task, "dynamics")["seed"], dtype=float)
    for seed, curve in _curves(results, task).items():
        if curve[needed].notna().all(axis=None):
            found.loc[seed] = curve.loc[curve[kernel].idxmax(), needed].astype(float)
    return found


def smoother_peaks(results: dict[str, Results]) -> Finding:
    """Largest r of task A's logit with the published smoother along training, minus that of Bayes: above `EXCESS`.

    All seeds are asked the same queries: their noise is not in the interval.
    """
    peak, table = _at_peak(results, "A", "dot"), _networks(results, "A", "dynamics")
    own, accuracy = (seeds(table, name) for name in ("bayes_dot", "dot_accuracy"))
    why = (
        f"{peak['dot'].mean():.2f} at step {peak['step'].mean():.0f}, and Bayes {own.mean():.2f}. Accuracy is "
        f"{peak['accuracy'].mean():.3f} then, that of the smoother {accuracy.mean():.3f}."
    )
    return judge(peak["dot"] - own, why, supported_above=EXCESS)


def smoother_before_bayes(task: str, kernel: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Where the logit is most like the smoother: its partial r with the smoother, given Bayes, minus that with
        Bayes, given the smoother; above 0.
        """
        peak = _at_peak(results, task, kernel)
        smoother, bayes = peak[f"{kernel}_given_bayes"], peak[f"bayes_given_{kernel}"]
        why = f"At step {peak['step'].mean():.0f}: {smoother.mean():.2f} and {bayes.mean():.2f}."
        return judge(smoother - bayes, why, supported_above=0.0)

    return check


def peak_comes_first(results: dict[str, Results]) -> Finding:
    """Step of the peak minus that of the first watch with an r with Bayes above `BAYES`, task A: below 0. A network
    that does not get there has no difference.
    """
    peak = _at_peak(results, "A", "dot")["step"]
    near = {seed: curve.loc[curve["bayes"] > BAYES, "step"].min() for seed, curve in _curves(results, "A").items()}
    near = pd.Series(near, dtype=float).reindex(peak.index)
    why = f"Steps {peak.mean():.0f} and {near.mean():.0f}; there are 24 watches."
    return judge(peak - near, why, supported_below=0.0)


def smoother_is_left(results: dict[str, Results]) -> Finding:
    """r with the published smoother at the end minus that of Bayes, task A: below `SAME`."""
    ends = pd.DataFrame({seed: curve.iloc[-1] for seed, curve in _curves(results, "A").items()}).T
    own = seeds(_networks(results, "A", "dynamics"), "bayes_dot")
    ends = ends.reindex(index=own.index, columns=["dot", "dot_given_bayes"]).astype(float)
    why = f"{ends['dot'].mean():.2f}, and Bayes {own.mean():.2f}; given Bayes {ends['dot_given_bayes'].mean():.2f}."
    return judge(ends["dot"] - own, why, supported_below=SAME)
