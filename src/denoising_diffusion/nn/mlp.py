"""The network for points."""

import math
from collections.abc import Sequence
from typing import Annotated, Self, TypedDict, Unpack

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, sizes, tensor
from denoising_diffusion.nn._checks import EvenWidth, check_labels
from denoising_diffusion.nn.chain import Conditional, ConditionalChain, Parallel
from denoising_diffusion.nn.embedding import TimeEmbedding
from denoising_diffusion.nn.init import seed_init


class MLPOptions(TypedDict, total=False):
    """Options of `MLP.for_data`, described at `MLP`."""

    hidden: int
    num_layers: int
    num_octaves: int


@checked
class MLP(Conditional):
    """A multilayer perceptron conditioned on the time and, with num_classes, on a label.

    Every hidden layer is silu(Linear(h) + Linear(sinusoidal embedding of t) [+ Embedding(label)]);
    a linear layer follows. With num_octaves = k the first layer also sees sin and cos of every
    coordinate times π, 2π, 4π, ... (k of them), which sharpens what it can follow (Tancik et al.,
    arXiv:2006.10739).

    Args:
        num_timesteps: T, the last time.
        in_dim: the dimension of the points.
        hidden: the width of the hidden layers, even and at least 4.
        num_layers: the number of hidden layers.
        num_octaves: how many frequencies of the coordinates are added to them.
        num_classes: n, for labels 1..n and 0 for none; None for a network without labels.

    Raises:
        ValueError: an argument outside these limits; when called, x, t or labels of a wrong shape,
            labels outside 0..n, or labels for a network without classes.
        TypeError: arguments of other types.
    """

    def __init__(
        self,
        num_timesteps: int,
        *,
        in_dim: Count = 2,
        hidden: EvenWidth = 16,
        num_layers: Count = 3,
        num_octaves: Annotated[int, 0, 8] = 0,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        self.in_dim, self.num_octaves, self.num_classes = in_dim, num_octaves, num_classes
        layers: list[nn.Module] = []
        for width in [in_dim * (1 + 2 * num_octaves), *[hidden] * (num_layers - 1)]:
            time = TimeEmbedding(num_timesteps, hidden, nn.Linear(hidden, hidden))
            branches: list[nn.Module] = [nn.Linear(width, hidden), time]
            if num_classes is not None:
                branches.append(nn.Embedding(num_classes + 1, hidden))
            layers += [Parallel(*branches), nn.SiLU()]
        self.layers = ConditionalChain(*layers, nn.Linear(hidden, in_dim))
        seed_init(self)

    @classmethod
    def for_data(
        cls,
        data_shape: Sequence[int],
        num_timesteps: int,
        num_classes: int | None,
        num_rows: int | None = None,
        **options: Unpack[MLPOptions],
    ) -> Self:
        """The network for points of shape data_shape, (d,); num_classes None is without labels.

        A hidden of 0 is `fitting_width(num_rows)`.

        Raises:
            ValueError, TypeError: data that are not points, or as the constructor.
        """
        shape = sizes("data_shape", data_shape)
        if options.get("hidden") == 0 and num_rows is not None:
            options["hidden"] = fitting_width(num_rows)
        if len(shape) != 1:
            raise ValueError(f"network mlp takes points, the data has shape {shape}")
        return cls(num_timesteps, in_dim=shape[0], num_classes=num_classes, **options)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: (b, in_dim).
            t: (b,), real times.
            labels: (b,), integers in 0..n, checked where they are on the CPU; None for all 0.

        Returns:
            A tensor of the shape of x.
        """
        tensor("x", x, "b", self.in_dim, holds="floats")
        tensor("t", t, x.shape[0], holds="numbers")
        labels = check_labels(x, labels, self.num_classes)
        h = self._with_octaves(x)
        return self.layers(h, t) if labels is None else self.layers(h, t, labels)

    def _with_octaves(self, x: Tensor) -> Tensor:
        angles = [x * (torch.pi * 2**k) for k in range(self.num_octaves)]
        return torch.cat([x, *(f for a in angles for f in (a.sin(), a.cos()))], dim=1)


@checked
def fitting_width(num_rows: Count) -> int:
    """The width of the hidden layers for this many rows: 16 more for every doubling, 48 to 96.

    48 up to 362 rows, which a wider network begins to copy; 96 from 1,449 on. Both ends were
    measured with the recipe of points.

    Raises:
        TypeError, ValueError: num_rows is no integer of at least 1.
    """
    doublings = round(math.log2(num_rows))
    return min(96, max(48, 16 * (doublings - 5)))
