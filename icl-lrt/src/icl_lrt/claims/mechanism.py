"""How the networks do it, and how they came to (claims C6 and C7; C5 along training)."""

from icl_lrt.checks.mechanism import (
    after_first_layer,
    aligned_heads_are_worth_more,
    alignment,
    both_signs,
    first_layer_answers,
    lens_gap,
    no_network_shows_it,
    norm_is_linear,
    one_head_costs_more,
    peak_comes_first,
    probe_gap,
    smoother_before_bayes,
    smoother_is_left,
    smoother_peaks,
    votes,
    zero_overstates,
)
from icl_lrt.claims.sources import CHECKPOINTS, FIGURES, OURS
from repro_shared.claims import Claim

OV_FIGURES = {"source": "author's figures, seed 2", "kind": "published"}
LENS = {"unit": "Pearson's r", "experiment": "mechanism", "figure": "layers"}
PATCH = {"unit": "of the way", "experiment": "mechanism", "figure": "patching"}
OV = {"unit": "cosine", "experiment": "mechanism", "figure": "alignment"}
TRAINING = {"experiment": "dynamics", "figure": "dynamics"}

MECHANISM: tuple[Claim, ...] = (
    # C5: along training
    Claim(
        id="C5-training-peak",
        statement="Task A is learned through kernel smoothing: on the way the logit is more like the published "
        "smoother than Bayes is (r, .1 more)",
        unit="Pearson's r", check=smoother_peaks, **TRAINING, **OURS,
    ),
    Claim(
        id="C5-training-phase",
        statement="Then it is more of a smoother than of Bayes: partial r with the smoother, given Bayes, minus the "
        "reverse",
        unit="partial r", check=smoother_before_bayes("A", "dot"), **TRAINING, **OURS,
    ),
    Claim(
        id="C5-training-order",
        statement="That is over before the network is near Bayes (r above .9): step of the peak minus step of that",
        unit="steps", check=peak_comes_first, **TRAINING, **OURS,
    ),
    Claim(
        id="C5-training-end",
        statement="At the end it is no more like the smoother than Bayes is: r, network minus Bayes (.05)",
        unit="Pearson's r", check=smoother_is_left, **TRAINING, **OURS,
    ),
    Claim(
        id="C5-training-B",
        statement="So it is in task B, with the smoother of its own, a kernel on norms: partial r with it, given "
        "Bayes, minus the reverse, where the logit is most like it",
        unit="partial r", check=smoother_before_bayes("B", "fair"), **TRAINING, **OURS,
    ),
    # C6: in which layer
    Claim(
        id="C6-lens-A",
        statement="Task A's answer is partly there after the first layer: lens against the log-likelihood ratio (.1)",
        published=0.26, check=after_first_layer("A", "lens_published_{}_pearson", True), **LENS, **FIGURES,
    ),
    Claim(
        id="C6-lens-B",
        statement="Task B's is not before the second: lens after the first layer against the label (size, .1)",
        published=-0.02, check=after_first_layer("B", "lens_published_{}_pearson", False), **LENS, **FIGURES,
    ),
    Claim(
        id="C6-lens-same-target",
        statement="The difference is not that of the targets: the same target for both tasks, A minus B (.1)",
        check=lens_gap, **LENS, **OURS,
    ),
    Claim(
        id="C6-probe-B",
        statement="A trained linear probe reads it in task B, too, after the first layer (.1)",
        published=".09, .32, .24", check=after_first_layer("B", "probe_cut_{}", True), **LENS, **CHECKPOINTS,
    ),
    Claim(
        id="C6-probe-gap",
        statement="So the difference is one of the head's direction and mostly vanishes with a probe: A minus B, probe "
        "over lens (half)",
        published=".75, -.01, -.11", unit="of the lens's difference", experiment="mechanism",
        figure="layers", check=probe_gap, **CHECKPOINTS,
    ),
    Claim(
        id="C6-norm-B",
        statement="What the first layer prepares in task B is the query's |x|^2: a probe reads it (.9)",
        check=norm_is_linear, **LENS, **OURS,
    ),
    Claim(
        id="C6-patch-A",
        statement="What the first layer of task A writes is used: the query's stream after it, of a run with flipped "
        "labels, moves the logit (.1)",
        check=after_first_layer("A", "patch_labels_{}", True), **PATCH, **OURS,
    ),
    Claim(
        id="C6-patch-B",
        statement="And in task B it is not, though a probe reads it: the same (size, .1)",
        check=after_first_layer("B", "patch_labels_{}", False), **PATCH, **OURS,
    ),
    Claim(
        id="C6-direct",
        statement="The first layer writes more of the answer itself in task A: share of the logit's variance, A - B",
        unit="of the variance", experiment="mechanism", figure="attribution", check=first_layer_answers, **OURS,
    ),
    # C7: heads
    Claim(
        id="C7-first-A",
        statement="Heads of task A carry the label to the answer already in the first layer: largest OV alignment (.5)",
        published=0.70, check=alignment("A", "first_alignment", True), **OV, **OV_FIGURES,
    ),
    Claim(
        id="C7-first-B",
        statement="Those of task B do not: largest OV alignment of the first layer (.5)",
        published=0.20, check=alignment("B", "first_alignment", False), **OV, **OV_FIGURES,
    ),
    *(
        Claim(
            id=f"C7-last-{task}",
            statement=f"The second layer of task {task} has strong heads of both signs: the lesser of the strongest "
            "for and against (.5)",
            published=published, check=both_signs(task), **OV, **OV_FIGURES,
        )
        for task, published in (("A", 0.82), ("B", 0.73))
    ),
    *(
        Claim(
            id=f"C7-votes-{layer}-{task}",
            statement=f"{start} by class similarity, in the sense in which they write: alignment times correlation of "
            "the vote with the log-likelihood ratio",
            unit="cosine times rank correlation", experiment="mechanism", figure="votes", check=votes(task, layer),
            source="section on OV circuits (voting ensemble)", kind="published", published=None,
        )
        for layer, task, start in (
            ("first", "A", "First-layer heads of task A vote"),
            ("last", "A", "Second-layer heads of task A vote"),
            ("last", "B", "Those of task B vote as well"),
        )
    ),
    Claim(
        id="C7-drop",
        statement="Aligned heads are worth more: correlation over heads of alignment and accuracy lost without them",
        published="A .49, .63, .47; B .44, .52, .19", unit="Pearson's r", experiment="mechanism", figure="ablation",
        check=aligned_heads_are_worth_more, **CHECKPOINTS,
    ),
    Claim(
        id="C7-drop-chance",
        statement="Eight heads are too few to show that in any network: least exact permutation p (.05, Bonferroni)",
        unit="p", experiment="mechanism", figure="ablation", check=no_network_shows_it, **OURS,
    ),
    Claim(
        id="C7-costliest",
        statement="The head without which task A loses most is aligned with the answer (.5)",
        published=".85, .64, .83", unit="cosine", experiment="mechanism", figure="ablation",
        check=alignment("A", "costliest_alignment", True), **CHECKPOINTS,
    ),
    Claim(
        id="C7-one-head",
        statement="Task A leans on single heads more than task B: accuracy lost without the most important, A minus B",
        published="10.3, 7.4, 14.6 against 2.9, 3.3, 5.3", unit="points", experiment="mechanism", figure="ablation",
        check=one_head_costs_more, **CHECKPOINTS,
    ),
    Claim(
        id="C7-mean-ablation",
        statement="Zero-ablation overstates what first-layer heads carry: cross-entropy added by mean-ablation over "
        "that by zero-ablation (half)",
        unit="times", experiment="mechanism", figure="ablation", check=zero_overstates, **OURS,
    ),
)  # fmt: skip
