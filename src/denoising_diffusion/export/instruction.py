"""What a page does, one operation after the other."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Ref(NamedTuple):
    """A value that depends on the inputs."""

    number: int
    shape: tuple[int, ...]
    dtype: torch.dtype


class Instruction(NamedTuple):
    """One operation of a page: what it takes, makes, and how."""

    op: str
    given: list[int]
    number: int
    shape: tuple[int, ...]
    exact: bool
    how: dict[str, Any]


Put = Callable[..., Ref]
"""(op, given, shape, **how) -> what a new instruction makes."""


Shapes = list[tuple[int, ...]]
"""Those of what a node makes."""
