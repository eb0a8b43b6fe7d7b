"""CE recovered and KL; the oracle is the whole model with a hook that replaces the residual stream, scored naively."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aen_sae.language_model import SplitModel
from aen_sae.patching import ce_recovered, patching_scores, reconstruct

SCORES = {
    "ce_clean", "ce_mean_ablated", "ce_zero_ablated", "ce", "kl", "ce_recovered", "ce_recovered_ratio",
    "ce_recovered_zero", "raw_ce", "raw_kl", "raw_ce_recovered",
}  # fmt: skip


def identity(x):
    return x


def silent(x):
    return torch.zeros_like(x)


@pytest.fixture(scope="module")
def sae():
    """A fixed nonlinear map that is neither the identity nor homogeneous."""
    weight = torch.randn(32, 32, generator=torch.Generator().manual_seed(0)) / 6
    return lambda x: 0.7 * x + torch.relu(x @ weight - 0.5)


def naive_scores(model, hook_name, windows, replace, first):
    """(CE, KL) per token (windows, positions) of the whole model with `replace(a)` at positions >= first."""

    def hook(_module, _inputs, output):
        a = output[0] if isinstance(output, tuple) else output
        patched = a.clone()
        patched[:, first:] = replace(a[:, first:])
        return (patched, *output[1:]) if isinstance(output, tuple) else patched

    tokens = torch.from_numpy(windows)
    with torch.no_grad():
        clean = model(tokens).logits.double().log_softmax(-1)
        handle = model.get_submodule(hook_name).register_forward_hook(hook)
        patched = model(tokens).logits.double().log_softmax(-1)
        handle.remove()
    ce = F.cross_entropy(patched[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(len(tokens), -1)
    kl = (clean.exp() * (clean - patched)).sum(-1)[:, :-1]
    return ce[:, first:], kl[:, first:]


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_neox"])
@pytest.mark.parametrize("patch_first", [False, True])
def test_scores_equal_those_of_a_hooked_whole_model(name, patch_first, sae, windows, request):
    model, first = request.getfixturevalue(name), int(not patch_first)
    split = SplitModel(model, 1)
    batches = np.split(windows, 4)

    def score(replace):
        per_batch = [naive_scores(model, split.hook_name, batch, replace, first) for batch in batches]
        return np.array([[ce.mean(), kl.mean()] for ce, kl in per_batch]).T

    def scaled(a):
        s = a.norm(dim=-1, keepdim=True) / 32**0.5
        return s * sae(a / s)

    clean, mean_ablated = score(identity)[0], score(lambda a: a.mean((0, 1)).expand_as(a))[0]
    zero_ablated, (ce, kl), (raw_ce, raw_kl) = score(silent)[0], score(scaled), score(sae)
    expected = {
        "ce_clean": clean.mean(), "ce_mean_ablated": mean_ablated.mean(), "ce_zero_ablated": zero_ablated.mean(),
        "ce": ce.mean(), "kl": kl.mean(), "raw_ce": raw_ce.mean(), "raw_kl": raw_kl.mean(),
        "ce_recovered": (1 - (ce - clean) / (mean_ablated - clean)).mean(),
        "raw_ce_recovered": (1 - (raw_ce - clean) / (mean_ablated - clean)).mean(),
        "ce_recovered_ratio": 1 - (ce - clean).sum() / (mean_ablated - clean).sum(),
        "ce_recovered_zero": 1 - (ce - clean).sum() / (zero_ablated - clean).sum(),
    }  # fmt: skip
    scores = patching_scores(split, windows, {"sae": sae}, patch_first=patch_first, windows_per_batch=6)["sae"]
    assert set(scores) == SCORES == set(expected)
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, rel=2e-4, abs=2e-5), key


def test_the_identity_recovers_everything(tiny_llama, windows):
    scores = patching_scores(SplitModel(tiny_llama, 1), windows, {"identity": identity})["identity"]
    for key in ("ce_recovered", "ce_recovered_ratio", "ce_recovered_zero", "raw_ce_recovered"):
        assert scores[key] == pytest.approx(1, abs=1e-5)
    assert scores["raw_kl"] == 0  # the same bits
    assert scores["kl"] == pytest.approx(0, abs=1e-6)  # a / s * s rounds
    assert scores["ce"] == pytest.approx(scores["ce_clean"], abs=1e-5)


def test_the_mean_recovers_nothing(tiny_llama, windows):
    def mean(a):
        return a.mean(0).expand_as(a)

    scores = patching_scores(SplitModel(tiny_llama, 1), windows, {"mean": mean, "silent": silent}, windows_per_batch=6)
    assert scores["mean"]["raw_ce_recovered"] == pytest.approx(0, abs=1e-5)
    assert scores["silent"]["ce_recovered_zero"] == pytest.approx(0, abs=1e-5)
    assert abs(scores["silent"]["ce_recovered"]) > 0.01  # the two ablations differ


def test_position_0_is_left_alone_unless_asked_for(tiny_llama, windows):
    seen = {}
    for patch_first in (False, True):
        counts = seen[patch_first] = []
        patching_scores(
            SplitModel(tiny_llama, 1),
            windows,
            {"counting": lambda x, counts=counts: counts.append(len(x)) or x},
            raw=False,
            patch_first=patch_first,
            windows_per_batch=24,
        )
    assert seen == {False: [24 * 15], True: [24 * 16]}


def test_reconstruction_is_homogeneous(sae):
    a = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(1)) * 50
    for c in (1e-3, 2.0, 1e3):
        torch.testing.assert_close(reconstruct(sae, c * a), c * reconstruct(sae, a), rtol=1e-4, atol=c * 1e-3)
    assert not torch.allclose(sae(2 * a), 2 * sae(a), rtol=1e-2)  # so the invariance is not the SAE's own


def test_the_published_patch_differs_from_the_correct_one(tiny_llama, windows, sae):
    scores = patching_scores(SplitModel(tiny_llama, 1), windows, {"sae": sae})["sae"]
    assert abs(scores["raw_ce"] - scores["ce"]) > 1e-3
    without = patching_scores(SplitModel(tiny_llama, 1), windows, {"sae": sae}, raw=False)["sae"]
    assert set(without) == {key for key in SCORES if not key.startswith("raw_")}
    assert without["ce"] == scores["ce"]


def test_lower_blocks_and_references_run_once_for_all_saes(tiny_llama, windows, monkeypatch):
    split = SplitModel(tiny_llama, 1)
    runs = {"residual": 0, "logits": 0}
    for name in runs:
        original = getattr(split, name)

        def counted(argument, name=name, original=original):
            runs[name] += 1
            return original(argument)

        monkeypatch.setattr(split, name, counted)
    patching_scores(split, windows, dict.fromkeys("abcde", identity), raw=False, windows_per_batch=12)
    assert runs == {"residual": 2, "logits": 2 * (3 + 5)}


def test_ce_recovered_is_one_at_clean_and_zero_at_ablated():
    assert ce_recovered(3.0, 3.0, 8.0) == 1 and ce_recovered(3.0, 8.0, 8.0) == 0 and ce_recovered(3.0, 9.0, 8.0) < 0
