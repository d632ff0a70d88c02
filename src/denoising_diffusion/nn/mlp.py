"""The network for points."""

import torch
from torch import Tensor, nn

from denoising_diffusion.nn._checks import check_labels, check_num_classes, check_times
from denoising_diffusion.nn.chain import Conditional, ConditionalChain, Parallel
from denoising_diffusion.nn.embedding import TimeEmbedding
from denoising_diffusion.nn.init import seed_init


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
    """

    def __init__(
        self,
        num_timesteps: int,
        *,
        in_dim: int = 2,
        hidden: int = 16,
        num_layers: int = 3,
        num_octaves: int = 0,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if hidden < 4 or hidden % 2:
            raise ValueError(f"hidden must be even and at least 4, got {hidden}")
        if in_dim < 1 or num_layers < 1:
            raise ValueError(
                f"in_dim and num_layers must be at least 1, got {in_dim} and {num_layers}"
            )
        if not 0 <= num_octaves <= 8:
            raise ValueError(f"num_octaves must lie in 0..8, got {num_octaves}")
        check_num_classes(num_classes)
        self.in_dim = in_dim
        self.num_octaves = num_octaves
        self.num_classes = num_classes
        layers: list[nn.Module] = []
        for width in [in_dim * (1 + 2 * num_octaves), *[hidden] * (num_layers - 1)]:
            time = TimeEmbedding(num_timesteps, hidden, nn.Linear(hidden, hidden))
            branches: list[nn.Module] = [nn.Linear(width, hidden), time]
            if num_classes is not None:
                branches.append(nn.Embedding(num_classes + 1, hidden))
            layers += [Parallel(*branches), nn.SiLU()]
        self.layers = ConditionalChain(*layers, nn.Linear(hidden, in_dim))
        seed_init(self)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: (b, in_dim).
            t: (b,), real times.
            labels: (b,), integers in 0..n, checked where they are on the CPU; None for all 0.

        Returns:
            A tensor of the shape of x.
        """
        if x.ndim != 2 or x.shape[1] != self.in_dim:
            raise ValueError(f"x must have shape (b, {self.in_dim}), got {tuple(x.shape)}")
        check_times(x, t)
        labels = check_labels(x, labels, self.num_classes)
        h = self._with_octaves(x)
        return self.layers(h, t) if labels is None else self.layers(h, t, labels)

    def _with_octaves(self, x: Tensor) -> Tensor:
        angles = [x * (torch.pi * 2**k) for k in range(self.num_octaves)]
        return torch.cat([x, *(f for a in angles for f in (a.sin(), a.cos()))], dim=1)
