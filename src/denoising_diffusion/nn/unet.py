"""The U-Net, built by nesting skip connections."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import function, integer, one_of
from denoising_diffusion.nn._checks import (
    check_data,
    check_labels,
    check_sizes,
    check_times,
    divides,
    flag,
    integers,
)
from denoising_diffusion.nn.attention import MultiheadAttention
from denoising_diffusion.nn.blocks import BlockLayer, Downsample, ResBlock, Upsample
from denoising_diffusion.nn.chain import Conditional, ConditionalChain, ConditionalSkipConnection
from denoising_diffusion.nn.convolution import convolution
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
        out_channels: channels of the answer; None for in_channels.
        dims: 2 for images, 1 for signals (b, in_channels, length): the same network with
            one-dimensional convolutions.
        channel_multipliers: channels that each level hands on, in units of model_channels. There
            are as many levels as multipliers.
        block_layer: (in_channels, out_channels, emb_channels, groups) -> a block; `ResBlock` or
            `ConvEmbed`. For signals it is called with dims=1 too.
        num_blocks_per_level: blocks of a level on the way down, and as many on the way up.
        block_groups: groups of the norms in the blocks.
        num_attention_heads: heads of the attention in the middle; must divide its channels.
        middle_attention: whether there is attention in the middle.
        num_classes: n, for labels 1..n and 0 for none; None for a network without labels.
        combine: how the embeddings of time and label are joined: side by side, sum or product.

    Raises:
        ValueError: an argument outside these limits; when called, x, t or labels of a wrong shape,
            labels outside 0..n, or labels for a network without classes.
        TypeError: arguments of other types.

    Warns:
        UserWarning: more than five levels.
    """

    def __init__(
        self,
        in_channels: int,
        model_channels: int,
        num_timesteps: int,
        *,
        out_channels: int | None = None,
        dims: int = 2,
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
        integer("model_channels", model_channels, 1)
        widths = [model_channels * m for m in _checked_levels(channel_multipliers)]
        divides("block_groups", block_groups, model_channels, "model_channels")
        heads = integer("num_attention_heads", num_attention_heads, 1)
        self.in_channels = integer("in_channels", in_channels, 1)
        out_channels = in_channels if out_channels is None else out_channels
        self.out_channels = integer("out_channels", out_channels, 1)
        self.dims = integer("dims", dims, 1, 2)
        self.num_classes = None if num_classes is None else integer("num_classes", num_classes, 1)
        self.combine = one_of("combine", combine, ("cat", "add", "mul"))
        self.divisor = 2 ** (len(widths) - 1)
        emb = 4 * model_channels
        self.time_embedding = unet_time_embedding(num_timesteps, emb)
        self.class_embedding = None if num_classes is None else nn.Embedding(num_classes + 1, emb)
        block_emb = 2 * emb if num_classes is not None and combine == "cat" else emb
        function("block_layer", block_layer)
        # Blocks of one's own for images need not know of dims.
        block = block_layer if dims == 2 else partial(block_layer, dims=dims)
        levels = _Levels(
            dims=dims,
            channels=[model_channels, *widths],
            block=lambda i, o: block(i, o, block_emb, block_groups),
            num_blocks=integer("num_blocks_per_level", num_blocks_per_level, 1),
            num_heads=heads if flag("middle_attention", middle_attention) else None,
        )
        self.layers = levels.network(in_channels, self.out_channels)
        seed_init(self)

    @classmethod
    def for_data(
        cls,
        data_shape: Sequence[int],
        num_timesteps: int,
        num_classes: int | None,
        *,
        model_channels: int = 16,
        channel_multipliers: tuple[int, ...] = (1, 2, 4),
        num_blocks_per_level: int = 1,
        block_groups: int = 8,
        num_attention_heads: int = 4,
        middle_attention: bool = True,
    ) -> Self:
        """The network for images (c, h, w) or signals (c, length); num_classes None is no labels.

        Raises:
            ValueError: data_shape is neither, or its sizes are not divisible by 2^(levels - 1).
            ValueError, TypeError: as the constructor.
        """
        shape = integers("data_shape", data_shape)
        if len(shape) not in (2, 3):
            raise ValueError(
                "network unet takes images (c, h, w) or signals (c, length), the data has shape "
                f"{shape}"
            )
        network = cls(
            shape[0],
            model_channels,
            num_timesteps,
            dims=len(shape) - 1,
            channel_multipliers=channel_multipliers,
            num_blocks_per_level=num_blocks_per_level,
            block_groups=block_groups,
            num_attention_heads=num_attention_heads,
            middle_attention=middle_attention,
            num_classes=num_classes,
        )
        check_sizes("the data", shape[1:], network.divisor)
        return network

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: (b, in_channels, h, w), h and w divisible by 2^(levels - 1); with dims = 1
                (b, in_channels, length).
            t: (b,), real times.
            labels: (b,), integers in 0..n, checked where they are on the CPU; None for all 0.

        Returns:
            A tensor of the shape of x, but with out_channels channels.
        """
        check_data(x, self.in_channels, self.dims, self.divisor)
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
    in_channels: int, model_channels: int, num_timesteps: int, *, num_classes: int, **options: Any
) -> UNet:
    """A `UNet` with labels: the same arguments, of which num_classes is required."""
    integer("num_classes", num_classes, 1)
    return UNet(in_channels, model_channels, num_timesteps, num_classes=num_classes, **options)


@dataclass(frozen=True)
class _Levels:
    """The levels of a U-Net; level l gets channels[l - 1] and hands on channels[l]."""

    dims: int
    channels: list[int]
    block: Callable[[int, int], Conditional]
    num_blocks: int
    num_heads: int | None

    def network(self, in_channels: int, out_channels: int) -> ConditionalChain:
        return ConditionalChain(
            init=convolution(in_channels, self.channels[0], self.dims),
            **self._level(1),
            # not channels[0]: the two differ where the first multiplier is not 1
            final=convolution(self.channels[1], out_channels, self.dims),
        )

    def _level(self, level: int) -> dict[str, nn.Module]:
        i, o = self.channels[level - 1], self.channels[level]
        inside: dict[str, nn.Module]
        if level == len(self.channels) - 1:
            inside = {f"down_{level + 1}": convolution(i, o, self.dims), **self._middle(o)}
        else:
            inside = {
                f"downsample_{level}": Downsample(i, o, self.dims),
                **self._level(level + 1),
                f"upsample_{level + 1}": Upsample(self.channels[level + 1], o, self.dims),
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
        divides("num_attention_heads", self.num_heads, channels, "channels of the middle")
        attention = MultiheadAttention(channels, num_heads=self.num_heads, dims=self.dims)
        return {
            **first,
            "middle_attention": ConditionalSkipConnection(attention, torch.add),
            "middle_2": self.block(channels, channels),
        }


def _cat_skip_first(h: Tensor, x: Tensor) -> Tensor:
    return torch.cat([x, h], dim=1)


def _checked_levels(multipliers: Sequence[int]) -> tuple[int, ...]:
    found = integers("channel_multipliers", multipliers)
    if len(found) > _MAX_LEVELS:
        warnings.warn(
            f"{len(found)} channel_multipliers: each level beyond the first halves the size of the "
            f"data, and more than {_MAX_LEVELS} leave little of it",
            UserWarning,
            stacklevel=3,
        )
    return found
