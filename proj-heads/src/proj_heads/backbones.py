"""Backbones f: images (n, channels, height, width) -> z (n, d); `d` is an attribute of each.

`small_cnn` is ours, for the `default` preset. `resnet18_cifar` and `vit_tiny` are the authors'. All are built of
PyTorch's and torchvision's modules and initialised as these are by default.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn


@contextmanager
def initialised_from(generator: torch.Generator | None) -> Iterator[None]:
    """Modules built inside draw their initial values from `generator`; the global stream is left as it was.

    PyTorch's modules know only the global stream, so it is seeded by one number from `generator` and put back after.
    """
    if generator is None:
        yield
        return
    state = torch.default_generator.get_state()
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    torch.default_generator.manual_seed(int(seed))
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


class SmallCNN(nn.Sequential):
    """Three 3 x 3 convolutions of stride 2, each with batch norm and ReLU, then the image's mean: d = 4 width."""

    def __init__(self, channels: int, width: int):
        widths, layers = [channels, width, 2 * width, 4 * width], []
        for before, after in zip(widths, widths[1:], strict=False):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.d = 4 * width


def small_cnn(channels: int = 1, width: int = 16, generator: torch.Generator | None = None) -> SmallCNN:
    """The backbone of `default` (d = 64 at width 16)."""
    with initialised_from(generator):
        return SmallCNN(channels, width)


def resnet18_cifar(channels: int = 3, generator: torch.Generator | None = None) -> nn.Module:
    """torchvision's ResNet-18 for small images, as the authors have it: a first convolution 3 x 3 of stride 1 without
    bias, no max pooling, no last linear map (d = 512).
    """
    from torchvision.models import resnet18

    with initialised_from(generator):
        net = resnet18()
        net.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
    net.maxpool, net.fc = nn.Identity(), nn.Identity()
    net.d = 512
    return net


class ViT(nn.Module):
    """The authors' "ViT-Tiny": pre-norm encoder layers without dropout or a last norm; z is the class token."""

    def __init__(self, channels: int, image: int, patch: int, d: int, layers: int, heads: int, hidden: int):
        super().__init__()
        self.d = d
        self.patches = nn.Conv2d(channels, d, patch, stride=patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, d))
        self.positions = nn.Parameter(torch.empty(1, (image // patch) ** 2 + 1, d))
        for parameter in (self.class_token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        # separate layers: nn.TransformerEncoder would start all of them with equal weights
        options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.layers = nn.Sequential(*(nn.TransformerEncoderLayer(d, heads, hidden, **options) for _ in range(layers)))

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n {self.d}"]:
        tokens = self.patches(x).flatten(2).mT  # (n, patches, d)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], 1) + self.positions
        return self.layers(tokens)[:, 0]


def vit_tiny(channels: int = 3, image: int = 32, generator: torch.Generator | None = None) -> ViT:
    """d = 192, 3 layers of 3 heads, hidden width 768, patches of 4 x 4: 64 of them and the class token at 32 x 32."""
    if image % 4:
        raise ValueError(f"image = {image} pixels do not divide into patches of 4 x 4; choose a multiple of 4")
    with initialised_from(generator):
        return ViT(channels, image, patch=4, d=192, layers=3, heads=3, hidden=768)
