"""Denoisers and the functions that make one denoiser out of another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import Share, checked, instance, integers, tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x of shape (b, ...), t of shape (b,)) -> an estimate of x_start in the shape of x."""

Limit = float | tuple[float, ...]
"""One number, or one for each column, which is the last axis."""

UNLABELLED = 0
"""The label of samples without one; classes are 1..n."""


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
@dataclass(frozen=True)
class ClassifierFreeGuidance:
    """A denoiser pushed towards its labels (Ho & Salimans 2022, arXiv:2207.12598, eq. 6).

    Estimates x_start as `uncond + scale * (cond - uncond)`: scale 1 is the plain conditional model
    and 0 ignores the labels, and either evaluates b samples; any other evaluates 2b in one call.
    The paper's weight is w = scale - 1. Mixing estimates of x_start is mixing estimates of the
    noise: given x_t each is an affine function of the other, and the two weights sum to one.

    Args:
        denoise: (x, t, labels) -> x_start.
        labels: (b,), integers in the order of the samples; 0 is unlabelled.
        scale: the guidance scale, finite and >= 0.

    Raises:
        TypeError: a denoiser that cannot be called, labels that are no tensor of integers.
        ValueError: a scale that is negative or not finite, or labels that are not one-dimensional;
            when called, another number of samples than of labels.
    """

    denoise: Callable[[Tensor, Tensor, Tensor], Tensor]
    labels: Annotated[Tensor, integers, "b"]
    scale: Annotated[float, "[0, inf)"] = 1.0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The guided estimate of x_start for x of shape (b, ...) at times t of shape (b,)."""
        if len(x) != len(self.labels):
            raise ValueError(f"got {len(x)} samples for {len(self.labels)} labels")
        labels = self.labels.to(x.device)
        nothing = torch.full_like(labels, UNLABELLED)
        if self.scale == 1:
            return self.denoise(x, t, labels)
        if self.scale == 0:
            return self.denoise(x, t, nothing)
        both = self.denoise(torch.cat([x, x]), t.repeat(2), torch.cat([labels, nothing]))
        cond, uncond = both.chunk(2)
        return uncond + self.scale * (cond - uncond)


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
            instance(name, value, float, int)
    least, most = (torch.tensor(limit, dtype=torch.float64) for limit in (low, high))
    if least.ndim and most.ndim and len(least) != len(most):
        raise ValueError(f"low and high have {len(least)} and {len(most)} columns")
    least, most = torch.broadcast_tensors(least, most)
    if not bool((least < most).all()):
        raise ValueError(f"low must be below high, got {low} and {high}")
    return least, most


@checked
def drop_labels(
    labels: Annotated[Tensor, integers], prob: Share, generator: torch.Generator | None = None
) -> Tensor:
    """A copy of the labels in which each is 0 (unlabelled) with this probability.

    Training with it teaches one network the conditional and the unconditional model (Ho & Salimans
    2022, algorithm 1). The draws are made on the CPU.

    Raises:
        TypeError: labels that are no tensor of integers, or a probability that is no number.
        ValueError: prob outside [0, 1].
    """
    dropped = torch.rand(labels.shape, generator=generator) < prob
    return labels.masked_fill(dropped.to(labels.device), UNLABELLED)
