"""The paper's claims, and what our runs say of them.

"Feature Starvation as Geometric Instability in Sparse Autoencoders", Chaudhry, Yano and Monod, arXiv 2605.05341v1. Published numbers are
those of the authors' result files (seed 0 for the spiked model, mean of 3 seeds for Pythia-70M); the text has no table for them.

How verdicts are reached, fixed before the runs:
- Methods are compared at one sparsity, L0 = 8 (twice the teacher's k) in the spiked model and L0 = 64 on the language model, because
  lambda means something else for each of them. AEN may choose its lambda_2 from the grid, L1 and TopK have nothing else to tune.
- A statement is about the difference between two methods on the same teacher, data and initial weights, paired by seed. It is
  supported when the whole 95 % t-interval is beyond the margin below, contradicted when all of it is on the other side.
- Margins are differences that would matter to a user: 5 points of dead latents in the spiked model, 2 on the language model (where
  the published ones are all small), 0.02 of F1, amplitude ratio or explained variance.
- Where the initialisation matters, a claim is judged for both.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from repro_shared.claims import Claim, Finding, mean_interval, verdict_from_interval
from repro_shared.runlog import Results

from aen_sae.experiments.grids import LABELS, PENALISED
from aen_sae.experiments.matched import at_l0

L0_SPIKED, L0_LLM = 8.0, 64.0
DEAD_MARGIN, LLM_DEAD_MARGIN, MARGIN = 5.0, 2.0, 0.02
INITS = ("published", "centered")

Check = Callable[[dict[str, Results]], Finding]


def judge(differences: np.ndarray, why: str, **threshold: float) -> Finding:
    """Finding from one paired difference per seed. Seeds for which it is undefined (NaN) are left out; none left: inconclusive."""
    values = differences[~np.isnan(differences)]
    if len(values) == 0:
        return Finding(None, None, None, 0, "inconclusive", f"{why} Nothing to compare: the methods share no such L0.")
    mean, low, high = mean_interval(values)
    return Finding(mean, low, high, len(values), verdict_from_interval(low, high, **threshold), why)


def per_seed(table: pd.DataFrame, metric: str, method: str, l0: float, best: str) -> pd.Series:
    """`metric` of `method` at L0 = l0 by seed. Among several lambda_2 the one with the best (max, min) mean over seeds is taken."""
    rows = table[(table["method"] == method) & (table["statistic"] == "published")]
    if method in ("adaptive_lasso", "aen"):
        rows = rows[rows["ema_decay"] == rows["ema_decay"].max()]  # the slow average, which is the better one
    matched = at_l0(rows, l0, [metric])
    curves = matched.pivot_table(index="seed", columns="l2", values=metric, dropna=False) if rows["l2"].notna().any() else None
    if curves is None:
        return matched.set_index("seed")[metric]
    reached = curves.dropna(axis=1, how="all")
    if reached.empty:
        return curves.iloc[:, 0]
    return reached[getattr(reached.mean(), f"idx{best}")()]


def compare(experiment: str, metric: str, a: str, b: str, why: str, *, scale: float = 1.0, best: str, l0: float, **at) -> Check:
    """Check of `a` minus `b` in `metric` (times `scale`) at equal L0. Thresholds and row filters (init, rho) are keywords."""
    threshold = {key: at.pop(key) for key in list(at) if key.startswith(("supported", "contradicted"))}

    def check(results: dict[str, Results]) -> Finding:
        table = results[experiment].table
        for column, value in at.items():
            table = table[table[column] == value]
        first, second = (per_seed(table, metric, method, l0, best) for method in (a, b))
        differences = scale * (first - second)
        both = f"{scale * first.mean():.3g} against {scale * second.mean():.3g}"
        return judge(differences.to_numpy(float), f"{why} Means: {both}.", **threshold)

    return check


def at_equal_lambda(a: dict, b: dict, why: str, metric: str = "dead_fraction", scale: float = 100.0, **threshold: float) -> Check:
    """Check of spiked rows `a` minus rows `b` (column filters), paired by seed and lambda_1, averaged over lambda_1."""

    def select(table: pd.DataFrame, filters: dict) -> pd.Series:
        for column, value in filters.items():
            table = table[np.isclose(table[column], value) if isinstance(value, float) else table[column] == value]
        return table.groupby(["seed", "l1"])[metric].mean()

    def check(results: dict[str, Results]) -> Finding:
        table = _with_ema_speed(results["spiked"].table)
        first, second = select(table, a), select(table, b)
        differences = scale * (first - second).dropna().groupby("seed").mean()
        return judge(differences.to_numpy(float), f"{why} Means: {scale * first.mean():.3g} and {scale * second.mean():.3g}.", **threshold)

    return check


def _with_ema_speed(table: pd.DataFrame) -> pd.DataFrame:
    """Column `ema`: slow (the published .9999 or its equivalent in a shorter run) or fast, for methods with an average."""
    slow = table["ema_decay"] == table["ema_decay"].max()
    return table.assign(ema=np.where(table["ema_decay"].isna(), "none", np.where(slow, "slow", "fast")))


def lipschitz(results: dict[str, Results]) -> Finding:
    """Theorem: no pair of inputs may move the code by more than 1 / (2 sqrt(a2)). One violation beyond rounding contradicts it.

    1e-6 relative is far above the solver's tolerance (KKT 1e-9) and far below any real violation.
    """
    table = _part(results, "lipschitz")
    table = table[table["l2"] > 0]
    bound = 1 / (2 * np.sqrt(table["l2"].astype(float)))
    ratio = (table[["random_pairs", "adversarial_pairs", "far_pairs", "local_worst"]].max(axis=1) / bound).to_numpy(float)
    verdict = "supported" if ratio.max() <= 1 + 1e-6 else "contradicted"
    why = "Largest change of the exact code per change of the input, over random, far and worst-case pairs, in units of the bound."
    return Finding(float(ratio.max()), None, None, len(ratio), verdict, why)


def lipschitz_l1(results: dict[str, Results]) -> Finding:
    """Without l2 the constant should grow with coherence; a factor 2 from rho = 0 to the largest is a modest demand.

    For equi-coherent active atoms it is (1 - rho)^(-1/2), 3.2 at rho = .9.
    """
    table = _part(results, "lipschitz")
    worst = table[table["l2"] == 0].pivot_table(index="seed", columns="rho", values="local_worst")
    growth = (worst[worst.columns.max()] / worst[worst.columns.min()]).to_numpy(float)
    return judge(growth, f"Worst local constant of the l1 code at rho = {worst.columns.max()} over that at rho = 0.", supported_above=2.0)


def global_support(penalty: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Recovery of the global support means that (almost) no latent outside it fires: at most 1 % of them, at every rho."""
        table = _part(results, "support")
        off = table[["method", "seed", "off_support_latents"]].assign(share=100 * table["off_support_latents"] / (table["d"] - table["used"]))
        worst = off[off["method"] == penalty].groupby("seed")["share"].max().to_numpy(float)
        plain = off[off["method"] == "l1"]["share"].mean()
        why = f"Latents outside the true global support that fire on > 1 % of samples, exact codes, worst coherence. Plain L1: {plain:.0f} %."
        return judge(worst, why, supported_below=1.0)

    return check


def exact_codes(metric: str, what: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """AEN - L1 in `metric` of the exact codes at equal a1, averaged over coherences; the margin of the trained SAEs."""
        means = _part(results, "support").groupby(["method", "seed"])[metric].mean()
        why = f"{what}, mean over coherences: " + ", ".join(f"{LABELS[m]} {means[m].mean():.2f}" for m in PENALISED) + "."
        return judge((means["aen"] - means["l1"]).to_numpy(float), why, supported_above=MARGIN, contradicted_below=0.0)

    return check


def irrepresentable(results: dict[str, Results]) -> Finding:
    """Theorem: solver and closed form must agree on every sample, up to ties that the tolerance cannot tell (0.1 %)."""
    table = _part(results, "irc")
    share = 100 * table["agree"].sum() / table["samples"].sum()
    why = "Samples for which the solved support is right exactly where the generalised irrepresentable condition says so."
    return Finding(float(share), None, None, int(table["samples"].sum()), "supported" if share >= 99.9 else "contradicted", why)


def _part(results: dict[str, Results], part: str) -> pd.DataFrame:
    """Rows of one part at its main size and sharpness; the paper preset also has larger and sharper cells."""
    table = results["theory"].table
    return table[(table["part"] == part) & (table["n"] == table["n"].min()) & (table["gamma"] <= 1)]


def coherence_starves(init: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Dead latents of plain L1 at the largest coherence minus at rho = 0, same lambda_1; averaged over the common lambda_1."""
        table = results["spiked"].table
        table = table[(table["method"] == "l1") & (table["init"] == init)]
        dead = 100 * table.pivot_table(index=["seed", "l1"], columns="rho", values="dead_fraction")
        top = dead.columns.max()
        rise = (dead[top] - dead[0.0]).dropna().groupby("seed").mean().to_numpy(float)
        levels = ", ".join(f"{dead[rho].mean():.1f} % at rho = {rho}" for rho in dead.columns)
        return judge(rise, f"Plain L1: {levels} (all lambda_1).", supported_above=DEAD_MARGIN)

    return check


def differentiable(results: dict[str, Results]) -> Finding:
    """The gradient of the AEN loss against central differences in float64 at the trained SAEs. 1e-3 leaves room for ReLU kinks that a step
    of 1e-6 happens to cross; a selection or threshold in the loss would show as errors of order one."""
    table = results["spiked"].table
    errors = table[table["method"] == "aen"]["gradient_error"].to_numpy(float)
    median = float(np.median(errors))
    why = "Median relative error of the directional derivative over all AEN runs, which train without resampling or auxiliary loss. True by construction."
    return Finding(median, float(errors.min()), float(errors.max()), len(errors), "supported" if median < 1e-3 else "contradicted", why)


def init_effect(method: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Dead latents, published minus centered initialisation, at rho = .9 and L0 = 8. 20 points: an effect as large as those claimed for losses."""
        table = results["spiked"].table
        table = table[table["rho"] == table["rho"].max()]
        dead = {init: 100 * per_seed(table[table["init"] == init], "dead_fraction", method, L0_SPIKED, "min") for init in INITS}
        means = ", ".join(f"{init} {values.mean():.1f} %" for init, values in dead.items())
        return judge((dead["published"] - dead["centered"]).to_numpy(float), f"Dead latents at L0 = 8: {means}.", supported_above=20.0)

    return check


def raw_patching(results: dict[str, Results]) -> Finding:
    """Cross-entropy recovered with the correct patch minus with the published one. 0.1 would change conclusions about any SAE."""
    table = results["llm"].table
    table = table[table["init"] == "centered"]
    gap = (table["ce_recovered"] - table["raw_ce_recovered"]).groupby(table["seed"]).mean().to_numpy(float)
    means = f"correct {table['ce_recovered'].mean():.3f}, raw {table['raw_ce_recovered'].mean():.3f}"
    return judge(gap, f"SAEs with centered initialisation, all methods: {means}.", supported_above=0.1)


def starved(init: str) -> dict:
    return {"rho": 0.9, "init": init}


SPIKED_DEAD = {"experiment": "spiked", "metric": "dead_fraction", "scale": 100.0, "best": "min", "l0": L0_SPIKED}
LLM = {"experiment": "llm", "l0": L0_LLM}
BELOW = {"supported_below": -DEAD_MARGIN, "contradicted_above": 0.0}
SOURCE = "abstract; authors' result file of the spiked runs"
PYTHIA = "abstract; authors' result file of Pythia-70M"
OURS = "our derivation"


def both_inits(id: str, statement: str, check: Callable[[str], Check], published: dict, **fields) -> list[Claim]:
    """One claim per initialisation."""
    note = {"published": "published initialisation", "centered": "centered initialisation"}
    return [
        Claim(id=f"{id}-{init}", statement=f"{statement} ({note[init]})", published=published.get(init), check=check(init), **fields)
        for init in INITS
    ]


CLAIMS: list[Claim] = [
    *both_inits(
        "C1-coherence-starves", "L1 SAEs starve more as the dictionary becomes more coherent: from rho = 0 to .9 dead latents rise",
        coherence_starves, {"published": 47.4}, source=SOURCE, kind="published", unit="points of dead latents", experiment="spiked",
        figure="dead_vs_coherence",
    ),
    *both_inits(
        "C2-less-than-topk", "At rho = .9 AEN has fewer dead latents than TopK at equal L0",
        lambda init: compare(a="aen", b="topk", why="rho = .9, L0 = 8, best lambda_2.", **SPIKED_DEAD, **BELOW, **starved(init)),
        {"published": -51.0}, source=SOURCE, kind="published", unit="points of dead latents", experiment="spiked", figure="initialisation",
    ),
    *both_inits(
        "C2-less-than-l1", "At rho = .9 AEN has fewer dead latents than plain L1 at equal L0",
        lambda init: compare(a="aen", b="l1", why="rho = .9, L0 = 8, best lambda_2.", **SPIKED_DEAD, **BELOW, **starved(init)),
        {}, source="abstract", kind="published", unit="points of dead latents", experiment="spiked", figure="initialisation",
    ),
    Claim(
        "C2-l2-revives", "The l2 term lowers starvation: elastic net minus L1 at equal lambda_1, rho = .9, published initialisation", SOURCE,
        "published", -6.1, "points of dead latents", "spiked", "dead_vs_coherence",
        at_equal_lambda(
            {"method": "elastic_net", **starved("published")}, {"method": "l1", **starved("published")},
            "lambda_2 = 5e-4; the published difference is of the same size for all three lambda_1.", supported_below=0.0,
        ),
    ),
    Claim(
        "C2-weights-revive", "Adaptive weights lower starvation: AEN minus elastic net at equal lambda_1 and lambda_2, rho = .9, published initialisation",
        SOURCE, "published", 2.5, "points of dead latents", "spiked", "weights",
        at_equal_lambda(
            {"method": "aen", "ema": "slow", "statistic": "published", "l2": 0.0005, **starved("published")},
            {"method": "elastic_net", "l2": 0.0005, **starved("published")},
            "The weights lie in [1, 10] outside the busiest 5 % and so punish rare latents; in the authors' own file AEN has more dead latents than the "
            "elastic net in 76 % of 360 pairs.", supported_below=0.0,
        ),
    ),
    Claim(
        "C3-lipschitz", "With the l2 term the coding map is Lipschitz with constant 1 / (2 sqrt(a2))", "abstract (theorem); constant: our derivation",
        "theorem", 1.0, "of the bound", "theory", "lipschitz", lipschitz,
    ),
    Claim(
        "C3-l1-unstable", "Without it the local constant grows with coherence", "abstract; our derivation", "theorem", None,
        "times the constant at rho = 0", "theory", "lipschitz", lipschitz_l1,
    ),
    *both_inits(
        "C3-amortisation", "The AEN objective is closer to what a shallow encoder can reach: relative excess of the encoder's objective, AEN minus L1 at equal L0",
        lambda init: compare(
            "spiked", "amortisation_gap", "aen", "l1", "Encoder against exact code on the learned dictionary, rho = .9, L0 = 8.", best="min",
            l0=L0_SPIKED, supported_below=0.0, **starved(init),
        ),
        {}, source="abstract (never measured by the authors)", kind="published", unit="relative excess", experiment="spiked", figure="recovery",
    ),
    *both_inits(
        "C4-no-shrinkage", "Adaptive weights remove shrinkage: amplitude of recovered latents, AEN minus L1 at equal L0",
        lambda init: compare(
            "spiked", "amplitude_ratio", "aen", "l1", "Matched latents with cosine >= .9, rho = .9, L0 = 8.", best="max", l0=L0_SPIKED,
            supported_above=MARGIN, contradicted_below=0.0, **starved(init),
        ),
        {}, source="abstract; the authors log ||xhat||_1 / ||x||_1 only: .880 for L1, .86 for AEN at rho = 0", kind="published",
        unit="amplitude ratio", experiment="spiked", figure="recovery",
    ),
    Claim(
        "C5-global-support", "Adaptive weights recover the global support: AEN, exact codes", "abstract (theorem)", "theorem", None,
        "% of latents off the support", "theory", "global_support", global_support("aen"),
    ),
    Claim(
        "C5-l2-alone", "The l2 term alone does: elastic net, exact codes", OURS, "derived", None, "% of latents off the support", "theory",
        "global_support", global_support("elastic_net"),
    ),
    Claim(
        "C5-sample-support", "AEN also improves the support of each sample: F1, AEN minus L1, exact codes", OURS, "derived", None, "F1", "theory",
        "global_support", exact_codes("f1", "Support F1 of exact codes"),
    ),
    Claim(
        "C4-exact-shrinkage", "Adaptive weights remove the shrinkage of the exact code: amplitude on the true support, AEN minus L1", "abstract", "theorem", None,
        "amplitude ratio", "theory", "global_support", exact_codes("amplitude_ratio", "Amplitude ratio of exact codes"),
    ),
    Claim(
        "C5-irrepresentable", "Support is recovered exactly where the generalised irrepresentable condition holds", "abstract (theorem); form: our derivation",
        "theorem", None, "% of samples", "theory", "irrepresentable", irrepresentable,
    ),
    *both_inits(
        "C5-trained-support", "Trained AEN SAEs find the active atoms better than L1 SAEs at equal L0: support F1 under the best matching",
        lambda init: compare(
            "spiked", "f1", "aen", "l1", "rho = .9, L0 = 8, best lambda_2.", best="max", l0=L0_SPIKED, supported_above=MARGIN, contradicted_below=0.0,
            **starved(init),
        ),
        {}, source="abstract (never measured by the authors)", kind="published", unit="F1", experiment="spiked", figure="recovery",
    ),
    *both_inits(
        "C6-competitive", "On a language model AEN reconstructs as well as TopK at equal L0 (within .02): explained variance, AEN minus TopK",
        lambda init: compare(
            metric="explained_variance", a="aen", b="topk", why="L0 = 64.", best="max", supported_above=-MARGIN, init=init, **LLM
        ),
        {"published": -0.049}, source=PYTHIA, kind="published", unit="explained variance", experiment="llm", figure="frontier",
    ),
    *both_inits(
        "C6-cross-entropy", "On a language model AEN preserves predictions as well as TopK at equal L0 (within .02): cross-entropy recovered, AEN minus TopK",
        lambda init: compare(metric="ce_recovered", a="aen", b="topk", why="L0 = 64, correct patch.", best="max", supported_above=-MARGIN, init=init, **LLM),
        {}, source=PYTHIA + " (made with a wrong patch and on two hosts, not comparable)", kind="published", unit="cross-entropy recovered",
        experiment="llm", figure="frontier",
    ),
    *both_inits(
        "C7-llm-starvation", "On a language model AEN has fewer dead latents than TopK at equal L0",
        lambda init: compare(
            metric="dead_fraction", a="aen", b="topk", why="L0 = 64, held-out tokens.", scale=100.0, best="min", supported_below=-LLM_DEAD_MARGIN,
            contradicted_above=0.0, init=init, **LLM,
        ),
        {"published": -4.9}, source=PYTHIA, kind="published", unit="points of dead latents", experiment="llm", figure="dead",
    ),
    Claim(
        "C8-differentiable", "AEN trains by plain gradient descent on a differentiable loss", "abstract", "published", None, "relative gradient error",
        "spiked", None, differentiable,
    ),
    Claim(
        "I1-init-topk", "The initialisation decides: most starvation of TopK at rho = .9 is gone with centered initialisation", OURS, "derived", None,
        "points of dead latents", "spiked", "initialisation", init_effect("topk"),
    ),
    Claim(
        "I2-init-l1", "And so is that of plain L1", OURS, "derived", None, "points of dead latents", "spiked", "initialisation", init_effect("l1"),
    ),
    Claim(
        "W1-fast-average", "A fast activity average (.999 in 50,000 steps) starves: AEN, fast minus slow, equal lambda", "authors' result file", "published", 18.5,
        "points of dead latents", "spiked", "weights",
        at_equal_lambda(
            {"method": "aen", "ema": "fast", "statistic": "published", "l2": 0.0005, **starved("published")},
            {"method": "aen", "ema": "slow", "statistic": "published", "l2": 0.0005, **starved("published")},
            "rho = .9, published initialisation.", supported_above=DEAD_MARGIN, contradicted_below=0.0,
        ),
    ),
    Claim(
        "W2-hidden-schedule", "Starting the average at 1 without bias correction is what keeps AEN alive: debiased minus published, equal lambda", OURS, "derived",
        None, "points of dead latents", "spiked", "weights",
        at_equal_lambda(
            {"method": "aen", "statistic": "debiased", **starved("published")},
            {"method": "aen", "ema": "slow", "statistic": "published", "l2": 0.0005, **starved("published")},
            "rho = .9, published initialisation.", supported_above=DEAD_MARGIN, contradicted_below=0.0,
        ),
    ),
    Claim(
        "W3-rarity", "Weights from E[h | h > 0], which do not punish rarity, starve less: conditional minus published, equal lambda", OURS, "derived", None,
        "points of dead latents", "spiked", "weights",
        at_equal_lambda(
            {"method": "aen", "statistic": "conditional", **starved("published")},
            {"method": "aen", "ema": "slow", "statistic": "published", "l2": 0.0005, **starved("published")},
            "rho = .9, published initialisation.", supported_below=-DEAD_MARGIN, contradicted_above=0.0,
        ),
    ),
    Claim(
        "P1-patching", "Feeding the SAE raw activations, as the published evaluation does, understates the cross-entropy recovered", OURS, "derived", None,
        "cross-entropy recovered", "llm", "patching", raw_patching,
    ),
]  # fmt: skip
