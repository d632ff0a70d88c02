"""Checks of what networks are called with; they read no values from an accelerator."""

import torch
from torch import Tensor


def check_times(x: Tensor, t: Tensor) -> None:
    """Raises ValueError unless t has shape (len(x),)."""
    if t.ndim != 1 or len(t) != len(x):
        raise ValueError(f"t must have shape ({len(x)},) like the batch, got {tuple(t.shape)}")


def check_image(x: Tensor, in_channels: int, divisor: int) -> None:
    """Raises ValueError unless x is (b, in_channels, h, w) with h and w multiples of divisor."""
    if x.ndim != 4 or x.shape[1] != in_channels:
        raise ValueError(f"x must have shape (b, {in_channels}, h, w), got {tuple(x.shape)}")
    if x.shape[2] % divisor or x.shape[3] % divisor:
        raise ValueError(
            f"height and width of x must be divisible by {divisor}, got {tuple(x.shape[2:])}"
        )


def check_num_classes(num_classes: int | None) -> None:
    """Raises ValueError for a number of classes below 1; None is a network without labels."""
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes must be at least 1 or None, got {num_classes}")


def check_labels(x: Tensor, labels: Tensor | None, num_classes: int | None) -> Tensor | None:
    """The labels as int64 on x's device, zeros for none; None for a network without classes.

    Raises:
        ValueError: labels for a network without classes, of a shape other than (len(x),), that are
            not integers, or (if they are on the CPU: elsewhere looking would make the host wait)
            outside 0..num_classes.
    """
    if num_classes is None:
        if labels is not None:
            raise ValueError("labels need a network built with num_classes, got one without")
        return None
    if labels is None:
        return torch.zeros(len(x), dtype=torch.long, device=x.device)
    if labels.shape != (len(x),):
        raise ValueError(
            f"labels must have shape ({len(x)},) like the batch, got {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    # Reading values would also break a compiled graph in two.
    readable = labels.device.type == "cpu" and not torch.compiler.is_compiling()
    if readable and len(labels) and not 0 <= labels.min() <= labels.max() <= num_classes:
        raise ValueError(
            f"labels must lie in 0..{num_classes}, got {int(labels.min())}..{int(labels.max())}"
        )
    return labels.to(x.device, torch.long)
