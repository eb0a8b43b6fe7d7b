"""The head as a metric, and negative curvature: exact statements (claims C1 to C4)."""

from proj_heads.checks.theory import (
    any_residual,
    cosine_sign,
    critical_separates,
    dino_smooth_heads,
    dino_straight_heads,
    exact,
    isotropic_path,
    linear_field_grows,
    no_constant_head,
    no_constant_head_of_any_rank,
    only_locally,
    residual_at_collapse,
    residual_of_targets,
    smooth_heads,
    straight_heads,
    threshold_is_sufficient,
    trapped_behind_linear,
)
from proj_heads.claims.sources import OURS, stated, theorem
from proj_heads.experiments.theory import DINO
from repro_shared.claims import Claim

THEORY: list[Claim] = [
    # C1 to C3: the head as a metric
    Claim(
        id="C1-hessian",
        statement="H = G + M: the closed form is the Hessian of the loss behind the head; deviation from autodiff",
        unit="of ||H||", figure="spectra", check=exact("hessian", "deviation", "Closed form against torch.func."),
        **theorem("equation 1"),
    ),
    Claim(
        id="C2-whitens",
        statement="A linear head whitens the loss on any subspace of the dimension of the loss Hessian's rank",
        unit="isotropy error", figure=None, check=exact("whitening", "on", "Worst draw, ranks 2 and 8."),
        **theorem("theorem 3.1"),
    ),
    Claim(
        id="C2-only-locally",
        statement="And only there: isotropy error of the same head where the loss Hessian is another",
        unit="isotropy error", figure=None, check=only_locally, **theorem("theorem 3.1, section 3"),
    ),
    Claim(
        id="C3-curvature",
        statement="The metric of softmax and InfoNCE losses is curved (K = 1/4), so is the Gaussian's (K = -1/2)",
        unit="deviation of K", figure="conditioning",
        check=exact("curvature", "curvature_deviation", "Largest deviation from the known curvature.", 1e-9,
                    potential=("gaussian", "softmax", "separable", "quadratic")),
        **theorem("proposition 3.3; curvatures: our derivation"),
    ),
    Claim(
        id="C3-no-constant-head",
        statement="Where the loss is not quadratic no constant head of full rank is isotropic everywhere: condition "
        "number left",
        unit="condition number", figure="conditioning", check=no_constant_head, **theorem("proposition 3.3"),
    ),
    Claim(
        id="C3-any-rank",
        statement="Whatever its rank (the assumption is not stated): isotropy error of a constant head of rank one",
        unit="isotropy error", figure=None, check=no_constant_head_of_any_rank, **theorem("proposition 3.3"),
    ),
    Claim(
        id="C3-path",
        statement="An MLP head makes it isotropic along a path: ||G - I|| of the widest head",
        unit="isotropy error", figure="conditioning", check=isotropic_path, **theorem("theorem 3.2, by construction"),
    ),
    Claim(
        id="C3-bound",
        statement="A Jacobian within eps moves the metric by at most 2 L M eps + M eps^2: moved over allowed",
        unit="of the bound", figure=None,
        check=exact("bound", "ratio", "Largest of any draw.", 1 + 1e-6), **theorem("proposition 3.4"),
    ),
    Claim(
        id="C3-threshold",
        statement="An error below lambda_min / (2 L M) keeps the metric definite: least error that breaks it over this",
        unit="of the threshold", figure=None, check=threshold_is_sufficient, **theorem("corollary 3.5"),
    ),
    # C4: negative curvature
    Claim(
        id="C4-straight",
        statement="Behind linear and ReLU heads a convex loss has no negative curvature: negative eigenvalues of H",
        unit="of 16", figure="spectra", check=straight_heads, **theorem("theorem 4.1, section 4.2"),
    ),
    Claim(
        id="C4-smooth",
        statement="Behind smooth heads it generically has: share of samples with a negative eigenvalue, residuals of "
        "random outputs (90 %)",
        unit="% of samples", figure="spectra", check=smooth_heads, **theorem("theorem 4.1"),
    ),
    Claim(
        id="C4-any-residual",
        statement="However small the residual: share of smooth heads wider than z that any destabilises (90 %)",
        unit="% of draws", figure="residuals", check=any_residual, **theorem("theorem 4.1, \"generically\""),
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
        unit="% of samples", figure="spectra", check=cosine_sign, experiment="theory", **stated("section 4, figure 3"),
    ),
    Claim(
        id="C4-premise",
        statement="The theorem's premise rho != 0 holds at the collapse of InfoNCE, NT-Xent, VICReg, Barlow Twins and "
        "SimSiam without predictor: least gradient norm",
        unit="gradient norm", figure="collapse", check=residual_at_collapse, experiment="theory",
        **stated("assumption 6"),
    ),
    Claim(
        id="C4-premise-predictor",
        statement="It holds for SimSiam with its predictor as drawn, where collapse is no rest point and the loss not "
        "convex: least residual",
        unit="residual", figure="targets", check=residual_of_targets("SimSiam predictor"), experiment="theory",
        **stated("assumption 6"),
    ),
    Claim(
        id="C4-dino-premise",
        statement="It holds for DINO, sharpened or centred, whose loss is convex: least residual, heads as drawn",
        unit="residual", figure="targets", check=residual_of_targets(*DINO), experiment="theory",
        **stated("assumption 6"),
    ),
    Claim(
        id="C4-dino-smooth",
        statement="And there the theorem works: collapsed states of DINO with a negative eigenvalue behind smooth "
        "heads (90 %)",
        unit="% of draws", figure="targets", check=dino_smooth_heads, **theorem("theorem 4.1"),
    ),
    Claim(
        id="C4-dino-straight",
        statement="While behind linear and ReLU heads they have none: negative eigenvalues of H",
        unit="of 16", figure="targets", check=dino_straight_heads, **theorem("theorem 4.1, section 4.2"),
    ),
    Claim(
        id="C4-linear-trapped",
        statement="Without a smooth head collapse is no saddle: objectives with rho = 0 that have one behind a linear "
        "head",
        unit="of 5 objectives", figure="collapse", check=trapped_behind_linear, experiment="theory",
        **stated("section 4.2"),
    ),
    Claim(
        id="C4-linear-field",
        statement="SimSiam's predictor makes differences grow at collapse behind linear heads, too: growth rate",
        unit="of ||H||", experiment="theory", figure="collapse", check=linear_field_grows, **OURS,
    ),
]  # fmt: skip
