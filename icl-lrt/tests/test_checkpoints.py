"""Our own files and the authors' layout in miniature: what comes back, and what is refused."""

import os
import pickle
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from icl_lrt.checkpoints import load, load_published, metadata, save
from icl_lrt.model import Architecture, Transformer
from icl_lrt.recipe import faithful
from icl_lrt.seeds import generator
from repro_shared import UserError

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from published import Published  # noqa: E402 (the peer of the benchmarks)

SMALL = {"d": 3, "context": 5, "width": 16, "heads": 2, "feedforward": 24}


def episodes(n=5, m=1):
    draws = generator(0, "episodes")
    x, query = (torch.randn(4, rows, 3, generator=draws) for rows in (n, m))
    return x, torch.randint(2, (4, n), generator=draws).float(), query


@pytest.fixture
def theirs():
    """A network of torch's modules, with the published names."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Published(3, 5, 16, 2, 2, 24)


# ---- our own


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layout": "interleaved"},
        {"labels": False, "positions": "none"},
        {"frozen": "qk", "masked": True, "layers": 3},
    ],
)
def test_what_is_saved_is_loaded(changes, tmp_path):
    model = Transformer(Architecture(**SMALL | changes), generator(5, "init"))
    save(model, tmp_path / "new" / "a.safetensors")
    loaded = load(tmp_path / "new" / "a.safetensors")
    assert loaded.architecture == model.architecture and not loaded.training
    assert torch.equal(loaded(*episodes()), model(*episodes()))
    trained = {name for name, parameter in loaded.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_a_file_says_how_its_network_came_to_be(tmp_path):
    recipe = faithful("A", **SMALL)
    save(Transformer(recipe.architecture, generator(0, "init")), tmp_path / "a", recipe, seed=3, accuracy=0.78)
    kept = metadata(tmp_path / "a")
    assert (kept["seed"], kept["accuracy"], kept["architecture"]) == (3, 0.78, asdict(recipe.architecture))
    assert faithful(**kept["recipe"] | {"architecture": Architecture(**kept["architecture"])}) == recipe


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.safetensors"
    save(Transformer(Architecture(**SMALL), generator(0, "init")), path)
    return path


def rewritten(path, change):
    """The file with other tensors or another metadata entry."""
    with safe_open(path, "pt") as file:
        tensors, kept = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    change(tensors, kept)
    save_file(tensors, path, kept)


def replaced(old, new):
    return lambda tensors, kept: kept.update(icl_lrt=kept["icl_lrt"].replace(old, new))


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda tensors, kept: tensors.pop("head.bias"), "it lacks head.bias; write it anew with save"),
        (lambda tensors, kept: tensors.update(tail=torch.ones(1)), "it has no place for tail"),
        (lambda tensors, kept: tensors.update({"head.bias": torch.ones(2)}), "head.bias is (2,) of torch.float32 and"),
        (lambda tensors, kept: tensors.update({"head.bias": torch.ones(1).int()}), "should be (1,) of floats"),
        (lambda tensors, kept: kept.pop("icl_lrt"), "a safetensors file of something else, without our metadata"),
        (replaced('"schema": 1', '"schema": 2'), "its schema is 2, this version reads 1: update icl-lrt"),
        (replaced('"heads": 2', '"heads": 3'), "is broken (width = 16 does not split into 3 heads: choose a multiple)"),
        (replaced('"heads": 2', '"hands": 2'), "unexpected keyword argument 'hands'"),
        (replaced("{", "["), "its metadata 'icl_lrt' is broken"),
        (replaced('"width": 16', '"width": 32'), "is (6, 16) of torch.float32 and should be (6, 32) of floats"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, says, saved, unchecked):
    rewritten(saved, change)
    with pytest.raises(UserError, match=re.escape(says)):
        load(saved)


def test_truncated_missing_and_foreign_files_are_refused(saved, theirs, tmp_path):
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(UserError, match="truncated or no safetensors file; write it anew with save, or read a file of"):
        load(saved)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    with pytest.raises(UserError, match="no safetensors file.* load_published"):
        load(tmp_path / "theirs.pt")
    for reader in (load, load_published, metadata):
        with pytest.raises(UserError, match="no checkpoint .*nothing: check the path"):
            reader(tmp_path / "nothing")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(saved):
    saved.chmod(0)
    with pytest.raises(UserError, match="permission denied"):
        load(saved)


# ---- the authors'


def written(state, tmp_path):
    torch.save(state, tmp_path / "theirs.pt")
    return tmp_path / "theirs.pt"


def test_a_published_file_gives_the_published_network(theirs, tmp_path):
    model = load_published(written(theirs.state_dict(), tmp_path), heads=2)
    assert model.architecture == Architecture(**SMALL) and not model.training
    assert (model(*episodes()) - theirs.train()(*episodes())).abs().max() < 2e-6


def test_at_the_published_size(tmp_path):
    with torch.random.fork_rng():
        state = Published(n=64).state_dict()
    assert load_published(written(state, tmp_path)).architecture == Architecture(context=64)


@pytest.mark.parametrize(
    "names",
    [
        {"encoder.": "transformer.", "pos": "pos_embedding", "head": "readout", "x_proj": "input_proj"},
        {"": "module.", "y_proj": "label_proj"},
        {"pos": "pos_emb.weight"},
    ],
)
def test_other_names_of_the_parts_are_understood(theirs, names, tmp_path):
    state = {}
    for name, value in theirs.state_dict().items():
        for old, new in names.items():
            name = re.sub(f"^{re.escape(old)}", new, name)
        state[name] = value[None] if name == "pos_embedding" else value  # (1, n + 1, width)
    model = load_published(written(state, tmp_path), heads=2)
    assert (model(*episodes()) - theirs.train()(*episodes())).abs().max() < 2e-6


def test_published_variants_are_known_by_their_tensors(theirs, tmp_path):
    state = theirs.state_dict()
    unlabelled = {name: value for name, value in state.items() if not name.startswith("y_proj")}
    assert not load_published(written(unlabelled, tmp_path), heads=2).architecture.labels
    without = {name: value for name, value in state.items() if name != "pos"}
    assert load_published(written(without, tmp_path), heads=2).architecture.positions == "none"

    interleaved = {name: value for name, value in unlabelled.items() if not name.startswith("query_proj")}
    interleaved |= {"pos": torch.randn(512, 16), "label_emb.weight": nn.Embedding(2, 16).weight.detach()}
    model = load_published(written(interleaved, tmp_path), heads=2)
    assert model.architecture.layout == "interleaved"
    assert torch.equal(model.label_embedding.weight, interleaved["label_emb.weight"])


def test_a_published_file_with_tensors_that_are_not_understood_is_refused_and_they_are_listed(theirs, tmp_path):
    state = theirs.state_dict()
    for change, says in (
        ({"gate.weight": torch.ones(7, 5)}, "it has tensors that we do not know: gate.weight (7, 5); get the authors'"),
        ({"other.weight": torch.ones(1, 16)}, "more than one head.weight: head.weight (1, 16), other.weight (1, 16)"),
        ({"pos": torch.ones(6, 8)}, "tensors that we do not know: pos (6, 8)"),
        ({"encoder.layers.1.linear1.bias": torch.ones(9)}, "layers.1.linear1.bias is (9,) of torch.float32 and should"),
    ):
        with pytest.raises(UserError, match=re.escape(says)):
            load_published(written(state | change, tmp_path), heads=2)
    for missing, says in (
        ("head.bias", "it lacks head.bias"),
        ("x_proj.weight", "it has tensors that we do not know: x_proj.bias (16,)"),
        ("encoder.layers.0.linear1.weight", "no network has such tensors"),
    ):
        left = {name: value for name, value in state.items() if name != missing}
        with pytest.raises(UserError, match=re.escape(says)):
            load_published(written(left, tmp_path), heads=2)
    with pytest.raises(UserError, match="width = 16 does not split into 3 heads"):
        load_published(written(state, tmp_path), heads=3)


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


def test_a_published_file_cannot_run_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"head": Attack()}, "theirs.pt")
    with pytest.raises(UserError, match=r"it asks to run (posix|nt)\.system, which weights never need"):
        load_published("theirs.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(UserError, match="cannot load plain.pt"):
        load_published("plain.pt")
    assert not Path("attacked").exists()


@pytest.mark.parametrize("content", [[1, 2], {"model": {"head": torch.ones(1)}}, torch.ones(2)])
def test_other_pickles_are_refused(content, tmp_path):
    with pytest.raises(UserError, match="not a state dict of tensors"):
        load_published(written(content, tmp_path))


def test_truncated_published_files_are_refused(theirs, tmp_path):
    path = written(theirs.state_dict(), tmp_path)
    for size in (0, 100, path.stat().st_size // 2):
        (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:size])
        with pytest.raises(UserError, match="truncated or no torch checkpoint"):
            load_published(tmp_path / "cut.pt")
