"""The adaptive elastic-net SAE as a SAELens training architecture, "aen" (paper, method; registered on import).

    L = mean_b ||x_b - xhat_b||^2  +  c1 mean_b sum_j omega_j h_bj  +  c2 mean_b sum_j h_bj^2
    h = relu((x - b_dec) W_enc + b_enc),   xhat = h W_dec + b_dec,   ||W_dec_j|| = 1

omega_j are the adaptive weights of `aen_sae.weights`, constants of the loss. SAELens sums the squared error over the n
inputs, the authors average it: c1 = n lambda1, c2 = n lambda2 (`AENTrainingSAEConfig.from_author_units`). gamma = 0 is
the elastic net, c2 = 0 the adaptive lasso, both together the plain L1 SAE. The encoder is the ordinary one, so the
trained model is saved as SAELens's "standard" architecture and loads where this package is not installed.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, no_type_check

import torch
from jaxtyping import Float
from sae_lens import SAE, StandardSAE, StandardSAEConfig, TopKSAEConfig, TrainingSAE, TrainingSAEConfig
from sae_lens.registry import (
    SAE_CLASS_REGISTRY,
    SAE_TRAINING_CLASS_REGISTRY,
    register_sae_class,
    register_sae_training_class,
)
from sae_lens.saes.sae import SAEConfig, TrainCoefficientConfig, TrainStepInput, TrainStepOutput
from torch import Tensor, nn

from aen_sae.initialisation import INITS, initialise
from aen_sae.stacked import SparseAutoencoder
from aen_sae.weights import STATISTICS, Activity, adaptive_weights, ramp


@dataclass
class AENTrainingSAEConfig(TrainingSAEConfig):
    """Configuration of `AENTrainingSAE`. Defaults: the published language-model runs, unless a field says so."""

    normalize_activations: Literal[
        "none", "expected_average_only_in", "constant_norm_rescale", "layer_norm", "covariance_whitening"
    ] = "none"
    """SAELens's scaling of the input; "constant_norm_rescale" is the published one, every token to norm sqrt(n)."""
    l1_coefficient: float = 1.0
    """c1 = n lambda1, weight of the adaptive l1 penalty in SAELens's units (our default)."""
    l2_coefficient: float = 0.1
    """c2 = n lambda2, weight of the squared-l2 penalty (our default: lambda2 = lambda1 / 10, as for Llama)."""
    l1_warm_up_steps: int = 0
    """Steps of linear warm-up of c1, as in SAELens's standard architecture (the authors have none)."""
    gamma: float = 0.5
    """Exponent of the adaptive weights; 0 is the plain elastic net."""
    ema_beta: float = 0.9999
    """Decay beta of the running mean activity."""
    activity_statistic: Literal["published", "debiased", "conditional"] = "published"
    """What the weights are computed from: see `aen_sae.weights.Statistic`."""
    weight_min: float = 0.01
    """Lower cap of a weight."""
    weight_max: float = 10.0
    """Upper cap of a weight."""
    reference_fraction: float = 0.05
    """Share q of the latents (the busiest) whose mean activity is the reference."""
    adaptive_delay_steps: int = 4000
    """T0: steps before the weights come in."""
    adaptive_ramp_steps: int = 2000
    """R: steps over which they come in linearly after T0."""
    normalize_decoder: bool = True
    """True: decoder rows are projected to norm 1 before each step (published). False: rows are free and h_j ||W_dec_j||
    replaces h_j in both penalties and in the running mean, as in SAELens's standard architecture (our variant)."""
    init: Literal["published", "centered"] = "published"
    """Start of the parameters (`aen_sae.initialisation`). "centered" takes b_dec from `initialise_from`, or else
    from the first training batch."""
    seed: int = 0
    """Seed of the initial parameters."""
    decoder_init_norm: float | None = 1.0
    """Fixed: both initialisations have decoder rows of norm 1."""

    def __post_init__(self):
        super().__post_init__()
        if self.decoder_init_norm != 1.0:
            raise ValueError(
                f"decoder_init_norm = {self.decoder_init_norm}: decoder rows start with norm 1; leave it out"
            )
        if self.init not in INITS:
            raise ValueError(f"unknown init {self.init!r}; choose one of {', '.join(INITS)}")
        if self.activity_statistic not in STATISTICS:
            raise ValueError(
                f"unknown activity_statistic {self.activity_statistic!r}; choose one of {', '.join(STATISTICS)}"
            )
        if min(self.l1_coefficient, self.l2_coefficient, self.gamma) < 0:
            raise ValueError("l1_coefficient, l2_coefficient and gamma must be >= 0")
        if not 0 <= self.ema_beta < 1:
            raise ValueError(f"ema_beta = {self.ema_beta} is not in [0, 1); the published runs use 0.999 and 0.9999")
        if not 0 < self.reference_fraction <= 1:
            raise ValueError(
                f"reference_fraction = {self.reference_fraction} is not in (0, 1]; the published runs use 0.05"
            )
        if not 0 < self.weight_min <= 1 <= self.weight_max:
            raise ValueError(
                f"caps ({self.weight_min}, {self.weight_max}) must enclose 1: choose 0 < weight_min <= 1 <= weight_max"
            )
        if min(self.adaptive_delay_steps, self.adaptive_ramp_steps) < 0:
            raise ValueError("adaptive_delay_steps and adaptive_ramp_steps must be >= 0")

    @classmethod
    def architecture(cls) -> str:
        return "aen"

    @classmethod
    def from_author_units(cls, d_in: int, d_sae: int, lambda1: float, lambda2: float, **options: Any):
        """Penalties as the paper writes them, for a squared error averaged over the n = d_in inputs: c = n lambda."""
        return cls(d_in=d_in, d_sae=d_sae, l1_coefficient=d_in * lambda1, l2_coefficient=d_in * lambda2, **options)

    def get_inference_config_class(self) -> type[SAEConfig]:
        return StandardSAEConfig


class AENTrainingSAE(TrainingSAE[AENTrainingSAEConfig]):
    """Trains with SAELens's `SAETrainer` and `LanguageModelSAETrainingRunner`; saves as architecture "standard".

    Per-token normalisation: with normalize_activations="constant_norm_rescale" each x is scaled to norm sqrt(n)
    *before* the loss, so error and penalties keep their proportion whatever the norm of x. The saved model maps x to
    s SAE(x / s), s = ||x|| / sqrt(n), which is what patching into a language model needs.

    SAELens has no hook after the optimiser step, so decoder rows are projected when the next step begins. What is left
    over from the last step is folded into the encoder on saving, which changes no output; `fold_W_dec_norm()` does the
    same in memory.
    """

    b_enc: nn.Parameter
    activity_mean: Tensor
    is_centered: Tensor

    def initialize_weights(self) -> None:
        super().initialize_weights()
        cfg = self.cfg
        self.b_enc = nn.Parameter(torch.zeros(cfg.d_sae, dtype=self.dtype, device=self.device))
        self.activity = Activity((cfg.d_sae,), cfg.ema_beta, cfg.activity_statistic, self.device)
        for name, tensor in self.activity.state.items():
            self.register_buffer(f"activity_{name}", tensor)
        self.register_buffer("is_centered", torch.tensor(cfg.init != "centered", device=self.device))
        if self.device.type != "meta":  # SAELens builds on "meta" when it loads: the parameters come from the file
            start = initialise(
                cfg.init, cfg.d_in, cfg.d_sae, torch.Generator().manual_seed(cfg.seed), mean=torch.zeros(cfg.d_in)
            )
            with torch.no_grad():
                for name, tensor in start.items():
                    getattr(self, name).copy_(tensor)

    @torch.no_grad()
    def initialise_from(self, activations: Float[Tensor, "samples d_in"]) -> None:
        """Finish init="centered" before training: b_dec becomes the mean of `activations`.

        They must be scaled as the trainer's batches will be; some thousand are enough. Without this call the first
        training batch is used.
        """
        if self.cfg.init != "centered":
            raise ValueError(f'initialise_from is for init="centered"; this SAE has init={self.cfg.init!r}')
        self.b_dec.copy_(self._per_token_norm(activations.to(self.b_dec)).mean(0))
        self.is_centered.fill_(True)

    def get_coefficients(self) -> dict[str, float | TrainCoefficientConfig]:
        return {
            "l1": TrainCoefficientConfig(self.cfg.l1_coefficient, self.cfg.l1_warm_up_steps),
            "l2": self.cfg.l2_coefficient,
        }

    def encode_with_hidden_pre(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden_pre = self.hook_sae_acts_pre(self.process_sae_in(x) @ self.W_enc + self.b_enc)
        return self.hook_sae_acts_post(self.activation_fn(hidden_pre)), hidden_pre

    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        if step_input.n_training_steps == 0 and not self.is_centered:
            self.initialise_from(step_input.sae_in)
        if self.cfg.normalize_decoder:
            self.W_dec.data.div_(self.W_dec.data.norm(dim=1, keepdim=True).clamp_min_(1e-12))
        if self.cfg.normalize_activations == "constant_norm_rescale":
            step_input = replace(step_input, sae_in=self._per_token_norm(step_input.sae_in))
        return super().training_forward_pass(step_input)

    def calculate_aux_loss(
        self,
        step_input: TrainStepInput,
        feature_acts: Float[Tensor, "batch d_sae"],
        hidden_pre: Float[Tensor, "batch d_sae"],
        sae_out: Float[Tensor, "batch d_in"],
    ) -> dict[str, Tensor]:
        h = feature_acts if self.cfg.normalize_decoder else feature_acts * self.W_dec.norm(dim=1)
        with torch.no_grad():
            self._bind_activity().update(h)
            omega = self.penalty_weights(step_input.n_training_steps + 1)
            c1, c2 = step_input.coefficients["l1"] * omega, step_input.coefficients["l2"] / len(h)
        return {"l1_loss": (c1 * h.mean(0)).sum(), "l2_loss": c2 * (h * h).sum()}  # h * h: cheaper backward than square

    @torch.no_grad()
    def penalty_weights(self, step: int) -> Float[Tensor, " d_sae"]:
        """omega_j = 1 + (w_j - 1) f(step) at the present activity; `step` counts from 1."""
        cfg = self.cfg
        share = ramp(step, cfg.adaptive_delay_steps, cfg.adaptive_ramp_steps)
        if share == 0:
            return torch.ones_like(self.activity_mean)
        activity = self._bind_activity().value(step)
        weights = adaptive_weights(activity, cfg.gamma, cfg.reference_fraction, cfg.weight_min, cfg.weight_max)
        return torch.ones_like(weights).lerp(weights, share)

    def _bind_activity(self) -> Activity:
        """The running statistics over this module's buffers, which `.to()` and loading replace by new tensors."""
        if self.activity.state["mean"] is not self.activity_mean:
            cfg, device = self.cfg, self.activity_mean.device
            self.activity = Activity((cfg.d_sae,), cfg.ema_beta, cfg.activity_statistic, device)
            self.activity.state = {name: getattr(self, f"activity_{name}") for name in self.activity.state}
        return self.activity

    def _per_token_norm(self, x: Float[Tensor, "samples d_in"]) -> Float[Tensor, "samples d_in"]:
        if self.cfg.normalize_activations != "constant_norm_rescale":
            return x
        return x * (self.cfg.d_in**0.5 / x.norm(dim=-1, keepdim=True).clamp_min(1e-12))

    def _apply(self, fn, recurse: bool = True):
        super()._apply(fn, recurse)
        for name in self.activity.state:  # 1 - beta = 1e-4 is lost in half precision: the running means stay in float32
            buffer = getattr(self, f"activity_{name}")
            if buffer.dtype != torch.float32:
                setattr(self, f"activity_{name}", buffer.float())
        return self

    def process_state_dict_for_saving_inference(self, state_dict: dict[str, Any]) -> None:
        super().process_state_dict_for_saving_inference(state_dict)
        _to_standard(state_dict)


def _to_standard(state_dict: dict[str, Any]) -> None:
    """In place: from a training state to a "standard" SAE with unit decoder rows and the same output."""
    for name in [name for name in state_dict if name.startswith("activity_") or name == "is_centered"]:
        del state_dict[name]
    norm = state_dict["W_dec"].norm(dim=1).clamp_min(1e-12)
    state_dict["W_dec"] = state_dict["W_dec"] / norm.unsqueeze(1)
    state_dict["W_enc"] = state_dict["W_enc"] * norm
    state_dict["b_enc"] = state_dict["b_enc"] * norm


def to_saelens(sae: SparseAutoencoder) -> SAE:
    """A member of a `Stack` as SAELens's inference model, "standard" or "topk", with the same codes; `save_model` saves
    it. For an SAE that was trained on normalised activations set cfg.normalize_activations = "constant_norm_rescale".
    """
    n, d = sae.W_enc.shape
    common = {"d_in": n, "d_sae": d, "device": str(sae.W_enc.device)}
    config = StandardSAEConfig(**common) if sae.k is None else TopKSAEConfig(**common, k=sae.k)
    model = SAE.from_dict(config.to_dict())
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            getattr(model, name).copy_(getattr(sae, name))
    return model


@no_type_check  # SAELens fills `metadata` with a dict first and converts it afterwards
class AENSAEConfig(StandardSAEConfig):
    """What `SAE.load_from_disk` reads from a *training* checkpoint; written back as "standard"."""

    @classmethod
    def architecture(cls) -> str:
        return "aen"

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "architecture": "standard"}


class AENSAE(StandardSAE):
    """Inference from a training checkpoint: a standard SAE without the training state."""

    def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
        super().process_state_dict_for_loading(state_dict)
        _to_standard(state_dict)


def _register() -> None:
    """Make "aen" known to SAELens. A reload of this module replaces its own entries; another "aen" is an error."""
    for registry, register, classes in (
        (SAE_CLASS_REGISTRY, register_sae_class, (AENSAE, AENSAEConfig)),
        (SAE_TRAINING_CLASS_REGISTRY, register_sae_training_class, (AENTrainingSAE, AENTrainingSAEConfig)),
    ):
        if "aen" in registry and registry["aen"][0].__module__ == __name__:
            del registry["aen"]
        register("aen", *classes)


_register()
