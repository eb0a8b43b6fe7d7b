"""Width and hardness (claims C1 to C5, C9), and what a falling rate makes of them (D)."""

from pinn_scaling import published
from pinn_scaling.checks.scaling import (
    BARRON,
    average_gain,
    curved_level,
    decay_exponent,
    decay_gain,
    exponent,
    interaction,
    kappa_dominates,
    last_iterate_swings,
    level,
    slope_of_alpha,
    width_is_irrelevant,
)
from pinn_scaling.claims.sources import LABELS, NONLINEAR, OURS, TABLES, name_of, value
from pinn_scaling.experiments.decay import SMOOTH
from repro_shared.claims import Claim

PROBLEMS = {pde: "published" for pde in NONLINEAR} | {"kdv": "kdv"}
"""Problem -> experiment."""
FIGURES = {"published": ("exponents", "errors"), "kdv": ("kdv", "kdv")}
"""Experiment -> figures of exponents and of errors."""


def _table(pde: str, activation: str, table, column: str, sign: float = 1.0) -> dict:
    """Source and value of a published fit; the corrected problem is ours."""
    if pde == "kdv":
        return OURS
    return TABLES | {"published": round(sign * value(table, pde, activation, column), 3)}


SCALING: list[Claim] = [
    # C1: the error does not fall with the width
    *(
        Claim(
            id=f"C1-{name_of(pde)}",
            statement=f"At fixed kappa the error falls more slowly than N^-1/2: {LABELS[pde]}, tanh",
            unit="alpha", experiment=experiment, figure=FIGURES[experiment][0],
            check=exponent(experiment, pde, supported_below=BARRON),
            **_table(pde, "tanh", published.SEPARABLE, "alpha"),
        )
        for pde, experiment in PROBLEMS.items()
    ),
    # C2: nonlinearity compounds it
    *(
        Claim(
            id=f"C2-alpha-{name_of(pde)}-{activation}",
            statement=f"alpha degrades as kappa increases: {LABELS[pde]}, {activation}",
            unit="alpha per factor e", experiment=experiment, figure=FIGURES[experiment][0],
            check=slope_of_alpha(experiment, pde, activation),
            **_table(pde, activation, published.INTERACTION, "b_Nkappa", -1.0),
        )
        for activation in ("tanh", "relu")
        for pde, experiment in PROBLEMS.items()
        if (pde, activation) != ("kdv", "relu")
    ),
    *(
        Claim(
            id=f"C2-level-{name_of(pde)}",
            statement=f"The error grows with kappa: {LABELS[pde]}, tanh",
            unit="gamma", experiment=experiment, figure=FIGURES[experiment][1], check=level(experiment, pde),
            **_table(pde, "tanh", published.SEPARABLE, "gamma"),
        )
        for pde, experiment in PROBLEMS.items()
    ),
    # C3, C9: a separable law is insufficient, for ReLU
    *(
        Claim(
            id=f"{id}-{name_of(pde)}",
            statement=f"{statement}: {LABELS[pde]}, {activation}",
            unit="b_Nkappa", experiment=experiment, figure=FIGURES[experiment][0],
            check=interaction(experiment, pde, activation),
            **_table(pde, activation, published.INTERACTION, "b_Nkappa"),
        )
        for activation, id, statement in (
            ("tanh", "C3", "A law A N^-alpha kappa^gamma is insufficient, width and kappa interact"),
            ("relu", "C9-interaction", "With ReLU width and kappa interact"),
        )
        for pde, experiment in PROBLEMS.items()
        if (pde, activation) != ("kdv", "relu")
    ),
    *(
        Claim(
            id=f"C3-form-{name_of(pde)}",
            statement="A separable law quadratic in log kappa fits better than the interaction: "
            f"{LABELS[pde]}, tanh, gain in AIC",
            unit="AIC", experiment=experiment, figure=FIGURES[experiment][1],
            check=curved_level(experiment, pde), **OURS,
        )
        for pde, experiment in PROBLEMS.items()
    ),
    *(
        Claim(
            id=f"C9-width-{name_of(pde)}",
            statement=f"With tanh the width is irrelevant (10 % per doubling): {LABELS[pde]}",
            unit="alpha", experiment=experiment, figure=FIGURES[experiment][0],
            check=width_is_irrelevant(experiment, pde), **_table(pde, "tanh", published.SEPARABLE, "alpha"),
        )
        for pde, experiment in PROBLEMS.items()
    ),
    # C4: kappa dominates
    *(
        Claim(
            id=f"C4-{name_of(pde)}",
            statement=f"kappa moves the error more than the width, |gamma| - |alpha|: {LABELS[pde]}, tanh",
            unit="of the exponents", experiment=experiment, figure=FIGURES[experiment][1],
            check=kappa_dominates(experiment, pde),
            **(OURS if pde == "kdv" else TABLES | {"published": published_gap}),
        )
        for (pde, experiment), published_gap in zip(PROBLEMS.items(), (1.371, 0.018, 0.177, None), strict=True)
    ),
    # C5: the linear control
    Claim(
        id="C5-control",
        statement="The linear control recovers the theoretical rate, alpha of 1/2 or more: Poisson, tanh",
        published=0.063, unit="alpha", experiment="published", figure="control",
        check=exponent("published", "poisson", supported_above=BARRON), source="README and saved tables",
        kind="published",
    ),
    # D: the noise of a constant rate
    *(
        Claim(
            id=f"D-swings-{name_of(pde)}",
            statement=f"The last iterate is luck: largest over smallest error of the last 5000 steps, {LABELS[pde]}",
            unit="times", experiment="published", figure="noise", check=last_iterate_swings(pde, kappas), **OURS,
        )
        for pde, kappas in SMOOTH.items()
    ),
    *(
        Claim(
            id=f"D-average-{name_of(pde)}",
            statement=f"Averaging the weights halves the error: last iterate over average, {LABELS[pde]}",
            unit="times", experiment="published", figure="noise", check=average_gain(pde, kappas), **OURS,
        )
        for pde, kappas in SMOOTH.items()
    ),
    *(
        Claim(
            id=f"D-decay-{name_of(pde)}",
            statement=f"So does a rate that falls, at equal cost: constant over falling rate, {LABELS[pde]}",
            unit="times", experiment="decay", figure="decay", check=decay_gain(pde), **OURS,
        )
        for pde in SMOOTH
    ),
    *(
        Claim(
            id=f"D-alpha-{name_of(pde)}",
            statement=f"With it alone wider networks err less, alpha > 0: {LABELS[pde]}, smooth cases",
            unit="alpha", experiment="decay", figure="decay", check=decay_exponent(pde), **OURS,
        )
        for pde in SMOOTH
    ),
]  # fmt: skip
