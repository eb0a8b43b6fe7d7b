"""Which SAEs starve on coherent dictionaries, and which find the teacher? (claims C1, C2, C4, C5, C8 and the
initialisation)

One cell is one teacher (coherence and seed), one initialisation and one method with its whole grid of coefficients,
trained as one stack on one data stream. The published runs use n = 256, d = 1024, k = 16 and 50,000 steps; the
`default` preset is the same model at n = 64, d = 256, k = 4 with a tenth of the schedule, and with lambda scaled so
that the penalty keeps its strength relative to the summed squared error. Expect 3 s per SAE on one core for `default`,
12 s for SAELens's own.
"""

from dataclasses import dataclass, field, replace
from itertools import islice, product
from pathlib import Path
from typing import Literal

import numpy as np

from aen_sae.experiments.checked import require_positive
from aen_sae.experiments.grids import PENALISED, READS, SAELENS, Grid, recipe

PUBLISHED_WIDTH = 256
"""n of the published runs: `l1` and `l2` are the published numbers, applied as lambda * 256 / n."""


@dataclass(frozen=True)
class Config(Grid):
    rho: float = 0.9
    """Coherence rho of the teacher's atoms, in [0, 1)."""
    init: Literal["published", "centered"] = "published"
    """`published`: random untied weights, b_d = 0. `centered`: tied weights, b_d = mean of the data."""
    n: int = 64
    """Input dimension."""
    d: int = 256
    """Atoms of the teacher and latents of the student."""
    active: int = 4
    """Active atoms per sample, k of the teacher."""
    steps: int = 5_000
    """Training steps."""
    batch_size: int = 256
    """Fresh samples per step."""
    lr: float = 1e-3
    """Adam's step size."""
    delay: int = 1_000
    """T0, steps before the weights adapt."""
    ramp_steps: int = 200
    """R, steps over which they become fully adaptive."""
    window: int = 1_000
    """Steps without activity after which a latent is dead."""
    eval_samples: int = 20_480
    """Held-out samples for all metrics but dead latents; recovery is measured on the first 8,192 of them."""
    seed: int = 0
    """Fans out into teacher, initialisation, data and evaluation."""
    device: str = field(default="cpu", metadata={"identity": False})
    """torch device, for instance cuda. Not part of the cell's identity: any device may go on with the results."""

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "n", "d", "steps", "batch_size", "lr", "eval_samples")
        if not 0 <= self.rho < 1:
            raise ValueError(
                f"coherence rho = {self.rho} is not in [0, 1); choose 0 (incoherent) to 0.9 (the paper's hardest)"
            )
        if not 1 <= self.window <= self.steps:
            raise ValueError(
                f"window = {self.window} does not lie within the {self.steps} steps; choose 1 <= window <= steps"
            )
        if max(self.k, default=1) > self.d:
            raise ValueError(f"k = {max(self.k)} active latents do not fit into d = {self.d}; choose 1 <= k <= d")
        if not 0 < self.active <= self.d:
            raise ValueError(f"active = {self.active} atoms do not fit into d = {self.d}; choose 1 <= active <= d")


def run(cell: Config, scratch: Path) -> list[dict]:
    """Train the cell's SAEs and measure each on held-out samples. One record per member of the grid."""
    import torch

    from aen_sae.initialisation import initialise
    from aen_sae.seeds import generator
    from aen_sae.spiked import Spiked

    def stream(name: str) -> torch.Generator:
        return generator(cell.seed, name, device=cell.device)

    teacher = Spiked.draw(cell.n, cell.d, cell.rho, cell.active, generator=stream("teacher"))
    mean = teacher.sample(8_192, stream("mean"))[0].mean(0)
    initial = initialise(cell.init, cell.n, cell.d, stream("initialisation"), mean)
    x, support, magnitude = teacher.sample(cell.eval_samples, stream("evaluation"))
    truth = teacher.dense_codes(support, magnitude)
    trained = [*_train_stacks(cell, teacher, initial, scratch), *_train_saelens(cell, teacher, mean)]
    rates = _firing_rates(cell, teacher, [sae for _, sae, _ in trained])
    return [
        member
        | recorded
        | {"dead_fraction": (rate == 0).float().mean().item(), "firing_rate": rate.cpu().numpy()}
        | _measure(sae, teacher, x, truth)
        | _measure_objective(cell, member, sae, recorded, x[:256])
        for (member, sae, recorded), rate in zip(trained, rates, strict=True)
    ]


def _train_stacks(cell: Config, teacher, initial, scratch: Path) -> list[tuple]:
    """(labels, SAE, what training recorded) of the methods that we train ourselves, all on one data stream."""
    from aen_sae.spiked import SpikedStream
    from aen_sae.stacked import Stack, Training, train

    training = Training(
        cell.lr, cell.delay, cell.ramp_steps, statistic=cell.statistic, window=cell.window,
        log_every=max(1, cell.steps // 40),
    )  # fmt: skip
    groups = [members for kind in (PENALISED, ("topk",), ("topk_auxk",)) if (members := cell.members(*kind))]
    scale = PUBLISHED_WIDTH / cell.n
    stacks = [Stack([recipe(member, scale) for member in members], initial, training) for members in groups]
    if stacks:
        train(stacks, SpikedStream(teacher, cell.batch_size, cell.seed), cell.steps, scratch / "stacks.safetensors")
    return [
        trained for stack, members in zip(stacks, groups, strict=True)
        for trained in zip(members, stack.members(), stack.recorded(), strict=True)
    ]  # fmt: skip


def _train_saelens(cell: Config, teacher, mean) -> list[tuple]:
    """(labels, SAE, what training recorded) of SAELens's own architectures, trained by its own trainer on the same
    stream.
    """
    if not (members := cell.members(*SAELENS)):
        return []
    from aen_sae.baselines import baseline, train
    from aen_sae.seeds import generator
    from aen_sae.spiked import SpikedStream

    trained = []
    for member in members:
        (sparsity,) = (member[name] for name in READS[member["method"]])
        sae = baseline(
            member["method"], cell.n, cell.d, sparsity, init=cell.init, mean=mean, device=cell.device,
            generator=generator(cell.seed, "initialisation", device=cell.device),
        )  # fmt: skip
        stream = SpikedStream(teacher, cell.batch_size, cell.seed)
        done = train(sae, stream, steps=cell.steps, batch_size=cell.batch_size, lr=cell.lr, dead_window=cell.window)
        trained.append((member, done, {"dead_window": done.window_dead}))
    return trained


def _firing_rates(cell: Config, teacher, saes) -> list:
    """Firing rates (d,) of each SAE's latents on held-out samples, as many as the last training window had.

    Their number decides how many latents count as dead: one that fires once in 100,000 samples is silent on most sets
    of 20,000, and alive on a million.
    """
    from aen_sae.metrics import ALIVE
    from aen_sae.spiked import SpikedStream

    stream = SpikedStream(teacher, cell.batch_size, cell.seed, name="firing rates")
    fired = [sae.W_dec.new_zeros(cell.d) for sae in saes]
    for x in islice(stream, cell.window):
        for count, sae in zip(fired, saes, strict=True):
            count += (sae.encode(x) > ALIVE).sum(0)
    return [count / (cell.window * cell.batch_size) for count in fired]


def _measure(sae, teacher, x, truth) -> dict[str, float | np.ndarray]:
    """All metrics of one SAE on held-out samples x with true codes `truth`."""
    from aen_sae import metrics

    codes = sae.encode(x)
    xhat = sae.decode(codes)
    return {
        "l0": metrics.l0(codes),
        "explained_variance": metrics.explained_variance(x, xhat),
        "explained_variance_perp": metrics.explained_variance(x, xhat, teacher.spike),
        "norm_ratio": metrics.norm_ratio(x, xhat),
        **metrics.recovery(codes[:8_192], sae.W_dec, truth[:8_192], teacher.atoms, teacher.spike),
    }


def _measure_objective(cell: Config, member: dict, sae, recorded: dict, x) -> dict[str, float]:
    """What needs the training objective of a penalised or TopK SAE: whether the loss jumps anywhere, and how far a
    penalised encoder is from the exact code.
    """
    import torch

    from aen_sae.exact_code import amortisation_gap, half_square
    from aen_sae.losses import loss, loss_jump
    from aen_sae.seeds import generator

    if member["method"] in SAELENS:
        return {}
    l1, l2 = (PUBLISHED_WIDTH / cell.n * (member[name] or 0.0) for name in ("l1", "l2"))
    omega = torch.as_tensor(recorded["weights"], device=x.device)
    parameters = {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    some = x[:64].double()
    measured = {
        "loss_jump": loss_jump(
            parameters,
            lambda at: loss(at, some, l1, l2, omega.double(), sae.k),
            generator(cell.seed, "direction", device=cell.device),
        )
    }
    if sae.k is None:
        gap = amortisation_gap(x - sae.b_dec, sae.encode(x), sae.W_dec, *half_square(l1, l2, cell.n), omega)
        measured |= {"amortisation_gap": gap.relative.item(), "code_distance": gap.distance.item()}
    return measured


AT_L0 = {
    ("l1", "published"): {"published": (0.001, 0.002, 0.0027, 0.005), "centered": (0.001, 0.0017, 0.003, 0.004, 0.005)},
    ("elastic_net", "published"): {"published": (0.0018, 0.0023), "centered": (0.002, 0.003)},
    ("adaptive_lasso", "published"): {"published": (0.0003, 0.0004), "centered": (0.0005, 0.00065)},
    ("aen", "published"): {"published": (0.0005, 0.0006, 0.0008), "centered": (0.00055, 0.0007, 0.0012)},
    ("aen", "fast"): {"published": (0.00028, 0.00036), "centered": (0.00056, 0.00065)},
    ("aen", "debiased"): {"published": (0.00036, 0.00047), "centered": (0.00045, 0.0006)},
    ("aen", "conditional"): {"published": (0.00075, 0.001), "centered": (0.001, 0.0014)},
}
"""(method, activity average) -> initialisation -> values of lambda_1 that bracket L0 = 8 in `default` at rho = 0.9, and
for L1 and AEN also L0 = 5; found with seed 0 beforehand (ours). L1 has the published .001 and .005, too."""


def _default() -> list[Config]:
    """At rho = 0.9 three seeds of all that the claims compare, at coefficients that bracket the L0 of the comparison;
    the rest with one seed: other coherences and k, JumpReLU, BatchTopK.

    lambda_2 = 1e-4 is the best of the published ones at equal L0; the claims at equal lambda are about 5e-4.
    """
    slow, fast = (1 - 1 / (share * Config.steps) for share in (0.2, 0.02))  # beta^steps as published for .9999 and .999
    cells = []
    for seed, init in product(range(3), ("published", "centered")):
        at = Config(init=init, seed=seed, ema_decay=(slow,), k=(8,))
        for (method, average), l1 in AT_L0.items():
            statistic = average if average in ("debiased", "conditional") else "published"
            ema_decay = (fast if average == "fast" else slow,)
            cells.append(replace(at, method=(method,), l1=l1[init], ema_decay=ema_decay, statistic=statistic))
        cells += [
            replace(at, method=("elastic_net", "aen"), l1=(0.001,), l2=(0.0005,)),
            replace(at, method=("topk",), k=(4, 8, 16) if seed == 0 else (8,)),
            replace(at, method=("topk_auxk",)),
            replace(at, method=("gated",), gated_l1=(0.35, 0.5) if init == "published" else (0.2, 0.3)),
            replace(at, rho=0.0, method=("l1",), l1=(0.001, 0.005, 0.006)),
        ]
        if seed == 0:
            cells += [
                replace(at, method=("batchtopk",), k=(8, 9) if init == "published" else (8,)),  # k is a mean, roughly
                replace(at, method=("jumprelu",), jumprelu_l0=(0.1, 0.3) if init == "published" else (0.01, 0.02)),
                replace(at, rho=0.0, method=("aen",), l1=(0.003, 0.006)),
                replace(at, rho=0.5, method=("l1",), l1=(0.001, 0.002, 0.005)),
                replace(at, rho=0.5, method=("aen",), l1=(0.0015, 0.0035)),
                *(replace(at, rho=rho, method=("topk",)) for rho in (0.0, 0.5)),
            ]
    return cells


def _published() -> list[Config]:
    """The published grid, 114 configurations at 5 coherences, and beyond it our initialisation, two more seeds and, at
    rho = 0.9, AuxK, our variants of the weights and SAELens's architectures.
    """
    cells = []
    for seed, init, rho in product(range(3), ("published", "centered"), (0.0, 0.3, 0.5, 0.7, 0.9)):
        at = Config(
            rho=rho, init=init, seed=seed, n=256, d=1024, active=16, steps=50_000, delay=10_000, ramp_steps=2_000,
            window=10_000, l1=(0.01, 0.005, 0.001), l2=(0.001, 0.0005, 0.0001), gamma=(0.5, 1.0),
            ema_decay=(0.999, 0.9999), reference_fraction=(0.05, 0.01), k=(8, 16, 32, 64, 128),
        )  # fmt: skip
        cells += [replace(at, method=(*PENALISED, "topk")), replace(at, method=("l1",), l1=(0.0005,))]
        if rho == 0.9:
            ours = replace(at, gamma=(0.5,), ema_decay=(0.9999,), reference_fraction=(0.05,))
            cells += [replace(ours, method=("aen",), statistic=name) for name in ("debiased", "conditional")]
            more = {"k": (8, 16, 32, 64), "jumprelu_l0": (0.003, 0.01, 0.03, 0.1), "gated_l1": (0.1, 0.3, 1.0, 3.0)}
            cells += [replace(at, method=(method,), **more) for method in ("topk_auxk", *SAELENS)]
    return cells


def _smoke() -> list[Config]:
    """Every method, far too small to learn anything."""
    at = Config(
        n=16, d=32, active=3, steps=150, delay=30, ramp_steps=10, window=30, eval_samples=1_000, batch_size=64,
        l1=(0.001, 0.004), l2=(0.0005,), ema_decay=(0.99,), k=(3, 6), jumprelu_l0=(0.3,), gated_l1=(0.3,),
    )  # fmt: skip
    cells = []
    for seed, init in product(range(2), ("published", "centered")):
        for rho in (0.0, 0.9):
            cells.append(replace(at, rho=rho, init=init, seed=seed, method=(*PENALISED, "topk", "topk_auxk")))
        for statistic in ("debiased", "conditional"):
            cells.append(replace(at, init=init, seed=seed, method=("aen",), statistic=statistic))
        cells.append(replace(at, init=init, seed=seed, method=("aen",), ema_decay=(0.9,)))
    return [*cells, replace(at, method=SAELENS, k=(3,))]


PRESETS: dict[str, list[Config]] = {"smoke": _smoke(), "default": _default(), "paper": _published()}


def figures(results):
    """Dead latents, recovery and reconstruction at matched L0; Pareto fronts; the initialisation; firing rates."""
    from aen_sae.experiments.spiked_figures import draw

    return draw(results)
