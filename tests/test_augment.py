"""Changed copies: exact where pixels fall on pixels, told rightly, and drawn from the generator."""

import math

import pytest
import torch

from denoising_diffusion import DiffusionLoss, GaussianDiffusion, UNet
from denoising_diffusion.augment import PictureAugment, warped, with_hue
from denoising_diffusion.schedule import cosine
from denoising_diffusion.tables import bound


def pictures(n=2, c=3, h=8, w=8):
    return torch.rand(n, c, h, w, generator=torch.Generator().manual_seed(0)) * 2 - 1


def changed(x, moved=(0, 0), turned=0.0, scaled=0.0, mirrored=0.0):
    rows = torch.ones(len(x), dtype=torch.float64)
    shift = torch.tensor([moved], dtype=torch.float64).expand(len(x), 2)
    return warped(x, shift, turned * rows, scaled * rows, mirrored * rows)


@pytest.mark.parametrize("shape", [(8, 8), (6, 10)])
def test_mirrors_and_moves_are_exact(shape):
    x = pictures(h=shape[0], w=shape[1])
    assert torch.allclose(changed(x, mirrored=1.0), x.flip(-1), atol=1e-5)
    moved = changed(x, (2, -1))
    assert torch.allclose(moved[:, :, :-1, 2:], x[:, :, 1:, :-2], atol=1e-5)
    # Edges are repeated.
    assert torch.allclose(moved[:, :, :-1, 0], x[:, :, 1:, 0], atol=1e-5)
    assert torch.allclose(moved[:, :, -1, 2:], x[:, :, -1, :-2], atol=1e-5)
    assert torch.equal(changed(x), x)


def test_quarter_turns_are_exact_and_clockwise():
    x = pictures()
    turned = changed(x, turned=math.pi / 2)
    assert torch.allclose(turned, torch.rot90(x, -1, (-2, -1)), atol=1e-5)
    tall = pictures(h=6, w=10)
    half = changed(tall, turned=math.pi)
    assert torch.allclose(half, tall.flip(-1, -2), atol=1e-5)
    # A mirror comes first, the turn after it.
    both = changed(x, turned=math.pi / 2, mirrored=1.0)
    assert torch.allclose(both, torch.rot90(x.flip(-1), -1, (-2, -1)), atol=1e-5)


def test_turns_of_oblong_pictures_keep_angles():
    """A plane wave turned by an angle is the wave in the turned direction, in pixels."""
    h, w, angle = 40, 64, math.radians(20)
    y, x = torch.meshgrid(
        torch.arange(h) - (h - 1) / 2, torch.arange(w) - (w - 1) / 2, indexing="ij"
    )
    wave = (0.2 * x).sin()[None, None]
    # Clockwise on the screen, with y down: what pointed right points right and down.
    expected = (0.2 * (x * math.cos(angle) + y * math.sin(angle))).sin()
    found = changed(wave, turned=angle)[0, 0]
    assert (found - expected)[12:28, 20:44].abs().max() < 6e-3


def test_scaling_by_two_halves_the_frequency():
    h = 32
    x = torch.arange(h) - (h - 1) / 2
    wave = (0.2 * x).cos().expand(1, 1, h, h)
    found = changed(wave, scaled=math.log(2))[0, 0, 16]
    assert (found - (0.1 * x).cos())[4:-4].abs().max() < 6e-3


def test_hue_turns_about_grey():
    x = pictures() * 0.3
    third = with_hue(x, torch.full((2,), 2 * math.pi / 3, dtype=torch.float64))
    assert torch.allclose(third, x[:, [2, 0, 1]], atol=1e-6)
    grey = x[:, :1].expand(-1, 3, -1, -1)
    some = torch.tensor([0.4, -1.0], dtype=torch.float64)
    assert torch.allclose(with_hue(grey, some), grey, atol=1e-6)
    there = with_hue(x, some)
    assert torch.allclose(there.mean(1), x.mean(1), atol=1e-6)
    assert torch.allclose(there.square().sum(1), x.square().sum(1), atol=1e-5)
    assert with_hue(pictures(), some).abs().max() <= 1


def test_what_is_told_is_what_was_done():
    augment = PictureAugment(probability=0.5, shift=0.25, rotate=20, scale=0.2, flip=True, hue=60)
    x = pictures(200)
    y, code = augment(x, torch.Generator().manual_seed(1))
    assert code is not None
    assert code.shape == (200, augment.width)
    untouched = (code == 0).all(1)
    same = (x == y).flatten(1).all(1)
    assert torch.equal(untouched, same)
    assert 0 < int(untouched.sum()) < 30  # 0.5⁵ of them, but for moves by 0 pixels
    height, width = x.shape[2:]
    moved = (code[:, :2] * torch.tensor([width, height])).double().round()
    turned, scaled, mirrored = code[:, 2:5].double().unbind(1)
    hue = torch.atan2(code[:, 5], 1 - code[:, 6]).double()
    again = with_hue(warped(x, moved, turned, scaled, mirrored), hue)
    assert torch.allclose(again, y, atol=1e-4)
    for column, most in ((2, math.radians(20)), (3, math.log(1.2)), (4, 1.0)):
        assert 0.8 * most < code[:, column].abs().max() <= most + 1e-6
    assert set(mirrored.tolist()) == {0.0, 1.0}


def test_equal_generators_give_equal_changes_and_nothing_else_is_drawn():
    augment = PictureAugment(hue=30)
    x = pictures(16)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    found = [augment(x, torch.Generator().manual_seed(5))[0] for _ in range(2)]
    assert torch.equal(*found)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_grey_pictures_have_no_hue():
    augment = PictureAugment(probability=1.0, shift=0, hue=90)
    x = pictures(4, c=1)
    y, code = augment(x, torch.Generator().manual_seed(0))
    assert torch.equal(x, y)
    assert code is not None
    assert not code.any()


def test_without_condition_nothing_is_told():
    augment = PictureAugment(condition=False)
    assert augment.width == 0
    assert augment(pictures(), torch.Generator().manual_seed(0))[1] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"probability must lie in \[0, 1\], got 1.5"),
        ({"shift": 1}, r"shift must lie in \[0, 1\)"),
        ({"rotate": -1}, "rotate must"),
        ({"hue": 200}, "hue must"),
        ({"scale": float("nan")}, "scale must"),
    ],
)
def test_limits(options, message):
    with pytest.raises(ValueError, match=message):
        PictureAugment(**options)


def test_options_are_read_from_a_configuration():
    found = bound("augment", {"name": "pictures", "shift": 0.1, "flip": True})()
    assert found == PictureAugment(shift=0.1, flip=True)
    with pytest.raises(ValueError, match="takes no shfit"):
        bound("augment", {"name": "pictures", "shfit": 0.1})


@pytest.mark.parametrize("classes", [None, 3])
def test_the_loss_is_that_of_the_changed_batch_with_its_codes(classes):
    augment = PictureAugment(probability=0.8, hue=20)
    network = UNet(
        3, 8, 10, channel_multipliers=(1,), num_classes=classes, augmentations=augment.width
    )
    model = GaussianDiffusion(cosine(timesteps=10), (3, 8, 8), network)
    x = pictures(6)
    labels = () if classes is None else (torch.tensor([1, 2, 3, 0, 1, 2]),)
    found = DiffusionLoss(augment=augment)(model, (x, *labels), torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    y, code = augment(x, generator)
    t = torch.randint(1, 11, (6,), generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    expected = model.p_losses(y, t, noise, *(labels or (None,)), code).mean()
    assert torch.equal(found, expected)


def test_a_code_of_zeros_is_no_code():
    network = UNet(1, 8, 10, channel_multipliers=(1,), augmentations=7)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 4.0])
    assert torch.equal(network(x, t), network(x, t, None, torch.zeros(2, 7)))
    assert not torch.equal(network(x, t), network(x, t, None, torch.ones(2, 7)))
    plain = UNet(1, 8, 10, channel_multipliers=(1,))
    with pytest.raises(ValueError, match="codes need a network built with augmentations"):
        plain(x, t, None, torch.zeros(2, 7))
    with pytest.raises(ValueError, match="augmentation must have shape"):
        network(x, t, None, torch.zeros(2, 6))
