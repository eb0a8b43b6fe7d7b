"""Trained networks beside the oracle, the Bayes predictive and kernel smoothers (claims C1 to C3 and C5, experiment
`regular`).
"""

import pandas as pd

from icl_lrt.checks.judging import points, rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, within
from repro_shared.results import Results

CORRELATION = 0.03
"""How far from a published correlation ours may be: its three seeds span .04 (task A, .823 to .862)."""
ACCURACY = 0.015
"""How far from a published accuracy ours may be: its t-interval over three seeds (.7 to 1.1 points; the published
one, by z, is half as wide) and the .7 points of base rates in 5,000 labels.
"""
KERNEL = 0.05
"""How far from a published correlation with a kernel ours may be: published networks of one task span .03."""


def _regular(results: dict[str, Results], task: str) -> pd.DataFrame:
    return rows(results, "regular", variant=f"task_{task}_regular")


# ---- C1: the log-likelihood ratio


def correlation(task: str, column: str, published: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Correlation of the logit with the log-likelihood ratio: the published one, give or take `CORRELATION`."""
        table = _regular(results, task)
        ceiling = seeds(table, f"ceiling_{column}").mean()
        why = f"The Bayes predictive has {ceiling:.3f}."
        return within(seeds(table, f"oracle_{column}"), published, CORRELATION, why)

    return check


def ceiling(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Spearman's rho with the log-likelihood ratio, the Bayes predictive's minus the network's: below .05, our
        reading of "little more".
        """
        table = _regular(results, task)
        both = seeds(table, "ceiling_spearman"), seeds(table, "oracle_spearman")
        why = f"Means: Bayes {both[0].mean():.3f}, network {both[1].mean():.3f}."
        return judge(both[0] - both[1], why, supported_below=0.05)

    return check


def monotone(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of the logit's variance that an increasing function of the Bayes log-odds explains: above .9, our
        reading of "is a function of".
        """
        table = _regular(results, task)
        why = f"By one of the log-likelihood ratio: {seeds(table, 'oracle_isotonic_r2').mean():.3f}."
        return judge(seeds(table, "bayes_isotonic_r2"), why, supported_above=0.9)

    return check


# ---- C2 and C3: accuracy and regret


def accuracy(task: str, published: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """The published accuracy, give or take `ACCURACY`."""
        table = _regular(results, task)
        why = f"On the same queries Bayes has {seeds(table, 'bayes_accuracy').mean():.4f}."
        return within(seeds(table, "accuracy"), published, ACCURACY, why)

    return check


def gap(task: str, reference: str, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Accuracy of the reference minus the network's, paired, in points. "Matches": below half a point, four
        standard errors of one network's gap; "below": above 0.
        """
        table = _regular(results, task)
        why = f"Standard error over episodes, of one network: {100 * table[f'{reference}_accuracy_gap_se'].mean():.2f}."
        return judge(points(seeds(table, f"{reference}_accuracy_gap")), why, **threshold)

    return check


def regret(task: str, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Cross-entropy minus that of the Bayes predictive, nats, paired; against 0, or against the mean of the three
        published networks, which we have evaluated.
        """
        table = _regular(results, task)
        why = f"Standard error over episodes, of one network: {table['bayes_bce_gap_se'].mean():.4f}."
        return judge(seeds(table, "bayes_bce_gap"), why, **threshold)

    return check


def information(results: dict[str, Results]) -> Finding:
    """Of the network's accuracy gap to the oracle, the part that Bayes has too, per cent: above 50, "most of it"."""
    table = _regular(results, "A")
    limit = seeds(table, "oracle_accuracy") - seeds(table, "bayes_accuracy")
    whole = seeds(table, "oracle_accuracy_gap")
    why = f"Oracle minus Bayes {100 * limit.mean():.2f} points, oracle minus network {100 * whole.mean():.2f}."
    return judge(100 * limit / whole, why, supported_above=50.0)


# ---- C5: kernel smoothers


def kernel(results: dict[str, Results]) -> Finding:
    """Pearson's r of the logit with the published kernel smoother: .314, give or take `KERNEL`."""
    table = _regular(results, "A")
    why = f"The Bayes predictive, which is no kernel smoother, has {seeds(table, 'dot_bayes').mean():.3f}."
    return within(seeds(table, "dot_raw"), 0.314, KERNEL, why)


def control(results: dict[str, Results]) -> Finding:
    """The same r of the Bayes predictive minus the network's: 0, give or take `KERNEL`."""
    table = _regular(results, "A")
    return within(seeds(table, "dot_bayes") - seeds(table, "dot_raw"), 0.0, KERNEL, "Paired by network.")


def fair(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Pearson's r of the logit with a smoother that can express the task: above .5, what nobody would call low."""
        table = _regular(results, task)
        why = f"The Bayes predictive has {seeds(table, 'fair_bayes').mean():.3f} with it."
        return judge(seeds(table, "fair_raw"), why, supported_above=0.5)

    return check


def partial(task: str, which: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Partial r of logit and kernel given the Bayes log-odds: 0, give or take .1, which is 1 % of what Bayes leaves
        unexplained.
        """
        table = _regular(results, task)
        why = f"Without the control: {seeds(table, f'{which}_raw').mean():.3f}."
        return within(seeds(table, f"{which}_partial"), 0.0, 0.1, why)

    return check
