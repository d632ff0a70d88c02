"""Classes: from what stands in a file to names in order and numbers from 0."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import integer, number, shown
from denoising_diffusion.data.rows import NONE

MOST_CLASSES = 1000
FEW = 10

_GOLDEN = (5**0.5 - 1) / 2
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?", re.ASCII)


def classes_of(cells: Sequence[str], what: str) -> tuple[tuple[str, ...], Tensor]:
    """The names of the classes in natural order, 2 before 10, and the class of each cell.

    Args:
        cells: names, or whole numbers, of which 1 and 1.0 are the same.
        what: the column they come from, for messages.

    Returns:
        names, and classes (n,) int64, counted from 0.

    Raises:
        ValueError: numbers that are not whole, fewer than 2 or more than 1,000 classes, or a class
            that is named as the absent label is.
    """
    if all(_WHOLE.fullmatch(cell) for cell in cells):
        cells = [cell.partition(".")[0].removeprefix("+") for cell in cells]
    elif all(_WHOLE.fullmatch(cell) or _FRACTION.fullmatch(cell) for cell in cells):
        odd = next(cell for cell in cells if not _WHOLE.fullmatch(cell))
        raise ValueError(f"{what} holds {odd!r}; classes are names or whole numbers")
    return classes_of_names(cells, what)


def classes_of_names(cells: Sequence[str], what: str) -> tuple[tuple[str, ...], Tensor]:
    """`classes_of` cells that are names, whatever they look like.

    Raises:
        ValueError: as `classes_of`, but for numbers.
    """
    names = sorted(set(cells), key=_natural)
    if NONE in names:
        raise ValueError(f"{what} holds {NONE!r}, the name of the absent label; name it otherwise")
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(f"{what} holds {len(names):,} classes, expected 2..{MOST_CLASSES}")
    numbers = {name: i for i, name in enumerate(names)}
    return tuple(names), torch.tensor([numbers[cell] for cell in cells])


def rare(names: tuple[str, ...], classes: Tensor) -> list[str]:
    """What is said of classes with fewer rows than one that is split in tenths."""
    counts = classes.bincount(minlength=len(names)).tolist()
    few = [f"{name!r} {n}" for name, n in zip(names, counts, strict=True) if n < FEW]
    return [f"classes of fewer than {FEW} rows: {', '.join(few[:20])}"] if few else []


def in_proportion(shares: Sequence[float], num: int) -> Tensor:
    """Labels 1..n (num,) int64 in these shares: sample i has the same however many there are.

    Multiples of the golden ratio fill [0, 1) as evenly as any sequence does, so that the number of
    each label among the first k is its share of k but for a few, of the order of log k.

    Args:
        shares: of the n classes, in any unit, such as the numbers of their rows.
        num: how many labels.

    Raises:
        ValueError: no share above 0, or one below; num below 0.
        TypeError: no numbers, or no integer.
    """
    each = torch.tensor([number("shares", s, "[0, inf)") for s in shares], dtype=torch.float64)
    if not bool(each.sum() > 0):
        raise ValueError(f"shares must hold a number above 0, got {shown(shares)}")
    places = (torch.arange(integer("num", num, 0), dtype=torch.float64) + 0.5) * _GOLDEN % 1
    return 1 + torch.searchsorted(each.cumsum(0), places * each.sum(), right=True)


def clusters_of(clusters: Sequence[tuple[int, float]], classes: Tensor) -> Tensor:
    """A cluster 1..k of each class (n,) int64, those of one class in their shares; 0 of 0.

    Args:
        clusters: the class of each, counted from 1, and its share.
        classes: (n,) int64, those without a cluster are 0, none.
    """
    found = torch.zeros_like(classes)
    for k in classes[classes > 0].unique().tolist():
        own = [i for i, (other, _) in enumerate(clusters) if other == k]
        if not own:
            continue
        places = (classes == k).nonzero()[:, 0]
        drawn = in_proportion([clusters[i][1] for i in own], len(places))
        found[places] = torch.tensor(own)[drawn - 1] + 1
    return found


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Digits compare as the numbers they make, and come before letters."""
    try:
        return [(0, int(name), "")], name
    except ValueError:
        pass
    parts = re.split(r"(\d+)", name.casefold())
    split = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p]
    return split, name
