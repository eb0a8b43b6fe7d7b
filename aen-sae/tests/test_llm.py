"""The language-model study on a tiny random Llama, by the paths that the real models take."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aen_sae import metrics
from aen_sae.experiments import llm, spiked
from aen_sae.stacked import SparseAutoencoder, Stack


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test leaves activations in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def streamed(llama_folder, text_dataset):
    """A cell that streams a local dataset through a local model, as the paper preset does with the hub's."""
    return llm.Config(
        model=str(llama_folder), layer=1, dataset="json",
        data_files=tuple(map(str, sorted(text_dataset.glob("*.jsonl")))),
        skip_documents=10, context_size=16, train_windows=0, held_out_windows=8, patched_windows=4, d=48, steps=30,
        batch_size=32, delay=6, ramp_steps=2, window=6, checkpoint_every=10, method=("l1", "aen", "topk"),
        l1=(0.001, 0.01), ema_decay=(0.9,), k=(4,), drop_first=False,
    )  # fmt: skip


def assert_equal_records(first, second):
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def test_one_stream_serves_all_saes_of_the_cell(streamed, tmp_path):
    records = llm.run(streamed, tmp_path)
    assert [(r["method"], r["l1"], r["k"]) for r in records] == [
        ("l1", 0.001, None), ("l1", 0.01, None), ("aen", 0.001, None), ("aen", 0.01, None), ("topk", None, 4),
    ]  # fmt: skip
    (tmp_path / "alone").mkdir()
    alone = llm.run(replace(streamed, method=("aen",), l1=(0.01,)), tmp_path / "alone")
    assert alone[0]["explained_variance"] == pytest.approx(records[3]["explained_variance"], abs=1e-4)
    assert records[4]["l0"] <= 4
    for record in records:
        assert record["ce_clean"] < record["ce_mean_ablated"]
        assert record["explained_variance"] < 1 and record["norm_ratio"] > 0
        assert len(record["firing_rate"]) == 48 and record["train_l0"].shape == record["step"].shape


def test_a_killed_stream_goes_on_to_the_same_numbers(streamed, tmp_path, monkeypatch):
    straight = llm.run(streamed, tmp_path)
    killed = tmp_path / "killed"
    killed.mkdir()
    step, taken = Stack.step, []

    def dying(self, x):
        if self.steps == 25:
            raise KeyboardInterrupt
        taken.append(1)
        step(self, x)

    monkeypatch.setattr(Stack, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        llm.run(streamed, killed)
    monkeypatch.setattr(Stack, "step", lambda self, x: (taken.append(1), step(self, x)))
    taken.clear()
    resumed = llm.run(streamed, killed)
    assert len(taken) == 2 * 10  # two stacks, from step 20 on
    assert_equal_records(straight, resumed)


def test_replayed_activations_give_equal_numbers_for_equal_seeds(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cell = replace(llm.PRESETS["smoke"][0], steps=20)
    first, again = llm.run(cell, tmp_path), llm.run(cell, tmp_path)
    assert_equal_records(first, again)
    other = llm.run(replace(cell, seed=7), tmp_path)
    assert other[0]["explained_variance"] != first[0]["explained_variance"]


def test_metrics_over_chunks_are_those_over_all_tokens():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 8, generator=g) + 1
    sae = SparseAutoencoder(
        torch.randn(8, 20, generator=g),
        -1 + 0 * torch.randn(20, generator=g),
        torch.randn(20, 8, generator=g) / 5,
        x.mean(0),
    )
    (measured,) = llm._measure([sae], x.split(70))
    codes = sae.encode(x)
    assert measured["explained_variance"] == pytest.approx(metrics.explained_variance(x, sae.decode(codes)), abs=1e-6)
    assert measured["l0"] == pytest.approx(metrics.l0(codes))
    assert measured["dead_fraction"] == pytest.approx(metrics.dead_fraction(codes))
    assert measured["norm_ratio"] == pytest.approx(metrics.norm_ratio(x, sae.decode(codes)))


def test_the_paper_preset_is_the_published_grid():
    pythia = [c for c in llm.PRESETS["paper"] if "pythia" in c.model and c.seed == 0 and c.init == "published"]
    counts = {m: sum(len(c.members(m)) for c in pythia) for m in llm.PENALISED + ("topk",)}
    assert counts == {"l1": 5, "elastic_net": 12, "adaptive_lasso": 36, "aen": 144, "topk": 6}  # 203 configurations
    assert len({c.seed for c in llm.PRESETS["paper"] if "pythia" in c.model}) == 3
    for rho in (0.0, 0.9):
        at_rho = [c for c in spiked.PRESETS["paper"] if c.rho == rho and c.seed == 0 and c.init == "published"]
        published = [c for c in at_rho if "topk" in c.method or c.method == ("l1",)]
        assert sum(len(c.members(*spiked.PENALISED, "topk")) for c in published) == 114
    assert {c.rho for c in spiked.PRESETS["paper"]} == {0.0, 0.3, 0.5, 0.7, 0.9}
