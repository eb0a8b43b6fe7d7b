"""What a trained network does inside: `trace` its queries, then look (lens, probes, votes, attributions) or intervene
(ablations, patches). Each tool works on any `Transformer` and `Episodes` and has a null or known ends to be judged by.
"""

from icl_lrt.mechanism.attention import Voting, entropy, learned_kernel, votes, voting
from icl_lrt.mechanism.attribution import attributions, variance_shares
from icl_lrt.mechanism.heads import (
    OV,
    Ablation,
    ablated_logits,
    ablations,
    alignment_test,
    mean_outputs,
    ov_alignment,
)
from icl_lrt.mechanism.lens import PUBLISHED_TARGET, Readout, logit_lens, published_embedding, readouts
from icl_lrt.mechanism.patching import Donor, Patch, donors, patched_logits, patches
from icl_lrt.mechanism.probes import Probe, ridge_probes
from icl_lrt.mechanism.tracing import Trace, logits, trace

__all__ = [
    "OV",
    "PUBLISHED_TARGET",
    "Ablation",
    "Donor",
    "Patch",
    "Probe",
    "Readout",
    "Trace",
    "Voting",
    "ablated_logits",
    "ablations",
    "alignment_test",
    "attributions",
    "donors",
    "entropy",
    "learned_kernel",
    "logit_lens",
    "logits",
    "mean_outputs",
    "ov_alignment",
    "patched_logits",
    "patches",
    "published_embedding",
    "readouts",
    "ridge_probes",
    "trace",
    "variance_shares",
    "votes",
    "voting",
]
