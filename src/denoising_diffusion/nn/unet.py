"""The U-Net, built by nesting skip connections."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypedDict, Unpack

from denoising_diffusion.checks import Count, Share, Sizes, checked, integer, sizes
from denoising_diffusion.nn._checks import divides
from denoising_diffusion.nn.blocks import BlockLayer, ResBlock
from denoising_diffusion.nn.embedded import Embedded
from denoising_diffusion.nn.embedding import unet_time_embedding
from denoising_diffusion.nn.init import seed_init
from denoising_diffusion.nn.levels import Block, Plan
from denoising_diffusion.warn import warn

_MAX_LEVELS = 5


class UNetOptions(TypedDict, total=False):
    """Options of `UNet.for_data`, described at `UNet`."""

    model_channels: int
    channel_multipliers: tuple[int, ...]
    num_blocks_per_level: int
    block_groups: int
    num_attention_heads: int
    middle_attention: bool
    dropout: float


def fitted(options: UNetOptions, shape: Sequence[int]) -> dict[str, Any]:
    """The options for data of this shape, those that are not given filled in."""
    given: dict[str, Any] = {"model_channels": 16, **options}
    if given.get("channel_multipliers") == ():
        halvings = int(math.log2(max(1.0, min(shape[1:]) / 6)))
        given["channel_multipliers"] = (1, 2, 4, 4)[: max(2, halvings + 1)]
    return given


@checked
class UNet(Embedded):
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
        pad: whether sizes that cannot be halved between the levels are filled up with zeros at the
            bottom and the right, as the convolutions do themselves (repeated edges would repeat
            their noise), and the answer is cut back. Without it they are refused.
        dropout: the share of values within each block that are dropped in training.
        augmentations: values of the codes that tell how examples were changed (see
            `PictureAugment`); 0 for a network that is not told.

    Raises:
        ValueError: an argument outside these limits; when called, x, t or labels of a wrong shape,
            labels outside 0..n, or labels for a network without classes.
        TypeError: arguments of other types.

    Warns:
        UserWarning: more than five levels.
    """

    def __init__(
        self,
        in_channels: Count,
        model_channels: Count,
        num_timesteps: int,
        *,
        out_channels: Count | None = None,
        dims: Annotated[int, 1, 2] = 2,
        channel_multipliers: Sizes = (1, 2, 4),
        block_layer: BlockLayer = ResBlock,
        num_blocks_per_level: Count = 1,
        block_groups: int = 8,
        num_attention_heads: Count = 4,
        middle_attention: bool = True,
        num_classes: Count | None = None,
        combine: Literal["cat", "add", "mul"] = "cat",
        pad: bool = False,
        dropout: Share = 0.0,
        augmentations: Annotated[int, 0] = 0,
    ) -> None:
        divides("block_groups", block_groups, model_channels, "model_channels")
        emb = 4 * model_channels
        divisor = 2 ** (_few(len(channel_multipliers)) - 1)
        super().__init__(
            in_channels,
            out_channels or in_channels,
            unet_time_embedding(num_timesteps, emb),
            emb,
            divisor=divisor,
            dims=dims,
            num_classes=num_classes,
            combine=combine,
            pad=pad,
            augmentations=augmentations,
        )
        self.widths = tuple(model_channels * m for m in channel_multipliers)
        # Blocks of one's own for images need know neither of dims nor of dropout.
        more: dict[str, Any] = {} if dims == 2 else {"dims": dims}
        more |= {"dropout": dropout} if dropout else {}
        plan = Plan(
            dims,
            [model_channels, *self.widths],
            Block(block_layer, self.embedding_width, block_groups, more),
            num_blocks_per_level,
            num_attention_heads if middle_attention else None,
        )
        self.layers = plan.network(in_channels, self.out_channels)
        seed_init(self)

    @classmethod
    def for_data(
        cls,
        data_shape: Sequence[int],
        num_timesteps: int,
        num_classes: int | None,
        augmentations: int = 0,
        **options: Unpack[UNetOptions],
    ) -> Self:
        """The network for images (c, h, w) or signals (c, length); num_classes None is no labels.

        It has 16 model_channels unless told, and pads data whose sizes it cannot halve. Empty
        channel_multipliers are 1, 2, 4, 4, as many as leave at least six values of the shortest
        side, but two.

        Raises:
            ValueError: data_shape is neither.
            ValueError, TypeError: as the constructor.
        """
        shape = sizes("data_shape", data_shape)
        if len(shape) not in (2, 3):
            raise ValueError(
                "network unet takes images (c, h, w) or signals (c, length), the data has shape "
                f"{shape}"
            )
        return cls(
            shape[0],
            num_timesteps=num_timesteps,
            dims=len(shape) - 1,
            num_classes=num_classes,
            augmentations=augmentations,
            pad=True,
            **fitted(options, shape),
        )


def UNetConditioned(
    in_channels: int, model_channels: int, num_timesteps: int, *, num_classes: int, **options: Any
) -> UNet:
    """A `UNet` with labels: the same arguments, of which num_classes is required."""
    integer("num_classes", num_classes, 1)
    return UNet(in_channels, model_channels, num_timesteps, num_classes=num_classes, **options)


def _few(levels: int) -> int:
    """The number of levels, with a warning where they are many."""
    if levels > _MAX_LEVELS:
        warn(
            f"{levels} channel_multipliers: each level beyond the first halves the size of "
            f"the data, and more than {_MAX_LEVELS} leave little of it"
        )
    return levels
