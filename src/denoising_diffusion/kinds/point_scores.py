"""Scores of points against data that was never trained on, and along a known curve."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from denoising_diffusion.data import Curve, Dataset, whole
from denoising_diffusion.data.patterns import curves_of
from denoising_diffusion.kinds.base import Judgement, Names
from denoising_diffusion.metrics import (
    Memorisation,
    Score,
    arc_histogram_tv,
    directions,
    mean_curve_distance,
    memorisation,
    nearest,
    sliced_wasserstein,
    wasserstein,
)
from denoising_diffusion.seeds import stream

MOST_ROWS = 20_000
"""Held-out rows that are compared with; more say nothing that could be seen."""
_FEW_ROWS = 2000
_LISTED = 6
"""Columns whose own distances stand in the table; the JSON has all."""


def point_scores(samples: Tensor, names: Names, data: Dataset) -> Judgement:
    """Samples (n, d) in model space: overall, or the mean over the classes that were asked for.

    Raises:
        ValueError: a labelled curve without labels of the samples.
    """
    (known, *of_known), (unseen, *of_unseen) = whole(data.train), whole(data.reference)
    found: dict[str, list[Score]] = {}
    for k, name in enumerate(data.class_names, 1):
        mine = torch.tensor([n == name for n in names or ()], dtype=torch.bool)
        train, held_out = known[of_known[0] == k], unseen[of_unseen[0] == k]
        if mine.any() and len(train) and len(held_out):
            found[name] = _scores(samples[mine], train, held_out, data, name)
    if not found:
        if data.labelled and curves_of(data.name):
            raise ValueError(f"{data.name} are scored per class: draw samples with labels")
        return Judgement(_scores(samples, known, unseen, data, data.name))
    means = [_mean(list(same)) for same in zip(*found.values(), strict=True)]
    named = [_of_class(score, n) for n, scores in found.items() for score in scores if score.title]
    return Judgement([*means, *named])


def _scores(
    samples: Tensor, train: Tensor, held_out: Tensor, data: Dataset, law: str
) -> list[Score]:
    found = cloud_scores(samples, train, held_out)
    curve = curves_of(data.name).get(law)
    if curve is not None:
        return [*found[:-1], *curve_scores(curve, data.to_data(samples))]
    return [*found, Score("arc_histogram_tv", "", None)]


def cloud_scores(samples: Tensor, train: Tensor, held_out: Tensor) -> list[Score]:
    """What neither a collapsed model nor one that copies can pass, in the network's space.

    The sliced Wasserstein distance to rows that were never trained on; its floor, that of as many
    training rows; its ceiling, that of as many rows of noise. Then the distance of every column
    alone, in units of its deviation; the nearest-neighbour ratio (`Memorisation.ratio`), near 0
    for copies; and the mean of the distances that it compares.

    Args:
        samples: (n, d).
        train: (m, d).
        held_out: (h, d).
    """
    generator = stream(0, "points scored")
    held_out = _some(held_out, MOST_ROWS, generator)
    count = min(len(samples), len(train), MOST_ROWS)
    few = _some(samples, count, generator)
    noise = torch.randn(few.shape, generator=generator)
    lines = directions(samples.shape[1])
    found, floor, ceiling = (
        sliced_wasserstein(x, held_out, lines=lines)
        for x in (few, _some(train, count, generator), noise)
    )
    beside = {"floor": floor.distance, "ceiling": ceiling.distance}
    deviation = train.double().std(0, correction=0).clamp_min(1e-12)
    each = (wasserstein(few, held_out) / deviation).tolist()
    title = "  of each column" if len(each) <= _LISTED else ""
    near = _neighbours(_some(samples, MOST_ROWS, generator), train, held_out)
    real = {"held_out_distance": float(near.held_out_distances.mean())}
    return [
        Score("sliced_wasserstein", "sliced Wasserstein", found.distance, found.interval, beside),
        Score("marginals", title, each),
        Score("neighbour_ratio", "nearest-neighbour ratio", near.ratio, form=".2f"),
        Score(
            "mean_distance", "mean distance", float(near.sample_distances.mean()), None, real, ".4f"
        ),
    ]


def _neighbours(samples: Tensor, train: Tensor, held_out: Tensor) -> Memorisation:
    """`memorisation`, where few training rows count as unseen too, each beside all others.

    A training row is as far from the others as an unseen row is from them, and the median of thirty
    held-out rows alone would be off by a tenth.
    """
    near = memorisation(samples, train, held_out)
    if not 2 <= len(train) <= _FEW_ROWS:
        return near
    others, _ = nearest(train, train, exclude_self=True)
    return replace(near, held_out_distances=torch.cat([near.held_out_distances, others]))


def curve_scores(curve: Curve, points: Tensor) -> list[Score]:
    """Along a known curve: the mean distance to it, and the law along it.

    The total variation is that between the histogram of the arc length of the points (n, 2), 50
    bins, and the law of the data; beside it that of fresh data of the same size.
    """
    fresh = arc_histogram_tv(curve.sample(len(points), stream(0, "fresh")), curve)
    distance, tv = mean_curve_distance(points, curve), arc_histogram_tv(points, curve)
    return [
        Score("mean_distance", "mean distance", distance, form=".4f"),
        Score("arc_histogram_tv", "arc histogram TV", tv, None, {"fresh_tv": fresh}, ".4f"),
    ]


def _some(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """All rows, or this many drawn without order."""
    return x if len(x) <= count else x[torch.randperm(len(x), generator=generator)[:count]]


def _of_class(score: Score, name: str) -> Score:
    beside = {f"classes.{name}.{k}": v for k, v in score.beside.items()}
    title = f"  {name}, {score.title.strip()}"
    return score._replace(key=f"classes.{name}.{score.key}", title=title, beside=beside)


def _mean(scores: Sequence[Score]) -> Score:
    """The mean over classes of one score, of its numbers beside, and the interval of that mean."""
    first = scores[0]
    if first.value is None:
        return first
    if isinstance(first.value, Sequence):
        columns = zip(*(s.value for s in scores if isinstance(s.value, Sequence)), strict=True)
        return first._replace(value=[sum(c) / len(scores) for c in columns])
    interval = None
    if first.interval is not None:
        interval = sum((s.interval or 0.0) ** 2 for s in scores) ** 0.5 / len(scores)
    value = _average([s.value for s in scores])
    beside = {k: _average([s.beside[k] for s in scores]) for k in first.beside}
    return first._replace(value=value, interval=interval, beside=beside)


def _average(values: Sequence[object]) -> float:
    return sum(float(v) for v in values if isinstance(v, int | float)) / len(values)
