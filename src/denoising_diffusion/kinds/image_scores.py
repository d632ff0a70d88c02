"""Scores of images against real ones, in features learned from the data and in random ones."""

import torch
from torch import Tensor

from denoising_diffusion.data import Dataset, whole
from denoising_diffusion.data.rows import blocks, first
from denoising_diffusion.kinds.base import Judgement, Names, Scoring
from denoising_diffusion.kinds.image_distances import (
    MEASURED,
    Compared,
    Features,
    classifier_distances,
    frechet_score,
    kernel_score,
    noise_like,
    seen,
)
from denoising_diffusion.metrics import (
    RandomConvolutions,
    Score,
    class_proportions,
    confusion_matrix,
    density_coverage,
    memorisation,
    precision_recall,
    proportion_error,
)
from denoising_diffusion.metrics.encoder import MOST_IMAGES, Encoder, encoder
from denoising_diffusion.metrics.judge import Judge, judge, split_of
from denoising_diffusion.metrics.reference import reference_judge
from denoising_diffusion.report import pair_grid, plot_confusion, plot_label_histogram

Known = tuple[Tensor, Tensor]
"""Images and their classes, counted from 0."""

PAIRS = 10
_MOST_LISTED = 40
"""Classes up to which the JSON lists how often each was read as each: asked for, row by row."""
READS_WELL = 0.1
"""The most that a classifier may err, of the errors of naming the commonest class every time."""


@torch.no_grad()
def image_scores(images: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
    """All scores of images (n, c, h, w) in [-1, 1] of which as many real ones exist, twice.

    With classes there are the Fréchet distance in a classifier's features and what it reads. The
    other scores are in its features too if it is the reference or reads well, with a tenth of the
    errors of naming the commonest class; else, and without classes, in those of an encoder that
    learned from the images alone. The kernel distance is also taken in random convolutions, which
    cost little and were trained for nothing.
    """
    real, *classes = whole(data.reference)
    some = first(data.train, max(len(images), MEASURED))[0]
    compared = Compared(images, some, real, noise_like(images, data.clip))
    scores: list[Score] = []
    by_class = Judgement([])
    learned, of, by = None, "the classifier's features", []
    if data.labelled:
        judges = judges_for(data, how, (real, classes[0] - 1))
        chosen, scores = classifier_distances(judges, compared, classic=how.classic)
        by.append(chosen.name + (f" of 0..{len(judges) - 1}" if len(judges) > 1 else ""))
        by_class = _class_scores(chosen, data, chosen.read(images), classes[0] - 1, names)
        learned = chosen.features if _reads_well(chosen, classes[0]) else None
    trained = learned is None
    if learned is None:
        of = "features learned without labels"
        learned = encoder_of(data).features
        by.append("own encoder, seed 0")
    own, random = (
        seen(f, compared) for f in (learned, RandomConvolutions.of(data.shape[0]).features)
    )
    scores += [
        kernel_score("kid", f"kernel distance, {of}", own),
        kernel_score("kid_random", "kernel distance, random filters", random),
    ]
    if trained:
        scores.append(frechet_score("frechet", f"Fréchet distance, {of}", own))
    near = _neighbour_scores(learned, data, compared)
    pictures = {**by_class.pictures, **near.pictures}
    return Judgement([*scores, *by_class.scores, *near.scores], pictures, "; ".join(by))


def encoder_of(data: Dataset) -> Encoder:
    """The encoder of the training images that it learns from, and no more are read."""
    return encoder(first(data.train, MOST_IMAGES)[0], fingerprint=data.fingerprint)


def judges_for(data: Dataset, how: Scoring, tested: Known) -> list[Judge]:
    """The reference, unless others are asked for or there is none; else classifiers trained here.

    Those alone read all training images at once.
    """
    count = len(data.class_names)
    if how.classifiers is None:
        known = (k - 1 for _, k in blocks(data.train))
        split = split_of(torch.cat(list(known))) if data.test is None else None
        found = reference_judge(data.fingerprint, data.shape, count, split)
        if found is not None:
            return [found.tested(*tested)]
    x, labels = whole(data.train)
    return [
        judge(x, labels - 1, count, *tested, fingerprint=data.fingerprint, seed=seed)
        for seed in range(how.classifiers or 1)
    ]


def _reads_well(judge: Judge, labels: Tensor) -> bool:
    """Whether its features tell classes apart; with a single class there is nothing to tell.

    Those of a reference do, as far as its data allow.
    """
    if judge.reference:
        return True
    blind = 1 - float(labels.bincount().max()) / len(labels)
    return 1 - judge.accuracy < READS_WELL * blind


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
        pictures["classes"] = plot_label_histogram.drawing(own, expected, data.class_names)
    agreement, found = None, None
    if bool(known.any()):
        agreement = (read == asked)[known].double().mean().item()
        confusion = confusion_matrix(asked[known], read[known], count)
        pictures["confusion"] = plot_confusion.drawing(confusion, data.class_names)
        found = [float(n) for n in confusion.flatten().tolist()] if count <= _MOST_LISTED else None
    error = proportion_error(read, real, count)
    accuracy = {"classifier_accuracy": judge.accuracy}
    scores = [
        Score("label_agreement", "label agreement", agreement, None, accuracy, ".2%"),
        Score("proportion_error", "error of class proportions", error, form=".5f"),
        Score("class_proportions", "", own.tolist()),
        Score("confusion", "", found),
    ]
    return Judgement(scores, pictures)


def _neighbour_scores(learned: Features, data: Dataset, compared: Compared) -> Judgement:
    held_out, images = whole(data.validation)[0], compared.images
    features, real = learned(images), learned(compared.real)
    pixels = memorisation(images, data.train, held_out)
    train = torch.cat([learned(x) for x, *_ in blocks(data.train)])
    near = memorisation(features, train, learned(held_out))
    # With few images there are fewer neighbours than are usually asked for.
    least = min(len(features), len(real)) - 1
    fidelity = precision_recall(features, real, k=min(3, least))
    spread = density_coverage(features, real, k=min(5, least))
    nearest = pixels.sample_distances.argsort()[: 2 * PAIRS]
    pairs = pair_grid.drawing(images[nearest], data.train[pixels.indices[nearest]][0])
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
