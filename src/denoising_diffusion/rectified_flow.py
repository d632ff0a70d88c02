"""Rectified flow: straight lines from data to noise (Liu et al. 2022, arXiv:2209.03003)."""

import torch
from torch import Tensor

from denoising_diffusion.checks import MAX_TIMESTEPS, integer
from denoising_diffusion.prediction import Prediction
from denoising_diffusion.schedule import Schedule


def rectified_flow(*, timesteps: int = 100) -> Schedule:
    """x = (1 − t / T) x_0 + t / T · noise: alpha falls to 0 as evenly as sigma rises to 1.

    Raises:
        ValueError: timesteps outside 1..10⁶.
    """
    t = torch.linspace(
        0, 1, integer("timesteps", timesteps, 1, MAX_TIMESTEPS) + 1, dtype=torch.float64
    )
    return Schedule(1 - t, t)


def velocity() -> Prediction:
    """y = noise − x_start, the slope of such a line.

    skip = 1 / (alpha + sigma), out = −sigma / (alpha + sigma).
    """

    def coefficients(alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return 1 / (alpha + sigma), -sigma / (alpha + sigma)

    return Prediction(coefficients)
