"""One name and one colour per method and initialisation, the same in every figure."""

from aen_sae.experiments.grids import LABELS
from repro_shared.plotting import PALETTE

COLORS = dict(
    zip(LABELS, [*PALETTE[:3], PALETTE[3], PALETTE[4], PALETTE[5], "#777777", "#999933", "#882255"], strict=True)
)
MARKERS = dict(zip(LABELS, "osD^vPX*h", strict=True))
INIT_LABELS = {"published": "published init", "centered": "centered init"}
