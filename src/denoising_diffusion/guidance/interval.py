"""Guidance in an interval of noise levels alone."""

from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import checked
from denoising_diffusion.guidance.denoisers import Denoiser
from denoising_diffusion.schedule import Schedule


@checked
def within_interval(
    guided: Denoiser,
    plain: Denoiser,
    schedule: Schedule,
    low: Annotated[float, "[0, inf)"],
    high: Annotated[float, "[-inf, inf]"],
) -> Denoiser:
    """`guided` where low < sigma / alpha <= high, and `plain` elsewhere.

    Guidance harms at high noise, where it takes variety away, and does nothing at low noise
    (Kynkäänniemi et al. 2024, arXiv:2404.07724, eq. 5; their sigma is our sigma / alpha). Where all
    samples are at one time, as in every sampler, one of the two is asked; where they are not, both.

    Args:
        guided: (x, t) -> x_start, such as a `ClassifierFreeGuidance`.
        plain: (x, t) -> x_start, such as the same model with its labels bound.
        schedule: of the model.
        low: the noise over the signal above which samples are guided, at least 0.
        high: up to which they are; infinity has no end.

    Raises:
        TypeError: denoisers that cannot be called, or arguments of other types.
        ValueError: low is negative or not below high.
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low:g} and {high:g}")

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        inside = is_within(schedule, t, low, high)  # waits for the device, which saves an answer
        if bool(inside.all()):
            return guided(x, t)
        if not bool(inside.any()):
            return plain(x, t)
        inside = inside.to(x.device).view(-1, *[1] * (x.ndim - 1))
        return torch.where(inside, guided(x, t), plain(x, t))

    return denoise


def is_within(schedule: Schedule, t: Tensor, low: float, high: float) -> Tensor:
    """Whether low < sigma / alpha <= high at these times: bool on the host, in the shape of t."""
    alpha, sigma = schedule(t)
    ratio = sigma / alpha
    return (ratio > low) & (ratio <= high)
