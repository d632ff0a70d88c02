"""Classes, counted from 0: those asked for against those read, and in which proportions."""

import torch
from torch import Tensor


def confusion_matrix(asked: Tensor, read: Tensor, num_classes: int) -> Tensor:
    """How often class `asked`, the row, was read as class `read`, the column.

    Args:
        asked: (n,), integers in 0..num_classes - 1: what the samples were to show.
        read: (n,), likewise: what a classifier finds in them.
        num_classes: c, at least 1.

    Returns:
        (c, c) int64; the counts sum to n.

    Raises:
        ValueError: other shapes, no classes, or a class outside the range.
        TypeError: classes that are not integers.
    """
    _check("asked", asked, num_classes)
    _check("read", read, num_classes)
    if len(asked) != len(read):
        raise ValueError(f"asked and read must have one length, got {len(asked)} and {len(read)}")
    pairs = asked.detach().cpu().long() * num_classes + read.detach().cpu().long()
    counts = torch.bincount(pairs, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def class_proportions(read: Tensor, num_classes: int) -> Tensor:
    """The share of every class among `read` (n,): (num_classes,) float64, summing to 1.

    Raises:
        ValueError: another shape, no samples, no classes, or a class outside the range.
        TypeError: classes that are not integers.
    """
    _check("read", read, num_classes)
    if len(read) == 0:
        raise ValueError("there are no samples to take proportions of")
    counts = torch.bincount(read.detach().cpu().long(), minlength=num_classes)
    return counts.double() / len(read)


def proportion_error(read: Tensor, reference_classes: Tensor, num_classes: int) -> float:
    """The sum over the classes of (share in read - share in reference)², in [0, 2].

    Two independent sets of n and m classes from one law p have (1/n + 1/m)(1 - Σ p²) on average:
    the value below which a difference means nothing. Reference shares that are exactly p have
    m = ∞.

    Args:
        read: (n,), integers in 0..num_classes - 1.
        reference_classes: (m,), likewise.
        num_classes: at least 1.

    Raises:
        ValueError: another shape, no samples, no classes, or a class outside the range.
        TypeError: classes that are not integers.
    """
    found = class_proportions(read, num_classes)
    return float((found - class_proportions(reference_classes, num_classes)).square().sum())


def _check(name: str, classes: Tensor, num_classes: int) -> None:
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if classes.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {tuple(classes.shape)}")
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise TypeError(f"{name} must hold integers, got {classes.dtype}")
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < num_classes:
        raise ValueError(
            f"{name} must lie in 0..{num_classes - 1}, got values from "
            f"{int(classes.min())} to {int(classes.max())}"
        )
