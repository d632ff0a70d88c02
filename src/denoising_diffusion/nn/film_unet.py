"""A U-Net of pre-activation blocks that the embedding scales and shifts."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoising_diffusion.checks import Count, Share, Sizes, checked, sizes, tensor
from denoising_diffusion.nn._checks import check_data, divides
from denoising_diffusion.nn.chain import Conditional, ConditionalChain
from denoising_diffusion.nn.embedded import Embedded
from denoising_diffusion.nn.embedding import TimeEmbedding


class FiLMUNetOptions(TypedDict, total=False):
    """Options of `FiLMUNet.for_data`, described at `FiLMUNet`."""

    model_channels: int
    channel_multipliers: tuple[int, ...]
    num_blocks_per_level: int
    middle_blocks: int
    patch: int
    block_groups: int
    dropout: float


@checked
class FiLMBlock(Conditional):
    """Norm, SiLU, convolution, norm scaled and shifted, SiLU, convolution, added to the input.

    The embedding gives a scale and a shift for each channel of the second norm (Dhariwal & Nichol
    2021, arXiv:2105.05233, section 3.1). The last convolution begins with zeros, so a new block
    hands its input on; where the numbers of channels differ, through a 1x1 convolution.

    Args:
        in_channels, out_channels: channels of the images.
        emb_channels: width of the embedding.
        groups: groups of both norms; must divide in_channels and out_channels.
        dropout: the share of values before the last convolution that are dropped in training.

    Raises:
        ValueError: groups that do not divide, or a number below 1; when called, x or emb of other
            shapes.
        TypeError: arguments of other types.
    """

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        emb_channels: Count,
        groups: int = 8,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        divides("groups", groups, in_channels, "input channels")
        divides("groups", groups, out_channels, "output channels")
        self.norm_1 = nn.GroupNorm(groups, in_channels)
        self.conv_1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.film = nn.Linear(emb_channels, 2 * out_channels)
        self.norm_2 = nn.GroupNorm(groups, out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv_2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x (b, in, h, w) and emb (b, emb_channels) -> (b, out, h, w)."""
        check_data(x, self.conv_1.in_channels, 2)
        tensor("emb", emb, x.shape[0], self.film.in_features, holds="floats")
        scale, shift = self.film(F.silu(emb))[..., None, None].chunk(2, dim=1)
        h = self.norm_2(self.conv_1(F.silu(self.norm_1(x))))
        h = F.silu(torch.addcmul(shift, h, 1 + scale))
        return self.skip(x) + self.conv_2(self.dropout(h))


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with weights and biases of 0."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
        nn.init.zeros_(layer.bias)
    return layer


def _blocks(n: int, i: int, o: int, *, emb: int, groups: int, dropout: float) -> ConditionalChain:
    """So many blocks, the first from i channels to o."""
    return ConditionalChain(*(FiLMBlock(o if k else i, o, emb, groups, dropout) for k in range(n)))


@checked
class FiLMUNet(Embedded):
    """A U-Net by present practice, for images (b, in_channels, h, w); called as `UNet` is.

    It sees each patch x patch pixels as the channels of one, which leaves the highest resolution
    to nobody and makes it fast. Level l works at 1/2^(l-1) of what is left of the size, with
    `FiLMBlock`s on the way down, and as many on the way up, where the state from below and that
    of the way down stand side by side; the last level is `middle_blocks` of them. The label's
    embedding is added to the time's.

    A new network answers 0.

    Args:
        in_channels: channels of the images.
        model_channels: the unit of channels; block_groups must divide it.
        num_timesteps: T, the last time.
        channel_multipliers: channels of each level, in units of model_channels; two at least.
        num_blocks_per_level: blocks of a level on the way down, and as many on the way up.
        middle_blocks: blocks of the last level.
        patch: the side of a patch, in pixels.
        block_groups: groups of the norms.
        num_classes: n, for labels 1..n and 0 for none; None for a network without labels.
        pad: as for `UNet`.
        dropout: the share of values within each block that are dropped in training.
        augmentations: as for `UNet`.

    Raises:
        ValueError: an argument outside these limits; when called, as `UNet`.
        TypeError: arguments of other types.
    """

    def __init__(
        self,
        in_channels: Count,
        model_channels: Count,
        num_timesteps: int,
        *,
        channel_multipliers: Sizes = (1, 2),
        num_blocks_per_level: Count = 2,
        middle_blocks: Count = 5,
        patch: Count = 1,
        block_groups: int = 8,
        num_classes: Count | None = None,
        pad: bool = False,
        dropout: Share = 0.0,
        augmentations: Annotated[int, 0] = 0,
    ) -> None:
        divides("block_groups", block_groups, model_channels, "model_channels")
        if len(channel_multipliers) < 2:
            raise ValueError(f"channel_multipliers must be two at least, got {channel_multipliers}")
        widths = [model_channels * m for m in channel_multipliers]
        emb = 2 * model_channels
        project = nn.Sequential(nn.Linear(emb, emb), nn.SiLU(), nn.Linear(emb, emb))
        super().__init__(
            in_channels,
            in_channels,
            TimeEmbedding(num_timesteps, emb, project),
            emb,
            divisor=patch * 2 ** (len(widths) - 1),
            num_classes=num_classes,
            pad=pad,
            augmentations=augmentations,
        )
        self.widths, self.patch = tuple(widths), patch
        blocks = partial(_blocks, emb=emb, groups=block_groups, dropout=dropout)
        n, seen = num_blocks_per_level, in_channels * patch**2
        self.stem = nn.Conv2d(seen, widths[0], 3, padding=1)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(blocks(n, w, w) for w, _ in pairs)
        self.shrink = nn.ModuleList(nn.Conv2d(w, v, 3, stride=2, padding=1) for w, v in pairs)
        self.middle = blocks(middle_blocks, widths[-1], widths[-1])
        self.lift = nn.ModuleList(nn.Conv2d(v, w, 1) for w, v in pairs)
        self.up = nn.ModuleList(blocks(n, 2 * w, w) for w, _ in pairs)
        self.norm = nn.GroupNorm(block_groups, widths[0])
        self.final = zeroed(nn.Conv2d(widths[0], seen, 3, padding=1))

    @classmethod
    def for_data(
        cls,
        data_shape: Sequence[int],
        num_timesteps: int,
        num_classes: int | None,
        augmentations: int = 0,
        **options: Unpack[FiLMUNetOptions],
    ) -> Self:
        """The network for images (c, h, w), with 32 model_channels unless told; it pads.

        Raises:
            ValueError: data_shape is no such shape.
            ValueError, TypeError: as the constructor.
        """
        shape = sizes("data_shape", data_shape)
        if len(shape) != 3:
            raise ValueError(
                f"network film-unet takes images (c, h, w), the data has shape {shape}"
            )
        given: dict[str, Any] = {"model_channels": 32, **options}
        return cls(
            shape[0],
            num_timesteps=num_timesteps,
            num_classes=num_classes,
            augmentations=augmentations,
            pad=True,
            **given,
        )

    def layers(self, x: Tensor, emb: Tensor) -> Tensor:
        """The answer to x, whose sizes the divisor divides, with this embedding."""
        h = self.stem(F.pixel_unshuffle(x, self.patch))
        kept: list[Tensor] = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            kept.append(blocks(h, emb))
            h = shrink(kept[-1])
        h = self.middle(h, emb)
        for lift, blocks in zip(reversed(self.lift), reversed(self.up), strict=True):
            h = F.interpolate(lift(h), scale_factor=2.0)
            h = blocks(torch.cat([kept.pop(), h], dim=1), emb)
        return F.pixel_shuffle(self.final(F.silu(self.norm(h))), self.patch)
