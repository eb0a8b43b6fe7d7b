"""The paper's claims, in its order, and what our runs say of them (how they are judged: `checks`).

"The Geometry of Projection Heads: Conditioning, Invariance, and Collapse", Faris Chaudhry, ICML 2026, arXiv 2605.17180.
Published numbers come from the author's result files, CIFAR-10 with ResNet-18 and three seeds unless said; `default` is
a small network on Fashion-MNIST, so values are compared in sign and size, not digit by digit. Where the published data
contradict the abstract the claim says so, and our data decide.
"""

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
from proj_heads.checks.theory import (
    any_residual,
    cosine_sign,
    critical_separates,
    exact,
    fisher_rank,
    isotropic_path,
    linear_field_grows,
    no_constant_head,
    only_locally,
    residual_at_collapse,
    smooth_heads,
    straight_heads,
    threshold_is_sufficient,
    trapped_behind_linear,
)
from proj_heads.checks.training import sign_tells, spread_and_condition
from proj_heads.checks.training import smooth_heads as smooth_heads_in_training
from proj_heads.checks.training import straight_heads as straight_heads_in_training
from repro_shared.claims import Claim

OURS = {"source": "our derivation", "kind": "derived", "published": None}
FILES = {"source": "author's result files", "kind": "published"}


def _theorem(source: str) -> dict:
    return {"source": source, "kind": "theorem", "published": None, "experiment": "theory"}


def _stated(source: str) -> dict:
    return {"source": source, "kind": "published", "published": None}


OUR_PROTOCOL = {"source": "section 6, our protocol", "kind": "published"}
DECORRELATING = ("vicreg", "barlow")

CLAIMS: list[Claim] = [
    # C1 to C3: the head as a metric
    Claim(
        id="C1-hessian",
        statement="H = G + M: the closed form is the Hessian of the loss behind the head; deviation from autodiff",
        unit="of ||H||", figure="spectra", check=exact("hessian", "deviation", "Closed form against torch.func."),
        **_theorem("equation 1"),
    ),
    Claim(
        id="C2-whitens",
        statement="A linear head whitens the loss on any subspace of the dimension of the loss Hessian's rank",
        unit="isotropy error", figure=None, check=exact("whitening", "on", "Worst draw, ranks 2 and 8."),
        **_theorem("theorem 3.1"),
    ),
    Claim(
        id="C2-only-locally",
        statement="And only there: isotropy error of the same head where the loss Hessian is another",
        unit="isotropy error", figure=None, check=only_locally, **_theorem("theorem 3.1, section 3"),
    ),
    Claim(
        id="C3-curvature",
        statement="The metric of softmax and InfoNCE losses is curved (K = 1/4), so is the Gaussian's (K = -1/2)",
        unit="deviation of K", figure="conditioning",
        check=exact("curvature", "curvature_deviation", "Largest deviation from the known curvature.", 1e-9,
                    potential=("gaussian", "softmax", "separable", "quadratic")),
        **_theorem("proposition 3.3; curvatures: our derivation"),
    ),
    Claim(
        id="C3-no-constant-head",
        statement="Where the loss is not quadratic no constant head is isotropic everywhere: condition number left",
        unit="condition number", figure="conditioning", check=no_constant_head, **_theorem("proposition 3.3"),
    ),
    Claim(
        id="C3-path",
        statement="An MLP head makes it isotropic along a path: ||G - I|| of the widest head",
        unit="isotropy error", figure="conditioning", check=isotropic_path, **_theorem("theorem 3.2, by construction"),
    ),
    Claim(
        id="C3-bound",
        statement="A Jacobian within eps moves the metric by at most 2 L M eps + M eps^2: moved over allowed",
        unit="of the bound", figure=None,
        check=exact("bound", "ratio", "Largest of any draw.", 1 + 1e-6), **_theorem("proposition 3.4"),
    ),
    Claim(
        id="C3-threshold",
        statement="An error below lambda_min / (2 L M) keeps the metric definite: least error that breaks it over this",
        unit="of the threshold", figure=None, check=threshold_is_sufficient, **_theorem("corollary 3.5"),
    ),
    # C4: negative curvature
    Claim(
        id="C4-straight",
        statement="Behind linear and ReLU heads a convex loss has no negative curvature: negative eigenvalues of H",
        unit="of 16", figure="spectra", check=straight_heads, **_theorem("theorem 4.1, section 4.2"),
    ),
    Claim(
        id="C4-smooth",
        statement="Behind smooth heads it generically has: share of samples with a negative eigenvalue, residuals of "
        "random outputs (90 %)",
        unit="% of samples", figure="spectra", check=smooth_heads, **_theorem("theorem 4.1"),
    ),
    Claim(
        id="C4-any-residual",
        statement="However small the residual: share of smooth heads wider than z that any destabilises (90 %)",
        unit="% of draws", figure="residuals", check=any_residual, **_theorem("theorem 4.1, \"generically\""),
    ),
    Claim(
        id="C4-critical",
        statement="H loses definiteness exactly at the residual t* = -1 / lambda_min(G^(-1/2) M G^(-1/2))",
        unit="% of draws", experiment="theory", figure="residuals", check=critical_separates, **OURS,
    ),
    Claim(
        id="C4-cosine",
        statement="So it is for the cosine loss of SimSiam: share of samples of linear and ReLU heads with a negative "
        "eigenvalue, none (5 %)",
        unit="% of samples", figure="spectra", check=cosine_sign, experiment="theory", **_stated("section 4, figure 3"),
    ),
    Claim(
        id="C4-premise",
        statement="The theorem's premise rho != 0 holds at the collapse of real losses: least gradient norm",
        unit="gradient norm", figure="collapse", check=residual_at_collapse, experiment="theory",
        **_stated("assumption 6"),
    ),
    Claim(
        id="C4-linear-trapped",
        statement="Without a smooth head collapse is no saddle: objectives with one behind a linear head",
        unit="of 5 objectives", figure="collapse", check=trapped_behind_linear, experiment="theory",
        **_stated("section 4.2"),
    ),
    Claim(
        id="C4-linear-field",
        statement="SimSiam's predictor makes differences grow at collapse behind linear heads, too: growth rate",
        unit="of ||H||", experiment="theory", figure="collapse", check=linear_field_grows, **OURS,
    ),
    Claim(
        id="C4-straight-training",
        statement="While SimSiam trains, linear and ReLU heads have no negative eigenvalue under the squared error",
        unit="of 64", experiment="hessian", figure="negative", check=straight_heads_in_training,
        **_stated("theorem 4.1"),
    ),
    Claim(
        id="C4-smooth-training",
        statement="And smooth heads have many (10 or more)",
        unit="of 64", experiment="hessian", figure="negative", check=smooth_heads_in_training, **_stated("theorem 4.1"),
    ),
    # C6: the author's Hessian tracker
    Claim(
        id="C6-sign",
        statement="The sign of the lowest eigenvalue tells smooth heads from ReLU while SimSiam trains: negative "
        "eigenvalues of linear and ReLU heads under the cosine loss, none (.05)",
        published="epochs with lambda_min < 0: Swish 69 and 72 of 100, ReLU 1 (by an estimator that misses them)",
        unit="per sample", experiment="hessian", figure="lowest", check=sign_tells, **FILES,
    ),
    Claim(
        id="C6-spread",
        statement="Standard deviation and condition number of the representation move together (Swish)",
        published="0.34 and 0.61", unit="rank correlation", experiment="hessian", figure="spread",
        check=spread_and_condition, **FILES,
    ),
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
        **_theorem("propositions 5.1 and 5.2"),
    ),
    Claim(
        id="C13-fisher",
        statement="And the Fisher information loses the rank of V: rank I_h - (rank I_z - dim V), V in the range of z",
        unit="ranks", figure=None, check=fisher_rank("inside"), **_theorem("theorem 5.3"),
    ),
    Claim(
        id="C13-fisher-anywhere",
        statement="Wherever V lies (the assumption is not stated): the same with V outside the range of z",
        unit="ranks", figure=None, check=fisher_rank("outside"), **_theorem("theorem 5.3"),
    ),
    Claim(
        id="C13-trained",
        statement="A trained head's metric is nearly singular along augmentations (a tenth of isotropic)",
        published=None, unit="of an isotropic metric", experiment="geometry", figure="depth", check=nearly_singular,
        source="section 5 (not measured by the author)", kind="published",
    ),
]  # fmt: skip
