"""The paper's claims, in its order, and what our runs say of them (how they are judged: `checks`).

"Trajectory-Restricted Optimization Conditions and Geometry-Aware Linear Convergence", Chaudhry, Monod and Yano, arXiv
2604.17067v1. Published numbers come from the authors' result files, single runs of seed 0; where the paper proves a
statement or gives no number there is none. The paper's own constants are not known to us; where a claim depends on
constants they are ours. What is true whatever the data are is marked as an identity.
"""

from repro_shared.claims import Claim
from trajectory_conv.checks.constants import (
    arcene_scaling,
    better_than_random,
    concentrates,
    fewer_iterations,
    gaussian_law,
    grows_with_dimension,
    inf_identity,
    interaction_explains,
    lambda_units,
    light_tails,
    path_has_low_h,
    path_recovers,
    rule_agrees,
    same_solution,
    smaller_h,
    stability,
    tight,
    weyl_is_infinite,
)
from trajectory_conv.checks.paths import (
    cone_1,
    cone_1_before,
    cone_3,
    curvature_is_not_enough,
    fista_identifies_earlier,
    identified,
    permanent_is_later,
    promised,
    rip_in_300,
    rip_is_faster,
    slows_with_correlation,
    unconverged,
)
from trajectory_conv.checks.rates import (
    box_certificate,
    certificate,
    condition_improves,
    descent,
    fista_locally,
    invariant,
    local_rate,
    no_global_bound,
    nonconvex,
    one_step,
    pointwise,
    rank_of_condition,
    restricted_gains,
    speed_improves,
)
from trajectory_conv.checks.replays import (
    replay_ambient,
    replay_cone,
    replay_leverage,
    replay_phase,
    replay_rip,
    replay_spiked,
    replay_supports,
    replay_tightness,
)
from trajectory_conv.experiments.convergence_figures import SOLVERS

THEOREM = {"source": "theorems 1 and 2, corollaries 1 and 2; constants: our derivation", "kind": "theorem"}
UNMEASURED = {"source": "section 3.3 (not measured by the authors)", "kind": "published", "published": None}
RUNS = {"source": "authors' result files, seed 0", "kind": "published"}
OURS = {"source": "our derivation", "kind": "derived", "published": None}
ARITHMETIC = OURS | {"kind": "identity"}
IDENTITY = {"source": "claimed by the authors, an identity", "kind": "identity"}
REPLAY = {"source": "authors' result files, seed 0", "kind": "published", "unit": "numbers that differ"}

CLAIMS: list[Claim] = [
    # C1: restricted PL on the visited set gives the product rate
    Claim(
        id="C1-certificate",
        statement="The gap never exceeds the product of 1 - mu_k / L over the faces visited, from k = 0 on",
        published=None, unit="of the bound", experiment="rates", figure="certificate", check=certificate, **THEOREM,
    ),
    Claim(
        id="C1-one-step",
        statement="Each step contracts the gap by at least 1 - mu_k / L of its face",
        published=None, unit="of the promised factor", experiment="rates", figure="certificate", check=one_step,
        **THEOREM,
    ),
    Claim(
        id="C1-box",
        statement="The same certificate holds for projected gradient on the dual of the SVM",
        published=None, unit="of the bound", experiment="svm", figure="svm", check=box_certificate, **THEOREM,
    ),
    Claim(
        id="C1-span",
        statement="Gradient descent started in the span of leading eigenvectors contracts as their smallest eigenvalue "
        "says, however ill-conditioned the problem is",
        published=None, unit="of (1 - mu_k)^2", experiment="theory", figure="restriction", check=descent, **THEOREM,
    ),
    Claim(
        id="C1-nonconvex",
        statement="Restricted PL needs no convexity: gradient descent on x^2 + 3 sin^2 x keeps its promise",
        published=None, unit="of the promised factor", experiment="theory", figure="restriction", check=nonconvex,
        **THEOREM,
    ),
    # C2: the three conditions imply each other with explicit constants
    Claim(
        id="C2-pointwise",
        statement="Quadratic growth and the error bound each imply restricted PL, with explicit constants",
        published=None, unit="L of slack", experiment="theory", figure="implications", check=pointwise, **THEOREM,
    ),
    Claim(
        id="C2-invariant",
        statement="On closed invariant sets restricted PL implies quadratic growth and the error bound",
        published=None, unit="of the implied constant", experiment="theory", figure="implications", check=invariant,
        **THEOREM,
    ),
    Claim(
        id="C2-no-global-bound",
        statement="Restriction is needed: for d > n no global error bound holds, dist / ||R|| grows along null(A)",
        unit="times", experiment="theory", figure="restriction", check=no_global_bound, **OURS,
    ),
    # C3: the rate is governed by the Hoffman constant of the face
    Claim(
        id="C3-local-rate",
        statement="ISTA's final rate is 1 - mu_S / L, mu_S = 1 / (n H_S^2) of the final face: measured over predicted",
        unit="of mu_S / L", experiment="rates", figure="rates", check=local_rate("rates"), **UNMEASURED,
    ),
    Claim(
        id="C3-svm-rate",
        statement="So it is for projected gradient on the dual of the SVM, with the free multipliers' face",
        unit="of mu_F / L", experiment="svm", figure="svm", check=local_rate("svm"), **UNMEASURED,
    ),
    Claim(
        id="C3-ranks-designs",
        statement="L / mu_S of the final face ranks the designs by ISTA's iterations",
        unit="rank correlation", experiment="convergence", figure="condition", check=rank_of_condition, **UNMEASURED,
    ),
    Claim(
        id="C3-fista",
        statement="On the final face FISTA is slower per step than ISTA",
        unit="times", experiment="rates", figure="rates", check=fista_locally, **OURS,
    ),
    # C4: a well-conditioned face helps once it is entered
    Claim(
        id="C4-bound",
        statement="The effective condition number improves on the final face (an identity): mu_S over earlier mu_k",
        published=None, unit="times", experiment="rates", figure="before_after", check=condition_improves, **IDENTITY,
    ),
    Claim(
        id="C4-realised-speed",
        statement="So does the realised contraction, with the step 1/L: after over before identification",
        unit="times", experiment="rates", figure="before_after", check=speed_improves, **UNMEASURED,
    ),
    Claim(
        id="C4-restricted-step",
        statement="With the step 1/L_S of the face the better conditioning pays, in iterations: ISTA over this",
        unit="times", experiment="rates", figure="restricted_step", check=restricted_gains("ista", 1.5), **OURS,
    ),
    Claim(
        id="C4-over-fista",
        statement="The restricted step needs fewer iterations than FISTA",
        unit="times", experiment="rates", figure="restricted_step", check=restricted_gains("fista", 1.0), **OURS,
    ),
    Claim(
        id="C4-over-restart",
        statement="The restricted step needs fewer iterations than FISTA with adaptive restart",
        unit="times", experiment="rates", figure="restricted_step", check=restricted_gains("restart", 1.0), **OURS,
    ),
    # C5: RIP designs are fast
    Claim(
        id="C5-rip-faster",
        statement="ISTA is fast on RIP designs, slow on others: iterations to 1e-6, fastest non-RIP over slowest RIP",
        published=2513 / 59, unit="times", experiment="convergence", figure="rip", check=rip_is_faster, **RUNS,
    ),
    Claim(
        id="C5-rip-in-300",
        statement="On RIP designs ISTA converges, to a gap of 1e-15, in fewer than 300 iterations",
        published="< 300", unit="iterations", experiment="convergence", figure="rip", check=rip_in_300, **RUNS,
    ),
    # C6: curvature alone is not enough
    *(
        Claim(
            id=f"C6-spiked-{solver.replace('_', '-')}",
            statement=f"ISTA slows down with the correlation of spiked designs, {label}: iterations, rho = .5 over 0",
            published=value, unit="times", experiment="convergence", figure="spiked",
            check=slows_with_correlation(solver), **RUNS,
        )
        for (solver, label), value in zip(SOLVERS.items(), (5271 / 45, 5164 / 43, 6805 / 102, 6896 / 61), strict=True)
    ),
    Claim(
        id="C6-not-curvature",
        statement="Primal curvature does not explain it: slow-down from rho = 0 to .5 over the loss of mu_S",
        unit="times", experiment="convergence", figure="spiked", check=curvature_is_not_enough, **UNMEASURED,
    ),
    Claim(
        id="C6-published-optimum",
        statement="The authors' F* of the spiked study is not converged at rho >= .9: last objective minus optimum",
        unit="of F", experiment="convergence", figure="spiked", check=unconverged, **OURS,
    ),
    # C7: the cone
    Claim(
        id="C7-cone-3",
        statement="All iterates stay in the cone with a = 3",
        published=100.0, unit="% of iterates", experiment="cone", figure="cone", check=cone_3, **RUNS,
    ),
    Claim(
        id="C7-cone-1",
        statement="Most stay in the cone with a = 1, counted over all 2,000 iterates",
        published="99.0 to 100", unit="% of iterates", experiment="cone", figure="cone", check=cone_1, **RUNS,
    ),
    *(
        Claim(
            id=f"C7-cone-1-before-{algorithm}",
            statement=f"Most iterates (90 %) of {label} stay in the cone with a = 1 already before the support is "
            "identified",
            unit="% of iterates", experiment="cone", figure="identification", check=cone_1_before(algorithm),
            **OURS,
        )
        for algorithm, label in (("ista", "ISTA"), ("fista", "FISTA"))
    ),
    # C8: finite identification
    Claim(
        id="C8-finite",
        statement="The support is identified in finitely many steps: runs with a margin > 0 that end on the face",
        published="14 of 16 within 2,000, FISTA included", unit="% of runs", experiment="rates", figure="certificate",
        check=identified, **RUNS,
    ),
    Claim(
        id="C8-margin",
        statement="No later than the margin promises: iteration of identification over the promised one",
        unit="of the bound", experiment="rates", figure="certificate", check=promised, **OURS,
    ),
    Claim(
        id="C8-fista-earlier",
        statement="FISTA identifies earlier: iteration of ISTA's first identification over FISTA's",
        published="2.3 to 10.7", unit="times", experiment="cone", figure="identification",
        check=fista_identifies_earlier, **RUNS,
    ),
    Claim(
        id="C8-first-permanent",
        statement="FISTA leaves the support again: permanent over first identification on the power-law design",
        unit="times", experiment="cone", figure="identification", check=permanent_is_later, **OURS,
    ),
    # C9: closed-form bounds
    Claim(
        id="C9-upper-2",
        statement="The upper bound in the 2-norm is tight, within 10 %: largest upper over exact",
        published=1.0863, unit="of the exact value", experiment="hoffman", figure="tightness",
        check=tight("max", "2"), **RUNS,
    ),
    Claim(
        id="C9-two-sided-2",
        statement="The two-sided bounds in the 2-norm are tight, within 10 %: largest median of upper over lower",
        published=1.295, unit="of the lower bound", experiment="hoffman", figure="tightness",
        check=tight("median", "2_lower"), **RUNS,
    ),
    Claim(
        id="C9-upper-1",
        statement="The upper bound in the 1-norm is tight, within 10 %: largest upper over exact",
        published=1.033, unit="of the exact value", experiment="hoffman", figure="tightness",
        check=tight("max", "1"), **RUNS,
    ),
    Claim(
        id="C9-upper-inf",
        statement="The upper bound in the inf-norm equals the exact value (an identity): largest deviation",
        published=0.0, unit="of the exact value", experiment="hoffman", figure="tightness", check=inf_identity,
        **IDENTITY,
    ),
    Claim(
        id="C9-weyl",
        statement="Weyl's bound is nearly always infinite (99 %): share of designs",
        unit="% of designs", experiment="hoffman", figure="tightness", check=weyl_is_infinite, **OURS,
    ),
    Claim(
        id="C9-stability",
        statement="H bounds how far the solution moves when the data do",
        published="slack 106 to 165", unit="of the bound", experiment="hoffman", figure="stability", check=stability,
        **RUNS,
    ),
    # C10: growth with the ambient dimension
    Claim(
        id="C10-grows",
        statement="With a fixed support H grows with the dimension d: log-log slope of the 2-norm constant",
        published=0.40, unit="slope", experiment="hoffman", figure="ambient", check=grows_with_dimension, **RUNS,
    ),
    Claim(
        id="C10-interaction",
        statement="Through the interaction of active and inactive features only: growth of H^2 over that of the "
        "interaction's square",
        published=None, unit="times", experiment="hoffman", figure="ambient", check=interaction_explains, **RUNS,
    ),
    Claim(
        id="C10-law",
        statement="For Gaussian designs the interaction is (1 / lambda) sqrt((d - s) / (n mu_S)), within 10 %",
        unit="times", experiment="hoffman", figure="ambient", check=gaussian_law, **OURS,
    ),
    # C11: concentration over supports
    *(
        Claim(
            id=f"C11-{kind}-{name}",
            statement=f"Over random supports of {label} designs H {statement}",
            published=value, unit=unit, experiment="hoffman", figure="supports", check=check(design), **RUNS,
        )
        for design, name, label, highest, kurtosis in (
            ("gaussian", "gaussian", "Gaussian", 1.11, 0.87),
            ("spiked_0.8", "spiked", "spiked (.8)", 1.13, 1.13),
        )
        for kind, statement, value, unit, check in (
            ("concentrates", "concentrates: largest over median", highest, "times", concentrates),
            ("light-tails", "has light tails: excess kurtosis", kurtosis, "excess kurtosis", light_tails),
        )
    ),
    # C12: elastic net
    Claim(
        id="C12-rule",
        statement="The closed-form boundary tells where the support is recovered, nine times in ten: share of the grid",
        published="95.6 by our count on their map", unit="% of grid points",
        experiment="phase", figure="rule", check=rule_agrees, **RUNS,
    ),
    Claim(
        id="C12-path-recovers",
        statement="The coupled split of a budget stays in the recovery region wherever some split does (90 %)",
        published=None, unit="% of budgets", experiment="phase", figure="phase", check=path_recovers, **RUNS,
    ),
    Claim(
        id="C12-low-h",
        statement="The coupled split follows the region of low H: H_2 over that of the best split of the budget",
        published=None, unit="times", experiment="phase", figure="phase", check=path_has_low_h, **RUNS,
    ),
    # C13: cross-leverage
    Claim(
        id="C13-same-solution",
        statement="Dropping inactive features of high cross-leverage keeps the solution (an identity)",
        published=1.5e-4, unit="of a coefficient", experiment="leverage", figure="pruning", check=same_solution,
        **IDENTITY,
    ),
    Claim(
        id="C13-smaller-h",
        statement="It never raises H (an identity): largest H_2 after dropping",
        published="157.24 / 349.56 (ARCENE, scaled twice)", unit="of the full problem's",
        experiment="leverage", figure="pruning",
        check=smaller_h, **IDENTITY,
    ),
    Claim(
        id="C13-fewer-iterations",
        statement="It saves iterations: ISTA with features of h_j > .5 dropped, over the full problem",
        published="CD epochs 64 / 93 (alpha = .01)", unit="of the iterations", experiment="leverage", figure="pruning",
        check=fewer_iterations, **RUNS,
    ),
    Claim(
        id="C13-beats-random",
        statement="It saves more than dropping as many inactive features at random",
        unit="of the control's iterations", experiment="leverage", figure="pruning", check=better_than_random, **OURS,
    ),
    Claim(
        id="C13-lambda-units",
        statement="The published H of the leverage study is in other units than the fit (arithmetic): H with "
        "lambda = alpha over that with lambda = alpha n",
        unit="times", experiment="leverage", figure="pruning", check=lambda_units, **ARITHMETIC,
    ),
    Claim(
        id="C13-arcene-scaling",
        statement="Scaled as the authors' ARCENE columns are, every threshold drops nearly all inactive features",
        unit="% of inactive features", experiment="leverage", figure="leverage", check=arcene_scaling, **OURS,
    ),
    # The authors' own numbers, replayed
    *(
        Claim(
            id=f"R-{name}", statement=f"Replayed, {what} are those of the authors", published=0.0,
            experiment=experiment, figure=figure, check=check, **REPLAY,
        )
        for name, what, experiment, figure, check in (
            ("rip", "F* and hit times on non-RIP designs", "convergence", "rip", replay_rip),
            ("spiked", "objectives and hit times on spiked designs", "convergence", "spiked", replay_spiked),
            ("cone", "identification and cone ratios", "cone", "cone", replay_cone),
            ("ambient", "constants for growing dimension", "hoffman", "ambient", replay_ambient),
            ("supports", "statistics over random supports", "hoffman", "supports", replay_supports),
            ("tightness", "bound ratios", "hoffman", "tightness", replay_tightness),
            ("phase", "recovery decisions", "phase", "phase", replay_phase),
            ("leverage", "supports, H and epochs on synthetic data", "leverage", "pruning", replay_leverage),
        )
    ),
]  # fmt: skip
