"""Averages of a model's weights over the course of training."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from denoising_diffusion.checks import Count, checked, number

Decay = Callable[[int], float]
"""(optimiser step, counted from 1) -> the weight of the old average, in [0, 1]."""


def warmed_up(limit: float) -> Decay:
    """min(limit, (1 + k) / (10 + k)) after step k.

    The random initial weights are forgotten at once, and short runs are averaged over a fitting
    part of them.

    Raises:
        ValueError: limit outside [0, 1).
    """
    number("ema decay", limit, "[0, 1)")
    return lambda step: min(limit, (1 + step) / (10 + step))


class EMA:
    """Keeps `model`, a copy whose weights trail those of the model that is trained.

    Args:
        model: the model that is trained; it is copied.
        decay: the limit of an exponential average that is warmed up (`warmed_up`), in [0, 1), or
            the decay of every step.

    Raises:
        TypeError: a model that is no module, or a decay that is neither.
        ValueError: decay outside [0, 1).
    """

    @checked
    def __init__(self, model: nn.Module, decay: float | Decay = 0.999) -> None:
        self.decay = decay if callable(decay) else warmed_up(decay)
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    @checked
    @torch.no_grad()
    def update(self, model: nn.Module, step: Count) -> None:
        """Move towards the weights that `model` has after optimiser step `step`, counted from 1.

        Raises:
            ValueError: a step below 1.
        """
        decay = self.decay(step)
        for own, other in zip(self.model.parameters(), model.parameters(), strict=True):
            own.lerp_(other, 1 - decay)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)
