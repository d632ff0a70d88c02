"""The convolutional blocks of the U-Nets, for images (b, c, h, w) or signals (b, c, length)."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from denoising_diffusion.checks import Count, Share, checked, tensor
from denoising_diffusion.nn._checks import check_data, divides
from denoising_diffusion.nn.chain import Conditional
from denoising_diffusion.nn.convolution import convolution

BlockLayer = Callable[..., Conditional]
"""(in_channels, out_channels, emb_channels, groups) -> a module called as (x, emb).

Only for signals is it called with the keyword dims=1 too; a block of images need not know it.
"""


@checked
class ConvEmbed(Conditional):
    """Convolution, group norm, plus a projection of the embedding per channel, SiLU.

    Args:
        in_channels, out_channels: channels of the images.
        emb_channels: width of the embedding.
        groups: groups of the norm; must divide out_channels.
        dims: 2 for images, 1 for signals.

    Raises:
        ValueError: groups do not divide out_channels, a number below 1 or other dims; when called,
            x or emb of other shapes.
        TypeError: arguments of other types.
    """

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        emb_channels: Count,
        groups: int = 8,
        dims: int = 2,
    ) -> None:
        super().__init__()
        divides("groups", groups, out_channels, "output channels")
        self.dims = dims
        self.embed = nn.Linear(emb_channels, out_channels)
        self.conv = convolution(in_channels, out_channels, dims)
        self.norm = nn.GroupNorm(groups, out_channels)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x (b, in, h, w) or (b, in, length), and emb (b, emb_channels) -> (b, out, ...)."""
        check_data(x, self.conv.in_channels, self.dims)
        tensor("emb", emb, x.shape[0], self.embed.in_features, holds="floats")
        shift = self.embed(F.silu(emb))[(..., *[None] * self.dims)]
        return F.silu(self.norm(self.conv(x)) + shift)


class ResBlock(Conditional):
    """`ConvEmbed`, convolution, group norm and SiLU, added to the input.

    If the numbers of channels differ the input goes through a 3x3 convolution first. Nothing
    follows the sum.

    Args:
        in_channels, out_channels: channels of the images.
        emb_channels: width of the embedding.
        groups: groups of both norms; must divide out_channels.
        dims: 2 for images, 1 for signals.
        dropout: the share of values between the convolutions that are dropped in training.

    Raises:
        ValueError, TypeError: as `ConvEmbed`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        groups: int = 8,
        dims: int = 2,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        self.conv_embed = ConvEmbed(in_channels, out_channels, emb_channels, groups, dims)
        self.conv = convolution(out_channels, out_channels, dims)
        self.norm = nn.GroupNorm(groups, out_channels)
        self.dropout = nn.Dropout(dropout)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else convolution(in_channels, out_channels, dims)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x (b, in, h, w) or (b, in, length), and emb (b, emb_channels) -> (b, out, ...)."""
        h = F.silu(self.norm(self.conv(self.dropout(self.conv_embed(x, emb)))))
        return h + self.skip(x)


class _Down1d(nn.Conv1d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(check_data(input, self.in_channels, 1))


class _Down2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(check_data(input, self.in_channels, 2))


def Downsample(in_channels: int, out_channels: int, dims: int = 2) -> nn.Conv1d | nn.Conv2d:
    """Half the height and width by a 4x4 convolution: (b, in, h, w) -> (b, out, h/2, w/2).

    With dims = 1 half the length: (b, in, length) -> (b, out, length/2).

    Raises:
        ValueError: channels below 1, or other dims; when called, x of another shape.
        TypeError: arguments of other types.
    """
    return convolution(in_channels, out_channels, dims, 4, stride=2, layers=(_Down1d, _Down2d))


class Upsample(nn.Sequential):
    """Twice the height and width: nearest neighbour, then a 3x3 convolution.

    (b, in, h, w) -> (b, out, 2h, 2w); with dims = 1, (b, in, length) -> (b, out, 2 length).

    Raises:
        ValueError, TypeError: as `Downsample`.
    """

    def __init__(self, in_channels: int, out_channels: int, dims: int = 2) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"),
            convolution(in_channels, out_channels, dims),
        )
        self.in_channels = in_channels
        self.dims = dims

    def forward(self, input: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, out, 2h, 2w), or (b, in, length) -> (b, out, 2 length)."""
        return super().forward(check_data(input, self.in_channels, self.dims))
