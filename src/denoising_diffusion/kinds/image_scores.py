"""Scores of images against real ones, in the features of a classifier."""

import torch
from torch import Tensor

from denoising_diffusion.data import Dataset, whole
from denoising_diffusion.kinds.base import Judgement, Names, Scoring
from denoising_diffusion.metrics import (
    FeatureStatistics,
    Score,
    class_proportions,
    confusion_matrix,
    density_coverage,
    frechet_distance,
    frechet_with_error,
    memorisation,
    precision_recall,
    proportion_error,
)
from denoising_diffusion.metrics.judge import Judge, judge
from denoising_diffusion.report import pair_grid, plot_confusion, plot_label_histogram
from denoising_diffusion.seeds import stream

PAIRS = 10


def image_scores(images: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
    """All scores of images (n, c, h, w) in [-1, 1] of which as many real ones exist, twice."""
    train, test = whole(data.train), whole(data.reference)
    known, real = (train[0], train[1] - 1), (test[0], test[1] - 1)
    count = len(data.class_names)
    judges = [
        judge(*known, count, *real, fingerprint=data.fingerprint, seed=seed)
        for seed in range(how.classifiers)
    ]
    with torch.no_grad():
        references = [FeatureStatistics.from_features(j.features(real[0])) for j in judges]
        each = [
            frechet_with_error(j.features(images), r)
            for j, r in zip(judges, references, strict=True)
        ]
        order = sorted(range(len(each)), key=lambda i: each[i].value)
        middle = order[(len(order) - 1) // 2]
        chosen, reference = judges[middle], references[middle]
        low, high = (torch.tensor(limit) for limit in data.clip)
        noise = torch.rand(images.shape, generator=stream(0, "ceiling")) * (high - low) + low
        beside = {
            "floor": _distance(chosen, train[0][: len(images)], reference),
            "ceiling": _distance(chosen, noise, reference),
        }
        value, interval = each[middle].value, each[middle].interval
        scores = [Score("fld", "Fréchet distance", value, interval, beside)]
        if how.classifiers > 1:
            values = [e.value for e in each]
            scores.append(Score("fld_by_classifier", "  of each classifier", values))
        if how.classic:
            scores += _classic(chosen, reference, images)
        by_class = _class_scores(chosen, data, chosen.read(images), real[1], names)
        near = _neighbour_scores(chosen, data, train[0], real[0], images)
    pictures = {**by_class.pictures, **near.pictures}
    return Judgement([*scores, *by_class.scores, *near.scores], pictures)


def _distance(judge: Judge, x: Tensor, reference: FeatureStatistics) -> float:
    return frechet_distance(FeatureStatistics.from_features(judge.features(x)), reference)


def _classic(judge: Judge, reference: FeatureStatistics, images: Tensor) -> list[Score]:
    """The figures of DenoisingDiffusion.jl, which stretches every generated image by itself.

    Each sample's darkest pixel becomes the least and its brightest the greatest grey level, while
    real images stay as they are; its "random" images are normal noise, cut and stretched likewise.
    """
    estimate = frechet_with_error(judge.features(_stretched(images)), reference)
    noise = torch.randn(images.shape, generator=stream(0, "classic")).clamp(-1, 1)
    random = _distance(judge, _stretched(noise), reference)
    return [
        Score("classic.fld", "classic distance", estimate.value, estimate.interval),
        Score("classic.random", "  random", random, form=".1f"),
    ]


def _stretched(x: Tensor) -> Tensor:
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-8) * 2 - 1


def _class_scores(
    judge: Judge, data: Dataset, read: Tensor, real: Tensor, names: Names
) -> Judgement:
    """Scores of the classes that the judge reads, 0-based, with what they are drawn as."""
    count = len(data.class_names)
    rows = {name: i for i, name in enumerate(data.class_names)}
    asked = torch.tensor([rows.get(name, -1) for name in names or ()], dtype=torch.long)
    known = asked >= 0
    own, expected = class_proportions(read, count), class_proportions(real, count)
    pictures = {}
    if not bool(known.all()) or not len(known):  # else the shares are those that were asked for
        pictures["classes"] = plot_label_histogram(own, expected, data.class_names)
    agreement = None
    if bool(known.any()):
        agreement = (read == asked)[known].double().mean().item()
        confusion = confusion_matrix(asked[known], read[known], count)
        pictures["confusion"] = plot_confusion(confusion, data.class_names)
    error = proportion_error(read, real, count)
    accuracy = {"classifier_accuracy": judge.accuracy}
    scores = [
        Score("label_agreement", "label agreement", agreement, None, accuracy, ".2%"),
        Score("proportion_error", "error of class proportions", error, form=".5f"),
        Score("class_proportions", "", own.tolist()),
    ]
    return Judgement(scores, pictures)


def _neighbour_scores(
    judge: Judge, data: Dataset, train: Tensor, test: Tensor, images: Tensor
) -> Judgement:
    held_out = whole(data.validation)[0]
    features, real = judge.features(images), judge.features(test)
    pixels = memorisation(images.flatten(1), train.flatten(1), held_out.flatten(1))
    near = memorisation(features, judge.features(train), judge.features(held_out))
    # With few images there are fewer neighbours than are usually asked for.
    least = min(len(features), len(real)) - 1
    fidelity = precision_recall(features, real, k=min(3, least))
    spread = density_coverage(features, real, k=min(5, least))
    nearest = pixels.sample_distances.argsort()[: 2 * PAIRS]
    pairs = pair_grid(images[nearest], train[pixels.indices][nearest])
    ratio = "nearest training image, samples : held-out"
    scores = [
        Score("precision", "precision", fidelity.precision),
        Score("recall", "recall", fidelity.recall),
        Score("density", "density", spread.density),
        Score("coverage", "coverage", spread.coverage),
        Score("memorisation_pixels", f"{ratio}, in pixels", pixels.ratio, form=".2f"),
        Score("memorisation_features", f"{ratio}, in features", near.ratio, form=".2f"),
    ]
    return Judgement(scores, {"nearest": pairs})
