"""Fidelity (R), ReLU (C6), frequencies (C7), optimisers (C8), claimed solutions (T), tangent kernels (K)."""

from pinn_scaling.checks.fidelity import means
from pinn_scaling.checks.networks import (
    at_wrong_vacuum,
    floor_of_ours,
    floor_of_theirs,
    high_over_low,
    lowest_band,
    relu_loses_diffusion,
    relu_loss,
)
from pinn_scaling.checks.optimisers import (
    adam_over,
    capacity_gap,
    cold_start_fails,
    published_problem_remains,
    same_points,
    sampling,
    suffice,
)
from pinn_scaling.checks.problems import others_are_solutions, published_kdv_is_no_solution, trend
from pinn_scaling.claims.sources import LABELS, OURS, TABLES, UNMEASURED, name_of
from repro_shared.claims import Claim

BETTER = (
    ("poisson", 1.0, "lm"), ("allen_cahn", 4.0, "lm"), ("allen_cahn", 16.0, "lm"), ("allen_cahn", 64.0, "lm"),
    ("sine_gordon", 2.0, "lbfgs"), ("sine_gordon", 16.0, "lm-continuation"), ("kdv", 1.0, "lm"), ("kdv", 4.0, "lm"),
    ("kdv", 16.0, "lm"),
)  # fmt: skip
"""Problem, kappa, and the optimiser that stands for what the network can do."""
METHODS = {"lm": "Levenberg-Marquardt", "lbfgs": "L-BFGS", "lm-continuation": "the same with continuation in kappa"}
HARD = BETTER[-4:]

NETWORKS: list[Claim] = [
    # R: fidelity
    *(
        Claim(
            id=f"R-{activation}",
            statement=f"Our means over five seeds are the author's, within a factor of 2: share of cells, {activation}",
            published="80 or more, by our standard", unit="% of cells", experiment="published", figure="fidelity",
            check=means(activation), **TABLES,
        )
        for activation in ("tanh", "relu")
    ),
    # T: the claimed solutions
    Claim(
        id="T-published-kdv",
        statement='The published "truth" of KdV is no solution, for any kappa: least distance from the solution',
        unit="relative distance", experiment="truth", figure="kdv_truth", check=published_kdv_is_no_solution, **OURS,
    ),
    Claim(
        id="T-others",
        statement="All other claimed solutions are: problems that fail",
        unit="problems", experiment="truth", figure="checks", check=others_are_solutions, **OURS,
    ),
    Claim(
        id="T-floor-published",
        statement="The published tanh errors of KdV, whatever the width, are the distance between the two functions "
        "(10 %): worst cell, kappa <= 4",
        unit="times", experiment="truth", figure="kdv_truth", check=floor_of_theirs, **OURS,
    ),
    Claim(
        id="T-floor",
        statement="So are ours",
        unit="times", experiment="published", figure="errors", check=floor_of_ours, **OURS,
    ),
    # C6: ReLU
    Claim(
        id="C6-loss",
        statement="ReLU fails on Poisson because u'' = 0 almost everywhere: its loss is 1/2",
        published=1.1e-4, unit="from 1/2", experiment="published", figure="control", check=relu_loss, **TABLES,
    ),
    Claim(
        id="C6-diffusion",
        statement="For the same reason it solves Allen-Cahn without diffusion, at a distance known in closed form: "
        "error over that distance",
        unit="times", experiment="published", figure="relu", check=relu_loses_diffusion, **OURS,
    ),
    # C7: spectral bias
    *(
        Claim(
            id=f"C7-bias-{name_of(pde)}-{kappa:g}",
            statement=f"The failure is one of high frequencies: error in modes 32-63 over modes 0-3, {LABELS[pde]}, "
            f"kappa = {kappa:g}",
            unit="times", experiment=experiment, figure="bands",
            check=high_over_low(experiment, pde, kappa, supported_above=10.0), **UNMEASURED,
        )
        for experiment, pde, kappa in (
            ("published", "allen_cahn", 256.0), ("published", "sine_gordon", 16.0), ("kdv", "kdv", 1.0),
            ("kdv", "kdv", 16.0),
        )
    ),
    Claim(
        id="C7-lowest-band",
        statement="Where Sine-Gordon fails outright (kappa = 16) the lowest frequencies are wrong, too: modes 0-3",
        unit="relative error", experiment="published", figure="bands",
        check=lowest_band("published", "sine_gordon", 16.0), **OURS,
    ),
    Claim(
        id="C7-vacuum",
        statement="It sits on wrong vacua: wrong points with sin u = 0, Sine-Gordon, kappa = 16",
        unit="% of wrong points", experiment="published", figure="bands", check=at_wrong_vacuum(16.0), **OURS,
    ),
    # C8: optimisation, not capacity
    *(
        Claim(
            id=f"C8-{name_of(pde)}-{kappa:g}",
            statement="Optimisation, not capacity, is the bottleneck: Adam's error over that of "
            f"{METHODS[method]}, same 16 neurons, {LABELS[pde]}, kappa = {kappa:g}",
            unit="times", experiment="decisive", figure="methods", check=adam_over(pde, kappa, method), **UNMEASURED,
        )
        for pde, kappa, method in BETTER
    ),
    Claim(
        id="C8-same-points",
        statement="Also when Adam minimises the same loss over the same points",
        unit="times", experiment="decisive", figure="methods", check=same_points, **OURS,
    ),
    Claim(
        id="C8-sampling",
        statement="Part of Adam's failure is the noise of few fresh points: 160 fresh over 4000 fixed ones, corrected "
        "KdV, kappa = 4",
        unit="times", experiment="decisive", figure="methods", check=sampling, **OURS,
    ),
    Claim(
        id="C8-kdv-published",
        statement="And on KdV as published (kappa = 1), measured against its solution",
        unit="times", experiment="decisive", figure="methods", check=published_problem_remains, **UNMEASURED,
    ),
    *(
        Claim(
            id=f"C8-sixteen-{name_of(pde)}-{kappa:g}",
            statement=f"Sixteen neurons suffice for 1 %: {LABELS[pde]}, kappa = {kappa:g}, {METHODS[method]}",
            unit="relative error, worst seed", experiment="decisive", figure="methods",
            check=suffice(pde, kappa, method), **OURS,
        )
        for pde, kappa, method in HARD
        if pde != "sine_gordon" or kappa == 16.0
    ),
    Claim(
        id="C8-cold-start",
        statement="The optimiser alone is not enough: from a cold start Levenberg-Marquardt fails on the sharp kink",
        unit="relative error, best seed", experiment="decisive", figure="methods", check=cold_start_fails, **OURS,
    ),
    *(
        Claim(
            id=f"C8-width-{name_of(pde)}",
            statement="A quarter of the neurons does better than Adam's: Adam with 32 over "
            f"{METHODS[method]} with 8, {LABELS[pde]}, kappa = {kappa:g}",
            unit="times", experiment="decisive", figure="widths", check=capacity_gap(pde, kappa, method), **OURS,
        )
        for pde, kappa, method in BETTER
        if (pde, kappa) in (("allen_cahn", 64.0), ("sine_gordon", 16.0), ("kdv", 16.0))
    ),
    # K: tangent kernels
    Claim(
        id="K-rank-published",
        statement="Wider networks start with a tangent kernel of lower rank: log2 of it per doubling",
        unit="per doubling", experiment="kernel", figure="rank",
        check=trend("published", "rank", "Effective rank", supported_below=0.0), **OURS,
    ),
    Claim(
        id="K-rank-spread",
        statement="Not with slopes that do not fall with the width",
        unit="per doubling", experiment="kernel", figure="rank",
        check=trend("spread", "rank", "Effective rank", supported_above=0.0), **OURS,
    ),
]  # fmt: skip
