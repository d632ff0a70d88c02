"""Nearest neighbours: precision and recall, density and coverage, and copies of training data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import checked, tensor
from denoising_diffusion.data.rows import Rows, blocks
from denoising_diffusion.metrics._checks import Features, rows

# Pairs of rows compared at a time: 64 MiB of float64 for any number of rows, small enough to be
# read again from a large cache and large enough for the product of matrices to run at full speed.
_CHUNK = 2**23

_FEW_COLUMNS = 8
_MANY_PAIRS = 2**25
"""Up to so many columns, and from so many pairs on, a tree is sooner done than all pairs are."""


class PrecisionRecall(NamedTuple):
    """How many samples look real, and how much of what is real can be sampled; both in [0, 1]."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How densely samples lie where real ones do, >= 0; how many real ones are met, in [0, 1]."""

    density: float
    coverage: float


@dataclass(frozen=True, eq=False)
class Memorisation:
    """How near samples come to the training data, and how near unseen data of the same law does.

    Args:
        sample_distances: (n,) float64, from each sample to the nearest training row.
        indices: (n,) int64, that row.
        held_out_distances: (m,) float64, from each held-out row to its nearest training row.
    """

    sample_distances: Tensor
    indices: Tensor
    held_out_distances: Tensor

    @property
    def ratio(self) -> float:
        """The median distance of samples over that of held-out rows.

        Near 1, samples are no nearer to the training data than unseen data is; well below 1 they
        copy; well above 1 they are no data. Not a number if half of the held-out rows are copies.
        """
        # quantile() takes the mean of the middle two, median() the lower one.
        real = float(self.held_out_distances.quantile(0.5))
        return float(self.sample_distances.quantile(0.5)) / real if real > 0 else float("nan")


@checked
def nearest(x: Features, reference: Tensor, exclude_self: bool = False) -> tuple[Tensor, Tensor]:
    """The nearest row of the reference (m, d) to every row of x (n, d), in Euclidean distance.

    Args:
        x: (n, d).
        reference: (m, d).
        exclude_self: x is the reference, and row i may not be its own neighbour.

    Returns:
        distances (n,) float64 and row numbers (n,) int64. The distance is computed from the
        difference of the two rows, so that of a copy is exactly 0. Of rows whose squared distances
        agree to rounding (about 1e-13 of the squared norms) any one may be chosen.

    Raises:
        ValueError: other shapes, no rows, values that are not finite, or, with exclude_self, x of
            another shape than the reference, or fewer than two rows.
        TypeError: anything but tensors of numbers, or an exclude_self that is not a bool.
    """
    rows("reference", reference, x.shape[1])
    if exclude_self and x.shape != reference.shape:
        shapes = f"{tuple(x.shape)} and {tuple(reference.shape)}"
        raise ValueError(f"exclude_self takes x that is the reference, got shapes {shapes}")
    if exclude_self and len(x) < 2:
        raise ValueError("exclude_self needs at least 2 rows, got 1")
    few = x.shape[1] <= _FEW_COLUMNS and not exclude_self
    if few and len(x) * len(reference) >= _MANY_PAIRS:
        return _nearest_by_tree(x, reference)
    distances, indices = _nearest(x, reference, 1, exclude_self)
    return distances[:, 0], indices[:, 0]


@checked
def precision_recall(features: Features, reference: Tensor, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991, eqs. 1-2).

    A row stands for the ball that reaches to its k-th nearest neighbour in its own set. Precision
    is the share of features inside a ball of the reference, recall the share of reference rows
    inside a ball of the features. Neither is 1 for two sets of one law, and both depend on the
    sizes: compare with real data of the same size.

    Args:
        features: (n, d), of samples.
        reference: (m, d), of real data.
        k: neighbours, in 1..min(n, m) - 1.

    Raises:
        ValueError: other shapes, no rows, values that are not finite, or k outside its range.
        TypeError: anything but tensors of numbers and an integer.
    """
    rows("reference", reference, features.shape[1])
    _check_k(k, min(len(features), len(reference)))
    in_reference, _ = _hits(features, reference, _radii(reference, k))
    in_features, _ = _hits(reference, features, _radii(features, k))
    return PrecisionRecall(_share(in_reference), _share(in_features))


@checked
def density_coverage(features: Features, reference: Tensor, k: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, arXiv:2002.09797, section 3).

    Balls are those of `precision_recall`, around reference rows alone. Density is the number of
    (feature, ball) pairs with the feature inside, over k n; coverage the share of balls with a
    feature inside. For two sets of one law the expected density is 1, and the expected coverage
    1 - prod over i = 1..k of (m - i) / (n + m - i) (lemma 2), whatever the law. The authors' code
    leaves the surface of a ball out; here it belongs to it, as in precision, so that repeated rows
    are inside their own ball of radius 0.

    Args:
        features: (n, d), of samples.
        reference: (m, d), of real data.
        k: neighbours, in 1..m - 1.

    Raises:
        ValueError: other shapes, no rows, values that are not finite, or k outside its range.
        TypeError: anything but tensors of numbers and an integer.
    """
    rows("reference", reference, features.shape[1])
    _check_k(k, len(reference))
    per_feature, per_ball = _hits(features, reference, _radii(reference, k))
    return DensityCoverage(float(per_feature.sum()) / (k * len(features)), _share(per_ball))


def memorisation(samples: Tensor, train: Tensor | Rows, held_out: Tensor) -> Memorisation:
    """Each sample's nearest training row, and beside it the same of data that was never trained on.

    Samples, training and held-out rows have shapes (n, ...), (m, ...) and (h, ...), images as well
    as features; a row is compared as one flat vector. Training rows may be `Rows`, of which the
    first tensor counts: they are read in blocks, with the answer of the whole.

    Raises:
        ValueError: rows of different shapes, no rows, or values that are not finite.
        TypeError: anything but tensors of numbers.
    """
    shape = tensor("samples", samples, "n", "d", ...).shape[1:]
    given = (("samples", samples), ("held_out", held_out))
    asked = [rows(name, x, *shape).flatten(1) for name, x in given]
    best: list[tuple[Tensor, Tensor]] = []
    before = 0
    for block in _blocks(train, samples):
        known = rows("train", block, *shape).flatten(1)
        found = [(d, i + before) for d, i in (nearest(x, known) for x in asked)]
        best = list(map(_nearer, best, found)) if best else found
        before += len(known)
    (distances, indices), (unseen, _) = best
    return Memorisation(distances, indices, unseen)


def _blocks(train: Any, like: Tensor) -> Iterator[Any]:
    """The training rows in blocks; what is no `Rows`, and no row at all, are one to be refused."""
    if isinstance(train, Tensor) or not isinstance(train, Rows):
        yield train
    elif len(train) == 0:
        yield like[:0]
    else:
        yield from (x for x, *_ in blocks(train, "train"))


def _nearer(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Distances and row numbers of the nearer of two, and of the first of two that are as near."""
    farther = other[0] < one[0]
    return torch.where(farther, other[0], one[0]), torch.where(farther, other[1], one[1])


def _nearest(
    x: Tensor, reference: Tensor, k: int, exclude_self: bool = False
) -> tuple[Tensor, Tensor]:
    """Distances (n, k), rising, and row numbers (n, k) of the k nearest rows of the reference."""
    found: list[tuple[Tensor, Tensor]] = []
    known = reference.detach().cpu()
    for first, part, squares, _ in _squares(x, reference):
        if exclude_self:
            squares[torch.arange(len(part)), torch.arange(first, first + len(part))] = torch.inf
        columns = squares.topk(k, largest=False).indices
        # |x|² + |y|² - 2xy is fast but cancels: two equal rows come out some 1e-8 of their norm
        # apart, and copies are what is looked for. It chooses; the difference measures.
        exact = torch.stack([(part - known[column]).norm(dim=1) for column in columns.T], dim=1)
        exact, order = exact.sort(dim=1)
        found.append((exact, columns.gather(1, order)))
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances), torch.cat(indices)


def _nearest_by_tree(x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    from sklearn.neighbors import KDTree

    known, asked = (v.detach().cpu().double() for v in (reference, x))
    indices = torch.from_numpy(KDTree(known.numpy()).query(asked.numpy(), return_distance=False))
    chosen = indices[:, 0].long()
    return (asked - known[chosen]).norm(dim=1), chosen


def _radii(reference: Tensor, k: int) -> Tensor:
    """The distance (m,) of every row to its k-th nearest other row."""
    return _nearest(reference, reference, k, exclude_self=True)[0][:, -1]


def _hits(points: Tensor, centres: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
    """The number of closed balls around every point (n,), and of points in every ball (m,)."""
    per_point: list[Tensor] = []
    per_ball = torch.zeros(len(centres), dtype=torch.int64)
    for _, _, squares, slack in _squares(points, centres):
        # A point on the surface, or a repeated row in a ball of radius 0, is inside for certain.
        inside = squares - slack <= radii.square()
        per_point.append(inside.sum(1))
        per_ball += inside.sum(0)
    return torch.cat(per_point), per_ball


def _squares(x: Tensor, reference: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Chunks of x: first row, rows (c, d), squared distances (c, m), bound of their error (c, 1).

    The distances differ from the true ones by no more than that bound; a few may come out below 0.
    """
    # In float32 the product of matrices takes half the time, but its errors, up to 1e-4 of the
    # squared norms at width 784, can exceed the gap between the two nearest rows. In float64 they
    # are far below the precision of the data.
    # Distances do not change with the origin; their rounding errors grow with the norms.
    y = reference.detach().to("cpu", torch.float64)
    centre = y.mean(0)
    y = y - centre
    norms = y.square().sum(1)
    # The sums of d terms are each off by less than d units of rounding of |x|² + |y|² in all.
    unit = 2 * (x.shape[1] + 4) * torch.finfo(torch.float64).eps
    first = 0
    for raw in x.detach().cpu().split(max(1, _CHUNK // len(y))):
        part = raw.double()
        moved = part - centre
        own = moved.square().sum(1, keepdim=True)
        squares = torch.addmm(norms, moved, y.T, alpha=-2).add_(own)
        yield first, part, squares, unit * (own + norms.max())
        first += len(part)


def _share(hits: Tensor) -> float:
    return (hits > 0).double().mean().item()


def _check_k(k: int, count: int) -> None:
    if not 1 <= k < count:
        raise ValueError(f"k must lie in 1..{count - 1}, below the number of rows, got {k}")
