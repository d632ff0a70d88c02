"""The split of a data set into a part to train on and a part held out."""

import math

import torch
from torch import Tensor

from denoising_diffusion import seeds


def split_validation(num: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on and indices held out: disjoint, together 0..num - 1.

    Args:
        num: the number of samples.
        fraction: the share held out, rounded down to whole samples.
        seed: equal seeds give equal splits.

    Returns:
        training (num - k,) and validation (k,) indices, int64, in random order.

    Raises:
        ValueError: a negative num, or a fraction outside [0, 1].
    """
    if num < 0:
        raise ValueError(f"num must be >= 0, got {num}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie in [0, 1], got {fraction}")
    held_out = min(num, math.floor(num * fraction + 1e-9))  # 0.29 * 100 is 28.999999999999996
    order = torch.randperm(num, generator=seeds.stream(seed, "split"))
    return order[held_out:], order[:held_out]
