"""Exact statements (claims C1 to C4 and C13, experiment `theory`)."""

import numpy as np
import pandas as pd

from proj_heads.checks.shares import share_of_draws
from proj_heads.experiments.theory import DINO
from repro_shared.claims import Finding
from repro_shared.judging import Check, part, per_seed, worst
from repro_shared.results import Results

ROUNDING = 1e-10
"""Exact in float64 for matrices of condition 1e4 or better; what is not exact misses this by orders of magnitude."""
TOLERANCE = 1e-6
STRAIGHT, SMOOTH = ("linear", "relu"), ("gelu", "swish")


def exact(name: str, column: str, why: str, most: float = ROUNDING, **labels) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Largest deviation over all samples and seeds: rounding only."""
        return worst(_rows(results, name, **labels)[column], why, most=most)

    return check


def _rows(results: dict[str, Results], name: str, **labels) -> pd.DataFrame:
    """Rows of a part with these labels (one value, or several)."""
    table = part(results, "theory", name)
    for column, wanted in labels.items():
        table = table[table[column].isin(wanted if isinstance(wanted, tuple) else (wanted,))]
    return table


def _share(table: pd.DataFrame, column: str, why: str, **threshold: float) -> Finding:
    return share_of_draws(table[column], table["samples"], table["seed"], why, **threshold)


def only_locally(results: dict[str, Results]) -> Finding:
    """Isotropy error of the same head for another loss Hessian: at least 10 %, where the theorem's own is rounding."""
    table = part(results, "theory", "whitening")
    why = f"Least over ranks and seeds; off its subspace the head leaks {table['off'].max():.0e}."
    return worst(table["elsewhere"], why, least=0.1)


def no_constant_head(results: dict[str, Results]) -> Finding:
    """Condition number that the best constant invertible head leaves at two points of a curved loss; 1 is isotropy.

    Attained by a closed form of ours, and no head that was tried does better. The quadratic loss is the control.
    """
    table = part(results, "theory", "curvature")
    curved, control = table[table["potential"] != "quadratic"], table[table["potential"] == "quadratic"]
    why = f"Least over losses and seeds. Quadratic loss, the control: {control['floor'].max():.6f}."
    return worst(curved["floor"], why, least=1 + TOLERANCE)


def no_constant_head_of_any_rank(results: dict[str, Results]) -> Finding:
    """Isotropy error of a constant head of rank one at random points of a curved loss: `TOLERANCE` is our zero."""
    table = _rows(results, "curvature", potential="softmax and quadratic")
    why = (
        "Least over seeds. softmax(u1, u2) + u3^2 is curved, and the head that takes u3 alone is isotropic everywhere: "
        "the loss is quadratic along it."
    )
    return worst(table["rank_one_error"], why, least=TOLERANCE)


def isotropic_path(results: dict[str, Results]) -> Finding:
    """||G - I|| of the widest MLP head along a path: isotropic to 1 %. A constant head leaves the factor quoted."""
    table = part(results, "theory", "path")
    widest = table[table["path_width"] == table["path_width"].max()]
    first = table[table["path_width"] == table["path_width"].min()]["error"]
    why = (
        f"Worst path, {int(widest['path_width'].iloc[0])} hidden units; with {int(table['path_width'].min())} it is "
        f"{first.min():.2g} to {first.max():.2g}. A constant head leaves a condition number of "
        f"{table['constant_floor'].min():.2g} or more. The term G only."
    )
    return worst(widest["error"], why, most=0.01)


def threshold_is_sufficient(results: dict[str, Results]) -> Finding:
    """Least Jacobian error that makes H indefinite over the corollary's threshold: below 1 it would be wrong."""
    table = part(results, "theory", "bound")
    draws = int(table["positive"].sum())
    why = f"Least of {draws} draws. lambda / (2 L M) drops M eps^2 and is valid all the same (ours)."
    return worst(table["over_paper"], why, least=1.0)


# ---- C4


def straight_heads(results: dict[str, Results]) -> Finding:
    """Negative eigenvalues of H for positive semidefinite losses: none, at any sample."""
    table = _rows(results, "hessian", activation=STRAIGHT, loss=("squared", "cross-entropy"))
    why = f"Most at any sample; the largest entry of M is {table['interaction'].max():g}."
    return worst(table["negative_most"], why, most=0)


def smooth_heads(results: dict[str, Results]) -> Finding:
    """Share of samples with a negative eigenvalue, residuals as random outputs and targets give them: 90 %, our reading
    of "generically".
    """
    table = _rows(results, "hessian", activation=SMOOTH, loss=("squared", "cross-entropy"))
    alone = table["metric_negative"].mean()
    why = f"On average {table['negative'].mean():.1f} of 16 eigenvalues are negative; of G alone {alone:g}."
    return _share(table, "below_zero", why, supported_above=90.0)


def cosine_sign(results: dict[str, Results]) -> Finding:
    """Share of samples of linear and ReLU heads with a negative eigenvalue under the cosine loss; the claim needs none.

    5 % is our reading of none.
    """
    table = _rows(results, "hessian", activation=STRAIGHT, loss="cosine")
    why = "The Hessian of the cosine loss is itself indefinite unless output and target are parallel."
    return _share(table, "below_zero", why, supported_below=5.0)


def any_residual(results: dict[str, Results]) -> Finding:
    """Share of draws in which any residual, however small, makes H indefinite, heads wider than z: 90 %, our reading of
    "generically".
    """
    table = _rows(results, "critical", activation=SMOOTH)
    wide, narrow = table[table["outputs"] == table["outputs"].max()], table[table["outputs"] == table["outputs"].min()]
    why = (
        f"k = {int(wide['outputs'].iloc[0])} > d: G is definite, and H turns indefinite at a residual t*, "
        f"median {wide['median'].median():.2f}. k = {int(narrow['outputs'].iloc[0])} < d: "
        f"{100 * narrow['zero'].mean():.0f} %."
    )
    return _share(wide, "zero", why, supported_above=90.0)


def critical_separates(results: dict[str, Results]) -> Finding:
    """Share of draws with H definite at .99 t* and indefinite at 1.01 t*: all."""
    table = _rows(results, "critical", activation=SMOOTH)
    kept = table[table["finite"] > 0]
    return worst(100 * kept["separates"], f"{int(kept['finite'].sum())} draws with a finite t* > 0.", least=100.0)


def residual_at_collapse(results: dict[str, Results]) -> Finding:
    """Gradient norm of each objective without held targets at exact collapse; the theorem's premise needs it away from
    zero: the least of the objectives, and `TOLERANCE` is our reading of zero.
    """
    table = _rows(results, "collapse", activation="none")
    norms = per_seed(table["gradient"].astype(float), table["objective"], "max")
    by = ", ".join(f"{name} {norm:.0e}" for name, norm in norms.items())
    return worst(norms, f"Largest over seeds: {by}.", least=TOLERANCE)


def residual_of_targets(*targets: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Norm of the residual at exact collapse of objectives whose targets are held, any draw: above `TOLERANCE`, as
        for the others.
        """
        table = _rows(results, "targets", target=targets)
        medians = table.groupby("target")["residual_median"].median()
        by = ", ".join(f"{name} {norm:.2g}" for name, norm in medians.items())
        why = f"Least of any draw and head; medians: {by}. Targets of the same network, teacher = student."
        return worst(table["residual"], why, least=TOLERANCE)

    return check


def dino_smooth_heads(results: dict[str, Results]) -> Finding:
    """Share of collapsed states of DINO with a negative eigenvalue of H behind smooth heads: 90 %, our reading of
    "generically", as elsewhere.
    """
    table = _rows(results, "targets", target=DINO, activation=SMOOTH)
    why = (
        f"On average {table['negative'].mean():.1f} of 16 eigenvalues are negative, of G alone "
        f"{table['metric_negative'].mean():g}; a residual of {table['critical'].median():.2g} times its size would do "
        "(median)."
    )
    return _share(table, "below_zero", why, supported_above=90.0)


def dino_straight_heads(results: dict[str, Results]) -> Finding:
    """Negative eigenvalues of H at collapsed states of DINO behind linear and ReLU heads: none, at any of them."""
    table = _rows(results, "targets", target=DINO, activation=STRAIGHT)
    states = int(table["samples"].sum())
    return worst(table["negative_most"], f"Most at any of {states} collapsed states.", most=0)


def trapped_behind_linear(results: dict[str, Results]) -> Finding:
    """Objectives whose Hessian at exact collapse has a negative eigenvalue behind a linear head; claimed is none."""
    table = _rows(results, "collapse", activation="linear")
    least = per_seed(table["negative"].astype(float), table["objective"], "min")
    saddles = least > 0
    why = f"Strict saddles through the loss alone: {', '.join(least.index[saddles]) or 'none'}, of {len(least)}."
    unknown = [np.nan] * int(least.isna().sum())
    return worst([float(saddles.sum()), *unknown], why, most=0)


def linear_field_grows(results: dict[str, Results]) -> Finding:
    """Growth rate of differences between samples at a collapsed rest point, linear heads, least seed: above 0."""
    table = _rows(results, "field", activation="linear", state="equilibrium")
    frozen = table["frozen"].abs().max()
    others = _rows(results, "field", state="equilibrium").groupby("activation")["shared"]
    shares = ", ".join(f"{name} {(values > 1e-10).sum()} of {len(values)}" for name, values in others)
    why = (
        f"In units of the one-sample Hessian, which with frozen targets shows {frozen:.0e}. Growing seeds: {shares}. "
        "A predictor with eigenvalue x grows differences at x (1 - x), with no curvature of the head."
    )
    return worst(table["shared"], why, least=1e-6)


# ---- C13


def fisher_rank(position: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """rank I_h - (rank I_z - dim V) over seeds: at most 0."""
        table = _rows(results, "fisher", position=position)
        why = f"rank I_z {int(table['rank_z'].max())}, rank I_h {int(table['rank_h'].max())}, dim V = 2."
        return worst(table["rank_h"] - table["bound"], why, most=0)

    return check
