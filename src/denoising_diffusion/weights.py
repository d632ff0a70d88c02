"""Weights of the squared error of x_start, as functions of λ = ln(alpha² / sigma²)."""

import math

import torch
from torch import Tensor

from denoising_diffusion.checks import number


def min_snr(log_snr: Tensor, *, gamma: float = 5.0) -> Tensor:
    """min(e^λ, gamma) (Hang et al. 2023, arXiv:2303.09556, section 3.4).

    On the error of the noise that is min(1, gamma / e^λ): times with little noise count less.

    Raises:
        ValueError: a gamma that is not above 0.
    """
    return log_snr.exp().clamp(max=number("gamma", gamma, "(0, inf)"))


def sigmoid(log_snr: Tensor, *, bias: float = -1.0) -> Tensor:
    """The sigmoid of bias − λ on the error of the noise: e^λ times as much on that of x_start.

    After Kingma & Gao 2023 (arXiv:2303.00848) and Hoogeboom et al. 2024 (arXiv:2410.19324).

    Raises:
        ValueError: a bias that is not finite.
    """
    # e^λ / (1 + e^(λ - b)), without the infinite factors of either end.
    return torch.sigmoid(log_snr - number("bias", bias)) * math.exp(bias)
