"""Self-attention between the pixels of an image, or the positions of a signal."""

import torch.nn.functional as F
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked
from denoising_diffusion.nn._checks import check_data, divides
from denoising_diffusion.nn.convolution import convolution


@checked
class MultiheadAttention(nn.Module):
    """Multi-head self-attention over pixels, with 3x3 convolutions as projections.

    Queries, keys and values come from one convolution without bias, in that order; a head is a
    contiguous block of head_dim channels. Scores are scaled by 1/sqrt(head_dim) (Vaswani et al.,
    arXiv:1706.03762, eq. 1). There is no norm and no skip connection.

    Args:
        dim: channels of the images.
        head_dim: channels of a head; None for dim / num_heads.
        num_heads: the number of heads.
        dims: 2 for images, 1 for signals (b, dim, length).

    Raises:
        ValueError: num_heads or head_dim below 1; num_heads do not divide dim and head_dim is None;
            when called, x of another shape.
        TypeError: arguments of other types.
    """

    def __init__(
        self, dim: Count, head_dim: Count | None = None, num_heads: Count = 4, dims: int = 2
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        hidden = num_heads * (head_dim or dim // divides("num_heads", num_heads, dim, "channels"))
        self.dims = dims
        self.qkv = convolution(dim, 3 * hidden, dims, bias=False)
        self.out = convolution(hidden, dim, dims)

    def forward(self, x: Tensor) -> Tensor:
        """(b, dim, h, w), or (b, dim, length) -> the same shape and dtype."""
        check_data(x, self.qkv.in_channels, self.dims)
        # (b, 3 * heads * head_dim, h, w) -> three of (b, heads, pixels, head_dim)
        q, k, v = (
            part.flatten(2).unflatten(1, (self.num_heads, -1)).transpose(2, 3)
            for part in self.qkv(x).chunk(3, dim=1)
        )
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out(attended.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:]))
