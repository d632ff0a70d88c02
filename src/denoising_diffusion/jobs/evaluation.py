"""How good samples are: a distance with its floor and ceiling, or the distance to a curve."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from denoising_diffusion.data import CURVES, Curve, Dataset
from denoising_diffusion.metrics import (
    FeatureStatistics,
    arc_histogram_tv,
    frechet_distance,
    frechet_with_error,
    mean_curve_distance,
    nearest_distance,
)
from denoising_diffusion.nn import SmallClassifier
from denoising_diffusion.seeds import stream
from denoising_diffusion.training import Batch, train

CLASSIFIER_STEPS = 600
CLASSIFIER_SEED = 0


def train_classifier(data: Dataset) -> SmallClassifier:
    """The classifier whose features the distance is taken in, trained on the training half.

    Its seed is fixed, so that every evaluation of the same data uses the same features.

    Raises:
        ValueError: the data has no classes.
    """
    if data.train_labels is None:
        raise ValueError(f"data {data.name} has no classes to train a classifier on")
    channels, size = data.train.shape[1], data.train.shape[2]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(CLASSIFIER_SEED)
        model = SmallClassifier(channels, size, len(data.class_names))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    steps = train(
        model,
        loss,
        (data.train, data.train_labels),
        optimizer,
        steps=CLASSIFIER_STEPS,
        batch_size=64,
        seed=CLASSIFIER_SEED,
        learning_rate=lambda k: 2e-3 * (1 - (k - 1) / CLASSIFIER_STEPS),
    )
    for _ in steps:
        pass
    return model.eval()


@torch.no_grad()
def evaluate_images(data: Dataset, images: Tensor, labels: Sequence[str] | None) -> dict[str, Any]:
    """Scores of images (n, c, h, w) in the model's range against the held-out images.

    The Fréchet distance of `n` samples, with 1.96 standard errors; the same of `n` training images
    (floor) and of uniform noise (ceiling); the share of samples that the classifier reads as the
    label asked for, and its accuracy on the held-out images.

    Raises:
        ValueError: images of another shape than the data's, or more or fewer than can be compared.
    """
    n, most = len(images), min(len(data.train), len(data.validation))
    if images.shape[1:] != data.train.shape[1:]:
        raise ValueError(
            f"samples of shape {tuple(images.shape[1:])} cannot be compared with "
            f"{data.name}, {tuple(data.train.shape[1:])}"
        )
    if not 2 <= n <= most:
        raise ValueError(f"num must lie in 2..{most}, the real images to compare with, got {n}")
    with torch.enable_grad():
        classifier = train_classifier(data)
    reference = FeatureStatistics.from_features(classifier.features(data.validation))
    low, high = data.clip
    noise = torch.rand(images.shape, generator=stream(0, "ceiling")) * (high - low) + low

    def distance(x: Tensor) -> float:
        return frechet_distance(FeatureStatistics.from_features(classifier.features(x)), reference)

    estimate = frechet_with_error(classifier.features(images), reference)
    assert data.validation_labels is not None
    read = classifier(data.validation).argmax(1)
    return {
        "fld": estimate.value,
        "fld_interval": estimate.interval,
        "floor": distance(data.train[:n]),
        "ceiling": distance(noise),
        "label_agreement": _agreement(classifier, data, images, labels),
        "classifier_accuracy": (read == data.validation_labels).double().mean().item(),
        "num_samples": n,
    }


def _agreement(
    classifier: SmallClassifier, data: Dataset, images: Tensor, labels: Sequence[str] | None
) -> float | None:
    wanted = [data.class_names.index(v) if v in data.class_names else -1 for v in labels or ()]
    asked = torch.tensor(wanted, dtype=torch.long)
    if not bool((asked >= 0).any()):
        return None
    read = classifier(images).argmax(1)
    return (read == asked)[asked >= 0].double().mean().item()


def evaluate_points(data: Dataset, points: Tensor, labels: Sequence[str] | None) -> dict[str, Any]:
    """Scores of points (n, d) in the data's own units.

    Along a known curve: the mean distance to it, and the total variation between the histogram of
    the samples' arc length, 50 bins, and that of the law of the data; beside it the same of fresh
    data of the same size. For other points: the mean distance to the nearest training point, and
    beside it that of held-out points.

    Raises:
        ValueError: another number of columns than the data's.
    """
    if points.shape[1] != data.train.shape[1]:
        raise ValueError(
            f"samples of {points.shape[1]} columns cannot be compared with {data.name}, "
            f"{data.train.shape[1]} columns"
        )
    if data.name not in ("spiral", "patterns"):
        known = data.to_data(data.train)
        return {
            "mean_distance": nearest_distance(points, known),
            "arc_histogram_tv": None,
            "held_out_distance": nearest_distance(data.to_data(data.validation), known),
            "num_samples": len(points),
        }
    if data.name == "spiral":
        return {**_curve_scores(CURVES["spiral"], points), "num_samples": len(points)}
    classes = {
        name: _curve_scores(CURVES[name], points[_rows(labels, name)])
        for name in data.class_names
        if name in (labels or ())
    }
    if not classes:
        raise ValueError("patterns are scored per class: draw samples with labels")
    means = {
        key: sum(s[key] for s in classes.values()) / len(classes)
        for key in ("mean_distance", "arc_histogram_tv", "fresh_tv")
    }
    return {**means, "num_samples": len(points), "classes": classes}


def _rows(labels: Sequence[str] | None, name: str) -> Tensor:
    return torch.tensor([i for i, v in enumerate(labels or ()) if v == name])


def _curve_scores(curve: Curve, points: Tensor) -> dict[str, float]:
    fresh = curve.sample(len(points), stream(0, "fresh"))
    return {
        "mean_distance": mean_curve_distance(points, curve),
        "arc_histogram_tv": arc_histogram_tv(points, curve),
        "fresh_tv": arc_histogram_tv(fresh, curve),
    }


def table(scores: dict[str, Any]) -> str:
    """The scores as a short table for a terminal."""
    rows = [("number", "value"), *_rows_of(scores)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _rows_of(scores: dict[str, Any]) -> list[tuple[str, str]]:
    if "fld" in scores:
        error = f"± {scores['fld_interval']:.3f}"
        rows = [
            ("Fréchet distance", f"{scores['fld']:.3f} {error} (95 %)"),
            ("  floor: training images", f"{scores['floor']:.3f}"),
            ("  ceiling: uniform noise", f"{scores['ceiling']:.1f}"),
        ]
        if scores["label_agreement"] is not None:
            rows.append(("label agreement", f"{scores['label_agreement']:.1%}"))
            rows.append(("  on held-out images", f"{scores['classifier_accuracy']:.1%}"))
    else:
        rows = [("mean distance", f"{scores['mean_distance']:.4f}")]
        if "held_out_distance" in scores:
            rows.append(("  of held-out points", f"{scores['held_out_distance']:.4f}"))
        else:
            rows.append(("arc histogram TV", f"{scores['arc_histogram_tv']:.4f}"))
            rows.append(("  of fresh data", f"{scores['fresh_tv']:.4f}"))
        for name, s in scores.get("classes", {}).items():
            text = f"distance {s['mean_distance']:.4f}, TV {s['arc_histogram_tv']:.4f}"
            rows.append((f"  {name}", f"{text} (fresh {s['fresh_tv']:.4f})"))
    rows.append(("samples each", str(scores["num_samples"])))
    for key in ("parameters", "sampler", "steps", "network_evaluations"):
        if scores.get(key) is not None:
            rows.append(
                (
                    key.replace("_", " "),
                    f"{scores[key]:,}" if key == "parameters" else str(scores[key]),
                )
            )
    return rows
