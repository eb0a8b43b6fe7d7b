"""Train M sparse autoencoders of one shape as one batched tensor program.

    h = relu((x - b_d) W_e + b_e)     or the k largest of it       xhat = h W_d + b_d,   rows of W_d of unit norm

    L = (1 / (B n)) sum ||x - xhat||^2  +  (lambda1 / B) sum_b sum_j omega_j h_bj  +  (lambda2 / B) sum_b sum_j h_bj^2

(paper's losses in the authors' normalisation: *mean* over the n inputs in the first term, *sum* over latents in the
penalties). L1, elastic net, adaptive lasso and AEN are one program with different numbers: lambda2 = 0, gamma = 0, or
neither. Gradients are written out: five batched matrix products a step and no autograd graph, which measures faster,
and nothing in the loop waits for the device. Parameters carry the SAE in their first dimension: W_e (M, n, d),
W_d (M, d, n), b_e (M, 1, d), b_d (M, 1, n).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aen_sae.metrics import ALIVE
from aen_sae.weights import Activity, Statistic, adaptive_weights, ramp
from repro_shared import UserError
from repro_shared.files import storage, write_atomic

CURVES = ("l0", "explained_variance", "silent_fraction", "weight_mean", "weight_pinned")
"""What `Stack.history` records, on the training batch."""


@dataclass(frozen=True)
class Recipe:
    """What distinguishes one SAE of a stack. Give `k` for TopK, penalties otherwise."""

    l1: float = 0.0
    """lambda_1, authors' units."""
    l2: float = 0.0
    """lambda_2, authors' units."""
    gamma: float = 0.0
    """Exponent of the adaptive weights; 0 switches them off."""
    ema_decay: float = 0.9999
    """beta of the activity average."""
    reference_fraction: float = 0.05
    """q, share of latents that define the reference activity."""
    k: int | None = None
    """Active latents per sample (TopK); None for a ReLU code."""
    auxk: float = 0.0
    """Coefficient of the AuxK loss that revives silent latents (TopK only; Gao et al. 2024)."""

    def __post_init__(self):
        if min(self.l1, self.l2, self.gamma, self.auxk) < 0:
            raise ValueError(f"negative coefficient in {self}; penalties and gamma are >= 0")
        if not 0 <= self.ema_decay < 1 or not 0 < self.reference_fraction <= 1:
            raise ValueError(f"ema_decay must be in [0, 1) and reference_fraction in (0, 1], got {self}")
        if self.k is not None and (self.k < 1 or self.l1 or self.l2 or self.gamma):
            raise ValueError(f"TopK needs k >= 1 and no penalties, got {self}")
        if self.k is None and self.auxk:
            raise ValueError(f"AuxK revives latents of a TopK SAE: give k as well, got {self}")


@dataclass(frozen=True)
class Training:
    """What all SAEs of a stack share."""

    lr: float = 1e-3
    """Adam's step size; no warm-up (authors' code)."""
    delay: int = 10_000
    """T0: steps before the weights start to adapt."""
    ramp_steps: int = 2_000
    """R: steps over which they become fully adaptive."""
    weight_min: float = 0.01
    """Lower cap of the weights."""
    weight_max: float = 10.0
    """Upper cap of the weights."""
    statistic: Statistic = "published"
    """Activity behind the weights, see `weights.Statistic`."""
    clip_norm: float | None = None
    """Gradient-norm limit per SAE (1.0 in the authors' language-model runs, none in the spiked ones)."""
    window: int = 1_000
    """Steps without activity after which a latent counts as dead."""
    auxk_after: int = 1_000
    """Steps without activity after which AuxK tries to revive a latent (SAELens's default)."""
    log_every: int = 100
    """Steps between two points of the curves."""


def relu_gradient(d_code: Float[Tensor, "m batch d"], code: Float[Tensor, "m batch d"]) -> Float[Tensor, "m batch d"]:
    """dL/dpre from dL/dcode: the same where the code is positive, 0 elsewhere (autograd's own kernel, in one pass)."""
    return torch.ops.aten.threshold_backward(d_code, code, 0)


def largest(pre: Float[Tensor, "m batch d"], k: Sequence[int]) -> Bool[Tensor, "m batch d"]:
    """Where the k[i] largest entries of each sample of SAE i are; ties with the last one count."""
    d = pre.shape[-1]
    if pre.device.type == "cpu":  # numpy's partial sort is several times faster than torch.topk on a CPU
        partial = [np.partition(p.numpy(), d - k_i)[:, d - k_i] for p, k_i in zip(pre.detach(), k, strict=True)]
        kth = torch.from_numpy(np.stack(partial))
    else:
        top = pre.topk(max(k), dim=-1).values
        kth = torch.stack([top[i, :, k_i - 1] for i, k_i in enumerate(k)])
    return pre >= kth.unsqueeze(-1)


def keep_largest(pre: Float[Tensor, "m batch d"], k: Sequence[int]) -> Float[Tensor, "m batch d"]:
    """TopK: relu of the k[i] largest entries per sample of SAE i, zeros elsewhere."""
    return pre.relu() * largest(pre, k)


@dataclass(frozen=True)
class SparseAutoencoder:
    """One SAE: h = relu((x - b_d) W_e + b_e), or the k largest of it, and xhat = h W_d + b_d."""

    W_enc: Float[Tensor, "n d"]
    b_enc: Float[Tensor, " d"]
    W_dec: Float[Tensor, "d n"]
    b_dec: Float[Tensor, " n"]
    k: int | None = None

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "samples n"]) -> Float[Tensor, "samples d"]:
        pre = (x - self.b_dec) @ self.W_enc + self.b_enc
        return pre.relu() if self.k is None else keep_largest(pre.unsqueeze(0), [self.k]).squeeze(0)

    @torch.no_grad()
    def decode(self, codes: Float[Tensor, "samples d"]) -> Float[Tensor, "samples n"]:
        return codes @ self.W_dec + self.b_dec


class Stack:
    """M SAEs, their optimiser state and their running statistics."""

    def __init__(self, recipes: Sequence[Recipe], initial: dict[str, Tensor], training: Training):
        """`initial` is one SAE's parameters (see `initialisation`); every member starts from a copy of it."""
        if len({recipe.k is None for recipe in recipes}) != 1:
            raise ValueError("a stack is either all ReLU or all TopK: train the two kinds as two stacks")
        self.recipes, self.training, self.steps = tuple(recipes), training, 0
        members = len(recipes)
        shaped = {name: p.float().reshape((1, -1) if p.ndim == 1 else p.shape) for name, p in initial.items()}
        self.parameters = {
            name: torch.nn.Parameter(shaped[name].expand(members, *shaped[name].shape).clone())
            for name in ("W_enc", "b_enc", "W_dec", "b_dec")
        }
        device = self.parameters["W_enc"].device
        latents = (members, self.parameters["W_enc"].shape[-1])
        if too_many := [recipe.k for recipe in recipes if (recipe.k or 0) > latents[1]]:
            raise ValueError(f"k = {too_many[0]} active latents do not fit into d = {latents[1]}; choose 1 <= k <= d")

        def column(field: str) -> Float[Tensor, " m"]:
            return torch.tensor([getattr(recipe, field) or 0.0 for recipe in recipes], device=device)

        self.l1, self.l2, self.auxk = (column(field)[:, None, None] for field in ("l1", "l2", "auxk"))
        self.k = [recipe.k for recipe in recipes if recipe.k is not None]  # all of them, or none
        self.gamma, self.reference_fraction = column("gamma"), column("reference_fraction")
        self.has_l2, self.adapts, self.has_auxk = (bool(t.any()) for t in (self.l2, self.gamma, self.auxk))
        self.silent_steps = torch.zeros(latents, dtype=torch.int32, device=device)
        self.activity = Activity(latents, column("ema_decay"), training.statistic, device)
        self.weights = torch.ones(latents, device=device)
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=training.lr, fused=True)
        self.history: list[Float[Tensor, "curves m"]] = []
        self._normalise()

    def members(self) -> list[SparseAutoencoder]:
        """The SAEs one by one; their tensors are views of the stack's parameters."""
        W_enc, b_enc, W_dec, b_dec = (p.detach() for p in self.parameters.values())
        return [
            SparseAutoencoder(W_enc[i], b_enc[i, 0], W_dec[i], b_dec[i, 0], recipe.k)
            for i, recipe in enumerate(self.recipes)
        ]

    def dead(self) -> Bool[Tensor, "m d"]:
        """Latents without any activity in the last `window` training steps."""
        return self.silent_steps >= self.training.window

    @torch.no_grad()
    def step(self, x: Float[Tensor, "*m batch n"]) -> None:
        """One Adam step on a batch. The weights see the current batch before the loss does, as published."""
        self.steps += 1
        W_enc, b_enc, W_dec, b_dec = self.parameters.values()
        batch, n = x.shape[-2:]
        pre = torch.baddbmm(b_enc - b_dec @ W_enc, x.expand(len(W_enc), batch, n), W_enc)
        h = keep_largest(pre, self.k) if self.k else pre.relu()  # (m, batch, d)
        self.silent_steps = torch.where(h.amax(1) > ALIVE, 0, self.silent_steps + 1)
        if self.adapts:
            self._adapt(h)

        residual = torch.baddbmm(b_dec - x, h, W_dec)  # xhat - x, (m, batch, n)
        if self.steps % self.training.log_every == 0:
            self._log(x, h, residual)
        g = residual * (2 / (batch * n))  # dL / dxhat
        dh = torch.baddbmm((self.l1 / batch) * self.weights.unsqueeze(1), g, W_dec.mT)
        if self.has_l2:
            dh.addcmul_(h, 2 * self.l2 / batch)
        d_pre = relu_gradient(dh, h)
        W_dec.grad = h.mT @ g
        if self.has_auxk and self.steps >= self.training.auxk_after:  # before, nothing has been silent for so long
            self._add_auxk(pre, residual, d_pre)
        d_bias = d_pre.sum(1, keepdim=True)  # (m, 1, d)
        W_enc.grad = torch.baddbmm(b_dec.mT @ d_bias, x.mT.expand(len(h), n, batch), d_pre, beta=-1)
        b_enc.grad = d_bias
        b_dec.grad = g.sum(1, keepdim=True) - d_bias @ W_enc.mT
        if self.training.clip_norm is not None:
            self._clip()
        self.optimizer.step()
        self._normalise()

    def recorded(self) -> list[dict]:
        """What training recorded, per member: curves `train_*` over `step`, dead share, final weights."""
        points = (
            torch.stack(self.history).cpu().numpy() if self.history else np.empty((0, len(CURVES), len(self.recipes)))
        )
        step = np.arange(1, len(points) + 1) * self.training.log_every
        dead = self.dead().float().mean(-1).tolist()
        weights = self.weights.cpu().numpy()
        return [
            {"step": step, "dead_window": dead[i], "weights": weights[i]}
            | {f"train_{name}": points[:, c, i] for c, name in enumerate(CURVES)}
            for i in range(len(self.recipes))
        ]

    def state(self) -> dict[str, Tensor]:
        """Everything that training goes on from, as flat named tensors (for safetensors)."""
        tensors = {"steps": torch.tensor(self.steps), "silent_steps": self.silent_steps, "weights": self.weights}
        tensors |= {f"activity.{name}": tensor for name, tensor in self.activity.state.items()}
        if self.history:
            tensors["history"] = torch.stack(self.history)
        for name, parameter in self.parameters.items():
            tensors[name] = parameter.data
            tensors |= {f"adam.{name}.{key}": value for key, value in self.optimizer.state[parameter].items()}
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore a `state()`; the recipes and shapes must be those it was made with."""
        tensors = {name: tensor.to(self.weights.device) for name, tensor in tensors.items()}
        self.steps = int(tensors["steps"])
        self.silent_steps, self.weights = tensors["silent_steps"], tensors["weights"]
        self.history = list(tensors.get("history", ()))
        self.activity.load({name: tensors[f"activity.{name}"] for name in self.activity.state})
        for name, parameter in self.parameters.items():
            parameter.data.copy_(tensors[name])
            prefix = f"adam.{name}."
            self.optimizer.state[parameter] = {
                key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
            }

    def _adapt(self, h: Tensor) -> None:
        t = self.training
        self.activity.update(h)
        share = ramp(self.steps, t.delay, t.ramp_steps)
        if share > 0:
            w = adaptive_weights(
                self.activity.value(self.steps), self.gamma, self.reference_fraction, t.weight_min, t.weight_max
            )
            self.weights = 1 + (w - 1) * share

    def _add_auxk(self, pre: Tensor, residual: Tensor, d_pre: Tensor) -> None:
        """Add the gradient of auxk * share * mean (e - ehat)^2: the n/2 strongest dead latents reconstruct the residual
        e, with share = min(1, dead latents / (n/2)) so that a few of them are not asked for all of it.

        As in SAELens they do it with their pre-activations, without a ReLU: it would leave those without a gradient
        that are far from firing, which are the ones in need of it.
        """
        W_dec = self.parameters["W_dec"]
        dead = (self.silent_steps >= self.training.auxk_after).unsqueeze(1)  # (m, 1, d)
        batch, n = residual.shape[-2:]
        k_aux = max(1, n // 2)
        chosen = dead & largest(pre.masked_fill(~dead, -torch.inf), [min(k_aux, pre.shape[-1])] * len(pre))
        z = pre * chosen
        share = (dead.sum(-1, keepdim=True) / k_aux).clamp(max=1)
        g = (z @ W_dec + residual) * (2 * self.auxk * share / (batch * n))  # e = -residual, held constant
        W_dec.grad += z.mT @ g
        d_pre += (g @ W_dec.mT) * chosen

    def _clip(self) -> None:
        """Scale each member's gradient to norm <= clip_norm, as `torch.nn.utils.clip_grad_norm_` does for one SAE."""
        grads = [p.grad for p in self.parameters.values()]
        norm = sum(g.square().sum((1, 2), keepdim=True) for g in grads).sqrt()  # (m, 1, 1)
        scale = (self.training.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(scale)

    def _normalise(self) -> None:
        """Rows of W_d back to unit norm after every step; the gradient is not projected (authors' code)."""
        W_dec = self.parameters["W_dec"].data
        W_dec.div_(W_dec.norm(dim=-1, keepdim=True).clamp_min(1e-12))

    def _log(self, x: Tensor, h: Tensor, residual: Tensor) -> None:
        explained = 1 - residual.var(1, correction=0).sum(-1) / x.var(-2, correction=0).sum(-1)
        point = (
            (h > ALIVE).float().sum(-1).mean(-1),
            explained,
            self.dead().float().mean(-1),
            self.weights.mean(-1),
            (self.weights >= self.training.weight_max).float().mean(-1),
        )
        self.history.append(torch.stack(point))


@runtime_checkable
class Stream(Protocol):
    """Training data: an iterator over batches that can tell where it is and go on from there."""

    def __next__(self) -> Float[Tensor, "*m batch n"]: ...

    def state_dict(self) -> dict:
        """The position as plain JSON values."""

    def load_state_dict(self, state: dict) -> None: ...


def train(
    stacks: Sequence[Stack], stream: Stream, steps: int, checkpoint: Path | None = None, checkpoint_every: int = 5_000
) -> None:
    """Train all stacks on one stream until `steps`.

    With `checkpoint`, stacks and stream are saved to that safetensors file every `checkpoint_every` steps, whole or not
    at all, and an existing file is resumed: a run that was killed sees the same data and ends with the same parameters
    as one that was not. A damaged or foreign file is a `UserError`.
    """
    made_by = repr([(stack.recipes, stack.training) for stack in stacks])
    if checkpoint is not None and checkpoint.exists():
        _resume(stacks, stream, checkpoint, made_by)
    for step in range(stacks[0].steps + 1, steps + 1):
        x = next(stream, None)
        if x is None:
            raise UserError(f"the data ended after {step - 1} of {steps} steps: give more, or train for fewer steps")
        for stack in stacks:
            stack.step(x)
        if checkpoint is not None and step % checkpoint_every == 0 and step < steps:
            _save(stacks, stream, checkpoint, made_by)


def _save(stacks: Sequence[Stack], stream: Stream, checkpoint: Path, made_by: str) -> None:
    from safetensors.torch import save

    tensors = {f"{i}.{name}": t.contiguous() for i, stack in enumerate(stacks) for name, t in stack.state().items()}
    metadata = {"stream": json.dumps(stream.state_dict()), "made_by": made_by}
    with storage(checkpoint.parent, "free its space and run the same command again"):
        write_atomic(checkpoint, save(tensors, metadata))


def _resume(stacks: Sequence[Stack], stream: Stream, checkpoint: Path, made_by: str) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{checkpoint} is damaged ({error}): remove it and training starts anew") from error
    if metadata.get("made_by") != made_by:
        raise UserError(f"{checkpoint} belongs to SAEs with other settings: remove it, or train these elsewhere")
    stream.load_state_dict(json.loads(metadata["stream"]))
    for i, stack in enumerate(stacks):
        prefix = f"{i}."
        stack.load({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
