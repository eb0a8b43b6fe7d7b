"""What pretraining makes of a head (claims C8 to C13)."""

from proj_heads.checks.representations import (
    compression,
    curvature,
    gap_doubles,
    gap_grows_with_rotation,
    grows_with_depth,
    guillotine,
    isometry,
    nearly_singular,
    objectives,
    probe_gap_grows,
    published_protocol,
    quotient,
    setting_factor,
    universal,
)
from proj_heads.checks.theory import exact, fisher_rank
from proj_heads.claims.sources import FILES, OUR_PROTOCOL, OURS, theorem
from repro_shared.claims import Claim

DECORRELATING = ("vicreg", "barlow")

REPRESENTATIONS: list[Claim] = [
    # C8: guillotine
    *(
        Claim(
            id=f"C8-rotation-{name}",
            statement=f"Rotation is easier to read from z than from h: {label}",
            published=published, unit="points", experiment="geometry", figure="guillotine",
            check=guillotine("rotation", probe), **(FILES if published else OUR_PROTOCOL),
        )
        for name, label, probe, published in (
            ("published-linear", "linear probe, the author's five epochs", "published_linear", 14.7),
            ("published-mlp", "MLP probe, the author's five epochs", "published_mlp", 11.9),
            ("linear", "linear probe, converged", "linear", None),
            ("mlp", "MLP probe, converged", "mlp", None),
        )
    ),
    *(
        Claim(
            id=f"C8-gap-doubles{suffix}",
            statement=f"The gap between MLP and linear probe doubles at h (1.5 times): {label}",
            published=1.88, unit="times", experiment="geometry", figure="guillotine", check=gap_doubles(protocol),
            **FILES,
        )
        for suffix, label, protocol in (
            ("", "the author's five epochs", "published_"), ("-converged", "converged probes", "")
        )
    ),
    Claim(
        id="C8-class",
        statement="The head is better discarded: class, converged linear probe, z minus h",
        published=None, unit="points", experiment="geometry", figure="guillotine", check=guillotine("class", "linear"),
        source="section 5 (not measured by the author)", kind="published",
    ),
    Claim(
        id="C8-range",
        statement="The wider the rotations trained with, the more of them the head removes: gap z - h of 180 degrees "
        "minus that of 0, converged MLP",
        unit="points", experiment="geometry", figure="probe_gap", check=gap_grows_with_rotation, **OURS,
    ),
    # C9: curvature
    Claim(
        id="C9-curvature",
        statement="Trajectories are more curved in h than in z: published curvature, h over z",
        published=1.93, unit="times", experiment="geometry", figure="curvature", check=curvature, **FILES,
    ),
    Claim(
        id="C9-curvature-isometry",
        statement="That measure is of the offset of z: an isometry, z minus its mean, is more curved by it, too",
        unit="times", experiment="geometry", figure="curvature",
        check=isometry("curvature_ratio", supported_above=1.0), **OURS,
    ),
    Claim(
        id="C9-curvature-centred",
        statement="Also about the means of z and of h: curvature of unit vectors, h over z",
        unit="times", experiment="geometry", figure="curvature", check=setting_factor("centred_curvature_ratio"),
        source="our reading of the claim", kind="derived", published=None,
    ),
    Claim(
        id="C9-turning",
        statement="Also as curves, without the length of their steps: bending of unit vectors, h over z (10 %)",
        unit="times", experiment="geometry", figure="curvature", check=setting_factor("turning_ratio", 1.1),
        source="our reading of the claim", kind="derived", published=None,
    ),
    # C10: orbits
    Claim(
        id="C10-compression",
        statement="The head compresses augmentation orbits: their share of the total variance, z over h",
        unit="times", experiment="geometry", figure="compression", check=compression,
        source="our measure of the claim", kind="derived", published=None,
    ),
    Claim(
        id="C10-compression-unit",
        statement="By the published measure, spread of unit vectors, z over h, with the head given z as in training",
        published=21.9, unit="times", experiment="geometry", figure="compression", check=setting_factor("compression"),
        **FILES,
    ),
    Claim(
        id="C10-compression-isometry",
        statement="That measure is of the offset of z: an isometry, z minus its mean, spreads orbits by it (below 1)",
        unit="times", experiment="geometry", figure="compression",
        check=isometry("compression", supported_below=1.0), **OURS,
    ),
    Claim(
        id="C10-published-protocol",
        statement="It seems to when the head is given z / ||z||, for which it was not trained (the author's protocol)",
        published=21.9, unit="times", experiment="geometry", figure="compression", check=published_protocol, **FILES,
    ),
    Claim(
        id="C10-published-protocol-total",
        statement="Then, too, as a share of the total variance",
        published=None, unit="times", experiment="geometry", figure="compression",
        check=setting_factor("unit_compression_total"), **OUR_PROTOCOL,
    ),
    *(
        Claim(
            id=f"C10-semantics{suffix}",
            statement=f"And keeps classes apart: class over orbit distance in h over that in z, {label}",
            published=published, unit="times", experiment="geometry", figure="compression",
            check=setting_factor(column), **(FILES if published else OUR_PROTOCOL),
        )
        for suffix, label, column, published in (
            ("", "vectors as they are", "raw_class_gain", None),
            ("-unit", "unit vectors (published)", "class_gain", 1.22),
        )
    ),
    # C11: depth
    *(
        Claim(
            id=f"C11-gain{suffix}",
            statement=f"Deeper heads gain more class over orbit distance: depth 3 over depth 1 (10 %), {label}",
            published=published, unit="times", experiment="geometry", figure="depth",
            check=grows_with_depth(lambda t, column=column: t[column].astype(float), "Gain"),
            **(FILES if published else OUR_PROTOCOL),
        )
        for suffix, label, column, published in (
            ("", "vectors as they are", "raw_class_gain", None),
            ("-unit", "unit vectors", "class_gain", 1.71),
            ("-published-protocol", "the author's protocol, the head given z / ||z||", "unit_class_gain", 1.71),
        )
    ),
    *(
        Claim(
            id=f"C11-probe-gap{suffix}",
            statement=f"And lose more rotation to a linear probe: gap z - h of depth 3 minus that of depth 1, {label}",
            published=16.6, unit="points", experiment="geometry", figure="depth", check=probe_gap_grows(probe), **FILES,
        )
        for suffix, probe, label in (
            ("-published-protocol", "published_linear", "five epochs"),
            ("", "linear", "converged"),
        )
    ),
    Claim(
        id="C11-metric",
        statement="Deeper heads weigh augmentations less than differences between images: quotient of the metric, "
        "depth 3 over depth 1 (10 % less)",
        unit="times", experiment="geometry", figure="depth",
        check=grows_with_depth(quotient, "Along augmentation over along differences", falls=True), **OURS,
    ),
    # C12: objectives
    Claim(
        id="C12-dino-cosine",
        statement="DINO's head brings views closer to their image: gain in cosine, mean over orbits",
        published="0.04 to 0.41", unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "cosine_gain", above=0.0), **FILES,
    ),
    Claim(
        id="C12-dino-curvature",
        statement="And flattens their orbits: published curvature of raw vectors, h over z",
        published="0.29 to 0.61", unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "raw_curvature_ratio", below=1.0), **FILES,
    ),
    Claim(
        id="C12-dino-cosine-centred",
        statement="Also about the means of z and of h: gain in cosine",
        unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "centred_cosine_gain", above=0.0), **OURS,
    ),
    Claim(
        id="C12-dino-curvature-centred",
        statement="And flattens, whatever scale and offset are: curvature of unit vectors about their mean, h over z",
        unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "centred_curvature_ratio", below=1.0), **OURS,
    ),
    Claim(
        id="C12-dino-turning",
        statement="As curves, too, without the length of their steps (10 %)",
        unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "turning_ratio", below=1 / 1.1), **OURS,
    ),
    Claim(
        id="C12-dino-collapsed-cosine",
        statement="It does where DINO's head has collapsed (no batch norm): gain in cosine about the means",
        unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "centred_cosine_gain", above=0.0, norm=False), **OURS,
    ),
    Claim(
        id="C12-dino-collapsed-curvature",
        statement="And flattens: curvature about the means, h over z, of a collapsed DINO head",
        unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "centred_curvature_ratio", below=1.0, norm=False), **OURS,
    ),
    Claim(
        id="C12-decorrelating-cosine",
        statement="VICReg's and Barlow Twins' heads do the reverse: gain in cosine",
        published="-0.04 to -0.40", unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(DECORRELATING, "cosine_gain", below=0.0), **FILES,
    ),
    Claim(
        id="C12-decorrelating-cosine-centred",
        statement="Also about the means of z and of h: gain in cosine",
        unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(DECORRELATING, "centred_cosine_gain", below=0.0), **OURS,
    ),
    Claim(
        id="C12-decorrelating-curvature",
        statement="VICReg's and Barlow Twins' heads do the reverse: curvature of raw vectors, h over z",
        published="1.49 to 2.88", unit="times", experiment="geometry", figure="objectives",
        check=objectives(DECORRELATING, "raw_curvature_ratio", above=1.0), **FILES,
    ),
    *(
        Claim(
            id=f"C12-universal{suffix}",
            statement=f"The head is a universal buffer: every objective's compresses orbits of rotations (z over h), "
            f"{label}",
            published="7.5, 6.0, .36, .66 (raw vectors; DINO twice, VICReg, Barlow)", unit="times, least objective",
            experiment="geometry", figure="objectives", check=universal(quantity), **FILES,
        )
        for suffix, label, quantity in (
            ("", "share of the total variance", "variance_share"), ("-unit", "unit vectors", "variance_unit")
        )
    ),
    # C13: invariance and the metric
    Claim(
        id="C13-singular",
        statement="If a head is invariant to an augmentation, G vanishes along its orbit",
        unit="v'Gv", figure=None,
        check=exact("invariance", "along", "Along the orbit of an exactly invariant head."),
        **theorem("propositions 5.1 and 5.2"),
    ),
    Claim(
        id="C13-fisher",
        statement="And the Fisher information loses the rank of V: rank I_h - (rank I_z - dim V), V in the range of z",
        unit="ranks", figure=None, check=fisher_rank("inside"), **theorem("theorem 5.3"),
    ),
    Claim(
        id="C13-fisher-anywhere",
        statement="Wherever V lies (the assumption is not stated): the same with V outside the range of z",
        unit="ranks", figure=None, check=fisher_rank("outside"), **theorem("theorem 5.3"),
    ),
    Claim(
        id="C13-trained",
        statement="A trained head's metric is nearly singular along augmentations (a tenth of isotropic)",
        published=None, unit="of an isotropic metric", experiment="geometry", figure="depth", check=nearly_singular,
        source="section 5 (not measured by the author)", kind="published",
    ),
]  # fmt: skip
