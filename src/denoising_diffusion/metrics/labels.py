"""Classes, counted from 0: those asked for against those read, and in which proportions."""

import warnings

import torch
from torch import Tensor

from denoising_diffusion.metrics._checks import classes


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
    from sklearn.metrics import confusion_matrix as counted

    rows = classes("asked", asked, num_classes)
    columns = classes("read", read, num_classes, len(rows))
    if len(rows) == 0:  # which scikit-learn refuses
        return torch.zeros(num_classes, num_classes, dtype=torch.int64)
    with warnings.catch_warnings():
        # It doubts that so few classes, or so few samples of many, are meant.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(counted(rows.numpy(), columns.numpy(), labels=range(num_classes)))


def class_proportions(read: Tensor, num_classes: int) -> Tensor:
    """The share of every class among `read` (n,): (num_classes,) float64, summing to 1.

    Raises:
        ValueError: another shape, no samples, no classes, or a class outside the range.
        TypeError: classes that are not integers.
    """
    return _proportions("read", read, num_classes)


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
    found = _proportions("read", read, num_classes)
    expected = _proportions("reference_classes", reference_classes, num_classes)
    return float((found - expected).square().sum())


def _proportions(name: str, value: Tensor, num_classes: int) -> Tensor:
    found = classes(name, value, num_classes)
    if len(found) == 0:
        raise ValueError(f"{name} holds no samples to take proportions of")
    return torch.bincount(found, minlength=num_classes).double() / len(found)
