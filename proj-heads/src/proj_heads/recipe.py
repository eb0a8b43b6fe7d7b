"""How to pretrain: settings, and nothing that needs torch."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Activation = Literal["linear", "relu", "gelu", "swish"]
Objective = Literal["simclr", "simsiam", "vicreg", "barlow", "dino"]
Backbone = Literal["small_cnn", "resnet18_cifar", "vit_tiny"]


@dataclass(frozen=True)
class Recipe:
    """How to pretrain. The defaults are those of the `default` preset; the authors' are in the experiments' `paper`."""

    objective: Objective = "simclr"
    backbone: Backbone = "small_cnn"
    cnn_width: int = 16
    """Channels after the first convolution of small_cnn; d is four times as many."""
    activation: Activation = "relu"
    """Of the head (simclr, simsiam); the others' heads are lightly's."""
    depth: int = 2
    """Linear maps of the head (simclr, simsiam)."""
    norm: bool = True
    """Batch norms in the head and predictor (simclr, simsiam) and in DINO's head."""
    alpha: float = 1.0
    """Factor on the head's initial linear maps; the authors' "collapsed" start is .1."""
    width: int = 256
    """Hidden and output width of the head; DINO's bottleneck is a quarter of it."""
    predictor: int = 64
    """Hidden width of SimSiam's predictor (the authors: a quarter of the head's)."""
    steps: int = 500
    batch: int = 256
    """Images a step, of which there are two views."""
    lr: float = 1e-3
    """Adam's; SGD's for simsiam, with momentum .9 and without weight decay as the authors have it."""
    temperature: float = 0.1
    """tau of simclr."""
    rotation: float = 45.0
    """Views are turned by up to so many degrees to either side; at most 180."""
    momentum: float = 0.996
    """Of DINO's teacher at the start, 0 <= m < 1; it goes to 1 along a cosine."""

    def __post_init__(self):
        for name, allowed in (("objective", Objective), ("backbone", Backbone), ("activation", Activation)):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(f"{name} = {getattr(self, name)!r}; choose from {', '.join(get_args(allowed))}")
        for name in ("cnn_width", "depth", "alpha", "width", "predictor", "steps", "lr", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}; choose a number > 0")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation = {self.rotation}; choose 0 to 180 degrees, which is a whole turn")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum = {self.momentum}; choose 0 <= momentum < 1, the teacher does not learn at 1")
        if self.batch < 2:
            raise ValueError(f"batch = {self.batch}; choose at least 2 images, there are no negatives otherwise")
        if self.objective == "dino" and self.width < 4:
            raise ValueError(f"width = {self.width}; choose at least 4, DINO's bottleneck is a quarter of it")
