"""Networks with dims = 1: what they compute, written out or found in two dimensions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from denoising_diffusion.nn import (
    Conditional,
    ConvEmbed,
    Downsample,
    MultiheadAttention,
    ResBlock,
    UNet,
    Upsample,
)


def randomised(module):
    """The module in float64 with weights that hide no mistake in their order."""
    module = module.double()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn_like(p) * 0.2)
    return module


def normalised(x, groups, norm):
    """Group norm over groups of channels and all positions, written out."""
    parts = x.reshape(len(x), groups, -1)
    centred = parts - parts.mean(2, keepdim=True)
    scaled = centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()
    return scaled.reshape(x.shape) * norm.weight[:, None] + norm.bias[:, None]


def convolved(x, conv, stride=1):
    """A padded convolution as one matrix product per kernel position."""
    size = conv.weight.shape[-1]
    padded = F.pad(x, (1, 1))
    length = (padded.shape[-1] - size) // stride + 1
    parts = [padded[..., k : k + stride * length : stride] for k in range(size)]
    total = sum(torch.einsum("oi,bil->bol", conv.weight[..., k], p) for k, p in enumerate(parts))
    return total + conv.bias[:, None]


def conv_embedded(block, x, emb):
    h = normalised(convolved(x, block.conv), 2, block.norm)
    shift = F.silu(emb) @ block.embed.weight.T + block.embed.bias
    h = h + shift[:, :, None]
    return h * torch.sigmoid(h)


@pytest.mark.parametrize("in_channels", [4, 3])
def test_blocks_are_their_formulas(in_channels):
    torch.manual_seed(0)
    x, emb = torch.randn(3, in_channels, 7).double(), torch.randn(3, 6).double()
    block = randomised(ConvEmbed(in_channels, 4, 6, groups=2, dims=1))
    torch.testing.assert_close(block(x, emb), conv_embedded(block, x, emb))
    block = randomised(ResBlock(in_channels, 4, 6, groups=2, dims=1))
    h = convolved(conv_embedded(block.conv_embed, x, emb), block.conv)
    skip = x if in_channels == 4 else convolved(x, block.skip)
    torch.testing.assert_close(block(x, emb), F.silu(normalised(h, 2, block.norm)) + skip)


def test_resampling_is_its_formula():
    torch.manual_seed(0)
    x, down = torch.randn(2, 3, 8).double(), randomised(Downsample(3, 5, dims=1))
    up = randomised(Upsample(3, 5, dims=1))
    torch.testing.assert_close(down(x), convolved(x, down, stride=2))
    assert down(x).shape == (2, 5, 4)
    torch.testing.assert_close(up(x), convolved(x.repeat_interleave(2, dim=2), up[1]))


def copy_into_the_rows(signals: nn.Module, images: nn.Module) -> None:
    """Give the images' network the signals' weights: in row 1 of a kernel, with zeros around.

    With a padding of 1, row 1 of a kernel of 3 rows is the middle one, and row 1 of a kernel of 4
    rows with stride 2 sees the even rows; so every row of an image is convolved by itself.
    """
    weights = {}
    for name, weight in signals.state_dict().items():
        if weight.ndim == 3:
            size = weight.shape[-1]
            weights[name] = weight.new_zeros(*weight.shape[:2], size, size)
            weights[name][:, :, 1] = weight
        else:
            weights[name] = weight
    images.load_state_dict(weights)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block_layer": ConvEmbed, "num_blocks_per_level": 2},
        {"middle_attention": False, "channel_multipliers": (2, 3)},
        {"num_classes": 3, "out_channels": 5},
    ],
)
def test_a_network_of_signals_is_one_of_images_whose_rows_are_equal(options):
    """Norms, nearest upsampling and attention do not change when every row is repeated."""
    torch.manual_seed(0)
    signals = randomised(UNet(2, 8, 100, dims=1, **options))
    images = UNet(2, 8, 100, **options).double()
    copy_into_the_rows(signals, images)
    x, t = torch.randn(3, 2, 12).double(), torch.tensor([1.0, 50.5, 100.0])
    labels = torch.tensor([0, 3, 1]) if "num_classes" in options else None
    rows = images(x[:, :, None].expand(3, 2, 4, 12), t, labels)
    found = signals(x, t, labels)
    assert found.shape == (3, options.get("out_channels", 2), 12)
    assert found.std() > 0.1
    torch.testing.assert_close(rows, found[:, :, None].expand_as(rows), atol=1e-10, rtol=1e-10)


def test_kernels_are_one_dimensional_and_parameters_have_gradients():
    net = UNet(1, 8, 100, dims=1)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
    assert all(isinstance(m, nn.Conv1d) for m in layers)
    images = dict(UNet(1, 8, 100).named_parameters())
    for name, p in net.named_parameters():
        assert p.numel() * (p.shape[-1] if p.ndim == 3 else 1) == images[name].numel()
    net(torch.randn(2, 1, 16), torch.tensor([1.0, 9.0])).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


class OwnBlock(Conditional):
    """Knows nothing of dims, as a block that somebody wrote for images."""

    def __init__(self, in_channels, out_channels, emb_channels, groups):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x, emb):
        return self.conv(x)


def test_blocks_of_images_need_not_know_of_signals():
    net = UNet(1, 4, 10, block_layer=OwnBlock, block_groups=1)
    assert net(torch.randn(2, 1, 8, 8), torch.ones(2)).shape == (2, 1, 8, 8)


def test_refusals():
    net, t = UNet(1, 8, 100, dims=1), torch.ones(2)
    with pytest.raises(ValueError, match=r"x must have shape \(b, 1, length\), got \(2, 1, 8, 8\)"):
        net(torch.randn(2, 1, 8, 8), t)
    with pytest.raises(ValueError, match=r"length of x must .*divisible by 4, got \(6,\)"):
        net(torch.randn(2, 1, 6), t)
    for layer in (
        Downsample(3, 5, dims=1),
        Upsample(3, 5, dims=1),
        MultiheadAttention(3, 1, dims=1),
    ):
        with pytest.raises(
            ValueError, match=r"x must have shape \(b, 3, length\), got \(2, 3, 8, 8\)"
        ):
            layer(torch.randn(2, 3, 8, 8))
