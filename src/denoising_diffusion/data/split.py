"""The split of a data set into a part to train on and a part held out."""

import math

import torch
from torch import Tensor

from denoising_diffusion import seeds
from denoising_diffusion.checks import integer, number


def split_validation(num: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on and indices held out: disjoint, together 0..num - 1.

    Args:
        num: the number of samples.
        fraction: the share held out, rounded down to whole samples.
        seed: equal seeds give equal splits.

    Returns:
        training (num - k,) and validation (k,) indices, int64, in random order.

    Raises:
        TypeError, ValueError: num or seed is no integer >= 0, or fraction no number in [0, 1].
    """
    integer("num", num, 0)
    number("fraction", fraction, "[0, 1]")
    held_out = min(num, math.floor(num * fraction + 1e-9))  # 0.29 * 100 is 28.999999999999996
    order = torch.randperm(num, generator=seeds.stream(seed, "split"))
    return order[held_out:], order[:held_out]


def split_classes(classes: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """The same split, but that no class is held out whole: its rows are then trained on.

    Args:
        classes: (n,) int64, the class of each sample.
        fraction: see `split_validation`.
        seed: likewise.

    Raises:
        TypeError, ValueError: as `split_validation`.
    """
    train, held_out = split_validation(len(classes), fraction, seed)
    lost = ~torch.isin(classes[held_out], classes[train])
    return torch.cat([train, held_out[lost]]), held_out[~lost]
