"""An exponential moving average of a model's weights."""

import copy

import torch
from torch import nn


class EMA:
    """Keeps `model`, a copy whose weights trail those of the model that is trained.

    After update k (counted from 1) the decay is min(decay, (1 + k) / (10 + k)), so that the random
    initial weights are forgotten at once and short runs are averaged over a fitting part of them.

    Args:
        model: the model that is trained; it is copied.
        decay: the limit of the decay, in [0, 1).

    Raises:
        ValueError: decay outside [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema decay must lie in [0, 1), got {decay}")
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights that `model` has after optimiser step `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for own, other in zip(self.model.parameters(), model.parameters(), strict=True):
            own.lerp_(other, 1 - decay)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)
