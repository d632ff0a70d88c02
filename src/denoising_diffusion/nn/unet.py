"""The U-Net, built by nesting skip connections."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from denoising_diffusion.nn._checks import (
    check_image,
    check_labels,
    check_num_classes,
    check_times,
)
from denoising_diffusion.nn.attention import MultiheadAttention
from denoising_diffusion.nn.blocks import BlockLayer, Downsample, ResBlock, Upsample
from denoising_diffusion.nn.chain import (
    Conditional,
    ConditionalChain,
    ConditionalSkipConnection,
)
from denoising_diffusion.nn.embedding import unet_time_embedding
from denoising_diffusion.nn.init import seed_init

Combine = Literal["cat", "add", "mul"]
_MAX_LEVELS = 5


class UNet(Conditional):
    """A U-Net conditioned on the time and, with num_classes, on a label.

    Level l works at 1/2^(l-1) of the size: its blocks, the next level inside a skip connection,
    and its blocks on the way up. The last level surrounds the middle: a block, attention, a block;
    without attention a single block.

    Args:
        in_channels: channels of the images.
        model_channels: channels of the first level; block_groups must divide them.
        num_timesteps: T, the last time.
        channel_multipliers: channels that each level hands on, in units of model_channels. There
            are as many levels as multipliers.
        block_layer: (in_channels, out_channels, emb_channels, groups) -> a block; `ResBlock` or
            `ConvEmbed`.
        num_blocks_per_level: blocks of a level on the way down, and as many on the way up.
        block_groups: groups of the norms in the blocks.
        num_attention_heads: heads of the attention in the middle; must divide its channels.
        middle_attention: whether there is attention in the middle.
        num_classes: n, for labels 1..n and 0 for none; None for a network without labels.
        combine: how the embeddings of time and label are joined: side by side, sum or product.

    Raises:
        ValueError: an argument outside these limits; when called, x, t or labels of a wrong shape,
            labels outside 0..n, or labels for a network without classes.

    Warns:
        UserWarning: more than five levels.
    """

    def __init__(
        self,
        in_channels: int,
        model_channels: int,
        num_timesteps: int,
        *,
        channel_multipliers: Sequence[int] = (1, 2, 4),
        block_layer: BlockLayer = ResBlock,
        num_blocks_per_level: int = 1,
        block_groups: int = 8,
        num_attention_heads: int = 4,
        middle_attention: bool = True,
        num_classes: int | None = None,
        combine: Combine = "cat",
    ) -> None:
        super().__init__()
        _check_levels(channel_multipliers, num_blocks_per_level)
        _check_groups(model_channels, block_groups)
        check_num_classes(num_classes)
        if combine not in ("cat", "add", "mul"):
            raise ValueError(f"combine must be 'cat', 'add' or 'mul', got {combine!r}")
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.combine: Combine = combine
        self.divisor = 2 ** (len(channel_multipliers) - 1)
        emb = 4 * model_channels
        self.time_embedding = unet_time_embedding(num_timesteps, emb)
        self.class_embedding = None if num_classes is None else nn.Embedding(num_classes + 1, emb)
        block_emb = 2 * emb if num_classes is not None and combine == "cat" else emb
        levels = _Levels(
            channels=[model_channels, *(model_channels * m for m in channel_multipliers)],
            block=lambda i, o: block_layer(i, o, block_emb, block_groups),
            num_blocks=num_blocks_per_level,
            num_heads=num_attention_heads if middle_attention else None,
        )
        self.layers = levels.network(in_channels)
        seed_init(self)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: (b, in_channels, h, w), h and w divisible by 2^(levels - 1).
            t: (b,), real times.
            labels: (b,), integers in 0..n, checked where they are on the CPU; None for all 0.

        Returns:
            A tensor of the shape of x.
        """
        check_image(x, self.in_channels, self.divisor)
        check_times(x, t)
        emb = self.time_embedding(t)
        labels = check_labels(x, labels, self.num_classes)
        if labels is not None and self.class_embedding is not None:
            emb = self._combined(emb, self.class_embedding(labels))
        return self.layers(x, emb)

    def _combined(self, time: Tensor, label: Tensor) -> Tensor:
        if self.combine == "cat":
            return torch.cat([time, label], dim=1)
        return time + label if self.combine == "add" else time * label


def UNetConditioned(
    in_channels: int,
    model_channels: int,
    num_timesteps: int,
    *,
    num_classes: int,
    channel_multipliers: Sequence[int] = (1, 2, 4),
    block_layer: BlockLayer = ResBlock,
    num_blocks_per_level: int = 1,
    block_groups: int = 8,
    num_attention_heads: int = 4,
    middle_attention: bool = True,
    combine: Combine = "cat",
) -> UNet:
    """A `UNet` with labels: the same arguments, of which num_classes is required."""
    return UNet(
        in_channels,
        model_channels,
        num_timesteps,
        channel_multipliers=channel_multipliers,
        block_layer=block_layer,
        num_blocks_per_level=num_blocks_per_level,
        block_groups=block_groups,
        num_attention_heads=num_attention_heads,
        middle_attention=middle_attention,
        num_classes=num_classes,
        combine=combine,
    )


@dataclass(frozen=True)
class _Levels:
    """The levels of a U-Net; level l gets channels[l - 1] and hands on channels[l]."""

    channels: list[int]
    block: Callable[[int, int], Conditional]
    num_blocks: int
    num_heads: int | None

    def network(self, in_channels: int) -> ConditionalChain:
        return ConditionalChain(
            init=nn.Conv2d(in_channels, self.channels[0], 3, padding=1),
            **self._level(1),
            # not channels[0]: the two differ where the first multiplier is not 1
            final=nn.Conv2d(self.channels[1], in_channels, 3, padding=1),
        )

    def _level(self, level: int) -> dict[str, nn.Module]:
        i, o = self.channels[level - 1], self.channels[level]
        inside: dict[str, nn.Module]
        if level == len(self.channels) - 1:
            inside = {f"down_{level + 1}": nn.Conv2d(i, o, 3, padding=1), **self._middle(o)}
        else:
            inside = {
                f"downsample_{level}": Downsample(i, o),
                **self._level(level + 1),
                f"upsample_{level + 1}": Upsample(self.channels[level + 1], o),
            }
        return {
            **self._blocks(f"down_{level}", i, i),
            f"skip_{level}": ConditionalSkipConnection(ConditionalChain(**inside), _cat_skip_first),
            **self._blocks(f"up_{level}", i + o, o),
        }

    def _blocks(self, name: str, i: int, o: int) -> dict[str, nn.Module]:
        if self.num_blocks == 1:
            return {name: self.block(i, o)}
        return {f"{name}_{n + 1}": self.block(o if n else i, o) for n in range(self.num_blocks)}

    def _middle(self, channels: int) -> dict[str, nn.Module]:
        first = {"middle_1": self.block(channels, channels)}
        if self.num_heads is None:
            return dict(first)
        attention = MultiheadAttention(channels, num_heads=self.num_heads)
        return {
            **first,
            "middle_attention": ConditionalSkipConnection(attention, torch.add),
            "middle_2": self.block(channels, channels),
        }


def _cat_skip_first(h: Tensor, x: Tensor) -> Tensor:
    return torch.cat([x, h], dim=1)


def _check_levels(multipliers: Sequence[int], num_blocks: int) -> None:
    if not multipliers or min(multipliers) < 1:
        raise ValueError(
            "channel_multipliers must hold at least one integer, all of them at least 1, "
            f"got {tuple(multipliers)}"
        )
    if num_blocks < 1:
        raise ValueError(f"num_blocks_per_level must be at least 1, got {num_blocks}")
    if len(multipliers) > _MAX_LEVELS:
        warnings.warn(
            f"{len(multipliers)} channel_multipliers: each level beyond the first halves the "
            f"image, and more than {_MAX_LEVELS} leave little of it",
            UserWarning,
            stacklevel=3,
        )


def _check_groups(model_channels: int, groups: int) -> None:
    if groups < 1 or model_channels % groups:
        raise ValueError(
            f"block_groups must divide the {model_channels} model_channels, got {groups}"
        )
