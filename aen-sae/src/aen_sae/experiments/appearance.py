"""One name and one colour per method and initialisation, the same in every figure."""

from repro_shared.plotting import PALETTE

LABELS = {
    "l1": "L1",
    "elastic_net": "elastic net",
    "adaptive_lasso": "adaptive lasso",
    "aen": "AEN",
    "topk": "TopK",
    "topk_auxk": "TopK + AuxK",
    "batchtopk": "BatchTopK",
    "jumprelu": "JumpReLU",
    "gated": "gated",
}
COLORS = dict(zip(LABELS, [*PALETTE[:3], PALETTE[3], PALETTE[4], PALETTE[5], "#777777", "#999933", "#882255"], strict=True))
MARKERS = dict(zip(LABELS, "osD^vPX*h", strict=True))
INIT_LABELS = {"published": "published init", "centered": "centered init"}
