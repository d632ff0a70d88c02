"""Classes found in the data itself, by clustering."""

import functools
import warnings
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
_DIRECTIONS = 50
"""Principal directions in which distances are measured, where a row has more values."""


@functools.lru_cache(maxsize=1)
def clustered(data: Dataset, clusters: int) -> Dataset:
    """The data set with its k-means clusters as its classes, in the place of any that it has.

    A network that is told the cluster has less to learn than one that is told nothing, and
    samples whose clusters occur as often as in the training data follow the law of all of it
    (Bao et al. 2022, arXiv:2212.00362; Hu et al. 2023, arXiv:2210.06462). Distances are Euclidean,
    in the principal directions of the data where there are more than 50 values in a row. The same
    data have the same clusters: `cluster-1`, the largest, to `cluster-n`.

    Args:
        data: of any kind.
        clusters: how many, in 2..1,000.

    Returns:
        The data set, whose `shares` are those of the clusters in the training data.

    Raises:
        TypeError: no integer.
        ValueError: fewer than 2 or more than 1,000 clusters, or more than there are rows that
            differ.
    """
    integer("data.clusters", clusters, 2, MOST_CLASSES)
    nearest = _nearest(first(data.train, MOST_ROWS)[0], clusters)
    train = _Clustered.of(data.train, nearest)
    return replace(
        data,
        train=train,
        validation=_Clustered.of(data.validation, nearest),
        test=None if data.test is None else _Clustered.of(data.test, nearest),
        class_names=tuple(f"cluster-{i + 1}" for i in range(clusters)),
        shares=tuple(
            (train.labels.bincount(minlength=clusters + 1).double()[1:] / len(train)).tolist()
        ),
    )


def _nearest(x: Tensor, clusters: int) -> "_Nearest":
    """The centres of so many clusters of these rows, found by k-means from one seed."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    seen = _flat(x)
    if clusters > len(seen):
        raise ValueError(_too_many(clusters, len(seen)))
    shift, turn = np.zeros(seen.shape[1]), np.eye(seen.shape[1])
    if min(seen.shape) > _DIRECTIONS:
        # Every part of it has a seed; the sign of a direction changes no distance.
        found: Any = PCA(_DIRECTIONS, svd_solver="randomized", random_state=0).fit(seen)
        shift, turn = found.mean_, found.components_.T
    options: Any = {"n_init": 1, "random_state": 0}
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        places: Any = KMeans(clusters, **options).fit((seen - shift) @ turn)
    counts = np.bincount(places.labels_, minlength=clusters)
    if not counts.all():
        raise ValueError(_too_many(clusters, int((counts > 0).sum())))
    centres = places.cluster_centers_[np.argsort(-counts, kind="stable")]
    return _Nearest(torch.from_numpy(centres), torch.from_numpy(turn), shift)


def _too_many(clusters: int, rows: int) -> str:
    return (
        f"data.clusters must be at most the number of training rows that differ, {rows:,}, "
        f"got {clusters:,}"
    )


def _flat(x: Tensor) -> np.ndarray:
    return x.flatten(1).double().cpu().numpy()


@dataclass(frozen=True)
class _Nearest:
    """The label 1..n of the nearest centre."""

    centres: Tensor
    turn: Tensor
    shift: np.ndarray

    def __call__(self, x: Tensor) -> Tensor:
        places = torch.from_numpy(_flat(x) - self.shift) @ self.turn
        return 1 + torch.cdist(places, self.centres).argmin(1)


@dataclass(frozen=True)
class _Clustered:
    """Rows with other labels."""

    rows: Rows
    labels: Tensor

    @classmethod
    def of(cls, rows: Rows, nearest: _Nearest) -> "_Clustered":
        found = [nearest(x) for x, *_ in blocks(rows)]
        return cls(rows, torch.cat(found) if found else torch.zeros(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]:
        return self.rows[rows][0], self.labels[rows]
