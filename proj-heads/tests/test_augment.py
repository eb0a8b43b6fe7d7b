"""Whole-batch augmentation against torchvision, one image at a time."""

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from proj_heads import augment
from proj_heads.augment import Views, adjust, orbit, rotate, warp
from proj_heads.probes import rotated
from proj_heads.seeds import generator

CHANNELS = pytest.mark.parametrize("channels", [1, 3])


def images(n=6, channels=3, height=28, width=28):
    return torch.rand(n, channels, height, width, generator=generator(0, "images"))


def smooth_images(n=6, channels=1, size=28):
    """Images that any sensible interpolation reads alike."""
    coarse = torch.rand(n, channels, 4, 4, generator=generator(1, "images"))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def whole(n, size=28):
    return torch.tensor([[0.0, 0.0, size, size]]).expand(n, 4)


def never(n):
    return torch.zeros(n, dtype=torch.bool)


@CHANNELS
def test_views_without_any_change_are_the_images(channels):
    x = images(channels=channels)
    plain = Views(28, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    first, second = plain(x, generator(0))
    torch.testing.assert_close(first, x, atol=1e-5, rtol=0)
    assert torch.equal(first, second)


@CHANNELS
def test_factors_of_one_and_angles_of_zero_change_nothing(channels):
    x, one, zero = images(channels=channels), torch.ones(6), torch.zeros(6)
    colours = {"saturation": one, "hue": zero} if channels == 3 else {}
    torch.testing.assert_close(adjust(x, one, one, **colours), x, atol=1e-6, rtol=0)
    assert torch.equal(rotate(x, zero), x)
    torch.testing.assert_close(warp(x, whole(6), never(6), zero, 28), x, atol=1e-5, rtol=0)


def test_crops_equal_torchvisions_inside_the_box():
    """The outermost output pixels see the image beyond the box, which torchvision has cut off before it resizes."""
    x = images()
    box = torch.tensor(
        [[0, 0, 28, 28], [3, 5, 14, 20], [10, 0, 7, 9], [0, 21, 28, 7], [8, 8, 12, 12], [27, 27, 1, 1.0]]
    )
    ours = warp(x, box, never(6), None, 28)
    for image, view, (top, left, height, width) in zip(x, ours, box.int().tolist(), strict=True):
        theirs = tv.resized_crop(image, top, left, height, width, [28, 28], antialias=True)
        rim_y, rim_x = (math.ceil(14 / side) if side < 28 else 0 for side in (height, width))
        inner = (..., slice(rim_y, 28 - rim_y), slice(rim_x, 28 - rim_x))
        torch.testing.assert_close(view[inner], theirs[inner], atol=2e-5, rtol=0)


def test_crop_flip_and_rotation_in_one_step_equal_torchvisions_three_steps():
    """On smooth images, where resampling once or twice makes little difference; black corners are the same pixels."""
    x = smooth_images(5)
    box = torch.tensor([[0, 0, 28, 28], [2, 3, 20, 24], [4, 4, 20, 20], [0, 8, 26, 20], [6, 0, 22, 28.0]])
    flip = torch.tensor([False, True, False, True, True])
    degrees = torch.tensor([30.0, -45.0, 10.0, 0.0, 137.0])
    ours = warp(x, box, flip, degrees, 28)
    for index, view in enumerate(ours):
        theirs = tv.resized_crop(x[index], *box[index].int().tolist(), [28, 28], antialias=True)
        theirs = tv.hflip(theirs) if flip[index] else theirs
        kept = tv.rotate(torch.ones_like(theirs), degrees[index].item()) > 0
        theirs = tv.rotate(theirs, degrees[index].item(), InterpolationMode.BILINEAR)
        assert torch.equal(view[~kept], torch.zeros(int((~kept).sum())))
        interior = kept & (tv.gaussian_blur(kept.float(), 5, 5.0) > 0.999)
        assert interior.sum() > 300
        difference = (view - theirs)[interior].abs()
        assert difference.mean() < 0.005 and difference.max() < 0.05


def test_rotation_equals_torchvisions_nearest_neighbours():
    degrees = [*np.linspace(0, 45, 10).tolist(), *np.arange(0.0, 360.0, 30.0).tolist(), -17.3]
    for height, width in ((28, 28), (32, 32), (9, 14)):
        x = images(len(degrees), 1, height, width)
        theirs = torch.stack([tv.rotate(image, angle) for image, angle in zip(x, degrees, strict=True)])
        ours = rotate(x, torch.tensor(degrees))
        assert (ours != theirs).float().mean() < 2e-4  # a position exactly between two pixels may fall either way
        assert torch.equal(rotate(x, 10.0), tv.rotate(x, 10.0))


def test_quarter_turns_are_exact():
    x = images(4)
    assert torch.equal(
        rotate(x, torch.tensor([0.0, 90.0, 180.0, 270.0])), torch.stack([x[i].rot90(i, (1, 2)) for i in range(4)])
    )


@CHANNELS
def test_colours_equal_torchvisions_functions_image_by_image(channels):
    x = images(8, channels)
    x[0] = 0.5  # grey
    x[1] = x[1].round()  # saturated colours: maxima and minima tie
    factors = {"brightness": torch.linspace(0.2, 1.8, 8), "contrast": torch.linspace(1.8, 0.0, 8)}
    if channels == 3:
        factors |= {"saturation": torch.linspace(0.0, 2.0, 8), "hue": torch.linspace(-0.5, 0.5, 8)}
    for name, values in factors.items():
        function = getattr(tv, f"adjust_{name}")
        theirs = torch.stack([function(image, value.item()) for image, value in zip(x, values, strict=True)])
        torch.testing.assert_close(adjust(x, **{name: values}), theirs, atol=2e-6, rtol=0)
        x_before = x.clone()
        assert torch.equal(x, x_before)
    in_order = x
    for name, values in factors.items():
        in_order = adjust(in_order, **{name: values})
    assert torch.equal(adjust(x, **factors), in_order)


def test_boxes_are_distributed_as_torchvisions():
    torch.manual_seed(0)
    for scale, size in (((0.08, 1.0), 28), ((0.2, 1.0), 32)):
        ours = Views(size, scale=scale).boxes(4000, (size, size), generator(0, "boxes")).numpy()
        image = torch.zeros(1, size, size)
        theirs = np.array([RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(4000)])
        assert (ours[:, :2] + ours[:, 2:]).max() <= size and ours[:, :2].min() >= 0
        assert np.array_equal(ours, ours.round())
        measures = {
            "top": lambda b: b[:, 0],
            "left": lambda b: b[:, 1],
            "area": lambda b: b[:, 2] * b[:, 3],
            "ratio": lambda b: b[:, 3] / b[:, 2],
        }
        for name, measure in measures.items():
            assert ks_2samp(measure(ours), measure(theirs)).pvalue > 1e-3, name


def test_a_box_that_never_fits_is_the_whole_image():
    boxes = Views(28, scale=(1.0, 1.0), ratio=(2.0, 3.0)).boxes(5, (28, 28), generator(0))
    assert boxes.tolist() == [[0, 0, 28, 28]] * 5


def test_drawn_numbers_have_the_ranges_and_shares_asked_for():
    n, views = 20000, Views(28, flip=0.3, rotation=45.0, brightness=0.4, contrast=0.2, hue=0.1, jitter_probability=0.8)
    drawn = views.draw(n, (3, 28, 28), generator(0, "draw"))
    assert abs(drawn.flip.float().mean() - 0.3) < 0.015
    assert drawn.degrees.abs().max() <= 45 and abs(drawn.degrees.std() - 90 / 12**0.5) < 0.5
    unchanged = drawn.brightness == 1
    assert abs(unchanged.float().mean() - 0.2) < 0.015
    assert torch.equal(drawn.contrast == 1, unchanged) and torch.equal(drawn.hue == 0, unchanged)
    for values, neutral, strength in ((drawn.brightness, 1, 0.4), (drawn.contrast, 1, 0.2), (drawn.hue, 0, 0.1)):
        changed = values[~unchanged]
        assert (changed - neutral).abs().max() <= strength + 1e-6
        assert abs(changed.std() / (2 * strength / 12**0.5) - 1) < 0.03
    assert drawn.saturation is None
    grey = views.draw(3, (1, 28, 28), generator(0))
    assert grey.hue is None and grey.brightness is not None


def test_equal_seeds_give_equal_views_and_others_other_ones():
    x, views = images(), Views.simclr(28)
    assert torch.equal(views(x, generator(3)), views(x, generator(3)))
    assert not torch.equal(views(x, generator(3)), views(x, generator(4)))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    views(x, generator(3))
    assert torch.equal(torch.get_rng_state(), state)


@CHANNELS
def test_copies_of_one_image_are_all_changed_differently(channels):
    x = images(1, channels).expand(20, -1, -1, -1)
    views = Views.simclr(28)(x, generator(0)).flatten(0, 1)
    distances = torch.cdist(views.flatten(1), views.flatten(1)).fill_diagonal_(torch.inf)
    assert views.shape == (40, channels, 28, 28) and distances.min() > 0.1
    assert views.min() >= 0 and views.max() <= 1


def test_views_do_not_depend_on_the_chunks_they_are_made_in(monkeypatch):
    x = images(50)
    at_once = Views.simclr(28)(x, generator(0), views=3)
    monkeypatch.setattr(augment, "_CHUNK", 7 * x[0].numel() + 5)
    in_chunks = Views.simclr(28)(x, generator(0), views=3)
    torch.testing.assert_close(in_chunks, at_once, atol=1e-5, rtol=0)
    assert in_chunks.shape == (3, 50, 3, 28, 28)


def test_views_can_have_another_size_than_the_images():
    x = smooth_images(3, size=32)
    view = Views(16, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)(x, generator(0), views=1)[0]
    theirs = tv.resize(x, [16, 16], antialias=False)
    torch.testing.assert_close(view, theirs, atol=1e-5, rtol=0)


def test_published_views():
    simclr, simsiam = Views.simclr(32), Views.simsiam(32)
    assert (simclr.scale, simclr.rotation, simclr.jitter_probability) == ((0.08, 1.0), 45.0, 0.8)
    assert (simclr.brightness, simclr.contrast, simclr.saturation, simclr.hue) == (0.4, 0.4, 0.4, 0.1)
    assert (simsiam.scale, simsiam.flip, simsiam.rotation, simsiam.brightness) == ((0.2, 1.0), 0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    "kind, values, function",
    [
        ("rotation", (0.0, 20.0, 90.0), tv.rotate),
        ("hue", (-0.4, 0.0, 0.4), tv.adjust_hue),
        ("saturation", (0.0, 1.0, 2.0), tv.adjust_saturation),
        ("brightness", (0.6, 1.0, 1.4), tv.adjust_brightness),
        ("contrast", (0.2, 1.0, 2.0), tv.adjust_contrast),
        ("blur", (0.1, 1.0, 3.0), lambda image, sigma: tv.gaussian_blur(image, 23, sigma)),
    ],
)
def test_orbits_are_torchvisions_of_each_image(kind, values, function):
    x = images(3)
    steps = orbit(x, kind, values)
    assert steps.shape == (3, 3, 3, 28, 28)
    for step, value in zip(steps, values, strict=True):
        for image, moved in zip(x, step, strict=True):
            torch.testing.assert_close(moved, function(image, value), atol=1e-6, rtol=0)
    identity = {"rotation": 0, "blur": 0}.get(kind, 1)
    torch.testing.assert_close(steps[identity], x, atol=1e-5, rtol=0)


def test_grey_images_have_no_hue():
    x = images(2, channels=1)
    for kind in ("hue", "saturation"):
        with pytest.raises(ValueError, match=f"no {kind}: use brightness or contrast"):
            orbit(x, kind, (0.0,))
        with pytest.raises(ValueError, match="no saturation and no hue"):
            adjust(x, **{kind: torch.ones(2)})


@pytest.mark.usefixtures("unchecked")
def test_bad_values_say_what_to_choose():
    for values, message in (
        ({"scale": (0.0, 1.0)}, r"scale = \(0.0, 1.0\); choose 0 < low <= high <= 1"),
        ({"ratio": (2.0, 1.0)}, r"ratio = \(2.0, 1.0\); choose 0 < low <= high$"),
        ({"flip": 1.5}, "flip = 1.5; choose 0 <= flip <= 1"),
        ({"hue": 0.6}, "hue = 0.6; choose 0 <= hue <= 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            Views(28, **values)
    with pytest.raises(ValueError, match="unknown orbit 'shear': choose from rotation, hue"):
        orbit(images(1), "shear", (0.0,))


def test_rotated_images_fit_their_labels():
    for x in (images(400), (images(400) * 255).byte()):
        turned, label = rotated(x, generator(0, "turns"))
        assert torch.equal(
            turned, torch.stack([image.rot90(k, (1, 2)) for image, k in zip(x, label.tolist(), strict=True)])
        )
        assert label.bincount(minlength=4).min() > 70
        assert torch.equal(rotated(x, generator(0, "turns"))[1], label)
    assert torch.equal(turned[label == 1], tv.rotate(x, 90.0)[label == 1])  # counter-clockwise, as torchvision's
