"""The levels of a U-Net, each inside the skip connection of the one above."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from denoising_diffusion.nn._checks import divides
from denoising_diffusion.nn.attention import MultiheadAttention
from denoising_diffusion.nn.blocks import BlockLayer, Downsample, Upsample
from denoising_diffusion.nn.chain import Conditional, ConditionalChain, ConditionalSkipConnection
from denoising_diffusion.nn.convolution import convolution


class Block(NamedTuple):
    """What makes a block of so many channels in and out."""

    layer: BlockLayer
    width: int
    groups: int
    more: dict[str, Any]

    def __call__(self, i: int, o: int) -> Conditional:
        """A block of i channels in and o out."""
        return self.layer(i, o, self.width, self.groups, **self.more)


class Plan(NamedTuple):
    """The levels of a U-Net; level l gets channels[l - 1] and hands on channels[l]."""

    dims: int
    channels: list[int]
    block: Block
    num_blocks: int
    num_heads: int | None

    def network(self, in_channels: int, out_channels: int) -> ConditionalChain:
        """The layers from images of in_channels to an answer of out_channels."""
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
