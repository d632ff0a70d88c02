"""Convolutions over images (b, channels, h, w) or signals (b, channels, length)."""

from typing import Any

from torch import nn

from denoising_diffusion.checks import Count, checked, integer


@checked
def convolution(
    in_channels: Count,
    out_channels: Count,
    dims: int = 2,
    kernel: int = 3,
    *,
    layers: tuple[type[nn.Conv1d], type[nn.Conv2d]] = (nn.Conv1d, nn.Conv2d),
    **options: Any,
) -> nn.Conv1d | nn.Conv2d:
    """A convolution with padding 1 over dims = 1 or 2 dimensions; options are torch's.

    Raises:
        ValueError: channels below 1, or other dims.
        TypeError: arguments of other types.
    """
    layer = layers[integer("dims", dims, 1, 2) - 1]
    return layer(in_channels, out_channels, kernel, padding=1, **options)
