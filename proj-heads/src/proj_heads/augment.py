"""Augmentation of whole batches on any device, with torchvision's meaning of every parameter.

`Views` makes the random views of self-supervised training. Crop, flip and rotation are one affine map per image, so
the image is resampled once (bilinear); torchvision resamples it at the crop (bilinear) and again at the rotation
(nearest neighbour). `rotate` and `orbit` turn test images by given amounts, as torchvision does (nearest neighbour).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Orbit = Literal["rotation", "hue", "saturation", "brightness", "contrast", "blur"]

_CHUNK = 200_000
"""Pixels that are worked on at once on a CPU: they stay in its cache and in memory that the allocator keeps (twice as
fast as 512 images of 28 x 28 at once)."""

_TRIES = 10
"""Boxes that torchvision's RandomResizedCrop draws before it takes the whole image."""


@dataclass(frozen=True)
class Views:
    """Random views of a batch: crop, flip, rotation, colour jitter, in this order.

    The jitter's order is fixed (brightness, contrast, saturation, hue; torchvision draws an order for each image).
    Saturation and hue do nothing to grey images.
    """

    size: int
    """Height and width of a view, in pixels."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Range of the crop's share of the image's area; uniform."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Range of the crop's width / height; uniform in its logarithm."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    rotation: float = 0.0
    """Largest angle to either side, in degrees; uniform; corners that come in are black."""
    brightness: float = 0.0
    """The factor is uniform in 1 +- this; contrast and saturation likewise."""
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    """The shift is uniform in +- this, as a share of the colour circle; <= 0.5."""
    jitter_probability: float = 0.8
    """Probability that an image's colours are changed at all."""

    def __post_init__(self):
        for name, (low, high), limit in (("scale", self.scale, 1.0), ("ratio", self.ratio, float("inf"))):
            if not 0 < low <= high <= limit:
                raise ValueError(f"{name} = ({low}, {high}); choose 0 < low <= high" + " <= 1" * (limit == 1))
        limits = dict.fromkeys(("flip", "jitter_probability", "brightness", "contrast", "saturation"), 1)
        for name, limit in (limits | {"hue": 0.5, "rotation": 180}).items():
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} = {getattr(self, name)}; choose 0 <= {name} <= {limit}")

    @classmethod
    def simclr(cls, size: int, rotation: float = 45.0) -> "Views":
        """The authors' views for SimCLR."""
        return cls(size, rotation=rotation, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)

    @classmethod
    def simsiam(cls, size: int) -> "Views":
        """The authors' views for SimSiam: crop and flip."""
        return cls(size, scale=(0.2, 1.0))

    def __call__(
        self, x: Float[Tensor, "n channels height width"], generator: torch.Generator, views: int = 2
    ) -> Float[Tensor, "{views} n channels {self.size} {self.size}"]:
        """`views` independent views of each image in [0, 1]; `first, second = Views(...)(x, generator)`.

        The random numbers are drawn on the generator's device, so a CPU generator gives the same views everywhere.
        """
        n = len(x)
        drawn = self.draw(views * n, x.shape[1:], generator)
        out = x.new_empty(views, n, x.shape[1], self.size, self.size)
        chunk = n if x.is_cuda else max(1, _CHUNK // x[0].numel())
        for view in range(views):
            for start in range(0, n, chunk):
                rows = slice(start, min(start + chunk, n))
                out[view, rows] = drawn.rows(slice(view * n + start, view * n + rows.stop)).apply(x[rows], self.size)
        return out

    def draw(self, n: int, image: Sequence[int], generator: torch.Generator) -> "Drawn":
        """The random numbers for n images of shape (channels, height, width)."""
        channels, height, width = image
        box = self.boxes(n, (height, width), generator)
        flip = _uniform(n, 0.0, 1.0, generator) < self.flip
        degrees = _uniform(n, -self.rotation, self.rotation, generator) if self.rotation else None
        jittered = _uniform(n, 0.0, 1.0, generator) < self.jitter_probability

        def factors(strength: float, neutral: float) -> Tensor | None:
            if not strength:
                return None
            return torch.where(jittered, _uniform(n, neutral - strength, neutral + strength, generator), neutral)

        brightness, contrast = factors(self.brightness, 1.0), factors(self.contrast, 1.0)
        saturation, hue = (factors(self.saturation, 1.0), factors(self.hue, 0.0)) if channels == 3 else (None, None)
        return Drawn(box, flip, degrees, brightness, contrast, saturation, hue)

    def boxes(self, n: int, image: tuple[int, int], generator: torch.Generator) -> Float[Tensor, "n 4"]:
        """Crops (top, left, height, width) in whole pixels, drawn as RandomResizedCrop does: the first of ten that fits
        into an image of this size, else the whole image.
        """
        height, width = image
        area = height * width * _uniform((n, _TRIES), *self.scale, generator)
        low, high = torch.tensor(self.ratio).log().tolist()
        ratio = _uniform((n, _TRIES), low, high, generator).exp()
        w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.byte().argmax(1, keepdim=True)  # 0 where none fits
        size = torch.stack([h, w], -1).gather(1, first[..., None].expand(-1, -1, 2))[:, 0]
        size = torch.where(fits.any(1, keepdim=True), size, size.new_tensor([height, width]))
        room = size.new_tensor([height, width]) - size + 1
        corner = (_uniform((n, 2), 0.0, 1.0, generator) * room).floor()
        return torch.cat([corner, size], 1)


class Drawn(NamedTuple):
    """What is done to each image; None is nothing. See `warp` and `adjust`."""

    box: Float[Tensor, "n 4"]
    flip: Bool[Tensor, " n"]
    degrees: Float[Tensor, " n"] | None
    brightness: Float[Tensor, " n"] | None
    contrast: Float[Tensor, " n"] | None
    saturation: Float[Tensor, " n"] | None
    hue: Float[Tensor, " n"] | None

    def rows(self, index: slice) -> "Drawn":
        """The same for some of the images."""
        return Drawn(*(None if values is None else values[index] for values in self))

    def apply(
        self, x: Float[Tensor, "n channels height width"], size: int
    ) -> Float[Tensor, "n channels {size} {size}"]:
        """The views of these images."""
        out = warp(x, self.box, self.flip, self.degrees, size)
        return adjust(out, self.brightness, self.contrast, self.saturation, self.hue)


def _uniform(shape, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape, device=generator.device).uniform_(low, high, generator=generator)


def warp(
    x: Float[Tensor, "n channels height width"],
    box: Float[Tensor, "n 4"],
    flip: Bool[Tensor, " n"],
    degrees: Float[Tensor, " n"] | None,
    size: int,
) -> Float[Tensor, "n channels {size} {size}"]:
    """Crop to `box` (top, left, height, width; pixels), resize to `size`, flip, rotate: one bilinear resampling.

    A pixel u of the view, in [-1, 1]^2, shows the image at  S F R u + t:  R the rotation backwards, F the flip, S and t
    scale and centre of the box. It is black where R u lies outside the square. Unlike torchvision, a pixel at the edge
    of the box is interpolated with the image's pixel beyond it; at the edge of the image the last pixel goes on.
    """
    height, width = x.shape[2:]
    top, left, box_height, box_width = box.unbind(1)
    scale = torch.stack([torch.where(flip, -box_width, box_width) / width, box_height / height], 1)
    shift = torch.stack([(2 * left + box_width) / width, (2 * top + box_height) / height], 1) - 1
    turn = _rotation(torch.zeros(len(x), device=box.device) if degrees is None else degrees)
    affine = torch.cat([scale[..., None] * turn, shift[..., None]], 2).to(x)  # (n, 2, 3)
    pixels = _pixel_centres(size, size, x) * (2 / size)
    out = _sample(x, affine @ F.pad(pixels, (0, 0, 0, 1), value=1.0), size, size, "bilinear", "border")
    if degrees is not None:
        inside = (turn.to(x) @ pixels).abs().amax(1) <= 1
        out *= inside.view(len(x), 1, size, size)
    return out


def rotate(
    x: Float[Tensor, "n channels height width"], degrees: float | Float[Tensor, " n"]
) -> Float[Tensor, "n channels height width"]:
    """Rotate each image about its centre, counter-clockwise, by its own angle: torchvision's `rotate` with nearest
    neighbours and black where nothing is known.
    """
    height, width = x.shape[2:]
    degrees = torch.as_tensor(degrees, device=x.device).expand(len(x))
    half = torch.tensor([[width / 2], [height / 2]], device=x.device)
    positions = (_rotation(degrees).to(x) / half) @ _pixel_centres(height, width, x)
    return _sample(x, positions, height, width, "nearest", "zeros")


def _rotation(degrees: Float[Tensor, " n"]) -> Float[Tensor, "n 2 2"]:
    """Where a pixel of a picture turned counter-clockwise by `degrees` comes from (x to the right, y down); float64."""
    angle = degrees.double().deg2rad()
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, -sin, sin, cos], -1).view(-1, 2, 2)


def _pixel_centres(height: int, width: int, like: Tensor) -> Float[Tensor, "2 {height}*{width}"]:
    """(x, y) of each pixel's centre, in pixels from the middle of the image."""
    y = torch.arange(height, device=like.device, dtype=like.dtype) - (height - 1) / 2
    x = torch.arange(width, device=like.device, dtype=like.dtype) - (width - 1) / 2
    return torch.stack([x.repeat(height), y.repeat_interleave(width)])


def _sample(x, positions, height: int, width: int, mode: str, padding: str) -> Tensor:
    """grid_sample at positions (n, 2, pixels). `affine_grid` would take twice as long as the sampling itself: it makes
    the grid by n products of (pixels, 3) with (3, 2).
    """
    grid = positions.view(len(x), 2, height, width).permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=False)


def adjust(
    x: Float[Tensor, "n channels height width"],
    brightness: Float[Tensor, " n"] | None = None,
    contrast: Float[Tensor, " n"] | None = None,
    saturation: Float[Tensor, " n"] | None = None,
    hue: Float[Tensor, " n"] | None = None,
) -> Float[Tensor, "n channels height width"]:
    """Change the colours of each image in [0, 1] by its own factors, in this order and with torchvision's formulas.

    brightness: x <- f x;  contrast: x <- f x + (1 - f) mean of the grey image;  saturation: x <- f x + (1 - f) grey;
    each clipped to [0, 1].  hue: shifted on the colour circle by the factor in [-1/2, 1/2].  Grey is .2989 R + .587 G +
    .114 B. Images of one channel have neither saturation nor hue.
    """
    if x.shape[1] != 3 and (saturation is not None or hue is not None):
        raise ValueError(f"images of {x.shape[1]} channel(s) have no saturation and no hue: use brightness or contrast")

    def per_image(factors):
        return factors.to(x.device)[:, None, None, None]

    if brightness is not None:
        x = (x * per_image(brightness)).clamp_(0, 1)
    if contrast is not None:
        factor = per_image(contrast)
        x = (x * factor).add_((1 - factor) * _grey(x).mean((1, 2, 3), keepdim=True)).clamp_(0, 1)
    if saturation is not None:
        factor = per_image(saturation)
        x = (x * factor).add_((1 - factor) * _grey(x)).clamp_(0, 1)
    if hue is not None:
        x = _shift_hue(x, hue.to(x.device)[:, None, None])
    return x


def _grey(x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n 1 height width"]:
    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


def _shift_hue(
    x: Float[Tensor, "n 3 height width"], shift: Float[Tensor, "n 1 1"]
) -> Float[Tensor, "n 3 height width"]:
    """To hue, value V and chroma C, and back:  channel = V - C clip(2 - |k - 2|, 0, 1),  k = (c + 6 hue) mod 6,  with
    c = 5, 3, 1 for red, green, blue.
    """
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    chroma = value - x.amin(1)
    safe = chroma.clamp_min(1e-12)  # grey pixels have no hue; their chroma of 0 keeps them grey
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    k = x.new_tensor([5, 3, 1]).view(3, 1, 1) + (sixth + 6 * shift)[:, None]
    k -= 6 * (k / 6).floor_()  # `%` is several times slower
    return value[:, None] - chroma[:, None] * (2 - (k - 2).abs_()).clamp_(0, 1)


def orbit(
    x: Float[Tensor, "n channels height width"], kind: Orbit, values: Sequence[float]
) -> Float[Tensor, "steps n channels height width"]:
    """Every image at every value of one transformation, by torchvision's functions.

    kind: rotation (degrees, counter-clockwise; nearest neighbour, black corners), hue (share of the circle; 0 is the
    image), saturation, brightness, contrast (factor; 1 is the image) or blur (sigma of a Gaussian in pixels, with a
    kernel of 23). Images must be in [0, 1], so orbits come before any mean and std normalisation.
    """
    import torchvision.transforms.functional as tv  # 1 s: training needs it not

    functions = {
        "rotation": tv.rotate,
        "hue": tv.adjust_hue,
        "saturation": tv.adjust_saturation,
        "brightness": tv.adjust_brightness,
        "contrast": tv.adjust_contrast,
        "blur": lambda image, sigma: tv.gaussian_blur(image, 23, sigma),
    }
    if kind not in functions:
        raise ValueError(f"unknown orbit {kind!r}: choose from {', '.join(get_args(Orbit))}")
    if kind in ("hue", "saturation") and x.shape[1] != 3:
        raise ValueError(f"images of {x.shape[1]} channel(s) have no {kind}: use brightness or contrast")
    return torch.stack([functions[kind](x, float(value)) for value in values])
