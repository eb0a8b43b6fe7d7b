"""Pretrained pairs: guillotine, curvature, orbits, depth, objectives, the metric (claims C8 to C13, experiment
`geometry`).

Networks have three seeds each. Thresholds: no difference at all, unless a docstring says otherwise.
"""

import numpy as np
import pandas as pd

from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, per_seed
from repro_shared.results import Results

PUBLISHED = {"objective": "simclr", "activation": "relu", "depth": 2, "rotation": 45.0}
"""The authors' setting."""
ORBITS = ("turn", "brightness", "contrast", "blur", "hue", "saturation")
OF_COLOUR = ("hue", "saturation")
"""Orbits that grey images do not have."""
TREND = 1.1
"""10 %: a trend that would matter."""


def pairs(results: dict[str, Results]) -> pd.DataFrame:
    """All cells of the first data set and backbone, where there are several; figures draw the same ones."""
    table = results["geometry"].table
    return table[(table["data"] == table["data"].iloc[0]) & (table["backbone"] == table["backbone"].iloc[0])]


def rows(results: dict[str, Results], **settings) -> pd.DataFrame:
    """The cells with these settings, one row per seed."""
    table = pairs(results)
    for name, value in settings.items():
        table = table[table[name] == value]
    return table.set_index("seed").sort_index()


# ---- C8: guillotine


def guillotine(task: str, probe: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Accuracy on z minus accuracy on h, points, the authors' setting; all readings are claims of their own."""
        table = rows(results, **PUBLISHED)
        z, h = (table[f"{task}_{probe}_{place}"].astype(float) for place in ("z", "h"))
        why = f"z {z.mean():.1f} %, h {h.mean():.1f} %."
        return judge(z - h, why, supported_above=0.0)

    return check


def gap_doubles(protocol: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """(MLP - linear) on h over the same on z: above 1.5, as "doubles" says, with room."""
        table = rows(results, **PUBLISHED)
        gaps = {
            place: table[f"rotation_{protocol}mlp_{place}"].astype(float) - table[f"rotation_{protocol}linear_{place}"]
            for place in ("z", "h")
        }
        why = f"MLP over linear: z {gaps['z'].mean():.1f} points, h {gaps['h'].mean():.1f}."
        return judge(gaps["h"] / gaps["z"].where(gaps["z"] > 0), why, supported_above=1.5)

    return check


def gap_grows_with_rotation(results: dict[str, Results]) -> Finding:
    """z - h of the converged MLP probe for rotation: trained with the widest range minus trained without; above 0."""
    setting = {name: value for name, value in PUBLISHED.items() if name != "rotation"}
    table = pairs(results)
    degrees = sorted(table.loc[table["objective"] == "simclr", "rotation"].unique())
    gaps = {}
    for angle in degrees:
        at = rows(results, **setting, rotation=angle)
        gaps[angle] = at["rotation_mlp_z"].astype(float) - at["rotation_mlp_h"]
    if not gaps:
        return judge([], "There are no SimCLR heads.")
    by = ", ".join(f"{angle:g} degrees {gap.mean():+.1f}" for angle, gap in gaps.items())
    return judge(gaps[degrees[-1]] - gaps[degrees[0]], f"Gap in points: {by}.", supported_above=0.0)


# ---- C9, C10: curvature and orbits


def setting_factor(column: str, threshold: float = 1.0) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """A ratio of the authors' setting, its mean over seeds geometric."""
        ratios = rows(results, **PUBLISHED)[column].astype(float)
        by = ", ".join(f"{value:.3g}" for value in ratios.dropna())
        why = f"By seed: {by or 'none'}; asked for is more than {threshold:g}."
        return factor(ratios, why, supported_above=threshold)

    return check


def curvature(results: dict[str, Results]) -> Finding:
    """Published curvature in h over that in z: above 1."""
    table = rows(results, **PUBLISHED)
    why = (
        f"Second differences of unit vectors grow with the length of the step: path lengths have the ratio "
        f"{table['length_ratio'].mean():.2f}. They are seen from the origin, and z lies far off: the mean of its unit "
        f"vectors has norm {table['offset_z'].mean():.2f}, that of h {table['offset_h'].mean():.2f}."
    )
    return factor(table["curvature_ratio"].astype(float), why, supported_above=1.0)


def isometry(quantity: str, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """What the published measure makes of z minus its mean instead of h, a map that changes no distance: on the
        claim's side of 1.
        """
        table = rows(results, **PUBLISHED)
        why = (
            f"Nothing but the origin is moved: by unit vectors z minus its mean over z. The head itself has "
            f"{table[quantity].mean():.2f}."
        )
        return factor(table[f"isometry_{quantity}"].astype(float), why, **threshold)

    return check


def compression(results: dict[str, Results]) -> Finding:
    """Share of the total variance that is within rotation orbits, z over h, the head given z as in training: above 1.
    No offset and no scale changes it.
    """
    table = rows(results, **PUBLISHED)
    why = (
        f"By unit vectors about the mean {table['compression_centred'].mean():.2f}, about the origin, as published, "
        f"{table['compression'].mean():.2f}."
    )
    return factor(table["compression_total"].astype(float), why, supported_above=1.0)


def published_protocol(results: dict[str, Results]) -> Finding:
    """Spread of unit vectors, z over h, the head given z / ||z||: above 1."""
    table = rows(results, **PUBLISHED)
    why = (
        f"As a share of the total variance {table['unit_compression_total'].mean():.2f}: the head's outputs hardly "
        f"differ, the mean of their unit vectors has norm {table['unit_offset_h'].mean():.2f}."
    )
    return factor(table["unit_compression"].astype(float), why, supported_above=1.0)


# ---- C11: depth


def depths(results: dict[str, Results], column) -> dict[int, pd.Series]:
    """A quantity by depth of the Swish heads, per seed."""
    table = rows(results, objective="simclr", activation="swish", rotation=PUBLISHED["rotation"])
    return {depth: column(part) for depth, part in table.groupby("depth")}


def grows_with_depth(column, what: str, falls: bool = False) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Deepest over shallowest head: 10 % more (less)."""
        by = depths(results, column)
        if not by:
            return judge([], "There are no Swish heads.")
        first, last = by[min(by)], by[max(by)]
        why = f"{what}: " + ", ".join(f"depth {depth} {values.mean():.2f}" for depth, values in by.items()) + "."
        threshold = {"supported_below": 1 / TREND} if falls else {"supported_above": TREND}
        return factor(last / first, why, **threshold)

    return check


def probe_gap_grows(probe: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """z - h, linear probe for rotation: deepest minus shallowest head, points; above 0."""
        by = depths(results, lambda t: t[f"rotation_{probe}_z"].astype(float) - t[f"rotation_{probe}_h"])
        if not by:
            return judge([], "There are no Swish heads.")
        why = "z - h in points: " + ", ".join(f"depth {d} {values.mean():+.1f}" for d, values in by.items()) + "."
        return judge(by[max(by)] - by[min(by)], why, supported_above=0.0)

    return check


# ---- C12: objectives


def objectives(
    names: tuple[str, ...], quantity: str, above: float | None = None, below: float | None = None, norm: bool = True
) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Mean over orbits (and objectives) of a seed, of ratios geometric; every orbit is quoted, and how far the head
        is from collapse.
        """
        table = pairs(results)
        table = table[table["objective"].isin(names) & (table["norm"] == norm)]
        if table.empty:
            return judge([], f"There are no such networks ({', '.join(names)}).")
        threshold = {"supported_above": above} if above is not None else {"supported_below": below}
        columns = [f"{name}_{quantity}" for name in ORBITS if f"{name}_{quantity}" in table]
        values, ratio = table[columns].astype(float), quantity.endswith("_ratio")
        means = np.exp(np.log(values).mean()) if ratio else values.mean()
        by = ", ".join(f"{c.removesuffix('_' + quantity)} {means[c]:.3g}" for c in columns if not np.isnan(means[c]))
        ranks = ", ".join(f"{name} {part['rank_h'].mean():.1f}" for name, part in table.groupby("objective"))
        grey = [c for c in columns if c.startswith(OF_COLOUR) and values[c].isna().all()]
        values = (np.log(values) if ratio else values).drop(columns=grey)
        seeds = per_seed(values.mean(axis=1, skipna=False), table["seed"], "mean")
        why = f"By orbit: {by}. Effective rank of h: {ranks}."
        return factor(np.exp(seeds), why, **threshold) if ratio else judge(seeds, why, **threshold)

    return check


def universal(quantity: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Variance along rotation orbits in z over that in h, the least of all objectives of a seed: above 1."""
        table = pairs(results)
        table = table[table["norm"]]
        setting = (table[list(PUBLISHED)] == pd.Series(PUBLISHED)).all(axis=1)
        standard = table[(table["objective"] != "simclr") | setting]
        ratios = standard[f"turn_{quantity}"].astype(float)
        means = np.exp(np.log(ratios).groupby(standard["objective"]).mean())
        by = ", ".join(f"{name} {value:.2g}" for name, value in means.items())
        least = per_seed(ratios, standard["seed"], "min")
        return factor(
            least, f"Geometric means over seeds: {by}; judged is the least of each seed.", supported_above=1.0
        )

    return check


# ---- C13: the metric


def nearly_singular(results: dict[str, Results]) -> Finding:
    """v'Gv along the augmentation, 1 for an isotropic metric: below a tenth is our reading of "nearly singular"."""
    table = rows(results, **PUBLISHED)
    why = f"Median over images; along differences between images {table['along_semantic'].mean():.2f}."
    return judge(table["along_augmentation"].astype(float), why, supported_below=0.1)


def quotient(table: pd.DataFrame) -> pd.Series:
    """Metric along the augmentation over that along differences between images."""
    return table["along_augmentation"].astype(float) / table["along_semantic"]
