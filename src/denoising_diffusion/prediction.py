"""What a network's answer y means: x_start = skip · x + out · y."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Coefficients = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(alpha, sigma), float64 on the host -> (skip, out), in their shape."""

Inputs = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(x (b, ...), t (b,), alpha and sigma, both (b, 1, ...)) -> the x and t that a network sees."""


def as_they_are(x: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The network sees x and t unchanged."""
    return x, t


class Prediction(NamedTuple):
    """A parametrisation of the denoiser: `x_start = skip · x + out · y` for an answer y.

    With x = alpha x_start + sigma noise the network is asked for
    `y = ((1 − skip · alpha) x_start − skip · sigma · noise) / out`, and an error of y is that of
    x_start divided by out: nothing else depends on what is predicted. The coefficients hold for any
    alpha and sigma, for between two rows of a schedule alpha² + sigma² is not 1.

    Args:
        coefficients: (alpha, sigma) -> (skip, out).
        inputs: what the network sees of x and t.
    """

    coefficients: Coefficients
    inputs: Inputs = as_they_are


def noise() -> Prediction:
    """y = noise (Ho et al. 2020, eq. 14): skip = 1 / alpha, out = −sigma / alpha."""

    def coefficients(alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return 1 / alpha, -sigma / alpha

    return Prediction(coefficients)


def x_start() -> Prediction:
    """y = x_start: skip = 0, out = 1."""

    def coefficients(alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(alpha), torch.ones_like(alpha)

    return Prediction(coefficients)


def v() -> Prediction:
    """y = alpha · noise − sigma · x_start (Salimans & Ho 2022, appendix D).

    skip = alpha / (alpha² + sigma²), out = −sigma / (alpha² + sigma²).
    """

    def coefficients(alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        square = alpha**2 + sigma**2
        return alpha / square, -sigma / square

    return Prediction(coefficients)
