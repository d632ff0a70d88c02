"""Embeddings of the time."""

import math

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, shown, tensor
from denoising_diffusion.nn._checks import EvenWidth


@checked
class SinusoidalPositionEmbedding(nn.Module):
    """Sines and cosines of the time at dim/2 frequencies, from 1 down to 1e-4, interleaved.

    Columns r and r + 1 (r = 0, 2, ...) are sin(t f) and cos(t f) with f = 10000^(-r / (dim - 2)).
    Vaswani et al. (arXiv:1706.03762, section 3.5) divide by dim; dividing by dim - 2 makes the last
    frequency exactly 1e-4. It is computed rather than looked up, so t may be any real number, and
    there are no parameters.

    Args:
        num_timesteps: T, the last time the network is meant for; it does not change the values.
        dim: the number of columns, even and at least 4.

    Raises:
        ValueError: num_timesteps below 1, or dim odd or below 4; when called, t not of shape (b,).
        TypeError: arguments of other types; when called, t that holds no real numbers.
    """

    def __init__(self, num_timesteps: Count, dim: EvenWidth) -> None:
        super().__init__()
        self.num_timesteps = num_timesteps
        self.dim = dim

    def forward(self, t: Tensor) -> Tensor:
        """(b,), any real dtype -> (b, dim), float32; computed in float64 if t is float64."""
        tensor("t", t, "b", holds="numbers")
        # A table kept as a buffer would be rounded along with the weights by .half() and its like.
        dtype = torch.promote_types(t.dtype, torch.float32)
        row = torch.arange(0, self.dim, 2, device=t.device, dtype=dtype)
        angle = t.to(dtype)[:, None] * torch.exp(row * (-math.log(10000) / (self.dim - 2)))
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()

    def extra_repr(self) -> str:
        """The arguments, for `repr`."""
        return f"num_timesteps={self.num_timesteps}, dim={self.dim}"


@checked
class TimeEmbedding(nn.Module):
    """The sinusoidal embedding of the time, transformed by learnt layers.

    Args:
        num_timesteps: T, the last time the network is meant for.
        dim: the width of the sinusoidal embedding, even and at least 4.
        project: a module with parameters, (b, dim) -> (b, anything); the embedding is cast to the
            dtype of its first parameter, so that networks run in float64 and bfloat16 too.

    Raises:
        ValueError: as `SinusoidalPositionEmbedding`, or a project without parameters.
        TypeError: as `SinusoidalPositionEmbedding`, or a project that is no module.
    """

    def __init__(self, num_timesteps: Count, dim: EvenWidth, project: nn.Module) -> None:
        super().__init__()
        self.position = SinusoidalPositionEmbedding(num_timesteps, dim)
        self.project = project
        if next(project.parameters(), None) is None:
            raise ValueError(f"project must be a module with parameters, got {shown(project)}")

    def forward(self, t: Tensor) -> Tensor:
        """Times of shape (b,) -> the output of `project`."""
        return self.project(self.position(t).to(next(self.project.parameters()).dtype))


def unet_time_embedding(num_timesteps: int, dim: int) -> TimeEmbedding:
    """The time embedding of the U-Nets: (b,) -> (b, dim) through two layers of that width."""
    # The seed's gelu is the tanh approximation; trained weights depend on it.
    gelu = nn.GELU(approximate="tanh")
    project = nn.Sequential(nn.Linear(dim, dim), gelu, nn.Linear(dim, dim))
    return TimeEmbedding(num_timesteps, dim, project)
