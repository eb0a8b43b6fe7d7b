"""Full checkpoints in the layouts of the official files: the pair that is loaded computes what the saved one does."""

import argparse
import copy

import pytest
import torch
import torchvision
from miniatures import (
    K,
    OfficialDINOHead,
    images,
    parallel,
    prefixed,
    projector,
    resnet,
    stirred,
    thin_vit,
    vicreg_content,
)
from torch import nn

from proj_heads.checkpoints import IMAGENET, Preprocess, load_headed
from proj_heads.seeds import generator
from proj_heads.vision_transformer import VisionTransformer

pytestmark = [pytest.mark.usefixtures("tidy"), pytest.mark.filterwarnings("ignore::FutureWarning")]  # old weight_norm


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
