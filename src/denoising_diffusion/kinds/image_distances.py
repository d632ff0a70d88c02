"""How far images are from real ones: Fréchet and kernel distances, with floor and ceiling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoising_diffusion.metrics import (
    FeatureStatistics,
    Score,
    Whitened,
    frechet_distance,
    frechet_with_error,
    kernel_distance,
)
from denoising_diffusion.metrics.judge import Judge
from denoising_diffusion.seeds import stream

Features = Callable[[Tensor], Tensor]
"""From images (n, c, h, w) to features (n, d)."""

MEASURED = 10_000
"""Training images over which features are whitened."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Images (n, c, h, w) in [-1, 1], and what they are compared with.

    Args:
        images: n samples.
        train: (m, c, h, w), m >= n, the first training images, of which n are the floor.
        real: (k, c, h, w), k >= n, of the test set or held out.
        noise: n images of uniform noise, the ceiling.
    """

    images: Tensor
    train: Tensor
    real: Tensor
    noise: Tensor

    @property
    def floor(self) -> Tensor:
        return self.train[: len(self.images)]


def noise_like(images: Tensor, clip: tuple[object, object]) -> Tensor:
    """Uniform noise over the range of the data, always the same."""
    low, high = (torch.tensor(limit) for limit in clip)
    return torch.rand(images.shape, generator=stream(0, "ceiling")) * (high - low) + low


def classifier_distances(
    judges: Sequence[Judge], compared: Compared, *, classic: bool
) -> tuple[Judge, list[Score]]:
    """The classifier of the median distance, and the Fréchet distances in classifiers' features."""
    references = [FeatureStatistics.from_features(j.features(compared.real)) for j in judges]
    each = [
        frechet_with_error(j.features(compared.images), r)
        for j, r in zip(judges, references, strict=True)
    ]
    order = sorted(range(len(each)), key=lambda i: each[i].value)
    middle = order[(len(order) - 1) // 2]
    chosen, reference = judges[middle], references[middle]
    beside = {
        "floor": _frechet(chosen, compared.floor, reference),
        "ceiling": _frechet(chosen, compared.noise, reference),
    }
    value, interval = each[middle].value, each[middle].interval
    scores = [Score("fld", "Fréchet distance", value, interval, beside)]
    if len(judges) > 1:
        values = [e.value for e in each]
        scores.append(Score("fld_by_classifier", "  of each classifier", values))
    if classic:
        scores += _classic(chosen, reference, compared.images)
    return chosen, scores


def _frechet(judge: Judge, x: Tensor, reference: FeatureStatistics) -> float:
    return frechet_distance(FeatureStatistics.from_features(judge.features(x)), reference)


def _classic(judge: Judge, reference: FeatureStatistics, images: Tensor) -> list[Score]:
    """The figures of DenoisingDiffusion.jl, which stretches every generated image by itself.

    Each sample's darkest pixel becomes the least and its brightest the greatest grey level, while
    real images stay as they are; its "random" images are normal noise, cut and stretched likewise.
    """
    estimate = frechet_with_error(judge.features(_stretched(images)), reference)
    noise = torch.randn(images.shape, generator=stream(0, "classic")).clamp(-1, 1)
    random = _frechet(judge, _stretched(noise), reference)
    return [
        Score("classic.fld", "classic distance", estimate.value, estimate.interval),
        Score("classic.random", "  random", random, form=".1f"),
    ]


def _stretched(x: Tensor) -> Tensor:
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-8) * 2 - 1


@dataclass(frozen=True, eq=False)
class Seen:
    """What is compared, as whitened features (., k), float64."""

    images: Tensor
    floor: Tensor
    real: Tensor
    noise: Tensor


def seen(features: Features, compared: Compared) -> Seen:
    """Images as whitened features, over the first 10,000 training images."""
    count = len(compared.images)
    known = features(compared.train[: max(count, MEASURED)])
    measure = Whitened.over(known)
    images, real, noise = (
        measure(features(x)) for x in (compared.images, compared.real, compared.noise)
    )
    return Seen(images, measure(known[:count]), real, noise)


def kernel_score(key: str, title: str, x: Seen) -> Score:
    """The kernel distance, beside it that of training images and of noise."""
    found = kernel_distance(x.images, x.real)
    beside = {
        f"{key}_floor": kernel_distance(x.floor, x.real).value,
        f"{key}_ceiling": kernel_distance(x.noise, x.real).value,
    }
    return Score(key, title, found.value, found.interval, beside, ".3g")


def frechet_score(key: str, title: str, x: Seen) -> Score:
    """The Fréchet distance in whitened features, beside it that of training images and of noise."""
    reference = FeatureStatistics.from_features(x.real)
    found = frechet_with_error(x.images, reference)
    floor, ceiling = (
        frechet_distance(FeatureStatistics.from_features(rows), reference)
        for rows in (x.floor, x.noise)
    )
    beside = {f"{key}_floor": floor, f"{key}_ceiling": ceiling}
    return Score(key, title, found.value, found.interval, beside)
