"""Models of one architecture, one per seed, trained side by side as one tensor program.

    v_s <- AdamW(clip(grad L_s)),    L_s = mean over batch and queries of BCE(logit, label), in nats

A parameter of all S models is one tensor, seed first; a stack of one is how a single model is trained. Members do not
touch each other: clipping is by the norm of each one's own gradient, and the optimiser works element by element.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from icl_lrt.model import Transformer
from icl_lrt.recipe import Recipe
from icl_lrt.seeds import generator
from icl_lrt.tasks import Episodes


class Stack:
    """S models in training. `models` are modules whose parameters are views of the stack's: always up to date."""

    def __init__(self, recipe: Recipe, seeds: Sequence[int], device: str | torch.device = "cpu"):
        self.recipe, self.device = recipe, torch.device(device)
        self.models = [Transformer(recipe.architecture, generator(seed, "init")).to(device) for seed in seeds]
        self.parameters: dict[str, Float[Tensor, "s ..."]] = stack_module_state(self.models)[0]
        for i, model in enumerate(self.models):
            for name, parameter in model.named_parameters():
                parameter.data = self.parameters[name].detach()[i]
        self.masks = {name: mask[None] for name, mask in self.models[0].gradient_masks().items()}
        self.trained = {name: p for name, p in self.parameters.items() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(self.trained.values(), weight_decay=recipe.weight_decay, fused=True)

    def logits(self, episodes: Episodes) -> Float[Tensor, "s batch m"]:
        """Each model's logits for its own episodes; these have a first dimension s too."""
        inputs = (episodes.x, episodes.y, episodes.query)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            if len(self.models) > 1:
                return vmap(self._call)(self.parameters, *inputs).float()
            own = {name: parameter.squeeze(0) for name, parameter in self.parameters.items()}
            return self._call(own, *(value[0] for value in inputs))[None].float()

    def _call(self, parameters, x, y, query):
        return functional_call(self.models[0], parameters, (x, y, query))

    def step(self, episodes: Episodes, lr: float, beta1: float) -> tuple[Float[Tensor, " s"], Float[Tensor, " s"]]:
        """One update; loss and accuracy of each model before it. Nothing waits for the device."""
        logits = self.logits(episodes)
        loss = cross_entropy(logits, episodes.label)
        self.optimizer.zero_grad()
        loss.sum().backward()
        self._clip()
        group = self.optimizer.param_groups[0]
        group["lr"], group["betas"] = lr, (beta1, group["betas"][1])
        self.optimizer.step()
        return loss.detach(), accuracy(logits.detach(), episodes.label)

    def _clip(self) -> None:
        """Mask, then scale each model's gradient to norm <= clip, as `torch.nn.utils.clip_grad_norm_` does for one."""
        for name, mask in self.masks.items():
            self.trained[name].grad *= mask
        gradients = [parameter.grad for parameter in self.trained.values()]
        norm = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        scale = (self.recipe.clip / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient *= scale.view(-1, *[1] * (gradient.dim() - 1))

    def state(self) -> dict[str, Tensor]:
        """Parameters and the optimiser's averages, as flat named tensors: what training goes on from."""
        tensors = {name: parameter.detach() for name, parameter in self.parameters.items()}
        for name, parameter in self.trained.items():
            tensors |= {f"adam.{name}.{key}": value for key, value in self.optimizer.state[parameter].items()}
        return tensors

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a `state()` of the same recipe and seeds."""
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[name])
        for name, parameter in self.trained.items():
            prefix = f"adam.{name}."
            self.optimizer.state[parameter] = {
                key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
            }


def cross_entropy(logits: Float[Tensor, "s batch m"], label: Float[Tensor, "s batch m"]) -> Float[Tensor, " s"]:
    """Mean over batch and queries, in nats."""
    return F.binary_cross_entropy_with_logits(logits, label, reduction="none").mean((1, 2))


def accuracy(logits: Float[Tensor, "s batch m"], label: Float[Tensor, "s batch m"]) -> Float[Tensor, " s"]:
    """Share of queries with logit > 0 where the label is 1, and not where it is 0."""
    return ((logits > 0) == (label > 0.5)).float().mean((1, 2))
