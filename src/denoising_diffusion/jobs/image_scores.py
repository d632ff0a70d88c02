"""Scores of generated images against real ones, in the features of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.data import Dataset
from denoising_diffusion.jobs.classifier import Judge, judge
from denoising_diffusion.metrics import (
    FeatureStatistics,
    FrechetEstimate,
    class_proportions,
    confusion_matrix,
    density_coverage,
    frechet_distance,
    frechet_with_error,
    memorisation,
    precision_recall,
    proportion_error,
)
from denoising_diffusion.seeds import stream


@dataclass(frozen=True)
class ImageScoring:
    """How images are scored.

    Args:
        classifiers: how many classifiers, of seeds 0, 1, ...; the distance is the median.
        classic: also give DenoisingDiffusion.jl's figures, for comparison with its table alone.
    """

    classifiers: int = 1
    classic: bool = False

    def __post_init__(self) -> None:
        if self.classifiers < 1:
            raise ValueError(f"the number of classifiers must be >= 1, got {self.classifiers}")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the pictures of an evaluation are made of."""

    samples: Tensor
    nearest: Tensor
    """The training image nearest to every sample, in pixels; (n, c, h, w)."""
    distances: Tensor
    confusion: Tensor | None
    proportions: Tensor
    reference_proportions: Tensor


@torch.no_grad()
def evaluate_images(
    data: Dataset,
    images: Tensor,
    labels: Sequence[str] | None,
    how: ImageScoring | None = None,
) -> tuple[dict[str, Any], Evidence]:
    """Scores of images (n, c, h, w) in [-1, 1] against the test images, or those held out.

    The Fréchet distance, with 1.96 standard errors; the same of `n` training images (floor) and of
    uniform noise (ceiling); the share of samples that the classifier reads as the label asked for,
    and its accuracy on real images; how the classes are mixed; precision, recall, density and
    coverage of the features; and how near samples come to training images, beside how near
    held-out images do.

    Raises:
        ValueError: images of another shape than the data's, or more or fewer than can be compared.
    """
    how = how or ImageScoring()
    check_comparable(data, tuple(images.shape[1:]), len(images))
    with torch.enable_grad():
        judges = [judge(data, seed) for seed in range(how.classifiers)]
    found = [_distances(j, data, images) for j in judges]
    order = sorted(range(len(found)), key=lambda i: found[i].estimate.value)
    middle = order[(len(order) - 1) // 2]
    chosen = judges[middle]
    scores: dict[str, Any] = {
        "fld": found[middle].estimate.value,
        "fld_interval": found[middle].estimate.interval,
        "floor": found[middle].floor,
        "ceiling": found[middle].ceiling,
        "num_samples": len(images),
    }
    if how.classifiers > 1:
        scores["fld_by_classifier"] = [f.estimate.value for f in found]
    if how.classic:
        scores["classic"] = _classic(chosen, data, images)
    by_class, classes = _class_scores(chosen, data, chosen.read(images), _asked(data, labels))
    near, neighbours = _neighbour_scores(chosen, data, images)
    return scores | by_class | near, Evidence(images, *neighbours, *classes)


def _class_scores(
    judge: Judge, data: Dataset, read: Tensor, asked: Tensor | None
) -> tuple[dict[str, Any], tuple[Tensor | None, Tensor, Tensor]]:
    """Scores of the classes that were read, and the confusion and both proportions."""
    assert data.reference_labels is not None
    count = len(data.class_names)
    own, real = class_proportions(read, count), class_proportions(data.reference_labels, count)
    agreement = confusion = None
    if asked is not None:
        known = asked >= 0
        agreement = (read == asked)[known].double().mean().item()
        confusion = confusion_matrix(asked[known], read[known], count)
    scores: dict[str, Any] = {
        "label_agreement": agreement,
        "classifier_accuracy": judge.accuracy,
        "class_proportions": own.tolist(),
        "proportion_error": proportion_error(read, data.reference_labels, count),
    }
    return scores, (confusion, own, real)


def check_comparable(data: Dataset, shape: tuple[int, ...], n: int) -> None:
    """Complain about n images of this shape that cannot be compared with the data.

    Raises:
        ValueError: another shape than the data's, too few or too many, or data without classes.
    """
    if shape != data.shape:
        raise ValueError(
            f"samples of shape {shape} cannot be compared with {data.name}, {data.shape}"
        )
    if data.train_labels is None:
        raise ValueError(f"data {data.name} has no classes to train a classifier on")
    most = min(len(data.train), len(data.reference))
    if not 2 <= n <= most:
        raise ValueError(f"num must lie in 2..{most}, the real images to compare with, got {n}")


@dataclass(frozen=True)
class _Distances:
    estimate: FrechetEstimate
    floor: float
    ceiling: float


def _distances(judge: Judge, data: Dataset, images: Tensor) -> _Distances:
    reference = FeatureStatistics.from_features(judge.features(data.reference))
    low, high = data.clip
    noise = torch.rand(images.shape, generator=stream(0, "ceiling")) * (high - low) + low
    return _Distances(
        frechet_with_error(judge.features(images), reference),
        _distance(judge, data.train[: len(images)], reference),
        _distance(judge, noise, reference),
    )


def _distance(judge: Judge, x: Tensor, reference: FeatureStatistics) -> float:
    return frechet_distance(FeatureStatistics.from_features(judge.features(x)), reference)


def _classic(judge: Judge, data: Dataset, images: Tensor) -> dict[str, float]:
    """The figures of DenoisingDiffusion.jl, which stretches every generated image by itself.

    Each sample's darkest pixel becomes the least and its brightest the greatest grey level, while
    real images stay as they are; its "random" images are normal noise, cut and stretched likewise.
    """
    reference = FeatureStatistics.from_features(judge.features(data.reference))
    estimate = frechet_with_error(judge.features(_stretched(images)), reference)
    noise = torch.randn(images.shape, generator=stream(0, "classic")).clamp(-1, 1)
    return {
        "fld": estimate.value,
        "fld_interval": estimate.interval,
        "random": _distance(judge, _stretched(noise), reference),
    }


def _stretched(x: Tensor) -> Tensor:
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-8) * 2 - 1


def _asked(data: Dataset, labels: Sequence[str] | None) -> Tensor | None:
    """The class asked for of every sample, -1 for none; None if no sample has one."""
    rows = {name: i for i, name in enumerate(data.class_names)}
    asked = torch.tensor([rows.get(v, -1) for v in labels or ()], dtype=torch.long)
    return asked if bool((asked >= 0).any()) else None


def _neighbour_scores(
    judge: Judge, data: Dataset, images: Tensor
) -> tuple[dict[str, Any], tuple[Tensor, Tensor]]:
    features, real = judge.features(images), judge.features(data.reference)
    pixels = memorisation(images.flatten(1), data.train.flatten(1), data.validation.flatten(1))
    near = memorisation(features, judge.features(data.train), judge.features(data.validation))
    fidelity, spread = precision_recall(features, real), density_coverage(features, real)
    scores = {
        "precision": fidelity.precision,
        "recall": fidelity.recall,
        "density": spread.density,
        "coverage": spread.coverage,
        "memorisation_pixels": pixels.ratio,
        "memorisation_features": near.ratio,
    }
    return scores, (data.train[pixels.indices], pixels.sample_distances)
