"""A tiny random Llama and GPT-NeoX, a byte tokenizer and local text: language models without a network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported: no test waits for a network

import json

import numpy as np
import pytest

CORPUS = [f"Document {i}: " + "the quick brown fox jumps over the lazy dog; " * (1 + i % 4) for i in range(40)]


@pytest.fixture(scope="session")
def tokenizer():
    """Bytes (256 ids) and one end-of-text token (id 256)."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")


def _random_model(kind, config):
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


@pytest.fixture(scope="session")
def tiny_llama():
    """Four random blocks, n = 32, vocabulary 257; grouped-query attention as in Llama 3 and SmolLM2."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, bos_token_id=None, eos_token_id=256,
    )  # fmt: skip
    return _random_model(transformers.LlamaForCausalLM, config)


@pytest.fixture(scope="session")
def tiny_neox():
    """Three random blocks, n = 32, with the parallel residual of Pythia."""
    import torch
    import transformers

    config = transformers.GPTNeoXConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        initializer_range=0.3, bos_token_id=256, eos_token_id=256,
    )  # fmt: skip
    model = _random_model(transformers.GPTNeoXForCausalLM, config)
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
