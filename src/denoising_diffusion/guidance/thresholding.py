"""Dynamic thresholding: estimates scaled into the range of the data, not cut."""

from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import checked
from denoising_diffusion.guidance.denoisers import Denoiser, Limit, check_limits


@checked
def thresholded(
    denoise: Denoiser,
    share: Annotated[float, "(0, 1]"] = 0.995,
    low: Limit = -1.0,
    high: Limit = 1.0,
) -> Denoiser:
    """The denoiser with each estimate of x_start brought into [low, high] by its own scale.

    Measured from the middle of the range in units of half of it, s is this quantile of the absolute
    values of a sample, or 1 where that is more; the values are cut to [-s, s] and divided by s
    (Saharia et al. 2022, arXiv:2205.11487, section 2.3, where the range is [-1, 1]). A sample whose
    quantile lies in the range is `clipped`; another one keeps differences that cutting would lose.
    It takes the place of cutting, and samplers derive the noise anew from what it answers.

    Args:
        denoise: the denoiser.
        share: of the values of a sample that shall not be cut.
        low: a finite number, or one per column, the last axis of x.
        high: likewise.

    Raises:
        TypeError: a denoiser that cannot be called, or arguments of other types.
        ValueError: a share outside (0, 1], or limits as `clipped` refuses them, or infinite ones.
    """
    least, most = check_limits(low, high)
    middle, half = (least + most) / 2, (most - least) / 2
    if not bool(half.isfinite().all()):
        raise ValueError(f"low and high must be finite, got {low} and {high}")

    def scaled(x: Tensor, t: Tensor) -> Tensor:
        estimate = denoise(x, t)
        centre, unit = middle.to(estimate), half.to(estimate)
        value = (estimate - centre) / unit
        most = _quantile(value.abs().flatten(1), share).clamp(min=1)
        most = most.view(-1, *[1] * (value.ndim - 1))
        return centre + unit * (value.clamp(-most, most) / most)

    return scaled


def _quantile(values: Tensor, share: float) -> Tensor:
    """The quantile of every row (b, n), between its two nearest values: (b,), however large n."""
    place = share * (values.shape[1] - 1)
    low = int(place)
    ordered = values.sort(1).values[:, low : low + 2]
    return torch.lerp(ordered[:, 0], ordered[:, -1], place - low)
