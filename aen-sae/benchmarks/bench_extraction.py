"""Extracting activations against a plain transformers forward that stops at the same layer."""

import itertools
import tempfile
import time
from pathlib import Path

import torch

from aen_sae.activations import ActivationStore
from aen_sae.corpus import TokenWindows, docstrings, take_windows
from aen_sae.language_model import SMOLLM2, SplitModel, load_language_model
from repro_shared.benchmarks import entry, in_turns


def run(layer: int = 9, windows: int = 32) -> list[dict]:
    """Tokens per second through SmolLM2-135M up to block `layer`, 128 tokens a window; ours includes normalising and
    writing to disk.
    """
    model, tokenizer = load_language_model(SMOLLM2)
    tokens = take_windows(TokenWindows(docstrings(), tokenizer, 128), windows)
    split = SplitModel(model, layer)
    plain, _ = load_language_model(SMOLLM2)
    plain = plain.model
    plain.layers = plain.layers[: layer + 1]
    folders = itertools.count()

    with tempfile.TemporaryDirectory() as cache:

        def ours() -> None:
            ActivationStore.extract(split, tokens, Path(cache) / str(next(folders)))  # a new folder: nothing is reused

        def peer() -> None:
            with torch.inference_mode():
                for part in torch.from_numpy(tokens).long().split(4):
                    plain(input_ids=part, use_cache=False)

        ours_seconds, peer_seconds = in_turns(ours, peer, 5, time.perf_counter)  # ours waits for the disk
    return [
        entry(
            f"activation extraction, SmolLM2-135M to block {layer}",
            tokens.size / ours_seconds,
            tokens.size / peer_seconds,
            "transformers forward to the same block",
            "tokens/s",
            "ratio >= 0.95",
        )
    ]
