"""Where images stand in a picture."""

from typing import NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.kinds.base import Names, square

MOST_NAMED = 100
"""Above this number of images that stand in no rows of one class, names would fill the picture."""
_FLAT = 2
"""A grid is as good as square up to this ratio of its sides, in images."""
_LONGEST = 6
"""Up to this number, pairs stand in one row."""


class Arrangement(NamedTuple):
    """Where images stand: `order` has their numbers, row by row, and -1 for a place left empty."""

    order: list[int]
    columns: int
    row_names: list[str] | None = None
    names: list[str] | None = None

    def of(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] in this order, with paper in empty places."""
        return torch.cat([x, torch.ones_like(x[:1])])[self.order]


def arranged(count: int, names: Names) -> Arrangement:
    """As squarely as it can be: rows of one class, named once, if that is nearly square.

    Otherwise the images stand in their order, with names above them if there are few.
    """
    if names is None:
        return Arrangement(list(range(count)), square(count))
    classes: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        classes.setdefault(name, []).append(i)
    groups = list(classes.values())

    def rows(columns: int) -> int:
        return sum(-(-len(group) // columns) for group in groups)

    widest = max(map(len, groups))
    # The squarest; of those the one with the fewest places left empty, and the fewest rows.
    columns = min(range(1, widest + 1), key=lambda c: (max(rows(c), c), rows(c) * c, rows(c)))
    if max(rows(columns), columns) > _FLAT * min(rows(columns), columns):
        shown = list(names) if count <= MOST_NAMED else None
        return Arrangement(list(range(count)), square(count), names=shown)
    order: list[int] = []
    row_names: list[str] = []
    for group in groups:
        row_names += [names[group[0]], *[""] * (-(-len(group) // columns) - 1)]
        order += [*group, *[-1] * (-len(group) % columns)]
    return Arrangement(order, columns, row_names)


def paired(count: int, names: Names) -> Arrangement:
    """Rows of states, and below each one that of estimates, which are numbered after the states."""
    columns = count if count <= _LONGEST else square(2 * count)
    order: list[int] = []
    for first in range(0, count, columns):
        row = list(range(first, min(first + columns, count)))
        empty = [-1] * (columns - len(row))
        order += [*row, *empty, *(count + i for i in row), *empty]
    above = (
        None
        if names is None or count > MOST_NAMED
        else [names[i % count] if i >= 0 else "" for i in order]
    )
    return Arrangement(order, columns, ["x_t", "x_0"] * (len(order) // (2 * columns)), above)
