"""What U-Nets have in common: the embedding of times, labels and codes, and padding."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoising_diffusion.checks import tensor
from denoising_diffusion.nn._checks import check_data, check_labels
from denoising_diffusion.nn.chain import Conditional


class Embedded(Conditional):
    """A network `layers(x, emb)`, called with times, labels and codes instead of their embedding.

    Args:
        in_channels: channels of the images.
        out_channels: channels of the answer.
        time_embedding: (b,) -> (b, width).
        width: of the embeddings of time and label.
        divisor: what the sizes of x must be divisible by for `layers`.
        dims: 2 for images, 1 for signals.
        num_classes: n, for labels 1..n and 0 for none; None for a network without labels.
        combine: how the embeddings of time and label are joined: side by side, sum or product.
        pad: whether x is filled up to such sizes, and the answer cut back.
        augmentations: values of the codes that tell how examples were changed.
    """

    layers: Callable[[Tensor, Tensor], Tensor]
    """(x, emb) -> the answer."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_embedding: nn.Module,
        width: int,
        *,
        divisor: int,
        dims: int = 2,
        num_classes: int | None = None,
        combine: Literal["cat", "add", "mul"] = "add",
        pad: bool = False,
        augmentations: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.dims = in_channels, out_channels, dims
        self.num_classes, self.combine = num_classes, combine
        self.divisor, self.pad = divisor, pad
        self.time_embedding = time_embedding
        self.class_embedding = None if num_classes is None else nn.Embedding(num_classes + 1, width)
        self.embedding_width = width * (2 if num_classes is not None and combine == "cat" else 1)
        self.augmentation = None
        if augmentations:
            self.augmentation = nn.Linear(augmentations, self.embedding_width, bias=False)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None = None,
        augmentation: Tensor | None = None,
    ) -> Tensor:
        """One evaluation.

        Args:
            x: (b, in_channels, h, w), h and w divisible by 2^(levels - 1) unless the network pads;
                with dims = 1 (b, in_channels, length).
            t: (b,), real times.
            labels: (b,), integers in 0..n, checked where they are on the CPU; None for all 0.
            augmentation: (b, augmentations), the codes; None for examples as they are, all 0.

        Returns:
            A tensor of the shape of x, but with out_channels channels.
        """
        check_data(x, self.in_channels, self.dims, 1 if self.pad else self.divisor)
        return self.answer(x, self.embedded(x, t, labels, augmentation))

    def embedded(
        self, x: Tensor, t: Tensor, labels: Tensor | None, augmentation: Tensor | None
    ) -> Tensor:
        """The embedding (b, embedding_width) of times, labels and codes of x; see `forward`."""
        tensor("t", t, x.shape[0], holds="numbers")
        emb = self.time_embedding(t)
        labels = check_labels(x, labels, self.num_classes)
        if labels is not None and self.class_embedding is not None:
            emb = self._combined(emb, self.class_embedding(labels))
        if augmentation is not None:
            emb = emb + self._told(x, augmentation)
        return emb

    def answer(self, x: Tensor, emb: Tensor) -> Tensor:
        """The answer to x with this embedding; see `forward`."""
        missing = [-n % self.divisor for n in x.shape[2:]]
        if not any(missing):
            return self.layers(x, emb)
        # F.pad begins with the last dimension, and takes the room before and after each.
        y = self.layers(F.pad(x, [r for n in reversed(missing) for r in (0, n)]), emb)
        return y[(..., *(slice(n) for n in x.shape[2:]))]

    def _told(self, x: Tensor, code: Tensor) -> Tensor:
        """What is added to the embedding, in all of its width."""
        if self.augmentation is None:
            raise ValueError("codes need a network built with augmentations, got one without")
        tensor("augmentation", code, len(x), self.augmentation.in_features, holds="floats")
        return self.augmentation(code)

    def _combined(self, time: Tensor, label: Tensor) -> Tensor:
        if self.combine == "cat":
            return torch.cat([time, label], dim=1)
        return time + label if self.combine == "add" else time * label
