"""What adaptivity costs: a training step of "aen" and one of SAELens's "standard", both in SAELens's `SAETrainer`.

Same data, same start, same trainer, in turns within one process; the weights of "aen" are on. About half a minute.
"""

from collections.abc import Callable

import torch
from sae_lens import SAETrainer, StandardTrainingSAE, StandardTrainingSAEConfig, TrainingSAE
from sae_lens.config import SAETrainerConfig

from aen_sae.sae import AENTrainingSAE, AENTrainingSAEConfig
from aen_sae.spiked import Spiked
from repro_shared.benchmarks import entry, in_turns

SIZES = {"spiked, small": (64, 256, 256, 25, 60), "SmolLM2": (576, 2304, 256, 3, 12)}
"""Name -> inputs n, latents d, batch B, steps in a turn, turns."""
LAMBDA1, LAMBDA2 = 0.004, 0.0004
"""Penalties in the authors' units that give L0 near 10 on the small model."""


def run() -> list[dict]:
    """Median milliseconds per step of either side."""
    results = []
    for name, (n, d, batch, steps, turns) in SIZES.items():
        generator = torch.Generator().manual_seed(0)
        teacher = Spiked.draw(n, d, rho=0.5, k=4, generator=generator)
        batches = [teacher.sample(batch, generator)[0] for _ in range(10)]
        aen = AENTrainingSAE(
            AENTrainingSAEConfig.from_author_units(
                n, d, LAMBDA1, LAMBDA2, adaptive_delay_steps=0, adaptive_ramp_steps=1
            )
        )
        standard = StandardTrainingSAE(StandardTrainingSAEConfig(d_in=n, d_sae=d, l1_coefficient=n * LAMBDA1))
        standard.load_state_dict({key: p.clone() for key, p in aen.named_parameters()})
        seconds = in_turns(trainer_steps(aen, batches, steps), trainer_steps(standard, batches, steps), turns)
        ours, peer = (1e3 * value / steps for value in seconds)
        results.append(
            entry(
                f"AEN step in SAELens ({name}: n={n}, d={d}, B={batch})",
                ours,
                peer,
                "SAELens standard in SAETrainer",
                "ms/step",
                "ratio >= 0.95",
            )
        )
    return results


def trainer_steps(sae: TrainingSAE, batches: list[torch.Tensor], steps: int) -> Callable[[], None]:
    """`steps` steps of SAELens's trainer on `batches`, in a circle."""
    batch_size = len(batches[0])
    config = SAETrainerConfig(
        total_training_samples=10**6 * batch_size, train_batch_size_samples=batch_size, lr=1e-3, lr_end=1e-3
    )
    trainer = SAETrainer(config, sae, iter(batches))

    def work() -> None:
        for _ in range(steps):
            trainer.step(batches[trainer.n_training_steps % len(batches)])
            trainer.n_training_steps += 1

    return work
