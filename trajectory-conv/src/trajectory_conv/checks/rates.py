"""Certificate, implications, local rate, before and after identification (claims C1 to C4)."""

from dataclasses import replace

import numpy as np
import pandas as pd

from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, part, present, worst
from repro_shared.runlog import Results
from trajectory_conv.checks.judging import TIGHT, TOLERANCE, by_design, geometric
from trajectory_conv.experiments.appearance import own

# ---- C1: the certificate


def certificate(results: dict[str, Results]) -> Finding:
    """Largest gap over bound at any iterate of any run, of ISTA and of the restricted step; the theorem allows 1."""
    table = results["rates"].table
    ista, restricted = table["bound_ratio"].astype(float), table["bound_ratio_restricted"].astype(float)
    loose = table["bound_at_end"].astype(float)
    why = (
        f"Worst iterate with a gap above 1e-13, {len(table)} runs of ISTA ({ista.max():.3f}) and as many of the "
        f"restricted step ({restricted.max():.3f}), bound valid from k = 0. For ISTA it is loose by "
        f"{loose.median():.0e} at the end: it contracts by 1 - mu / L, the objective by its square."
    )
    return worst(pd.concat([ista, restricted]), why, most=1 + TOLERANCE)


def one_step(results: dict[str, Results]) -> Finding:
    """Largest realised factor gap_{k+1} / gap_k over the promised 1 - mu_k / L at any step."""
    why = "Worst step with a gap above 1e-13 after it, mu_k of the face of x_k."
    return worst(results["rates"].table["step_ratio"], why, most=1 + TOLERANCE)


def box_certificate(results: dict[str, Results]) -> Finding:
    """The same certificate for the box of the SVM dual."""
    return worst(results["svm"].table["bound_ratio"], "Worst iterate of any task and seed.", most=1 + TOLERANCE)


def nonconvex(results: dict[str, Results]) -> Finding:
    """Contraction of gradient descent on x^2 + 3 sin^2 x over that promised by the PL constant of the interval."""
    table = part(results, "theory", "scalar")
    ratio = table["measured"].astype(float) / table["certified"].astype(float)
    constants = ", ".join(f"{pl:.3g} for |x| <= {r:g}" for r, pl in zip(table["radius"], table["pl"], strict=True))
    stayed = bool(table["stayed"].astype(bool).all())
    why = f"Restricted PL constants: {constants}; {'all' if stayed else 'NOT all'} iterates stay in their interval."
    found = worst(ratio, why, most=1 + TOLERANCE)
    return found if stayed else replace(found, verdict="contradicted")


def descent(results: dict[str, Results]) -> Finding:
    """Measured contraction of gradient descent over (1 - mu_k)^2, the square of the PL promise: never above 1.

    Being close to 1 at the slowest start is what "restricted" is about, so the means are quoted.
    """
    table = part(results, "theory", "descent")
    ratio = table["measured"].astype(float) / table["predicted"].astype(float)
    k = table["leading"]
    means = ", ".join(f"k = {level}: {ratio[k == level].mean():.4f}" for level in sorted(set(k)))
    return worst(
        ratio, f"Worst step of any start; the global constant would give 1. Means: {means}.", most=1 + TOLERANCE
    )


# ---- C2: implications


def pointwise(results: dict[str, Results]) -> Finding:
    """Least slack in units of L; 1e-9 is rounding of D, a difference of numbers up to 1e4 L."""
    table = part(results, "theory", "pointwise")
    why = f"Least slack of four implications over {int(table['checked'].sum())} checks, in units of L."
    return worst(table["slack"], why, least=-1e-9)


def invariant(results: dict[str, Results]) -> Finding:
    """Measured constant over the implied one, least over trajectories; the theorem demands 1."""
    table = part(results, "theory", "invariant")
    means = table.groupby("implication")["ratio"].mean()
    looseness = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items())
    why = f"Least over trajectories, with our constants. Mean looseness: {looseness}."
    return worst(table["ratio"], why, least=1.0)


def no_global_bound(results: dict[str, Results]) -> Finding:
    """dist / ||R|| at the largest move over that at the smallest, which is 1000 times shorter: linear growth gives
    1000.

    100 is far beyond what any constant could explain away.
    """
    table = part(results, "theory", "null_space")
    distance = table["distance"]
    ends = [table[distance == end].set_index("seed")["ratio"].astype(float) for end in (distance.max(), distance.min())]
    return worst(
        ends[0] / ends[1], f"Move of {distance.max():g} over move of {distance.min():g}, least seed.", least=100.0
    )


# ---- C3: the local rate


def local_rate(experiment: str, floor: float = 0.99) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """(1 - r) L / mu per seed: at most 10 % above 1, where the last third of a trace still holds faster modes.

        A run that is slower than predicted by more than 1 % (far above the error of a fit) contradicts at once. Runs
        without a fitted rate are left out, each by name.
        """
        table = results[experiment].table
        without = _runs(table[table["rate_ratio"].isna()])
        ratio, left_out = present(
            table["rate_ratio"], f"face not identified, or too few steps on it, within the run ({without})"
        )
        if ratio.min() < floor:
            return worst(ratio, f"A run is slower than its face allows.{left_out}", least=floor)
        fast = _runs(table.loc[ratio.index[ratio > TIGHT]]) or "none"
        why = (
            f"(1 - measured rate) L / mu of the iterates, mean over runs; range {ratio.min():.4f} to "
            f"{ratio.max():.4f}, above {TIGHT}: {fast}.{left_out}"
        )
        return judge(ratio.groupby(table["seed"]).mean(), why, supported_below=TIGHT)

    return check


def _runs(table: pd.DataFrame) -> str:
    """Names of runs, for people."""
    name = "tasks" if "tasks" in table else "designs"
    return ", ".join(f"{run[name]} of seed {run['seed']}" for _, run in table.iterrows())


def rank_of_condition(results: dict[str, Results]) -> Finding:
    """Spearman's correlation of L / mu_S with iterations to 1e-6 over nine designs; .8 is a strong one by any book.

    Runs that do not get there count as the slowest. L alone is quoted as a control: it ranks these designs well, too.
    """
    from scipy.stats import spearmanr

    table = own(part(results, "convergence", "rip"))
    steps = table["steps_1e-06"].astype(float).fillna(np.inf).rank(method="average")
    values, control = (
        [spearmanr(rows[name].astype(float), steps[rows.index]).statistic for _, rows in table.groupby("seed")]
        for name in ("condition", "lipschitz")
    )
    why = f"Rank correlation over the nine designs, per seed. That of L alone, which is global: {np.mean(control):.3f}."
    return judge(values, why, supported_above=0.8)


def fista_locally(results: dict[str, Results]) -> Finding:
    """(1 - r) of ISTA over that of FISTA on the final face, geometric mean over designs: above 1 FISTA is slower."""
    table = results["rates"].table
    excess, left_out = present(
        (1 - table["measured_rate"].astype(float)) / (1 - table["fista_rate"].astype(float)),
        "a face not identified, or too few steps on it, within the run",
    )
    why = f"(1 - r) of ISTA over (1 - r) of FISTA on the final face. {by_design(table, excess)}.{left_out}"
    return factor(geometric(table, excess), why, supported_above=1.0)


# ---- C4: before and after identification


def condition_improves(results: dict[str, Results]) -> Finding:
    """mu of the final face over the median mu_k before it is identified; interlacing makes it at least 1."""
    table = results["rates"].table
    ratio, left_out = present(
        table["mu"] / table["mu_before"].where(table["mu_before"] > 0),
        "no iterate before, or a median mu_k of 0, which is infinitely worse",
    )
    singular = int((table["singular_steps"] > 0).sum())
    why = (
        f"Geometric mean over designs. In {singular} of {len(table)} runs some faces before have mu_k = 0 (more than n "
        "coordinates): the bound promises nothing there. Smaller faces have larger mu whatever the data: interlacing."
        f"{left_out}"
    )
    return factor(geometric(table, ratio), why, supported_above=1.0)


def speed_improves(results: dict[str, Results]) -> Finding:
    """Realised contraction after over before identification, step 1/L: at least 10 % better to count as improved."""
    table = results["rates"].table
    ratio, left_out = present(
        table["speed_after"] / table["speed_before"],
        "no step before identification, or none after it with a gap above 1e-13",
    )
    better, worse = (100 * (ratio > TIGHT).mean(), 100 * (ratio < 1 / TIGHT).mean())
    why = (
        f"Median L (1 - gap_k+1 / gap_k) after over before, geometric mean over designs; more than 10 % better in "
        f"{better:.0f} % of runs, worse in {worse:.0f} %. {by_design(table, ratio)}.{left_out}"
    )
    return factor(geometric(table, ratio), why, supported_above=TIGHT)


def restricted_gains(over: str, least: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Iterations to a gap of 1e-10 of another method over those of the restricted step, geometric mean over
        designs; a factor of `least` is a gain worth the trouble. Work, in products with H, is quoted.
        """
        table = results["rates"].table
        reached = {
            name: table[name].astype(float) for name in (f"steps_{over}", "steps_restricted", "products_restricted")
        }
        missing = int((reached[f"steps_{over}"].isna() | reached["steps_restricted"].isna()).sum())
        other, steps, products = (values.fillna(table["iterations"]) for values in reached.values())
        work = geometric(table, other / products).mean()
        left_out = f" {missing} runs are not there within the iterations and count with those." if missing else ""
        why = (
            f"{by_design(table, other / steps)}. In products with H (a rejected step takes two, an estimate of L_S "
            f"ten): {work:.2g} times.{left_out}"
        )
        return factor(geometric(table, other / steps), why, supported_above=least)

    return check
