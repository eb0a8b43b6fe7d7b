"""Seed-batched SimSiam training: M members as one tensor program, and what E1 records of each.

Each member has its own initial values, batches and views, drawn from named streams of its own seed, and is trained by
SGD with momentum at a constant rate, without weight decay (as published):

    v <- momentum v + g,        w <- w - lr v

    members = [siamese(Sizes(activation="swish"), generator(seed, "init")) for seed in range(8)]
    stack = Stack(members, lr=0.05)
    train(stack, MemberViews(images, seeds=range(8), batch=64), steps=2_500)
    stack.curves()["std"]                                                # (records, 8)

A member does not depend on the others, so it is the same in every stack, to rounding. Nothing in the loop waits for the
device.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from proj_heads.augment import Views, warp
from proj_heads.orbits import effective_rank, participation_ratio
from proj_heads.seeds import generator
from proj_heads.siamese import Loss, Outputs, Program, Siamese, simsiam_loss, unit

CURVES = (
    "loss",
    "std",
    "std_backbone",
    "effective_rank",
    "effective_rank_backbone",
    "participation",
    "participation_backbone",
    "lambda_max",
    "lambda_max_backbone",
    "condition",
    "grad_head",
    "grad_backbone",
    "update_head",
    "update_backbone",
    "moved_head",
    "moved_backbone",
)
"""What a stack records. Of the unit outputs of the head, and of the backbone (`..._backbone`): the standard deviation
(`representation_std`), effective rank, participation ratio and largest eigenvalue of the covariance, and the published
condition number (`condition_number`; head only). Gradient norms; relative updates lr ||g|| / ||w|| as published
(`update_...`), and as they are, with momentum, lr ||v|| / ||w|| (`moved_...`)."""

_RELATIVE_FLOOR = 1e-7
"""Added to ||w||, as published."""


def representation_std(u: Float[Tensor, "m k *batch"]) -> Float[Tensor, " m"]:
    """Mean over coordinates of the standard deviation (n - 1) over unit outputs: the published measure of collapse.

    At most about 1/sqrt(k), for outputs that are centred.
    """
    return u.flatten(2).std(2).mean(1)


def covariance_spectrum(u: Float[Tensor, "m k *batch"]) -> Float[Tensor, "m r"]:
    """Eigenvalues (ascending) of the covariance of n vectors of k numbers, r = min(n, k) of them; the others are zero.

    Through the Gram matrix where n < k. At most n - 1 are not zero. float64. NaN where the vectors are not finite.
    """
    centred = u.flatten(2).double()
    centred = centred - centred.mean(2, keepdim=True)
    k, n = centred.shape[1:]
    square = centred.mT @ centred if n < k else centred @ centred.mT
    known = square.isfinite().flatten(1).all(1)[:, None]
    spectrum = torch.linalg.eigvalsh(torch.where(known[..., None], square / (n - 1), 0.0)).clamp_min(0)
    return torch.where(known, spectrum, torch.nan)


def condition_number(spectrum: Float[Tensor, "m r"], k: int, n: int) -> Float[Tensor, " m"]:
    """As published: lambda_max / max(lambda_min, 1e-7) of the k x k covariance of n vectors.

    With n <= k vectors the covariance is singular, so that this is 1e7 lambda_max and no condition number.
    """
    smallest = spectrum[:, 0] if n > k else torch.zeros_like(spectrum[:, 0])
    return spectrum[:, -1] / smallest.clamp_min(1e-7)


class MemberViews:
    """An endless iterator over training data: two views of `batch` images for each member, (m, inputs, 2, batch).

    Member i has the batches and views of the streams `generator(seeds[i], "batches")` and `(..., "views")`: a new order
    of all images each epoch, the incomplete batch at its end left out, and for each view a crop and a flip as
    published (area share .2 to 1). Views are cropped straight to `size` pixels: at half the side of the image the view
    of the whole image is its 2 x 2 means exactly, smaller crops are sampled in between.
    """

    block = 25
    """Steps whose random numbers are drawn at once."""

    def __init__(
        self,
        images: UInt8[Tensor, "n channels height width"],
        seeds: Sequence[int],
        batch: int = 64,
        size: int = 14,
        device: str | torch.device = "cpu",
    ):
        if not 2 <= batch <= len(images):
            raise ValueError(f"batch = {batch} of {len(images)} images; choose 2 <= batch <= {len(images)}")
        self.images, self.batch, self.views = images.to(device), batch, Views.simsiam(size)
        self._rows = [_batches(len(images), batch, generator(seed, "batches")) for seed in seeds]
        self._draws = [generator(seed, "views") for seed in seeds]
        self._ready: Iterator = iter(())
        # filled anew each step: on a CPU, memory fresh from the system costs more than all the rest
        self._pixels = torch.empty(len(seeds) * batch, *images.shape[1:], device=device)

    def __iter__(self) -> "MemberViews":
        return self

    def __next__(self) -> Float[Tensor, "m inputs 2 batch"]:
        drawn = next(self._ready, None)
        if drawn is None:
            self._ready = zip(*self._draw(), strict=True)
            drawn = next(self._ready)
        rows, box, flip = drawn  # (m, batch), (m, 2, batch, 4), (m, 2, batch)
        m, size = len(rows), self.views.size
        chosen = self.images.index_select(0, rows.flatten())  # copies whole images, which indexing does not
        x = self._pixels.copy_(chosen).div_(255)  # (m batch, channels, height, width)
        pair = [warp(x, box[:, v].flatten(0, 1), flip[:, v].flatten(), None, size) for v in (0, 1)]
        return torch.stack([view.view(m, self.batch, -1) for view in pair], 1).permute(0, 3, 1, 2)

    def _draw(
        self,
    ) -> tuple[Int64[Tensor, "block m batch"], Float[Tensor, "block m 2 batch 4"], Bool[Tensor, "block m 2 batch"]]:
        """Which images, and where they are cropped and whether they are flipped, for the next `block` steps."""
        device, shape = self.images.device, (self.block, 2, self.batch)
        rows = torch.stack([torch.stack([next(order) for _ in range(self.block)]) for order in self._rows], 1)
        drawn = [self.views.draw(2 * self.block * self.batch, self.images.shape[1:], draws) for draws in self._draws]
        box = torch.stack([d.box.view(*shape, 4) for d in drawn], 1)
        flip = torch.stack([d.flip.view(shape) for d in drawn], 1)
        return rows.to(device), box.to(device), flip.to(device)


def _batches(n: int, batch: int, order: torch.Generator) -> Iterator[Int64[Tensor, " batch"]]:
    while True:
        yield from torch.randperm(n, generator=order)[: n // batch * batch].split(batch)


class Stack:
    """M members in training."""

    def __init__(
        self,
        members: Sequence[Siamese],
        lr: float = 0.05,
        momentum: float = 0.9,
        every: int = 25,
        objective: Loss = simsiam_loss,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ):
        """`every`: steps between two records. The members are copied, not changed."""
        self.lr, self.momentum, self.every, self.objective, self.steps = lr, momentum, every, objective, 0
        self.program = Program(members[0])
        self.theta = self.program.pack(members, dtype).to(device)  # (m, p)
        self.velocity = torch.zeros_like(self.theta)
        self.update_sums = self.theta.new_zeros(2, len(members), dtype=torch.float64)  # head, backbone
        self._recorded_at: list[int] = []
        self._records: list[Float[Tensor, "curves m"]] = []

    def step(self, x: Float[Tensor, "m inputs 2 batch"]) -> None:
        """One step. Records are of the parameters and the batch before it."""
        velocity = self._look(x, record=self.steps % self.every == 0, count=True)
        self.theta.sub_(velocity, alpha=self.lr)
        self.velocity = velocity
        self.steps += 1

    def observe(self, x: Float[Tensor, "m inputs 2 batch"]) -> None:
        """Record without a step, as after the last one."""
        self._look(x, record=True, count=False)

    def member(self, index: int, like: Siamese) -> Siamese:
        """Networks `like` (made with the same Sizes) with the present parameters of a member."""
        return self.program.unpack_(self.theta[index], like)

    def curves(self) -> dict[str, Tensor]:
        """`step` (records,) and the `CURVES`, each (records, m), on the CPU."""
        values = torch.stack(self._records).cpu() if self._records else torch.empty(0, len(CURVES), len(self.theta))
        return {"step": torch.tensor(self._recorded_at)} | {name: values[:, i] for i, name in enumerate(CURVES)}

    def mean_updates(self) -> dict[str, Float[Tensor, " m"]]:
        """The published relative updates of head and backbone, each the mean over all steps."""
        means = self.update_sums.cpu() / max(self.steps, 1)
        return dict(zip(("head", "backbone"), means, strict=True))

    def _look(self, x: Tensor, record: bool, count: bool) -> Float[Tensor, "m p"]:
        """The velocity of the next step."""
        loss, gradient, outputs = self.program.gradient(self.theta, x.to(self.theta.dtype), self.objective)
        velocity = torch.add(gradient, self.velocity, alpha=self.momentum)
        parts = [self.program.parts["head"], self.program.parts["backbone"]]
        weights, gradients = ([values[:, part].norm(dim=1) for part in parts] for values in (self.theta, gradient))
        scale = [self.lr / (w + _RELATIVE_FLOOR) for w in weights]
        updates = [s * g for s, g in zip(scale, gradients, strict=True)]
        if count:
            self.update_sums += torch.stack(updates)
        if record:
            moved = [s * velocity[:, part].norm(dim=1) for s, part in zip(scale, parts, strict=True)]
            point = [loss, *_measures(outputs), *gradients, *updates, *moved]
            self._records.append(torch.stack([value.double() for value in point]))
            self._recorded_at.append(self.steps)
        return velocity


def _measures(outputs: Outputs) -> list[Float[Tensor, " m"]]:
    """Those of `CURVES` that are of the outputs, in their order."""
    both = [unit(outputs.h), unit(outputs.z)]
    spectra = [covariance_spectrum(u) for u in both]
    k, n = both[0].shape[1], both[0][0, 0].numel()
    return [
        *map(representation_std, both),
        *map(effective_rank, spectra),
        *map(participation_ratio, spectra),
        *(spectrum[:, -1] for spectrum in spectra),
        condition_number(spectra[0], k, n),
    ]


def train(stack: Stack, views: Iterable[Float[Tensor, "m inputs 2 batch"]], steps: int) -> None:
    """So many steps on a stream of views, and a record at the end."""
    stream = iter(views)
    for _ in range(steps):
        stack.step(next(stream))
    stack.observe(next(stream))
