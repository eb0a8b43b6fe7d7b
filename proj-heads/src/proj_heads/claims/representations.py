"""What pretraining makes of a head (claims C8 to C13)."""

from proj_heads.checks.representations import (
    compression,
    curvature,
    gap_doubles,
    gap_grows_with_rotation,
    grows_with_depth,
    guillotine,
    nearly_singular,
    objectives,
    probe_gap_grows,
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
    Claim(
        id="C8-gap-doubles",
        statement="The gap between MLP and linear probe doubles at h (1.5 times), the author's protocol",
        published=1.88, unit="times", experiment="geometry", figure="guillotine", check=gap_doubles, **FILES,
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
        id="C9-turning",
        statement="Also as curves, without the length of their steps: bending of unit vectors, h over z (10 %)",
        unit="times", experiment="geometry", figure="curvature", check=setting_factor("turning_ratio", 1.1),
        source="our reading of the claim", kind="derived", published=None,
    ),
    # C10: orbits
    Claim(
        id="C10-compression",
        statement="The head compresses augmentation orbits: spread in z over that in h",
        published=21.9, unit="times", experiment="geometry", figure="compression", check=compression, **FILES,
    ),
    Claim(
        id="C10-published-protocol",
        statement="It seems to when the head is given z / ||z||, for which it was not trained (the author's protocol)",
        published=21.9, unit="times", experiment="geometry", figure="compression",
        check=setting_factor("unit_compression"), **FILES,
    ),
    Claim(
        id="C10-semantics",
        statement="And keeps classes apart: class over orbit distance in h over that in z",
        published=1.22, unit="times", experiment="geometry", figure="compression", check=setting_factor("class_gain"),
        **FILES,
    ),
    # C11: depth
    Claim(
        id="C11-gain",
        statement="Deeper heads gain more class over orbit distance: depth 3 over depth 1 (10 %)",
        published=1.71, unit="times", experiment="geometry", figure="depth",
        check=grows_with_depth(lambda t: t["class_gain"].astype(float), "Gain"), **FILES,
    ),
    Claim(
        id="C11-gain-published-protocol",
        statement="The same by the author's protocol, the head given z / ||z||",
        published=1.71, unit="times", experiment="geometry", figure="depth",
        check=grows_with_depth(lambda t: t["unit_class_gain"].astype(float), "Gain"), **FILES,
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
        id="C12-dino-curvature-unit",
        statement="Whatever the scale of z and h is: the same of unit vectors",
        unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "curvature_ratio", below=1.0), **OURS,
    ),
    Claim(
        id="C12-dino-turning",
        statement="As curves, too, without the length of their steps (10 %)",
        unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "turning_ratio", below=1 / 1.1), **OURS,
    ),
    Claim(
        id="C12-dino-collapsed-cosine",
        statement="It does where DINO's head has collapsed (no batch norm): gain in cosine",
        unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "cosine_gain", above=0.0, norm=False), **OURS,
    ),
    Claim(
        id="C12-dino-collapsed-curvature",
        statement="And flattens: curvature of unit vectors of a collapsed DINO head, h over z",
        unit="times", experiment="geometry", figure="objectives",
        check=objectives(("dino",), "curvature_ratio", below=1.0, norm=False), **OURS,
    ),
    Claim(
        id="C12-decorrelating-cosine",
        statement="VICReg's and Barlow Twins' heads do the reverse: gain in cosine",
        published="-0.04 to -0.40", unit="cosine", experiment="geometry", figure="objectives",
        check=objectives(DECORRELATING, "cosine_gain", below=0.0), **FILES,
    ),
    Claim(
        id="C12-decorrelating-curvature",
        statement="VICReg's and Barlow Twins' heads do the reverse: curvature of raw vectors, h over z",
        published="1.49 to 2.88", unit="times", experiment="geometry", figure="objectives",
        check=objectives(DECORRELATING, "raw_curvature_ratio", above=1.0), **FILES,
    ),
    Claim(
        id="C12-universal",
        statement="The head is a universal buffer: every objective's compresses orbits of rotations (z over h, unit)",
        published="7.5, 6.0, .36, .66 (raw vectors; DINO twice, VICReg, Barlow)", unit="times, least objective",
        experiment="geometry", figure="objectives", check=universal, **FILES,
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
