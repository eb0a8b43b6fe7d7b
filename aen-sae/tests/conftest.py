"""A tiny random Llama and GPT-NeoX, a byte tokenizer and local text: language models without a network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported: no test waits for a network

import json

import jaxtyping
import numpy as np
import pytest

CORPUS = [f"Document {i}: " + "the quick brown fox jumps over the lazy dog; " * (1 + i % 4) for i in range(40)]


@pytest.fixture
def unchecked(monkeypatch):
    """As for a user: nothing checks shapes and types before our own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def tokenizer():
    """Bytes (256 ids) and one end-of-text token (id 256)."""
    from aen_sae.language_model import random_language_model

    return random_language_model()[1]


@pytest.fixture(scope="session")
def tiny_llama():
    """Four random blocks, n = 32, vocabulary 257; grouped-query attention as in Llama 3 and SmolLM2."""
    from aen_sae.language_model import random_language_model

    return random_language_model()[0]


@pytest.fixture(scope="session")
def tiny_neox():
    """Three random blocks, n = 32, with the parallel residual of Pythia."""
    import torch
    import transformers

    config = transformers.GPTNeoXConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        initializer_range=0.3, bos_token_id=256, eos_token_id=256,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.GPTNeoXForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():  # biases and norms start at 0 and 1: make them matter
        if weight.ndim == 1:
            weight.data += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.fixture(scope="session")
def llama_folder(tiny_llama, tokenizer, tmp_path_factory):
    """The tiny Llama and its tokenizer as a local folder in Hugging Face format."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    tiny_llama.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_dataset(tmp_path_factory):
    """CORPUS as a local dataset: one JSON line a document, in two shards."""
    folder = tmp_path_factory.mktemp("text-dataset")
    for shard, documents in enumerate((CORPUS[:25], CORPUS[25:])):
        (folder / f"{shard}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return folder


@pytest.fixture(scope="session")
def windows():
    """24 random windows of 16 tokens for the tiny models."""
    return np.random.default_rng(0).integers(0, 257, size=(24, 16))
