"""The kernel distance between two sets of features, without bias, and its uncertainty."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import checked
from denoising_diffusion.metrics._checks import Features, rows
from denoising_diffusion.metrics.estimate import Estimate

# Pairs of rows whose kernel is held at a time: 64 MiB of float64 for any number of rows.
_CHUNK = 2**23

_MOST = 1e20
"""Twelfth powers of features are formed, and must not overflow."""


@dataclass(frozen=True)
class KernelEstimate(Estimate):
    """A kernel distance and its standard error over the choice of both sets.

    The error is NaN where a set has fewer than four rows, too few to estimate it.
    """


@checked
def kernel_distance(features: Features, reference: Tensor) -> KernelEstimate:
    """The squared maximum mean discrepancy of k(x, y) = (x·y / d + 1)³, estimated without bias.

    The kernel inception distance of Bińkowski et al. 2018 (arXiv:1801.01401, section 4), in any
    features: E k(x, x') + E k(y, y') - 2 E k(x, y), means over pairs of different rows (Gretton et
    al. 2012, lemma 6). Unlike the Fréchet distance it does not grow as sets shrink: for two sets of
    one law it is 0 on average, below 0 about half of the time. A set against itself is no such
    pair, for every row has its copy on the other side: the value is then below 0.

    The error takes both sets as drawn, so that value ± interval holds the distance of the laws
    also where few rows are held out; sets of features that meet one reference spread by less. Its
    square estimates the variance without bias: by Hoeffding's decomposition the distance is a sum
    of terms of single rows and of pairs of rows, all uncorrelated. Where the laws are equal only
    those of pairs are left, which the resampling of rows would count twice.

    Args:
        features: (n, d), n >= 2, of samples.
        reference: (m, d), m >= 2, of real data.

    Raises:
        ValueError: other shapes, fewer than two rows, or values that are not finite or above 1e20.
        TypeError: anything but tensors of numbers.
    """
    x = _enough("features", features, features.shape[1])
    y = _enough("reference", reference, features.shape[1])
    own, other, between = _pairs(x), _pairs(y), _cross(x, y)
    value = own.mean + other.mean - 2 * between.mean
    if min(len(x), len(y)) < 4:
        return KernelEstimate(value, float("nan"))
    of_rows, of_pairs = _variance(own, other, between)
    return KernelEstimate(value, (max(0.0, of_rows) + of_pairs) ** 0.5)


class _Sums(NamedTuple):
    """What is kept of a matrix of kernels.

    Args:
        mean: over its pairs.
        rows: (n,), the sum of each row.
        columns: (m,), likewise.
        residual: the variance of what two rows have beyond the parts of each, without bias; NaN
            where they are too few.
    """

    mean: float
    rows: Tensor
    columns: Tensor
    residual: float


def _variance(own: _Sums, other: _Sums, between: _Sums) -> tuple[float, float]:
    """The variance of the distance that comes from single rows, and from pairs; no bias in either.

    The first may come out below 0, where it is small.
    """
    n, m = len(own.rows), len(other.rows)
    of_rows = 0.0
    for sums, across, k, others in ((own, between.rows, n, m), (other, between.columns, m, n)):
        # Leaving row i out moves the distance by 2 / (n - 1) of this, and by a constant.
        influence = sums.rows / (k - 2) - across / others
        excess = sums.residual / (k - 2) + between.residual / others
        of_rows += 4 / k * (float(influence.var()) - excess)
    of_pairs = 2 / (n * (n - 1)) * own.residual + 2 / (m * (m - 1)) * other.residual
    return of_rows, of_pairs + 4 / (n * m) * between.residual


def _pairs(x: Tensor) -> _Sums:
    """Of the pairs of different rows of x (n, d), each in both orders.

    The residual is the U-centred mean of squares (Székely & Rizzo 2014, definition 2), n >= 4.
    """
    rows, _, squares = _sums(x, x, different=True)
    n, total = len(x), float(rows.sum())
    residual = float("nan")
    if n >= 4:
        within = 2 / (n - 2) * float(rows.square().sum()) - total**2 / ((n - 1) * (n - 2))
        residual = max(0.0, (squares - within) / (n * (n - 3)))  # below 0 by rounding alone
    return _Sums(total / (n * (n - 1)), rows, rows, residual)


def _cross(x: Tensor, y: Tensor) -> _Sums:
    """Of the pairs of a row of x (n, d) and one of y (m, d).

    The residual is that of a two-way layout, over its degrees of freedom.
    """
    rows, columns, squares = _sums(x, y, different=False)
    n, m, total = len(x), len(y), float(rows.sum())
    parts = float(rows.square().sum()) / m + float(columns.square().sum()) / n
    left = squares - parts + total**2 / (n * m)
    return _Sums(total / (n * m), rows, columns, max(0.0, left / ((n - 1) * (m - 1))))


def _sums(x: Tensor, y: Tensor, *, different: bool) -> tuple[Tensor, Tensor, float]:
    """Sums of the kernel over y of every row of x (n,), over x (m,), and of its squares.

    If `different`, y is x, and no row is paired with itself.
    """
    rows: list[Tensor] = []
    columns, squares, first = x.new_zeros(len(y)), 0.0, 0
    for part in x.split(max(1, _CHUNK // len(y))):
        kernel = torch.addmm(x.new_ones(()), part, y.T, alpha=1 / x.shape[1]).pow_(3)
        if different:
            kernel[torch.arange(len(part)), torch.arange(first, first + len(part))] = 0
        rows.append(kernel.sum(1))
        columns += kernel.sum(0)
        squares += float(torch.dot(kernel.flatten(), kernel.flatten()))
        first += len(part)
    return torch.cat(rows), columns, squares


def _enough(name: str, value: Any, width: int) -> Tensor:
    found = rows(name, value, width).detach().cpu().double()
    if len(found) < 2:
        raise ValueError(f"{name} must hold at least 2 rows, got {len(found)}")
    if float(found.abs().max()) > _MOST:
        raise ValueError(f"{name} must hold numbers of at most {_MOST:g}, got larger ones")
    return found
