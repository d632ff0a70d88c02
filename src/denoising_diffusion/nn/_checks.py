"""Checks of what networks are made of and called with; they read no values from an accelerator."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import integer, shown, tensor

_AXES = {1: ("length",), 2: ("h", "w")}


def divides(name: str, value: Any, number: int, of: str) -> int:
    """The value, if it is a divisor of the number of `of`; else a TypeError or ValueError."""
    if integer(name, value) < 1 or number % value:
        raise ValueError(f"{name} must divide the {number} {of}, got {value}")
    return int(value)


def even_width(name: str, value: Any) -> int:
    """The value, if it is an even integer of at least 4; else a TypeError or ValueError."""
    if integer(name, value) < 4 or value % 2:
        raise ValueError(f"{name} must be even and at least 4, got {value}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """The value, if it is a bool; else a TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def module(name: str, value: Any) -> nn.Module:
    """The value, if it is a module; else a TypeError."""
    if not isinstance(value, nn.Module):
        raise TypeError(f"{name} must be a module, got {shown(value)}")
    return value


def integers(name: str, value: Any) -> tuple[int, ...]:
    """The value as a tuple, if it holds integers >= 1, and any; else a TypeError or ValueError."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{name} must be a tuple of integers, got {shown(value)}")
    found = tuple(integer(f"a value in {name}", v) for v in value)
    if not found or min(found) < 1:
        raise ValueError(
            f"{name} must hold at least one integer, all of them at least 1, got {found}"
        )
    return found


def check_sizes(name: str, sizes: Sequence[int], divisor: int) -> None:
    """Raises ValueError unless the sizes of an image or a signal are multiples of the divisor."""
    if any(n < 1 or n % divisor for n in sizes):
        which = "height and width" if len(sizes) == 2 else "length"
        raise ValueError(
            f"{which} of {name} must be positive and divisible by {divisor}, got {tuple(sizes)}"
        )


def check_data(x: Any, channels: int, dims: int, divisor: int = 1) -> Tensor:
    """The images (b, channels, h, w) or, with dims = 1, signals (b, channels, length)."""
    tensor("x", x, "b", channels, *_AXES[dims], holds="floats")
    check_sizes("x", x.shape[2:], divisor)
    return x


def check_times(x: Tensor, t: Any) -> None:
    """Raises TypeError or ValueError unless t holds one number per sample of x."""
    _check_per_sample("t", tensor("t", t, holds="numbers"), x)


def check_labels(x: Tensor, labels: Any, num_classes: int | None) -> Tensor | None:
    """The labels as int64 on x's device, zeros for none; None for a network without classes.

    Raises:
        TypeError: labels that are no tensor of integers.
        ValueError: labels for a network without classes, not one per sample of x, or (if they are
            on the CPU: elsewhere looking would make the host wait) outside 0..num_classes.
    """
    if num_classes is None:
        if labels is not None:
            raise ValueError("labels need a network built with num_classes, got one without")
        return None
    if labels is None:
        return x.new_zeros(x.shape[0], dtype=torch.long)
    _check_per_sample("labels", tensor("labels", labels, holds="integers"), x)
    # Reading values would also break a compiled graph in two, and an exported one could not.
    readable = labels.device.type == "cpu" and not torch.compiler.is_compiling()
    if readable and labels.numel() and not 0 <= labels.min() <= labels.max() <= num_classes:
        raise ValueError(
            f"labels must lie in 0..{num_classes}, got {int(labels.min())}..{int(labels.max())}"
        )
    return labels.to(x.device, torch.long)


def _check_per_sample(name: str, value: Tensor, x: Tensor) -> None:
    # len() would fix the size of the batch in an exported network.
    if value.ndim != 1 or value.shape[0] != x.shape[0]:
        raise ValueError(
            f"{name} must have shape ({x.shape[0]},) like the batch, got {tuple(value.shape)}"
        )
