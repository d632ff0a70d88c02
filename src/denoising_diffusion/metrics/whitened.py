"""Features brought to one measure: whitened principal components over the training data."""

from dataclasses import dataclass

import torch
from torch import Tensor

from denoising_diffusion.checks import checked
from denoising_diffusion.metrics._checks import Features

_MOST = 64
"""Components. Distances of some hundred rows see little in more, and err by more."""
_ROWS = 8
"""Rows that a component takes to be measured."""
_LEAST = 1e-3
"""Of the deviation of the first component: those below are rounding, or nearly constant."""


@dataclass(frozen=True, eq=False)
class Whitened:
    """Principal components, each shifted and scaled to mean 0 and variance 1 over training data.

    The kernel of `kernel_distance` adds products of features, so it needs them in one unit: left as
    they are, the few directions of most variance, often mere brightness, would drown all others.

    Args:
        mean: (d,) float64.
        directions: (d, k) float64, divided by the deviations.
    """

    mean: Tensor
    directions: Tensor

    @classmethod
    @checked
    def over(cls, features: Features) -> "Whitened":
        """The components of the features (n, d) of training data: at most 64 and n / 8, at least 1.

        Raises:
            ValueError: another shape, no rows, or values that are not finite.
            TypeError: anything but a tensor of numbers.
        """
        x = features.detach().cpu().double()
        mean = x.mean(0)
        centred = x - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
        deviations = values.clamp(min=0).sqrt().flip(0)
        seen = int((deviations > _LEAST * deviations[0]).sum())
        count = max(1, min(_MOST, len(x) // _ROWS, seen))
        scale = deviations[:count]
        # A single row, or equal ones, have no deviation to divide by.
        return cls(mean, vectors.flip(1)[:, :count] / torch.where(scale > 0, scale, 1.0))

    def __call__(self, features: Tensor) -> Tensor:
        """Features (n, d) -> components (n, k), float64."""
        return (features.detach().cpu().double() - self.mean) @ self.directions
