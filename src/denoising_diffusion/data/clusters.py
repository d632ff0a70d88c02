"""Clusters of the data, which a network is told in the place of classes, or within them."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import integer
from denoising_diffusion.data.classes import MOST_CLASSES
from denoising_diffusion.data.rows import Dataset, Rows, blocks, first

MOST_ROWS = 60_000
"""Of the training data, that the centres are found from."""
_ROWS = 20
"""That a cluster has on average, at least: fewer are rather learned one by one."""
_DIRECTIONS = 50
"""Principal directions in which distances are measured, where a row has more values."""


def clustered(data: Dataset, clusters: int) -> Dataset:
    """The data set cut into clusters, whose numbers are the labels: of its classes, if it has any.

    A network that is told the cluster has less to learn than one that is told the class, or
    nothing, and samples whose clusters occur as often as in the training data follow the law of all
    of it (Bao et al. 2022, arXiv:2212.00362; Hu et al. 2023, arXiv:2210.06462). Clusters are those
    of k-means, within a class; the larger a class, the more it has. Distances are Euclidean, in the
    principal directions of the data where there are more than 50 values in a row. The same data
    have the same clusters, which stand in the order of the classes, the largest of each first.

    Args:
        data: of any kind.
        clusters: how many, in 2..1,000. Every class has one at least, and at most one for each 20
            rows and for each row that differs, so that there may be fewer.

    Raises:
        TypeError, ValueError: no integer in 2..1,000.
    """
    return _clustered(data, integer("data.clusters", clusters, 2, MOST_CLASSES))


@functools.lru_cache(maxsize=1)
def _clustered(data: Dataset, clusters: int) -> Dataset:
    x, *labels = first(data.train, MOST_ROWS)
    classes = labels[0] if labels else torch.zeros(len(x), dtype=torch.int64)
    nearest = _nearest(x, classes, clusters)
    train = _Clustered.of(data.train, nearest)
    count = len(nearest.classes) + 1
    shares = train.labels.bincount(minlength=count).double()[1:] / len(train)
    return replace(
        data,
        train=train,
        validation=_Clustered.of(data.validation, nearest),
        test=None if data.test is None else _Clustered.of(data.test, nearest),
        clusters=tuple(zip(nearest.classes.tolist(), shares.tolist(), strict=True)),
    )


def _nearest(x: Tensor, classes: Tensor, clusters: int) -> "_Nearest":
    """The centres of so many clusters of these rows, found by k-means from one seed."""
    from sklearn.decomposition import PCA

    seen = _flat(x)
    shift, turn = np.zeros(seen.shape[1]), np.eye(seen.shape[1])
    if min(seen.shape) > _DIRECTIONS:
        # Every part of it has a seed; the sign of a direction changes no distance.
        found: Any = PCA(_DIRECTIONS, svd_solver="randomized", random_state=0).fit(seen)
        shift, turn = found.mean_, found.components_.T
    places = (seen - shift) @ turn
    own, counts = (v.tolist() for v in classes.unique(return_counts=True))
    centres = [
        _centres(places[(classes == k).numpy()], size)
        for k, size in zip(own, _allotted(counts, clusters), strict=True)
    ]
    return _Nearest(
        torch.from_numpy(np.concatenate(centres)),
        torch.tensor(own).repeat_interleave(torch.tensor([len(c) for c in centres])),
        torch.from_numpy(turn),
        shift,
    )


def _allotted(counts: list[int], clusters: int) -> list[int]:
    """How many clusters each class has: one, and the others by the rule of D'Hondt."""
    sizes = [1] * len(counts)
    for _ in range(clusters - len(counts)):
        best = max(range(len(counts)), key=lambda i: counts[i] / (sizes[i] + 1))
        sizes[best] += 1
    return sizes


def _centres(places: np.ndarray, most: int) -> np.ndarray:
    """The centres of so many clusters, or as many as the rows are good for, the largest first."""
    from sklearn.cluster import KMeans

    count = min(most, max(1, len(places) // _ROWS), len(np.unique(places, axis=0)))
    options: Any = {"n_init": 1, "random_state": 0}
    found: Any = KMeans(count, **options).fit(places)
    sizes = np.bincount(found.labels_, minlength=count)
    return found.cluster_centers_[np.argsort(-sizes, kind="stable")]


def _flat(x: Tensor) -> np.ndarray:
    return x.flatten(1).double().cpu().numpy()


@dataclass(frozen=True)
class _Nearest:
    """The label 1..k of the nearest centre of the class, counted from 1, or 0 without classes."""

    centres: Tensor
    classes: Tensor
    turn: Tensor
    shift: np.ndarray

    def __call__(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        places = torch.from_numpy(_flat(x) - self.shift) @ self.turn
        distances = torch.cdist(places, self.centres)
        if classes is not None:
            distances[classes.cpu()[:, None] != self.classes] = torch.inf
        least, found = distances.min(1)
        return (1 + found) * least.isfinite()  # a class that training has not is told as none


@dataclass(frozen=True)
class _Clustered:
    """Rows with other labels."""

    rows: Rows
    labels: Tensor

    @classmethod
    def of(cls, rows: Rows, nearest: _Nearest) -> "_Clustered":
        found = [nearest(*parts) for parts in blocks(rows)]
        return cls(rows, torch.cat(found) if found else torch.zeros(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]:
        return self.rows[rows][0], self.labels[rows]
