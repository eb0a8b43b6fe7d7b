"""Self-supervised pretraining of a backbone with its head, on data and augmentation that stay on one device.

    simclr    -mean_i log softmax_j (u_i'v_j / tau)_i    one direction, N - 1 negatives, tau = .1, as published
    simsiam   -(cos(p1, sg h2) + cos(p2, sg h1)) / 2     with a predictor p
    vicreg, barlow, dino                                 lightly's losses and heads

u and v are the unit outputs of the two views, sg stops gradients. DINO's head has batch norms, as the official one for
convolutional networks, unless `norm` is off; its teacher, a moving average of the student, is what comes out.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from proj_heads.augment import Views
from proj_heads.backbones import initialised_from, resnet18_cifar, small_cnn, vit_tiny
from proj_heads.data import to_float
from proj_heads.heads import build_head, pseudo_collapse_
from proj_heads.losses import info_nce
from proj_heads.recipe import Recipe
from proj_heads.seeds import generator


class Networks(NamedTuple):
    """The parts that are trained."""

    backbone: nn.Module
    head: nn.Module
    predictor: nn.Module
    """SimSiam's; the identity otherwise."""


class Pretrained(NamedTuple):
    """What training gave, in evaluation mode."""

    backbone: nn.Module
    head: nn.Module
    losses: Float[Tensor, " steps"]

    @property
    def diverged(self) -> bool:
        """Whether a loss, a weight or a statistic of a batch norm is infinite or NaN."""
        state = [*self.backbone.state_dict().values(), *self.head.state_dict().values()]
        return not all(values.isfinite().all() for values in (self.losses, *state))


def networks(recipe: Recipe, image: tuple[int, int, int], seed: int) -> Networks:
    """Freshly initialised networks for images of (channels, height, width)."""
    channels, height, _ = image
    stream = generator(seed, "init")
    backbone = {
        "small_cnn": lambda: small_cnn(channels, recipe.cnn_width, stream),
        "resnet18_cifar": lambda: resnet18_cifar(channels, stream),
        "vit_tiny": lambda: vit_tiny(channels, height, stream),
    }[recipe.backbone]()
    d, width, predictor = backbone.d, recipe.width, nn.Identity()
    if recipe.objective in ("simclr", "simsiam"):
        head = build_head(d, width, width, recipe.activation, recipe.depth, recipe.norm, stream)
        pseudo_collapse_(head, recipe.alpha)
        if recipe.objective == "simsiam":
            predictor = build_head(width, recipe.predictor, width, recipe.activation, 2, recipe.norm, stream)
        return Networks(backbone, head, predictor)
    with initialised_from(stream):
        head = _lightly_head(recipe, d)
    return Networks(backbone, head, predictor)


def _lightly_head(recipe: Recipe, d: int) -> nn.Module:
    from lightly.models.modules import heads

    width = recipe.width
    return {
        "vicreg": lambda: heads.VICRegProjectionHead(d, width, width),
        "barlow": lambda: heads.BarlowTwinsProjectionHead(d, width, width),
        "dino": lambda: heads.DINOProjectionHead(d, width, width // 4, width, batch_norm=recipe.norm),
    }[recipe.objective]()


def pretrain(
    images: UInt8[Tensor, "n channels height width"],
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    watch: Callable[[int, Networks], None] | None = None,
) -> Pretrained:
    """Train for `recipe.steps` steps; `watch(step, networks)` is called before each one and after the last.

    Initial values, batches and views come from streams of `seed` by name. Convolutions work channels last; on a
    GPU networks compute in bfloat16, and the losses in float32.
    """
    if recipe.batch > len(images):
        raise ValueError(f"batch = {recipe.batch} of {len(images)} images; choose a smaller batch")
    nets = Networks(*(part.to(device).train() for part in networks(recipe, tuple(images.shape[1:]), seed)))
    images = images.to(device)
    nets.backbone.to(memory_format=torch.channels_last)
    objective = _OBJECTIVES[recipe.objective](recipe, nets)
    views = (
        Views.simsiam(images.shape[-1])
        if recipe.objective == "simsiam"
        else Views.simclr(images.shape[-1], recipe.rotation)
    )
    parameters = [p for part in nets for p in part.parameters() if p.requires_grad]
    optimizer = (
        torch.optim.SGD(parameters, recipe.lr, momentum=0.9, fused=True)
        if recipe.objective == "simsiam"
        else torch.optim.Adam(parameters, recipe.lr, fused=True)
    )
    order, draws = generator(seed, "batches"), generator(seed, "views")
    losses = torch.empty(recipe.steps, device=device)
    for step, rows in enumerate(_batches(len(images), recipe, order)):
        if watch is not None:
            watch(step, nets)
        pair = views(to_float(images[rows.to(device)]), draws)
        loss = objective.loss(pair)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.after(step)
        losses[step] = loss.detach()
    if watch is not None:
        watch(recipe.steps, nets)
    backbone, head = objective.result()
    return Pretrained(backbone.eval(), head.eval(), losses.cpu())


def _batches(n: int, recipe: Recipe, order: torch.Generator):
    """Rows of each step: a new permutation an epoch, the incomplete batch at its end left out."""
    whole, step = n // recipe.batch * recipe.batch, 0
    while step < recipe.steps:
        for rows in torch.randperm(n, generator=order)[:whole].split(recipe.batch):
            if step < recipe.steps:
                yield rows
            step += 1


def _through(x: Tensor, *networks: nn.Module) -> Float[Tensor, "n k"]:
    """x through one network after the other; on a GPU in bfloat16, and handed on in float32."""
    with torch.autocast("cuda", torch.bfloat16, enabled=x.is_cuda):
        for network in networks:
            x = network(x)
    return x.float()


class _Objective:
    """Loss of a pair of views; what happens after a step; which networks are the result."""

    def __init__(self, recipe: Recipe, nets: Networks):
        self.recipe, self.nets = recipe, nets

    def outputs(self, pair: Float[Tensor, "2 n channels height width"]) -> tuple[Tensor, Tensor]:
        """h of both views, which go through the networks one after the other: batch norms see one view at a time."""
        return tuple(_through(view, self.nets.backbone, self.nets.head) for view in pair)

    def loss(self, pair) -> Float[Tensor, ""]:
        raise NotImplementedError

    def after(self, step: int) -> None:
        """Nothing."""

    def result(self) -> tuple[nn.Module, nn.Module]:
        return self.nets.backbone, self.nets.head


class _SimCLR(_Objective):
    def loss(self, pair):
        return info_nce(*self.outputs(pair), self.recipe.temperature)


class _SimSiam(_Objective):
    def loss(self, pair):
        from lightly.loss import NegativeCosineSimilarity

        h1, h2 = self.outputs(pair)
        p1, p2 = (_through(h, self.nets.predictor) for h in (h1, h2))
        criterion = NegativeCosineSimilarity()
        return (criterion(p1, h2.detach()) + criterion(p2, h1.detach())) / 2


class _Decorrelating(_Objective):
    """VICReg and Barlow Twins, with lightly's (the papers') coefficients."""

    def __init__(self, recipe, nets):
        from lightly.loss import BarlowTwinsLoss, VICRegLoss

        super().__init__(recipe, nets)
        self.criterion = {"vicreg": VICRegLoss, "barlow": BarlowTwinsLoss}[recipe.objective]()

    def loss(self, pair):
        return self.criterion(*self.outputs(pair))


class _DINO(_Objective):
    """Two global views; the teacher's momentum goes to 1 along a cosine; lightly's temperatures .04 and .1."""

    def __init__(self, recipe, nets):
        from lightly.loss import DINOLoss

        super().__init__(recipe, nets)
        self.criterion = DINOLoss(recipe.width).to(next(nets.backbone.parameters()).device)
        self.teacher = _copy(recipe, nets)

    def loss(self, pair):
        with torch.no_grad():
            teacher = [_through(view, self.teacher.backbone, self.teacher.head) for view in pair]
        return self.criterion(teacher, list(self.outputs(pair)))

    @torch.no_grad()
    def after(self, step):
        progress = torch.tensor(torch.pi * step / self.recipe.steps)
        momentum = float(1 - (1 - self.recipe.momentum) * (torch.cos(progress) + 1) / 2)
        for mine, theirs in zip(self.teacher[:2], self.nets[:2], strict=True):
            for old, new in zip(mine.parameters(), theirs.parameters(), strict=True):
                old.lerp_(new, 1 - momentum)

    def result(self):
        return self.teacher.backbone, self.teacher.head


def _copy(recipe: Recipe, nets: Networks) -> Networks:
    """A copy that is not trained. lightly's DINO head cannot be deep-copied: a second one is given its values."""
    with torch.random.fork_rng(devices=[]):  # initial values that are replaced at once
        backbone, head = copy.deepcopy(nets.backbone), _lightly_head(recipe, nets.backbone.d)
    head.to(next(nets.backbone.parameters()).device)
    head.load_state_dict(nets.head.state_dict())
    return Networks(backbone.requires_grad_(False), head.requires_grad_(False), nn.Identity())


_OBJECTIVES: dict[str, type[_Objective]] = {
    "simclr": _SimCLR, "simsiam": _SimSiam, "vicreg": _Decorrelating, "barlow": _Decorrelating, "dino": _DINO,
}  # fmt: skip
