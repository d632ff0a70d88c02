"""Grey levels: how many there are, spread evenly over their cells, and bits per dimension."""

import math
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import Count, checked, finite, floats, tensor
from denoising_diffusion.seeds import RandnLike

Levels = Annotated[int, 2, 2**16]
"""Grey levels, spread evenly over [-1, 1]."""


@checked
def dequantised(
    x: Annotated[Tensor, floats, "b", ...],
    levels: Levels,
    randn_like: RandnLike = torch.randn_like,
) -> Tensor:
    """Grey levels spread evenly over their cells (Theis et al. 2016).

    x + (U − ½) · 2 / (levels − 1), U uniform on [0, 1]. The mean of ln p of such data, with the
    logarithm of a cell's volume, is at most ln P of the levels (see `bits_per_dim`).

    Raises:
        TypeError, ValueError: arguments of other types or beyond their limits; values that are no
            grey levels.
    """
    check_levels(x, levels)
    share = torch.special.ndtr(tensor("the answer of randn_like", randn_like(x), *x.shape))
    return x + (share - 0.5) * (2 / (levels - 1))


@checked
def bits_per_dim(
    log_likelihood: Annotated[Tensor, floats], dims: Count, levels: Levels | None = None
) -> Tensor:
    """−ln p in nats as bits per dimension; with levels, of dequantised data: −ln of p · a cell.

    Raises:
        TypeError, ValueError: arguments of other types or beyond their limits.
    """
    cell = 0.0 if levels is None else math.log(2 / (levels - 1))
    return -(log_likelihood / dims + cell) / math.log(2)


@checked
def grey_levels(x: Annotated[Tensor, finite]) -> int | None:
    """The fewest levels, spread evenly over [-1, 1], that hold all these values; None from 2¹⁶ on.

    uint8 images have 256, unless they use a coarser scale, as 1-bit images do.
    """
    values = x.unique().double()
    if values.numel() == 0 or float(values.abs().max()) > 1 + 1e-6:
        return None
    for steps in range(1, 2**16):
        place = (values + 1) * (steps / 2)
        if bool(((place - place.round()).abs() < 1e-6 * steps + 1e-6).all()):
            return steps + 1
    return None


def check_levels(x: Tensor, levels: int) -> None:
    """Refuse values that are none of these levels.

    Raises:
        ValueError: there is one.
    """
    place = (x.double() + 1) * ((levels - 1) / 2)
    off = (place - place.round()).abs() > 1e-6 * levels + 1e-6
    if bool((off | (x.abs() > 1 + 1e-6)).any()):
        raise ValueError(f"x must hold {levels} grey levels in [-1, 1], got other values")
