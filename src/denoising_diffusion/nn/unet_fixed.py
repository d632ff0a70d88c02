"""The three-level U-Net written out layer by layer."""

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, tensor
from denoising_diffusion.nn._checks import check_data, divides
from denoising_diffusion.nn.attention import MultiheadAttention
from denoising_diffusion.nn.blocks import BlockLayer, Downsample, ResBlock, Upsample
from denoising_diffusion.nn.chain import Conditional
from denoising_diffusion.nn.embedding import unet_time_embedding
from denoising_diffusion.nn.init import seed_init


@checked
class UNetFixed(Conditional):
    """`UNet` with channel multipliers (1, 2, 4), one block per level and attention, for reading.

    Sixteen layers: seven down, three in the middle, six up. Its parameters come in the same order
    and shapes as those of that `UNet`, and with equal parameters the outputs are equal.

    Args:
        in_channels: channels of the images.
        model_channels: channels of the first level; block_groups must divide them.
        num_timesteps: T, the last time.
        block_layer: (in_channels, out_channels, emb_channels, groups) -> a block; `ResBlock` or
            `ConvEmbed`.
        block_groups: groups of the norms in the blocks.
        num_attention_heads: heads of the attention; must divide 4 * model_channels.

    Raises:
        ValueError: groups or heads that do not divide; when called, x or t of a wrong shape.
        TypeError: arguments of other types.
    """

    def __init__(
        self,
        in_channels: Count,
        model_channels: Count,
        num_timesteps: int,
        *,
        block_layer: BlockLayer = ResBlock,
        block_groups: int = 8,
        num_attention_heads: int = 4,
    ) -> None:
        super().__init__()
        d = model_channels
        groups = divides("block_groups", block_groups, d, "model_channels")
        heads = divides("num_attention_heads", num_attention_heads, 4 * d, "channels of the middle")
        self.in_channels = in_channels
        emb = 4 * d
        self.time_embedding = unet_time_embedding(num_timesteps, emb)

        self.init = nn.Conv2d(in_channels, d, 3, padding=1)
        self.down_1 = block_layer(d, d, emb, groups)
        self.downsample_1 = Downsample(d, d)
        self.down_2 = block_layer(d, d, emb, groups)
        self.downsample_2 = Downsample(d, 2 * d)
        self.down_3 = block_layer(2 * d, 2 * d, emb, groups)
        self.down_4 = nn.Conv2d(2 * d, 4 * d, 3, padding=1)

        self.middle_1 = block_layer(4 * d, 4 * d, emb, groups)
        self.middle_attention = MultiheadAttention(4 * d, num_heads=heads)
        self.middle_2 = block_layer(4 * d, 4 * d, emb, groups)

        self.up_3 = block_layer(2 * d + 4 * d, 4 * d, emb, groups)
        self.upsample_3 = Upsample(4 * d, 2 * d)
        self.up_2 = block_layer(d + 2 * d, 2 * d, emb, groups)
        self.upsample_2 = Upsample(2 * d, d)
        self.up_1 = block_layer(d + d, d, emb, groups)
        self.final = nn.Conv2d(d, in_channels, 3, padding=1)
        seed_init(self)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (b, in_channels, h, w), h and w divisible by 4, and t (b,) -> the shape of x."""
        check_data(x, self.in_channels, 2, 4)
        tensor("t", t, x.shape[0], holds="numbers")
        emb = self.time_embedding(t)
        skip_1 = self.down_1(self.init(x), emb)
        skip_2 = self.down_2(self.downsample_1(skip_1), emb)
        skip_3 = self.down_3(self.downsample_2(skip_2), emb)
        h = self.middle_1(self.down_4(skip_3), emb)
        h = h + self.middle_attention(h)
        h = self.middle_2(h, emb)
        h = self.upsample_3(self.up_3(torch.cat([skip_3, h], dim=1), emb))
        h = self.upsample_2(self.up_2(torch.cat([skip_2, h], dim=1), emb))
        h = self.up_1(torch.cat([skip_1, h], dim=1), emb)
        return self.final(h)
