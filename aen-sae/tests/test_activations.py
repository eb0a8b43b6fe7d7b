"""Stored and streamed activations; the oracle is a plain hook on the whole model."""

import itertools
import json
import math
import threading

import numpy as np
import pytest
import torch
from conftest import CORPUS

from aen_sae.activations import ActivationStore, ActivationStream, Replay, normalise
from aen_sae.corpus import TokenWindows
from aen_sae.language_model import SplitModel
from repro_shared import UserError


@pytest.fixture
def split(tiny_llama):
    return SplitModel(tiny_llama, 1)


@pytest.fixture
def store(split, windows, tmp_path):
    return ActivationStore.extract(split, windows, tmp_path)


def hooked(model, tokens, first):
    """Normalised activations after block 1, from the whole model."""
    seen = []
    handle = model.get_submodule("model.layers.1").register_forward_hook(lambda *call: seen.append(call[-1]))
    with torch.no_grad():
        model(torch.from_numpy(np.asarray(tokens, dtype=np.int64)))
    handle.remove()
    a = seen[0][:, first:]
    norm = a.norm(dim=-1, keepdim=True)
    return a / norm * math.sqrt(a.shape[-1]), norm[..., 0] / math.sqrt(a.shape[-1])


def test_normalise_gives_norm_sqrt_n_and_the_factor_back():
    a = torch.randn(5, 7, 32, generator=torch.Generator().manual_seed(0)) * 100
    x, scale = normalise(a)
    torch.testing.assert_close(x.norm(dim=-1), torch.full((5, 7), math.sqrt(32)))
    torch.testing.assert_close(x * scale, a)
    assert normalise(torch.zeros(1, 4))[0].isfinite().all()
    assert normalise(a.bfloat16())[0].dtype == torch.float32


@pytest.mark.parametrize("drop_first", [True, False])
def test_the_store_holds_what_a_hook_sees(split, tiny_llama, windows, tmp_path, drop_first):
    store = ActivationStore.extract(split, windows, tmp_path, drop_first=drop_first, windows_per_forward=5)
    x, scale = hooked(tiny_llama, windows, int(drop_first))
    assert store.first_position == int(drop_first) and len(store) == x.shape[0] * x.shape[1]
    np.testing.assert_allclose(store.x, x, rtol=2**-11, atol=1e-6)  # half a unit in the last place of float16
    np.testing.assert_allclose(store.scale, scale, rtol=1e-5)
    torch.testing.assert_close(store.tensor(), x.flatten(0, 1), rtol=2**-11, atol=1e-6)


def test_the_second_opening_does_not_run_the_model(split, store, windows, tmp_path, monkeypatch):
    monkeypatch.setattr(split, "residual", None)
    np.testing.assert_array_equal(ActivationStore.extract(split, windows, tmp_path).x, store.x)


def test_another_model_layer_text_or_position_is_another_store(split, store, tiny_llama, tiny_neox, windows, tmp_path):
    ActivationStore.extract(SplitModel(tiny_llama, 2), windows, tmp_path)
    ActivationStore.extract(SplitModel(tiny_neox, 1), windows, tmp_path)
    ActivationStore.extract(SplitModel(tiny_neox, 1, centre_residual=True), windows, tmp_path)
    ActivationStore.extract(split, windows[:-1], tmp_path)
    ActivationStore.extract(split, windows, tmp_path, drop_first=False)
    assert len([path for path in (tmp_path / "activations").iterdir() if path.is_dir()]) == 6


def test_an_extraction_that_dies_leaves_nothing_that_is_taken_for_whole(split, windows, tmp_path, monkeypatch):
    calls, residual = [], split.residual

    def dies(tokens):
        calls.append(len(tokens))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return residual(tokens)

    monkeypatch.setattr(split, "residual", dies)
    with pytest.raises(KeyboardInterrupt):
        ActivationStore.extract(split, windows, tmp_path)
    assert not [path for path in (tmp_path / "activations").iterdir() if path.is_dir()]
    assert len(ActivationStore.extract(split, windows, tmp_path)) == windows.shape[0] * (windows.shape[1] - 1)


def test_two_at_once_extract_once(split, windows, tmp_path, monkeypatch):
    tokens_run, residual = [], split.residual
    monkeypatch.setattr(split, "residual", lambda tokens: tokens_run.append(tokens.numel()) or residual(tokens))
    stores = []
    threads = [
        threading.Thread(target=lambda: stores.append(ActivationStore.extract(split, windows, tmp_path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(tokens_run) == windows.size
    np.testing.assert_array_equal(stores[0].x, stores[1].x)


def test_an_unusable_cache_folder_is_one_line(split, windows, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        ActivationStore.extract(split, windows, tmp_path / "file")


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:500])])
def test_a_damaged_store_is_one_line(split, store, windows, tmp_path, damage):
    (path,) = (tmp_path / "activations").glob("*/x.npy")
    damage(path)
    with pytest.raises(UserError, match="are damaged: remove that folder"):
        ActivationStore.extract(split, windows, tmp_path)


def test_an_epoch_of_the_replay_shows_every_token_once(store):
    x = store.tensor()
    batches = list(itertools.islice(Replay(x, 40, seed=0), 2 * (len(x) // 40)))
    assert len(batches) == 18 and all(batch.shape == (40, 32) for batch in batches)
    for epoch in (torch.cat(batches[:9]), torch.cat(batches[9:])):
        distances = torch.cdist(epoch.double(), x.double())
        assert len(set(distances.argmin(1).tolist())) == len(epoch) == 360
    assert not torch.equal(torch.cat(batches[:9]), torch.cat(batches[9:]))


def test_the_replay_depends_on_the_seed_alone_and_can_start_anywhere(store):
    x = store.tensor()
    first, again, other = (next(Replay(x, 40, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    straight = list(itertools.islice(Replay(x, 40, 0), 15))
    later = Replay(x, 40, 0)
    later.load_state_dict({"step": 11})
    assert all(torch.equal(next(later), batch) for batch in straight[11:])


def test_a_batch_larger_than_the_store_is_refused(store):
    with pytest.raises(ValueError, match="use a smaller batch or more text"):
        Replay(store.tensor(), len(store) + 1, 0)


def windows_of_text(tokenizer):
    return TokenWindows(iter(CORPUS), tokenizer, 16)


def test_the_published_stream_is_the_text_in_order_with_position_0(split, tiny_llama, tokenizer):
    stream = ActivationStream(split, windows_of_text(tokenizer), 64, seed=None, block_batches=1, drop_first=False)
    expected, _ = hooked(tiny_llama, np.stack(list(windows_of_text(tokenizer))), 0)
    expected = expected.flatten(0, 1)
    streamed = list(stream)
    assert {batch.shape for batch in streamed} == {(64, 32)} and len(streamed) == len(expected) // 64
    torch.testing.assert_close(torch.cat(streamed), expected[: 64 * len(streamed)], rtol=0, atol=1e-5)


def test_a_shuffled_block_holds_its_windows_and_no_others(split, tiny_llama, tokenizer):
    stream = ActivationStream(split, windows_of_text(tokenizer), 30, seed=0, block_batches=8, windows_per_forward=5)
    x = torch.cat(list(itertools.islice(stream, 16)))  # two blocks of 240 tokens = 16 windows x 15 positions
    expected, _ = hooked(tiny_llama, np.stack(list(itertools.islice(windows_of_text(tokenizer), 32))), 1)
    for block, wanted in zip(x.split(240), expected.flatten(0, 1).split(240), strict=True):
        assert not torch.allclose(block, wanted, atol=1e-3)
        distance = torch.cdist(block, wanted, compute_mode="donot_use_mm_for_euclid_dist")
        assert distance.min(1).values.max() < 1e-4 and distance.min(0).values.max() < 1e-4


def test_the_shuffling_depends_on_the_seed_alone(split, tokenizer):
    first, again, other = (next(ActivationStream(split, windows_of_text(tokenizer), 40, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("taken", [0, 1, 3, 4, 10])  # a block has 4 batches
def test_the_stream_goes_on_from_a_saved_state(split, tokenizer, seed, taken):
    def new():
        return ActivationStream(split, windows_of_text(tokenizer), 50, seed, block_batches=4)

    straight = list(new())
    first = new()
    head = list(itertools.islice(first, taken))
    state = json.loads(json.dumps(first.state_dict()))
    second = new()
    second.load_state_dict(state)
    resumed = [*head, *second]
    assert len(resumed) == len(straight) > 20
    torch.testing.assert_close(torch.stack(resumed), torch.stack(straight), rtol=0, atol=0)


def test_an_sae_can_be_trained_on_the_stream(split, tokenizer):
    x = next(ActivationStream(split, windows_of_text(tokenizer), 40, 0))
    weight = torch.zeros(32, requires_grad=True)
    (x @ weight - 1).square().mean().backward()  # fails on inference-mode tensors
    assert weight.grad.abs().max() > 0
