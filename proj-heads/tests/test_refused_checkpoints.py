"""Files that must be refused: malicious, truncated, foreign, with tensors or metadata that do not fit."""

import argparse
import json
import os
import re
import sys
import types

import pytest
import torch
from miniatures import WIDTH, K, OfficialDINOHead, plain_head, prefixed, projector, resnet, thin_vit, vicreg_content
from safetensors import safe_open
from safetensors.torch import save_file

from proj_heads import backbones, descriptions
from proj_heads.checkpoints import Headed, load_headed, save_headed
from proj_heads.official_checkpoints import _inert_function, _InertObject, unpickle
from proj_heads.seeds import generator
from repro_shared import UserError

pytestmark = [pytest.mark.usefixtures("tidy"), pytest.mark.filterwarnings("ignore::FutureWarning")]  # old weight_norm


def refused(path, method, arch=None):
    """The message: one line that names the file and says what to do."""
    with pytest.raises(UserError) as caught:
        load_headed(path, method, arch)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    assert re.search(
        r"get the authors' full checkpoint|write it anew|pass arch|check the path|update proj-heads", message
    )
    return message


@pytest.mark.parametrize("function", [os.system, eval, print])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path, function, zipped):
    class Malice:
        def __reduce__(self):
            return function, (f"touch {tmp_path}/ran" if function is os.system else f"open('{tmp_path}/ran', 'w')",)

    path = tmp_path / "evil.pth"
    content = {"model": {"module.backbone.conv1.weight": torch.zeros(3)}, "optimizer": Malice()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for method in ("vicreg", "barlow", "dino"):
        assert re.search(rf"asks to run \w*\.?{function.__name__}, ", refused(path, method))
    assert "no safetensors file" in refused(path, "native")
    assert not (tmp_path / "ran").exists()


def test_the_stand_ins_are_inert(tmp_path, monkeypatch):
    """What a pickle calls instead of the optimiser's function does nothing; instead of arguments it fills an object."""
    called, main = [], sys.modules["__main__"]
    path = tmp_path / "call.pth"

    class Call:
        def __reduce__(self):
            return function, ("argument",)

    function = types.FunctionType((lambda p: None).__code__, {}, "exclude_bias_and_norm")
    function.__module__, function.__qualname__ = "__main__", "exclude_bias_and_norm"
    monkeypatch.setattr(main, "exclude_bias_and_norm", function, raising=False)
    torch.save({"called": Call(), "function": function, "args": argparse.Namespace(lr=1)}, path)
    monkeypatch.setattr(main, "exclude_bias_and_norm", called.append)
    content = unpickle(path)
    assert content["called"] is None and content["function"] is _inert_function and not called
    assert type(content["args"]) is _InertObject and vars(content["args"]) == {"lr": 1}


def test_truncated_files(tmp_path, vicreg_file):
    whole = vicreg_file.read_bytes()
    old = tmp_path / "old.pth"
    torch.save({"model": {"a": torch.zeros(3000)}}, old, _use_new_zipfile_serialization=False)
    native = tmp_path / "pair.safetensors"
    save_headed(native, Headed(backbones.small_cnn(3, 5, generator(0)), plain_head(20), "simclr"))
    path = tmp_path / "cut"
    for content, method in ((whole, "vicreg"), (old.read_bytes(), "vicreg"), (native.read_bytes(), "native")):
        for size in (0, 1, 100, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:size])
            assert "truncated or no" in refused(path, method)


def test_missing_path_folder_method_and_arch(tmp_path, vicreg_file):
    assert "no checkpoint" in refused(tmp_path / "absent.pth", "vicreg")
    assert "no checkpoint" in refused(tmp_path, "dino")
    with pytest.raises(UserError, match="unknown method 'moco': choose from vicreg, barlow, dino, native"):
        load_headed(vicreg_file, "moco")
    with pytest.raises(UserError, match="unknown arch 'resnet20': choose from resnet18,"):
        load_headed(vicreg_file, "vicreg", "resnet20")
    with pytest.raises(UserError, match="leave arch out"):
        load_headed(vicreg_file, "native", "resnet18")


SPOILT = {
    "wrong prefix": (
        lambda s: {name.replace("backbone", "encoder"): t for name, t in s.items()},
        "tensor 'encoder.conv1.weight' begins with none of backbone., projector.",
    ),
    "no head": (
        lambda s: {name: t for name, t in s.items() if "projector" not in name},
        "no tensors projector.*",
    ),
    "a norm as in Barlow": (lambda s: s | {"module.bn.running_mean": torch.zeros(K)}, "'bn.running_mean' begins with"),
    "a missing tensor": (
        lambda s: {name: t for name, t in s.items() if name != "module.backbone.layer2.1.bn2.weight"},
        "lacks 1 of the backbone's tensors ('layer2.1.bn2.weight')",
    ),
    "a missing block": (
        lambda s: {name: t for name, t in s.items() if "layer4.1" not in name},
        "no known backbone has such tensors",
    ),
    "too many tensors": (
        lambda s: s | {"module.backbone.fc.weight": torch.zeros(10, 512)},
        "no place for 1 of the backbone's tensors ('fc.weight')",
    ),
    "a wrong shape": (
        lambda s: s | {"module.backbone.bn1.weight": torch.ones(63)},
        "backbone.bn1.weight has shape (63,), which should be (64,)",
    ),
    "integers": (
        lambda s: s | {"module.backbone.bn1.weight": torch.ones(64, dtype=torch.int64)},
        "backbone.bn1.weight has shape (64,) and type torch.int64",
    ),
    "not a number": (
        lambda s: s | {"module.backbone.bn1.running_var": torch.full((64,), float("nan"))},
        "backbone.bn1.running_var has NaN or infinite entries",
    ),
    "a broken chain": (
        lambda s: s | {"module.projector.3.weight": torch.zeros(WIDTH, WIDTH + 1)},
        "layer 3 of its head takes 21 numbers and is given 20",
    ),
    "a head for another backbone": (
        lambda s: s | {"module.projector.0.weight": torch.zeros(WIDTH, 100)},
        "backbone gives 512 features, the head takes 100",
    ),
    "a head cut short": (
        lambda s: {name: t for name, t in s.items() if "projector.6" not in name},
        "its head is Linear, BatchNorm1d, ReLU, Linear, BatchNorm1d instead of",
    ),
    "a head with a gap": (
        lambda s: {name: t for name, t in s.items() if "projector.3" not in name and "projector.4" not in name},
        "its head is Linear, BatchNorm1d, ReLU, ReLU, ReLU, ReLU, Linear instead of",
    ),
    "a bias too many": (
        lambda s: s | {"module.projector.6.bias": torch.zeros(K)},
        "of a vicreg projector's linear maps all but the last have biases, not so here",
    ),
    "a head of another kind": (
        lambda s: {name: t for name, t in s.items() if "projector" not in name} | {"module.projector.w": torch.ones(1)},
        "head are of no known layout ('w')",
    ),
    "not only tensors": (lambda s: s | {"module.projector.epoch": 3}, "not a state dict of tensors"),
    "twice the same": (lambda s: s | {"projector.0.weight": torch.zeros(2, 2)}, "not a state dict of tensors"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_state_dict_that_does_not_fit(tmp_path, name, unchecked):
    spoil, message = SPOILT[name]
    path = tmp_path / "spoilt.pth"
    content = vicreg_content(resnet(), projector(512, True))
    torch.save(content | {"model": spoil(content["model"])}, path)
    assert message in refused(path, "vicreg")


def test_foreign_files(tmp_path, vicreg_file):
    path = tmp_path / "foreign.pth"
    torch.save(resnet().state_dict(), path)  # the backbone alone
    for method, entry in (("vicreg", "model"), ("barlow", "model"), ("dino", "teacher")):
        assert f"no dictionary '{entry}' (found 'conv1.weight', " in refused(path, method)
    torch.save([1, 2], path)
    assert "(found list)" in refused(path, "vicreg")
    save_file({"embeddings.weight": torch.zeros(3, 4)}, path, {"format": "pt"})
    assert "safetensors file of something else" in refused(path, "native")
    assert re.search(
        "no dictionary 'model'|no torch checkpoint", refused(path, "vicreg")
    )  # new torch reads safetensors
    path.write_text("<html>404</html>")
    assert "truncated or no torch checkpoint" in refused(path, "barlow")
    assert "of a barlow projector's linear maps none have biases" in refused(vicreg_file, "barlow")
    assert "no dictionary 'teacher' (found 'epoch', 'model')" in refused(vicreg_file, "dino")
    assert "lacks 96 of the backbone's tensors" in refused(vicreg_file, "vicreg", "resnet34")


def test_dino_heads_that_do_not_fit(tmp_path):
    net, head, path = thin_vit(), OfficialDINOHead(48, norm=False), tmp_path / "dino.pth"
    state = prefixed(backbone=net, head=head)

    def message(spoilt, arch=thin_vit):
        torch.save({"teacher": spoilt}, path)
        return refused(path, "dino", arch)

    without_last = {name: t for name, t in state.items() if "weight_v" not in name}
    assert "no last_layer.weight, nor weight_g and weight_v that fit" in message(without_last)
    assert "weight_g and weight_v that fit" in message(state | {"head.last_layer.weight_g": torch.ones(K + 1, 1)})
    assert "head.last_layer.weight has shape (12, 7), which should be (12, 8)" in message(
        state | {"head.last_layer.weight_v": torch.ones(K, 7)}
    )
    assert "attention heads of unknown width; pass arch" in message(state, arch=None)
    broken = {name: t for name, t in state.items() if "patch_embed" not in name}
    assert "vision transformer lacks tensors" in message(broken, arch=None)


def test_native_metadata_that_is_broken(tmp_path):
    path = tmp_path / "pair.safetensors"
    save_headed(path, Headed(backbones.small_cnn(3, 5, generator(0)), plain_head(20), "simclr"))
    with safe_open(path, "pt") as file:
        content, state = (
            json.loads(file.metadata()["proj_heads"]),
            {name: file.get_tensor(name) for name in file.keys()},
        )

    def message(changes, tensors=state):
        text = changes if isinstance(changes, str) else json.dumps(content | changes)
        save_file(tensors, path, {"proj_heads": text})
        return refused(path, "native")

    assert "update proj-heads" in message({"schema": 2})
    for broken in (
        "{",
        "[]",
        "3",
        {"backbone": None},
        {"preprocess": {"mean": 3}},
        {"k": 13},
        {"preprocess": {"mean": [0.0], "std": [0.0], "size": 28}},
        {"preprocess": {"mean": [0.0], "std": [float("nan")], "size": 28}},
        {"preprocess": {"mean": [float("inf")], "std": [1.0], "size": 28}},
        {"preprocess": {"mean": [0.0], "std": [1.0], "size": 0}},
        {"head": {"name": "eval"}},
    ):
        assert "metadata 'proj_heads' is broken" in message(broken)
    for description in (
        {"name": "small_cnn", "chanels": 3},
        {"name": "lightly.torch"},
        {"name": "stack", "layers": [1]},
    ):
        assert "no network is known for the description" in message({"backbone": description})
    assert "gives 48 features, the head takes 20" in message({"backbone": descriptions.describe(thin_vit())})
    assert "has shape (5, 3, 3, 3), which should be (6, 3, 3, 3)" in message(
        {
            "backbone": {"name": "small_cnn", "channels": 3, "width": 6},
            "head": descriptions.describe(plain_head(24)),
            "d": 24,
        }
    )
    assert "lacks 1 of the head's tensors ('0.weight')" in message(
        {}, {n: t for n, t in state.items() if n != "head.0.weight"}
    )
    for lost in (float("nan"), float("inf")):
        spoilt = state | {"head.0.weight": torch.full_like(state["head.0.weight"], lost)}
        assert "tensor head.0.weight has NaN or infinite entries" in message({}, spoilt)
    assert "'optimizer' begins with none of backbone., head." in message({}, state | {"optimizer": torch.zeros(1)})
