"""The affine KKT Hoffman constant, the elastic net, cross-leverage (claims C9 to C13)."""

import numpy as np
import pandas as pd

from repro_shared.claims import Finding
from repro_shared.judging import Check, by_seed, factor, judge, part, present, worst
from repro_shared.runlog import Results
from trajectory_conv.checks.judging import TIGHT, TOLERANCE
from trajectory_conv.experiments.appearance import own

OVERLAP = "Breast cancer; seeds are overlapping samples of its rows"

# ---- C9 to C11: the affine KKT Hoffman constant


def tight(of: str, norm: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Bound over exact value (or over the other bound): within 10 %, our choice, everywhere.

        Over our own designs, of all seeds together in each cell (n, d, s, design): the largest, or the median of the
        seeds' medians. The authors' designs are quoted.
        """
        table = part(results, "hoffman", "tightness")
        mine, column = own(table), f"{of}_{norm}"
        cells = mine.groupby(["n", "d", "s", "design"])[column]
        medians = mine[f"median_{norm}"].astype(float)
        why = (
            f"Worst of {len(cells)} cells, {int(mine['trials'].sum())} designs; medians of the designs of one seed "
            f"{medians.min():.4f} to {medians.max():.4f}."
        )
        if len(theirs := table.loc[table["stream"] == "replay", column]):
            why += f" The authors' designs, replayed: {theirs.max():.4f}."
        ours = cells.agg(lambda values: getattr(values, of)(skipna=False))
        return worst(ours, why, most=TIGHT)

    return check


def inf_identity(results: dict[str, Results]) -> Finding:
    """For uniform weights the bound is the exact value: the ratio is 1 to rounding, and evidence of nothing."""
    table = part(results, "hoffman", "tightness")
    largest = table[["max_inf", "min_inf"]].astype(float).sub(1).abs().max(axis=1)
    return worst(largest, "Largest |upper / exact - 1|, the authors' designs included.", most=1e-12)


def weyl_is_infinite(results: dict[str, Results]) -> Finding:
    """Share of our designs on which Weyl's bound, 1 / (min(mu_S, lambda) - ||G_{S^c S}||), is infinite: 99 %, our
    choice for "nearly always". The bound of that norm by cross-leverages is quoted.
    """
    table = own(part(results, "hoffman", "tightness"))
    norm, loose = table["min_cross"].astype(float).min(), table["median_leverage"].astype(float)
    why = (
        f"It is finite where ||G_(S^c S)|| < min(mu_S, lambda) <= {table['lam'].max():g}; least norm {norm:.2f}. "
        f"Cross-leverages bound that norm, by medians {loose.min():.2f} to {loose.max():.1f} times too large."
    )
    return judge(100 - by_seed(table, "weyl_finite"), why, supported_above=99.0)


def grows_with_dimension(results: dict[str, Results]) -> Finding:
    """Log-log slope of H_2 against d; .2 (a factor 1.4 from d = 400 to 2,000) is growth that nobody would call flat."""
    table = own(part(results, "hoffman", "ambient"))
    names = ("h2", "interaction", "h1", "hinf")
    slopes = {name: [_slope(rows, name) for _, rows in table.groupby("seed")] for name in names}
    others = ", ".join(f"{name} {np.mean(slopes[name]):.2f}" for name in ("interaction", "h1", "hinf"))
    return judge(slopes["h2"], f"Other slopes: {others}.", supported_above=0.2)


def interaction_explains(results: dict[str, Results]) -> Finding:
    """Growth of H_2^2 over growth of the squared interaction norm, from the smallest d to the largest: 1 within 1 %.

    H_2^2 lies between the squared interaction and that plus constants: no data can bring the quotient far above 1.1.
    """
    table = own(part(results, "hoffman", "ambient"))
    ratios = []
    for _, rows in table.groupby("seed"):
        h2, interaction = (rows.sort_values("d")[name].to_numpy(float) ** 2 for name in ("h2", "interaction"))
        ratios.append((h2[-1] - h2[0]) / (interaction[-1] - interaction[0]))
    worst_side = [max(ratio, 1 / ratio) for ratio in ratios]
    why = f"Quotient of the growths, or its inverse, the larger one; quotients {min(ratios):.3f} to {max(ratios):.3f}."
    return judge(worst_side, why, supported_below=1.01)


def gaussian_law(results: dict[str, Results]) -> Finding:
    """Interaction norm over (1 / lambda) sqrt((d - s) / (n mu_S)), every d and seed: within 10 %."""
    table = own(part(results, "hoffman", "ambient"))
    n, s = table["n"].astype(float), table["s"].astype(float)
    d, curvature = table["d"].astype(float), table["curvature"].astype(float)
    law = np.sqrt((d - s) / n * curvature) / table["lam"]
    ratio = table["interaction"].astype(float) / law
    return worst(
        np.maximum(ratio, 1 / ratio),
        f"Worst of {len(ratio)}; range {ratio.min():.3f} to {ratio.max():.3f}.",
        most=TIGHT,
    )


def _slope(rows: pd.DataFrame, name: str) -> float:
    return float(np.polyfit(np.log(rows["d"].astype(float)), np.log(rows[name].astype(float)), 1)[0])


def concentrates(design: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Largest over median constant, worst support size of a seed: a quarter above the median is close."""
        table = own(part(results, "hoffman", "supports"))
        table = table[table["design"] == design]
        return judge(by_seed(table, "max_over_median", "max"), "Worst size s, per seed.", supported_below=1.25)

    return check


def light_tails(design: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Largest excess kurtosis over sizes, per seed: below 3, that of a Laplace distribution; a generous limit."""
        table = own(part(results, "hoffman", "supports"))
        table = table[table["design"] == design]
        skewness = table["skewness"].astype(float)
        why = f"Worst size s, per seed; 3 is a generous limit. Skewness {skewness.min():.2f} to {skewness.max():.2f}."
        return judge(by_seed(table, "excess_kurtosis", "max"), why, supported_below=3.0)

    return check


def stability(results: dict[str, Results]) -> Finding:
    """||Delta b|| over H_2 ||A'dy / n||, for perturbations that keep the face; the bound allows 1."""
    table = part(results, "hoffman", "stability")
    ratio, left_out = present(table["worst_ratio"], "no perturbation of that size keeps the face, and H says nothing")
    why = (
        f"Worst of {int(table['kept_face'].sum())} perturbations that keep support and signs; on average the bound is "
        f"{(1 / ratio).mean():.0f} times too large. Exact: Delta b_S = P A_S'dy / n, to "
        f"{table['identity_error'].max():.0e}.{left_out}"
    )
    return worst(ratio, why, most=1 + TOLERANCE)


# ---- C12: the elastic net


def rule_agrees(results: dict[str, Results]) -> Finding:
    """Share of the grid on which lambda_stat <= lambda_1 < min |b*| tells recovery rightly: nine points in ten, our
    choice.
    """
    table = own(results["phase"].table)
    promised, denied = (table[f"rule_false_{kind}"].mean() for kind in ("positive", "negative"))
    why = f"Wrongly promised {promised:.1f} %, wrongly denied {denied:.1f} %."
    return judge(table["rule_agrees"], why, supported_above=90.0)


def path_recovers(results: dict[str, Results]) -> Finding:
    """Share of the budgets for which some split recovers the support where the coupled split does, too: nine in ten,
    our choice.
    """
    table = own(results["phase"].table)
    others = ", ".join(f"{name} {table[f'recovered_{name}'].mean():.0f} %" for name in ("naive", "constrained"))
    why = (
        f"Budgets up to 7.5, {table['attainable'].mean():.0f} % of them attainable; beyond some budget the split puts "
        f"lambda_1 above what the signal bears. Other paths: {others}."
    )
    return judge(table["recovered_coupled"], why, supported_above=90.0)


def path_has_low_h(results: dict[str, Results]) -> Finding:
    """Median H_2 on the coupled path over that of the best split of the same budget: within 10 %."""
    return judge(own(results["phase"].table)["excess_coupled"], "Best of 50 splits per budget.", supported_below=TIGHT)


# ---- C13: cross-leverage. Seeds of breast cancer are samples of 150 of the same 569 rows: they overlap, and their
# intervals speak of this data set, not of others.


def same_solution(results: dict[str, Results]) -> Finding:
    """Deleting zero coordinates of an optimum keeps it, whatever the data; 1e-9 is far above our solver's error."""
    return worst(
        results["leverage"].table["difference"], "Largest |change| of a coefficient, any threshold.", most=1e-9
    )


def smaller_h(results: dict[str, Results]) -> Finding:
    """H_2 after pruning over H_2 before: rows of M^{-1} are deleted, it cannot rise."""
    table = _pruned(results)
    ratio = table["h2"].astype(float) / table["h2_full"].astype(float)
    random = (table["random_h2"].astype(float) / table["h2_full"].astype(float)).mean()
    return worst(
        ratio,
        f"Largest of any threshold; mean {ratio.mean():.2f}, dropping at random {random:.2f}.",
        most=1 + TOLERANCE,
    )


def fewer_iterations(results: dict[str, Results]) -> Finding:
    """ISTA iterations after dropping h_j > .5 over those of the full problem: a tenth saved counts."""
    table = _cancer_at_half(results)
    ratio = table["steps"] / table["steps_full"]
    epochs = (table["epochs"].astype(float) / table["epochs_full"].astype(float)).mean()
    why = f"{OVERLAP}; tau = .5; epochs of coordinate descent {epochs:.2f}."
    return factor(ratio.set_axis(table["seed"]), why, supported_below=1 / TIGHT)


def better_than_random(results: dict[str, Results]) -> Finding:
    """The same over dropping as many inactive features at random: a tenth saved shows that leverage matters."""
    table = _cancer_at_half(results)
    ratio = table["steps"] / table["random_steps"]
    size = (table["lipschitz"].astype(float) / table["random_lipschitz"].astype(float)).mean()
    why = f"{OVERLAP}; tau = .5; L over that of the control {size:.2f}."
    return factor(ratio.set_axis(table["seed"]), why, supported_below=1 / TIGHT)


def _pruned(results: dict[str, Results]) -> pd.DataFrame:
    """Thresholds below 1 with the numbers of their full problem as *_full."""
    table = results["leverage"].table
    full = table[table["tau"] == 1].set_index("cell")
    table = table[table["tau"] < 1]
    return table.assign(
        **{f"{name}_full": table["cell"].map(full[name]) for name in ("h2", "steps", "epochs", "lipschitz")}
    )


def _cancer_at_half(results: dict[str, Results]) -> pd.DataFrame:
    """Breast cancer at tau = .5; runs that do not get there count with the iterations that they were given."""
    table = _pruned(results)
    table = table[(table["data"] == "breast_cancer") & (table["tau"] == 0.5)]
    steps = {
        name: table[name].astype(float).fillna(table["iterations"]) for name in ("steps", "steps_full", "random_steps")
    }
    return table.assign(**steps)


def lambda_units(results: dict[str, Results]) -> Finding:
    """H_2 with lambda = alpha, the one that was fitted, over H_2 with lambda = alpha n: the same if units did not
    matter. Two formulas at one solution: H_2 falls as lambda rises, whatever the data.
    """
    table = results["leverage"].table
    rows = table[(table["data"] == "synthetic") & (table["tau"] == 1)]
    ratio = rows["h2"].astype(float) / rows["h2_published_units"].astype(float)
    both = "; ".join(f"alpha {r.alpha:g}: {r.h2:.4g} and {r.h2_published_units:.4g}" for r in rows.itertuples())
    return worst(ratio, f"Least over alpha. H_2 with lambda = alpha and with lambda = alpha n: {both}.", least=TIGHT)


def arcene_scaling(results: dict[str, Results]) -> Finding:
    """Inactive features with n h_j > .99, as the authors' twice scaled columns have it, on breast cancer: nearly all,
    95 %, where the threshold is meant to drop the few that the active ones explain.
    """
    table = results["leverage"].table
    rows = table[(table["data"] == "breast_cancer") & (table["tau"] == table["tau"][table["tau"] < 1].max())]
    right = rows["dropped_share"].astype(float).mean()
    why = f"{OVERLAP}; largest threshold; with columns scaled once {right:.1f} % are dropped."
    return judge(rows["dropped_share_published"], why, supported_above=95.0)
