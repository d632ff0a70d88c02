"""What metrics are given: rows that can be compared, and classes counted from 0."""

from types import EllipsisType
from typing import Annotated, Any

from torch import Tensor

from denoising_diffusion.checks import finite, integer, tensor, within

_MOST = 1e70
"""Fourth powers of features are formed, and must not overflow."""

_MOST_CLASSES = 2**15
"""A confusion matrix of more would not fit into the memory of most machines."""


def rows(name: str, value: Any, *shape: int | str | EllipsisType) -> Tensor:
    """The value, if it holds at least one row, (n, *shape), of finite numbers below 1e70."""
    found = finite(name, value, "n", *shape)
    if found.numel() == 0:
        raise ValueError(f"{name} has no rows or no columns, got shape {tuple(found.shape)}")
    low, high = found.detach().aminmax()
    if max(-float(low), float(high)) > _MOST:
        raise ValueError(f"{name} must hold numbers of at most {_MOST:g}, got larger ones")
    return found


Features = Annotated[Tensor, rows, "d"]
"""(n, d), n >= 1."""


def classes(name: str, value: Any, num_classes: int, count: int | str = "n") -> Tensor:
    """The value as (count,) int64 on the CPU, if it holds classes 0..num_classes - 1."""
    integer("num_classes", num_classes, 1, _MOST_CLASSES)
    found = tensor(name, value, count, holds="integers").detach().cpu().long()
    return within(name, found, 0, num_classes - 1)
