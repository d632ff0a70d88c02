"""What networks are made of and called with; nothing here reads values from an accelerator."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from denoising_diffusion.checks import integer, tensor, within

_AXES = {1: ("length",), 2: ("h", "w")}


def even_width(name: str, value: Any) -> int:
    """The value, if it is an even integer of at least 4.

    Raises:
        TypeError, ValueError: it is not.
    """
    if integer(name, value) < 4 or value % 2:
        raise ValueError(f"{name} must be even and at least 4, got {value}")
    return int(value)


EvenWidth = Annotated[int, even_width]


def divides(name: str, value: Any, number: int, of: str) -> int:
    """The value, if it is a divisor of the number of `of`.

    Raises:
        TypeError, ValueError: it is not.
    """
    if integer(name, value) < 1 or number % value:
        raise ValueError(f"{name} must divide the {number} {of}, got {value}")
    return int(value)


def check_data(x: Any, channels: int, dims: int, divisor: int = 1) -> Tensor:
    """The images (b, channels, h, w) or, with dims = 1, signals (b, channels, length)."""
    sizes: Sequence[int] = tensor("x", x, "b", channels, *_AXES[dims], holds="floats").shape[2:]
    if any(n < 1 or n % divisor for n in sizes):
        which = "height and width" if dims == 2 else "length"
        raise ValueError(
            f"{which} of x must be positive and divisible by {divisor}, got {tuple(sizes)}"
        )
    return x


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
    tensor("labels", labels, x.shape[0], holds="integers")
    # Reading values would also break a compiled graph in two, and an exported one could not.
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        within("labels", labels, 0, num_classes)
    return labels.to(x.device, torch.long)
