"""Denoisers: with conditions bound, and with estimates cut to the range of the data."""

from collections.abc import Callable

import torch
from torch import Tensor

from denoising_diffusion.checks import checked, number, tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x of shape (b, ...), t of shape (b,)) -> an estimate of x_start in the shape of x."""

Limit = float | tuple[float, ...]
"""One number, or one for each column, which is the last axis."""


@checked
def bound(denoise: Callable[..., Tensor], *conditions: Tensor) -> Denoiser:
    """The denoiser of these conditions, each (b, ...) in the order of the samples.

    Raises:
        TypeError: denoise cannot be called, or a condition is no tensor.
    """
    for condition in conditions:
        tensor("a condition", condition, "b", ...)
    return lambda x, t: denoise(x, t, *(c.to(x.device) for c in conditions))


@checked
def clipped(denoise: Denoiser, low: Limit = -1.0, high: Limit = 1.0) -> Denoiser:
    """The denoiser with its estimates of x_start cut to [low, high], the range of the data.

    Samplers derive the noise anew from the estimate they are given, so a cut estimate and its noise
    always add up to x_t.

    Args:
        denoise: the denoiser.
        low: a number, or one per column, the last axis of x.
        high: likewise.

    Raises:
        TypeError: a denoiser that cannot be called, or a limit that is neither a number nor a tuple
            of numbers.
        ValueError: low is not below high, in some column, or they have unequal columns.
    """
    least, most = check_limits(low, high)
    if not least.ndim:
        return lambda x, t: denoise(x, t).clamp(least.item(), most.item())

    def cut(x: Tensor, t: Tensor) -> Tensor:
        estimate = denoise(x, t)
        return estimate.clamp(least.to(estimate), most.to(estimate))

    return cut


def check_limits(low: Limit, high: Limit) -> tuple[Tensor, Tensor]:
    """The two limits as float64, both () or both (columns,).

    Raises:
        TypeError, ValueError: as `clipped`.
    """
    for name, limit in (("low", low), ("high", high)):
        for value in limit if isinstance(limit, tuple) else (limit,):
            number(name, value, "[-inf, inf]")
    least, most = (torch.tensor(limit, dtype=torch.float64) for limit in (low, high))
    if least.ndim and most.ndim and len(least) != len(most):
        raise ValueError(f"low and high have {len(least)} and {len(most)} columns")
    least, most = torch.broadcast_tensors(least, most)
    if not bool((least < most).all()):
        raise ValueError(f"low must be below high, got {low} and {high}")
    return least, most
