"""Scores with the influence of every sample, of images, points and signals."""

from collections.abc import Callable

import torch
from torch import Tensor

from denoising_diffusion.data import Dataset, whole
from denoising_diffusion.data.patterns import curves_of
from denoising_diffusion.data.rows import first
from denoising_diffusion.kinds.base import Moved, Names, Scoring
from denoising_diffusion.kinds.image_distances import MEASURED, Compared, noise_like, seen
from denoising_diffusion.kinds.image_scores import encoder_of, judges_for
from denoising_diffusion.metrics import FeatureStatistics, Score, curve_distances, nearest
from denoising_diffusion.metrics.influence import (
    Influence,
    by_group,
    frechet_influence,
    mean_influence,
    sliced_influence,
)


@torch.no_grad()
def of_images(images: Tensor, names: Names, data: Dataset) -> list[Moved]:
    """The Fréchet distance that `image_scores` takes first, and whether labels are read rightly."""
    real, *classes = whole(data.reference)
    if not data.labelled:
        some = first(data.train, max(len(images), MEASURED))[0]
        own = seen(
            encoder_of(data).features, Compared(images, some, real, noise_like(images, data.clip))
        )
        moved = frechet_influence(own.images, FeatureStatistics.from_features(own.real))
        return [_moved("frechet", "Fréchet distance, features learned without labels", moved)]
    by, *_ = judges_for(data, Scoring(), (real, classes[0] - 1))
    reference = FeatureStatistics.from_features(by.features(real))
    found = [_moved("fld", "Fréchet distance", frechet_influence(by.features(images), reference))]
    if names is not None and set(names) <= set(data.class_names):
        asked = torch.tensor([data.class_names.index(name) for name in names])
        right = mean_influence((by.read(images) == asked).double())
        found.append(_moved("label_agreement", "label agreement", right, ".2%"))
    return [m._replace(judge=by.name) for m in found]


def of_points(x: Tensor, names: Names, data: Dataset) -> list[Moved]:
    """The sliced Wasserstein distance to unseen rows, and the mean distance to curve or data.

    With classes both are means over them, as in `point_scores`.
    """
    groups, train, unseen, laws = _groups(x, names, data)

    def sliced(k: int, part: Tensor) -> Influence:
        return sliced_influence(part, unseen[k])

    def distance(k: int, part: Tensor) -> Influence:
        curve = curves_of(data.name).get(laws[k])
        if curve is None:
            return mean_influence(nearest(part, train[k])[0])
        return mean_influence(curve_distances(data.to_data(part), curve.polyline())[0])

    return [
        _moved("sliced_wasserstein", "sliced Wasserstein", by_group(x, groups, sliced)),
        _moved("mean_distance", "mean distance", by_group(x, groups, distance), ".4f"),
    ]


def of_signals(
    x: Tensor, names: Names, data: Dataset, power: Callable[[Tensor], Tensor]
) -> list[Moved]:
    """The error of the mean power spectrum, whose derivative is the sign of what is too much.

    Args:
        x: (n, c, length).
        names: of the classes.
        data: what is compared with.
        power: the power of each of some signals, (n, c, frequencies).
    """
    groups, _, unseen, _ = _groups(x, names, data)

    def error(k: int, part: Tensor) -> Influence:
        each, expected = power(part), power(unseen[k]).mean(0)
        off = each.mean(0) - expected
        along = (each * off.sign()).sum((1, 2)) / expected.sum()
        return Influence(float(off.abs().sum() / expected.sum()), along - along.mean())

    return [_moved("spectrum_error", "error of the spectrum", by_group(x, groups, error), ".4f")]


def _groups(
    x: Tensor, names: Names, data: Dataset
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[str]]:
    """The samples of every class that was asked for, by number, beside its training and unseen
    rows and its name; all of them as one where there are no classes.
    """
    (known, *of_known), (unseen, *of_unseen) = whole(data.train), whole(data.reference)
    found: list[tuple[Tensor, Tensor, Tensor, str]] = []
    for k, name in enumerate(data.class_names, 1):
        mine = torch.tensor([n == name for n in names or ()], dtype=torch.bool).nonzero()[:, 0]
        train, fresh = known[of_known[0] == k], unseen[of_unseen[0] == k]
        if len(mine) and len(train) and len(fresh):
            found.append((mine, train, fresh, name))
    if not found:
        found = [(torch.arange(len(x)), known, unseen, data.name)]
    groups, trains, fresh_rows, laws = (list(column) for column in zip(*found, strict=True))
    return groups, trains, fresh_rows, laws


def _moved(key: str, title: str, moved: Influence, form: str = ".3f") -> Moved:
    return Moved(Score(key, title, moved.value, form=form), moved)
