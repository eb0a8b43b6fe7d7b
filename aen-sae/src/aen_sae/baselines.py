"""SAELens's own training architectures on any stream of activations, from the same starts as ours.

    sae = baseline("topk", n=64, d=256, sparsity=8, init="centered", generator=g, mean=x.mean(0))
    trained = train(sae, batches, steps=6000, batch_size=256)
    trained.encode(x), trained.decode(h), trained.W_dec, trained.window_dead

SAELens's defaults are kept (AuxK for TopK and BatchTopK, step loss for JumpReLU, free decoder rows whose norms enter
the penalty) except the start of the parameters. Its trainer clips the gradient norm at 1, which the authors' spiked
runs do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from sae_lens import (
    SAE,
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    GatedTrainingSAE,
    GatedTrainingSAEConfig,
    JumpReLUTrainingSAE,
    JumpReLUTrainingSAEConfig,
    SAETrainer,
    StandardTrainingSAE,
    StandardTrainingSAEConfig,
    TopKSAE,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
    TrainingSAE,
)
from sae_lens.config import SAETrainerConfig
from torch import Tensor
from tqdm.auto import trange

from aen_sae.initialisation import initialise

ARCHITECTURES = {
    "standard": (StandardTrainingSAE, StandardTrainingSAEConfig, "l1_coefficient"),
    "topk": (TopKTrainingSAE, TopKTrainingSAEConfig, "k"),
    "batchtopk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig, "k"),
    "jumprelu": (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig, "l0_coefficient"),
    "gated": (GatedTrainingSAE, GatedTrainingSAEConfig, "l1_coefficient"),
}
"""Name -> training class, its config, and the config field that sets the sparsity."""


def baseline(
    architecture: str,
    n: int,
    d: int,
    sparsity: int | float,
    *,
    init: str,
    generator: torch.Generator,
    mean: Float[Tensor, " n"] | None = None,
    device: str = "cpu",
) -> TrainingSAE:
    """An untrained SAE of SAELens from one of our two starts (`aen_sae.initialisation`).

    sparsity: k for "topk" and "batchtopk" (for the latter the mean over samples), otherwise the penalty in SAELens's
    units, squared error summed over n: n lambda1 for "standard" and "gated", the price of one active latent for
    "jumprelu". What our starts do not cover: the gated encoder's r_mag stays 0 and both its biases take b_enc;
    JumpReLU's thresholds stay at SAELens's 0.01.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; choose one of {', '.join(ARCHITECTURES)}")
    sae_class, config_class, knob = ARCHITECTURES[architecture]
    value = int(sparsity) if architecture == "topk" else float(sparsity)
    if value != sparsity or value <= 0 or (knob == "k" and value > d):
        allowed = f"0 < k <= {d}, whole for topk" if knob == "k" else f"{knob} > 0"
        raise ValueError(f"{knob} = {sparsity} does not fit {architecture}; choose {allowed}")
    with torch.random.fork_rng(devices=[]):  # SAELens draws its own start, replaced below, from the global generator
        sae = sae_class(config_class(d_in=n, d_sae=d, device=device, **{knob: value}))
    start = initialise(init, n, d, generator, mean)
    if architecture == "gated":
        start["b_gate"] = start["b_mag"] = start.pop("b_enc")
    with torch.no_grad():
        for name, tensor in start.items():
            getattr(sae, name).copy_(tensor)
    return sae


@dataclass(frozen=True)
class Trained:
    """A trained SAE as SAELens would save and load it, decoder rows of norm 1."""

    sae: SAE
    silent: Bool[Tensor, " d"]
    """Latents that fired for no sample of the last `dead_window` training steps."""

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "batch n"]) -> Float[Tensor, "batch d"]:
        """Codes h >= 0."""
        return self.sae.encode(x)

    @torch.no_grad()
    def decode(self, h: Float[Tensor, "batch d"]) -> Float[Tensor, "batch n"]:
        """Reconstructions h W_dec + b_dec."""
        return h @ self.W_dec + self.b_dec

    @property
    def W_dec(self) -> Float[Tensor, "d n"]:
        return self.sae.W_dec.detach()

    @property
    def b_dec(self) -> Float[Tensor, " n"]:
        return self.sae.b_dec.detach()

    @property
    def window_dead(self) -> float:
        """Fraction of silent latents."""
        return self.silent.float().mean().item()


def train(
    sae: TrainingSAE,
    batches: Iterator[Float[Tensor, "batch n"]],
    *,
    steps: int,
    batch_size: int,
    lr: float = 1e-3,
    dead_window: int = 1000,
    progress: bool = False,
) -> Trained:
    """Train any SAELens training SAE (one of ours included) with SAELens's `SAETrainer`; no files, no logging service.

    dead_window: steps without firing after which SAELens's auxiliary losses call a latent dead; also the window of
    `Trained.silent` (the whole run if that is shorter). The learning rate is constant.

    The loop is the body of `SAETrainer.fit` over the trainer's public steps, as in SAELens's own multi-SAE trainer,
    without the progress bar and the sparsity histograms that `fit` makes even when nothing is logged. Adam runs in
    PyTorch's fused form: the same update in one kernel.
    """
    if sae.cfg.normalize_activations != "none":
        raise ValueError(
            f'normalize_activations = "{sae.cfg.normalize_activations}" needs SAETrainer.fit; '
            'train with that, or scale the batches yourself and choose "none"'
        )
    trainer = SAETrainer(
        SAETrainerConfig(
            total_training_samples=steps * batch_size,
            train_batch_size_samples=batch_size,
            lr=lr,
            lr_end=lr,  # not used by a constant rate, but SAELens insists on a value
            device=str(sae.device),
            dead_feature_window=dead_window,
        ),
        sae,
        batches,
    )
    for group in trainer.optimizer.param_groups:
        group["fused"] = True
    for _ in trange(steps, desc=f"training {sae.cfg.architecture()}", disable=not progress):
        trainer.step(next(batches))
        trainer.n_training_steps += 1
    return Trained(inference(sae), trainer.n_forward_passes_since_fired >= min(dead_window, steps))


def inference(sae: TrainingSAE) -> SAE:
    """What `save_inference_model` and then `SAE.load_from_disk` would give, without files, decoder norms folded in."""
    state = {name: tensor.clone() for name, tensor in sae.state_dict().items()}
    sae.process_state_dict_for_saving_inference(state)
    with torch.random.fork_rng(devices=[]):
        folded = SAE.from_dict(sae.cfg.get_inference_sae_cfg_dict())
    folded.load_state_dict(state)
    if not isinstance(folded, TopKSAE):  # TopK was folded on saving: its selection depends on it
        folded.fold_W_dec_norm()
    return folded
