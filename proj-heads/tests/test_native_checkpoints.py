"""Our own format: the same pair back, bit for bit, and nothing half written."""

import copy
import json
import os

import pytest
import torch
from lightly.models.modules import heads as lightly_heads
from miniatures import WIDTH, K, images, plain_head, resnet, stirred, thin_vit
from safetensors import safe_open
from torch import nn

from proj_heads import backbones, descriptions
from proj_heads.checkpoints import Headed, load_headed, save_headed
from proj_heads.descriptions import DINOHead
from proj_heads.heads import build_head
from proj_heads.seeds import generator
from repro_shared import UserError

pytestmark = [pytest.mark.usefixtures("tidy"), pytest.mark.filterwarnings("ignore::FutureWarning")]  # old weight_norm

HEADS = {
    "swish": plain_head,
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
    pair = Headed(backbones.small_cnn(3, 5, generator(0)), plain_head(20), "simclr")
    save_headed(path, pair)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_headed(path, pair)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_described_is_not_saved(tmp_path):
    net, head = backbones.small_cnn(3, 5, generator(0)), plain_head(20)
    odd = lightly_heads.SimCLRProjectionHead(20, WIDTH, K)
    odd.layers[1] = nn.BatchNorm1d(WIDTH, eps=1e-3)
    unknown = nn.Sequential(nn.Linear(20, K), nn.Softmax(1))
    for pair in (Headed(nn.Flatten(), head, "x"), Headed(net, unknown, "x"), Headed(net, odd, "x")):
        with pytest.raises(ValueError, match="cannot describe this"):
            save_headed(tmp_path / "pair.safetensors", pair)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="gives 20 features, the head takes 21"):
        Headed(net, plain_head(21), "x")
    with pytest.raises(ValueError, match="no bottleneck"):
        Headed(net, head, "x").bottleneck(torch.zeros(1, 20))


def test_full_or_missing_disk_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    pair = Headed(backbones.small_cnn(3, 5, generator(0)), plain_head(20), "simclr")
    with pytest.raises(UserError, match="cannot write to .*choose another folder"):
        save_headed(tmp_path / "file" / "pair.safetensors", pair)
