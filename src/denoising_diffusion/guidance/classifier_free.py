"""Classifier-free guidance, and the labels hidden in training that it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import Share, checked, integers, tensor

UNLABELLED = 0
"""The label of samples without one; classes are 1..n."""


@checked
@dataclass(frozen=True)
class ClassifierFreeGuidance:
    """A denoiser pushed towards its labels (Ho & Salimans 2022, arXiv:2207.12598, eq. 6).

    Estimates x_start as `uncond + scale * (cond - uncond)`: scale 1 is the plain conditional model
    and 0 ignores the labels, and either evaluates b samples; any other evaluates 2b in one call.
    The paper's weight is w = scale - 1. Mixing estimates of x_start is mixing estimates of the
    noise: given x_t each is an affine function of the other, and the two weights sum to one.

    Args:
        denoise: (x, t, labels) -> x_start.
        labels: (b,), integers in the order of the samples; 0 is unlabelled.
        scale: the guidance scale, finite and >= 0.

    Raises:
        TypeError: a denoiser that cannot be called, labels that are no tensor of integers.
        ValueError: a scale that is negative or not finite, or labels that are not one-dimensional;
            when called, another number of samples than of labels.
    """

    denoise: Callable[[Tensor, Tensor, Tensor], Tensor]
    labels: Annotated[Tensor, integers, "b"]
    scale: Annotated[float, "[0, inf)"] = 1.0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The guided estimate of x_start for x of shape (b, ...) at times t of shape (b,)."""
        if len(x) != len(self.labels):
            raise ValueError(f"got {len(x)} samples for {len(self.labels)} labels")
        labels = self.labels.to(x.device)
        nothing = torch.full_like(labels, UNLABELLED)
        if self.scale == 1:
            return self.denoise(x, t, labels)
        if self.scale == 0:
            return self.denoise(x, t, nothing)
        both = self.denoise(torch.cat([x, x]), t.repeat(2), torch.cat([labels, nothing]))
        cond, uncond = tensor("the answer of denoise", both).chunk(2)
        return uncond + self.scale * (cond - uncond)


@checked
def drop_labels(
    labels: Annotated[Tensor, integers], prob: Share, generator: torch.Generator | None = None
) -> Tensor:
    """A copy of the labels in which each is 0 (unlabelled) with this probability.

    Training with it teaches one network the conditional and the unconditional model (Ho & Salimans
    2022, algorithm 1). The draws are made on the CPU.

    Raises:
        TypeError: labels that are no tensor of integers, or a probability that is no number.
        ValueError: prob outside [0, 1].
    """
    dropped = torch.rand(labels.shape, generator=generator) < prob
    return labels.masked_fill(dropped.to(labels.device), UNLABELLED)
