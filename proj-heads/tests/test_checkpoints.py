"""Checkpoints: the layouts of the official files in miniature, our own format, and files that must be refused."""

import argparse
import copy
import functools
import json
import os
import re
import shutil
import sys
import types

import pytest
import torch
import torchvision
from lightly.models.modules import heads as lightly_heads
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from proj_heads import backbones, descriptions
from proj_heads.checkpoints import IMAGENET, Headed, Preprocess, load_headed, save_headed
from proj_heads.descriptions import DINOHead
from proj_heads.heads import build_head
from proj_heads.official_checkpoints import _inert_function, _InertObject, unpickle
from proj_heads.seeds import generator
from proj_heads.vision_transformer import VisionTransformer
from repro_shared import UserError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # lightly's use of the old weight_norm

WIDTH, K = 20, 12


def thin_vit():
    return VisionTransformer(image=32, patch=8, d=48, depth=2, heads=4, generator=generator(0, "vit"))


@functools.cache
def resnet(name="resnet18"):
    """torchvision's own, as the authors use it, with batch-norm statistics that could not come from elsewhere."""
    with backbones.initialised_from(generator(0, "resnet")):
        net = getattr(torchvision.models, name)()
    net.fc = nn.Identity()
    return stirred(net)


def stirred(module, seed=0):
    """Running statistics and biases away from their initial 0 and 1."""
    draws = generator(seed, "stirred")
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=draws))
            elif name.endswith(("running_var", "weight_g")):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draws))
    return module


def projector(d, biases):
    """The authors' `Projector`: widths d-20-20-12."""
    return stirred(
        nn.Sequential(
            nn.Linear(d, WIDTH, bias=biases), nn.BatchNorm1d(WIDTH), nn.ReLU(True),
            nn.Linear(WIDTH, WIDTH, bias=biases), nn.BatchNorm1d(WIDTH), nn.ReLU(True),
            nn.Linear(WIDTH, K, bias=False),
        )
    )  # fmt: skip


class OfficialDINOHead(nn.Module):
    """As in the authors' vision_transformer.py; 3 layers, or 2 with batch norm for the ResNet."""

    def __init__(self, d, norm):
        super().__init__()
        if norm:
            layers = [nn.Linear(d, WIDTH), nn.BatchNorm1d(WIDTH), nn.GELU(), nn.Linear(WIDTH, 8)]
        else:
            layers = [nn.Linear(d, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 8)]
        self.mlp = nn.Sequential(*layers)
        self.last_layer = nn.utils.weight_norm(nn.Linear(8, K, bias=False))

    def forward(self, z):
        return self.last_layer(nn.functional.normalize(self.mlp(z), dim=-1, p=2))


def prefixed(**parts):
    return {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


def vicreg_content(net, head, monkeypatch=None):
    """What VICReg's main_vicreg.py saves; its LARS optimiser holds a function of the script."""
    content = {"epoch": 1000, "model": parallel(prefixed(backbone=net, projector=head))}
    if monkeypatch is not None:
        function = types.FunctionType((lambda p: p.ndim == 1).__code__, {}, "exclude_bias_and_norm")
        function.__module__, function.__qualname__ = "__main__", "exclude_bias_and_norm"
        monkeypatch.setattr(sys.modules["__main__"], "exclude_bias_and_norm", function, raising=False)
        group = {"lr": 0.2, "weight_decay_filter": function, "lars_adaptation_filter": function, "params": [0]}
        content["optimizer"] = {"state": {0: {"mu": torch.zeros(3)}}, "param_groups": [group]}
    return content


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    """pytest keeps the folders of three runs: hundreds of megabytes here."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture
def vicreg_file(tmp_path):
    path = tmp_path / "vicreg.pth"
    torch.save(vicreg_content(resnet(), projector(512, True)), path)
    return path


def images(size=32, n=3):
    return torch.rand(n, 3, size, size, generator=generator(0, "images"))


def normalised(x):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    return (x - mean) / std


def assert_computes(headed, net, head, size=224):
    """z and h of the loaded pair are those of the networks that were saved, on images normalised as the authors do."""
    x = images(size)
    with torch.no_grad():
        z, h = headed(x)
        expected = net.eval()(normalised(x))
        torch.testing.assert_close(z, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(h, head.eval()(expected), rtol=1e-4, atol=1e-4)
    assert z.std() > 1e-3 and h.std() > 1e-3
    assert (headed.d, headed.k) == (z.shape[1], h.shape[1])
    assert not headed.training and not any(parameter.requires_grad for parameter in headed.parameters())


# --- official layouts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", [None, "resnet18"])
def test_vicreg_full_checkpoint_with_its_optimiser(tmp_path, monkeypatch, arch):
    net, head, path = resnet(), projector(512, True), tmp_path / "vicreg.pth"
    torch.save(vicreg_content(net, head, monkeypatch), path)
    monkeypatch.undo()  # as in another program: __main__ has no such function
    with pytest.raises(Exception, match="exclude_bias_and_norm"):
        torch.load(path, weights_only=True)
    headed = load_headed(path, "vicreg", arch)
    assert (headed.d, headed.k, headed.method, headed.preprocess.size) == (512, K, "vicreg", 224)
    assert_computes(headed, net, head)


def test_barlow_full_checkpoint_leaves_out_the_norm_of_its_loss(tmp_path):
    net, head, path = resnet(), projector(512, False), tmp_path / "barlow.pth"
    state = parallel(prefixed(backbone=net, projector=head, bn=nn.BatchNorm1d(K, affine=False)))
    torch.save({"epoch": 1000, "model": state, "optimizer": {"state": {}, "param_groups": []}}, path)
    assert_computes(load_headed(path, "barlow"), net, head)


@pytest.mark.parametrize("folded", [False, True])
def test_dino_vision_transformer_uses_the_teacher(tmp_path, folded):
    net, head, path = thin_vit(), stirred(OfficialDINOHead(48, norm=False)), tmp_path / "dino.pth"
    teacher = prefixed(backbone=net, head=head)
    if folded:  # a plain weight instead of weight_g and weight_v
        g, v = teacher.pop("head.last_layer.weight_g"), teacher.pop("head.last_layer.weight_v")
        teacher["head.last_layer.weight"] = g * v / v.norm(dim=1, keepdim=True)
    student = parallel({name: torch.zeros_like(tensor) for name, tensor in teacher.items()})
    arguments = argparse.Namespace(arch="vit_small", lr=0.0005)
    torch.save({"student": student, "teacher": teacher, "args": arguments, "dino_loss": {}, "epoch": 800}, path)
    headed = load_headed(path, "dino", arch=thin_vit)
    assert headed.preprocess.size == 32
    assert_computes(headed, net, head, size=32)
    z = torch.randn(4, 48, generator=generator(0, "z"))
    bottleneck = headed.bottleneck(z)
    torch.testing.assert_close(bottleneck.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(headed.head.last_layer(bottleneck), head(z))
    copy.deepcopy(headed)


def test_dino_resnet_of_a_parallel_teacher(tmp_path):
    net, head, path = resnet(), stirred(OfficialDINOHead(512, norm=True)), tmp_path / "dino.pth"
    torch.save({"teacher": parallel(prefixed(backbone=net, head=head))}, path)
    assert_computes(load_headed(path, "dino"), net, head)


def test_sizes_of_a_vision_transformer_are_read_off_its_tensors(tmp_path):
    net = VisionTransformer(image=24, patch=8, d=128, depth=3, heads=2, hidden=80, generator=generator(0))
    head, path = OfficialDINOHead(128, norm=False), tmp_path / "dino.pth"
    torch.save({"teacher": prefixed(backbone=net, head=head)}, path)
    assert_computes(load_headed(path, "dino"), net, head, size=24)


def test_resnet50_at_full_size(tmp_path):
    net, head, path = resnet("resnet50"), projector(2048, True), tmp_path / "vicreg.pth"
    torch.save(vicreg_content(net, head), path)
    headed = load_headed(path, "vicreg", "resnet50")
    assert headed.d == 2048
    with torch.no_grad():
        x = images(64, n=1)
        torch.testing.assert_close(headed.net(x), net.eval()(x), rtol=1e-4, atol=1e-5)


def test_global_random_numbers_are_not_touched(vicreg_file):
    before = torch.get_rng_state()
    load_headed(vicreg_file, "vicreg")
    assert torch.equal(before, torch.get_rng_state())


def test_preprocess_resizes_once_and_normalises():
    preprocess, x = Preprocess(*IMAGENET, size=48), images(32)
    large = preprocess.resize(x)
    expected = torchvision.transforms.functional.resize(x, [48, 48], antialias=True)
    torch.testing.assert_close(large, expected)
    assert preprocess.resize(large) is large
    torch.testing.assert_close(preprocess(x), torchvision.transforms.functional.normalize(expected, *IMAGENET))


# --- our own format -----------------------------------------------------------------------------------------------

HEADS = {
    "swish": lambda d: build_head(d, WIDTH, K, generator=generator(0)),
    "deep relu": lambda d: build_head(d, WIDTH, K, "relu", depth=3, norm=False, generator=generator(0)),
    "gelu": lambda d: build_head(d, WIDTH, K, "gelu", generator=generator(0)),
    "linear": lambda d: build_head(d, WIDTH, K, "linear", generator=generator(0)),
    "none": lambda d: nn.Identity(),
    "simclr": lambda d: lightly_heads.SimCLRProjectionHead(d, WIDTH, K, num_layers=3),
    "simclr without norm": lambda d: lightly_heads.SimCLRProjectionHead(d, WIDTH, K, batch_norm=False),
    "vicreg": lambda d: lightly_heads.VICRegProjectionHead(d, WIDTH, K, num_layers=2),
    "barlow": lambda d: lightly_heads.BarlowTwinsProjectionHead(d, WIDTH, K),
    "dino": lambda d: lightly_heads.DINOProjectionHead(d, WIDTH, 8, K),
    "dino with norm": lambda d: lightly_heads.DINOProjectionHead(d, WIDTH, 8, K, batch_norm=True),
    "simsiam": lambda d: lightly_heads.SimSiamProjectionHead(d, WIDTH, K),
    "official dino": lambda d: DINOHead(nn.Sequential(nn.Linear(d, WIDTH), nn.GELU(), nn.Linear(WIDTH, 8)), K),
}
NETS = {
    "small_cnn": lambda: backbones.small_cnn(3, 5, generator(0)),
    "resnet18_cifar": lambda: backbones.resnet18_cifar(generator=generator(0)),
    "vit_tiny": lambda: backbones.vit_tiny(generator=generator(0)),
    "resnet18": resnet,
    "vision_transformer": thin_vit,
}
PAIRS = [("small_cnn", head) for head in HEADS] + [(net, "dino") for net in NETS if net != "small_cnn"]


@pytest.mark.parametrize(("net", "head"), PAIRS)
def test_native_file_gives_the_same_pair_back_bit_for_bit(tmp_path, net, head):
    net = stirred(NETS[net]())
    d = getattr(net, "d", 512)
    with backbones.initialised_from(generator(1)):
        head = stirred(HEADS[head](d))
    if isinstance(head, nn.Identity):
        net.d = d
    saved, path = Headed(net, head, "simclr"), tmp_path / "new" / "pair.safetensors"
    save_headed(path, saved)
    saved.requires_grad_(False)  # torch's encoder layers round otherwise when they need no gradients
    loaded = load_headed(path, "native")
    assert repr(loaded.eval()) == repr(saved.eval()) and type(loaded.head) is type(head)
    state = loaded.state_dict()
    assert state.keys() == saved.state_dict().keys()
    for name, tensor in saved.state_dict().items():
        assert tensor.dtype == state[name].dtype and torch.equal(tensor, state[name])
    with torch.no_grad():
        for one, other in zip(saved(images(n=2)), loaded(images(n=2)), strict=True):
            assert torch.equal(one, other)
    copy.deepcopy(loaded)  # lightly's DINO head cannot be copied as it is built
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_metadata_is_plain_json(tmp_path):
    path = tmp_path / "pair.safetensors"
    net = backbones.small_cnn(1, 16, generator(0))
    save_headed(path, Headed(net, build_head(64, 256, 128, generator=generator(1)), "simclr"))
    with safe_open(path, "pt") as file:
        content = json.loads(file.metadata()["proj_heads"])
    assert content["schema"] == 1 and content["method"] == "simclr" and (content["d"], content["k"]) == (64, 128)
    assert content["backbone"] == {"name": "small_cnn", "channels": 1, "width": 16}
    assert [
        layer["name"] for layer in content["head"]["layers"]
    ] == "Linear BatchNorm1d SiLU Linear BatchNorm1d".split()


def test_descriptions_are_what_builds_the_backbones():
    conv = {"name": "resnet", "bottleneck": False, "blocks": [2, 2, 2, 2], "channels": 3}
    for module, description in (
        (backbones.small_cnn(1, 4, generator(0)), {"name": "small_cnn", "channels": 1, "width": 4}),
        (backbones.vit_tiny(1, 28, generator(0)), {"name": "vit_tiny", "channels": 1, "image": 28}),
        (backbones.resnet18_cifar(1, generator(0)), {"name": "resnet18_cifar", "channels": 1}),
        (resnet(), conv),
    ):
        assert descriptions.describe(module) == description
        built = descriptions.build(description)
        assert repr(built) == repr(module) and all(parameter.is_meta for parameter in built.parameters())


def test_official_checkpoint_becomes_native_with_its_preprocessing(tmp_path, vicreg_file):
    official, path = load_headed(vicreg_file, "vicreg"), tmp_path / "native.safetensors"
    save_headed(path, official)
    native = load_headed(path, "native")
    assert native.method == "vicreg" and native.preprocess.settings == official.preprocess.settings
    with torch.no_grad():
        for one, other in zip(official(images(n=1)), native(images(n=1)), strict=True):
            assert torch.equal(one, other)


def test_a_killed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "pair.safetensors"
    pair = Headed(backbones.small_cnn(3, 5, generator(0)), HEADS["swish"](20), "simclr")
    save_headed(path, pair)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_headed(path, pair)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_described_is_not_saved(tmp_path):
    net, head = backbones.small_cnn(3, 5, generator(0)), HEADS["swish"](20)
    odd = lightly_heads.SimCLRProjectionHead(20, WIDTH, K)
    odd.layers[1] = nn.BatchNorm1d(WIDTH, eps=1e-3)
    unknown = nn.Sequential(nn.Linear(20, K), nn.Softmax(1))
    for pair in (Headed(nn.Flatten(), head, "x"), Headed(net, unknown, "x"), Headed(net, odd, "x")):
        with pytest.raises(ValueError, match="cannot describe this"):
            save_headed(tmp_path / "pair.safetensors", pair)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="gives 20 features, the head takes 21"):
        Headed(net, HEADS["swish"](21), "x")
    with pytest.raises(ValueError, match="no bottleneck"):
        Headed(net, head, "x").bottleneck(torch.zeros(1, 20))


def test_full_or_missing_disk_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    pair = Headed(backbones.small_cnn(3, 5, generator(0)), HEADS["swish"](20), "simclr")
    with pytest.raises(UserError, match="cannot write to .*choose another folder"):
        save_headed(tmp_path / "file" / "pair.safetensors", pair)


# --- files that must be refused -----------------------------------------------------------------------------------


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
    save_headed(native, Headed(backbones.small_cnn(3, 5, generator(0)), HEADS["swish"](20), "simclr"))
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
    save_headed(path, Headed(backbones.small_cnn(3, 5, generator(0)), HEADS["swish"](20), "simclr"))
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
            "head": descriptions.describe(HEADS["swish"](24)),
            "d": 24,
        }
    )
    assert "lacks 1 of the head's tensors ('0.weight')" in message(
        {}, {n: t for n, t in state.items() if n != "head.0.weight"}
    )
    assert "'optimizer' begins with none of backbone., head." in message({}, state | {"optimizer": torch.zeros(1)})
