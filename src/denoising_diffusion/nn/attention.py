"""Self-attention between the pixels of an image."""

import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadAttention(nn.Module):
    """Multi-head self-attention over pixels, with 3x3 convolutions as projections.

    Queries, keys and values come from one convolution without bias, in that order; a head is a
    contiguous block of head_dim channels. Scores are scaled by 1/sqrt(head_dim) (Vaswani et al.,
    arXiv:1706.03762, eq. 1). There is no norm and no skip connection.

    Args:
        dim: channels of the images.
        head_dim: channels of a head; None for dim / num_heads.
        num_heads: the number of heads.

    Raises:
        ValueError: num_heads or head_dim below 1; num_heads do not divide dim and head_dim is None.
    """

    def __init__(self, dim: int, head_dim: int | None = None, num_heads: int = 4) -> None:
        super().__init__()
        if num_heads < 1 or (head_dim is None and dim % num_heads):
            raise ValueError(f"num_heads must divide the {dim} channels, got {num_heads}")
        if head_dim is not None and head_dim < 1:
            raise ValueError(f"head_dim must be at least 1, got {head_dim}")
        self.num_heads = num_heads
        hidden = num_heads * (head_dim or dim // num_heads)
        self.qkv = nn.Conv2d(dim, 3 * hidden, 3, padding=1, bias=False)
        self.out = nn.Conv2d(hidden, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, dim, h, w) -> the same shape and dtype."""
        size = x.shape[-2:]
        # (b, 3 * heads * head_dim, h, w) -> three of (b, heads, pixels, head_dim)
        q, k, v = (
            part.flatten(2).unflatten(1, (self.num_heads, -1)).transpose(2, 3)
            for part in self.qkv(x).chunk(3, dim=1)
        )
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out(attended.transpose(2, 3).flatten(1, 2).unflatten(2, size))
