"""The convolutional blocks of the U-Nets; images have shape (b, channels, height, width)."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from denoising_diffusion.nn.chain import Conditional

BlockLayer = Callable[[int, int, int, int], Conditional]
"""(in_channels, out_channels, emb_channels, groups) -> a module called as (x, emb)."""


def _check_groups(channels: int, groups: int) -> None:
    if groups < 1 or channels % groups:
        raise ValueError(f"groups must divide the {channels} output channels, got {groups}")


class ConvEmbed(Conditional):
    """Convolution, group norm, plus a projection of the embedding per channel, SiLU.

    Args:
        in_channels, out_channels: channels of the images.
        emb_channels: width of the embedding.
        groups: groups of the norm; must divide out_channels.

    Raises:
        ValueError: groups do not divide out_channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, emb_channels: int, groups: int = 8
    ) -> None:
        super().__init__()
        _check_groups(out_channels, groups)
        self.embed = nn.Linear(emb_channels, out_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.GroupNorm(groups, out_channels)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x (b, in, h, w) and emb (b, emb_channels) -> (b, out, h, w)."""
        return F.silu(self.norm(self.conv(x)) + self.embed(F.silu(emb))[:, :, None, None])


class ResBlock(Conditional):
    """`ConvEmbed`, convolution, group norm and SiLU, added to the input.

    If the numbers of channels differ the input goes through a 3x3 convolution first. Nothing
    follows the sum.

    Args:
        in_channels, out_channels: channels of the images.
        emb_channels: width of the embedding.
        groups: groups of both norms; must divide out_channels.

    Raises:
        ValueError: groups do not divide out_channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, emb_channels: int, groups: int = 8
    ) -> None:
        super().__init__()
        self.conv_embed = ConvEmbed(in_channels, out_channels, emb_channels, groups)
        self.conv = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.norm = nn.GroupNorm(groups, out_channels)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x (b, in, h, w) and emb (b, emb_channels) -> (b, out, h, w)."""
        h = F.silu(self.norm(self.conv(self.conv_embed(x, emb))))
        return h + self.skip(x)


class Downsample(nn.Conv2d):
    """Half the height and width by a 4x4 convolution: (b, in, h, w) -> (b, out, h/2, w/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, stride=2, padding=1)


class Upsample(nn.Sequential):
    """Twice the height and width: nearest neighbour, then a 3x3 convolution.

    (b, in, h, w) -> (b, out, 2h, 2w).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
        )
