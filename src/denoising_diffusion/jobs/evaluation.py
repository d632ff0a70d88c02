"""How near points come to their curve or data; and scores of any kind as a table."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.data import CURVES, Curve, Dataset
from denoising_diffusion.metrics import arc_histogram_tv, mean_curve_distance, nearest_distance
from denoising_diffusion.seeds import stream


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
    rows = [("number", "value"), *(_image_rows(scores) if "fld" in scores else _point_rows(scores))]
    rows.append(("samples each", str(scores["num_samples"])))
    for key in ("parameters", "sampler", "steps", "network_evaluations"):
        if scores.get(key) is not None:
            value = f"{scores[key]:,}" if key == "parameters" else str(scores[key])
            rows.append((key.replace("_", " "), value))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _image_rows(s: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Fréchet distance", f"{s['fld']:.3f} ± {s['fld_interval']:.3f} (95 %)"),
        ("  floor: training images", f"{s['floor']:.3f}"),
        ("  ceiling: uniform noise", f"{s['ceiling']:.1f}"),
    ]
    if "fld_by_classifier" in s:
        each = ", ".join(f"{v:.3f}" for v in s["fld_by_classifier"])
        rows.insert(1, ("  median over classifiers", each))
    if "classic" in s:
        classic = s["classic"]
        rows.append(("classic distance", f"{classic['fld']:.3f} ± {classic['fld_interval']:.3f}"))
        rows.append(("  random", f"{classic['random']:.1f}"))
    if s["label_agreement"] is not None:
        rows.append(("label agreement", f"{s['label_agreement']:.1%}"))
    rows += [
        ("  classifier on real images", f"{s['classifier_accuracy']:.2%}"),
        ("error of class proportions", f"{s['proportion_error']:.5f}"),
        ("precision, recall", f"{s['precision']:.3f}, {s['recall']:.3f}"),
        ("density, coverage", f"{s['density']:.3f}, {s['coverage']:.3f}"),
        ("nearest training image, samples : held-out images", _ratios(s)),
    ]
    return rows


def _ratios(s: dict[str, Any]) -> str:
    pixels, features = s["memorisation_pixels"], s["memorisation_features"]
    return f"{pixels:.2f} in pixels, {features:.2f} in features"


def _point_rows(scores: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("mean distance", f"{scores['mean_distance']:.4f}")]
    if "held_out_distance" in scores:
        rows.append(("  of held-out points", f"{scores['held_out_distance']:.4f}"))
    else:
        rows.append(("arc histogram TV", f"{scores['arc_histogram_tv']:.4f}"))
        rows.append(("  of fresh data", f"{scores['fresh_tv']:.4f}"))
    for name, s in scores.get("classes", {}).items():
        text = f"distance {s['mean_distance']:.4f}, TV {s['arc_histogram_tv']:.4f}"
        rows.append((f"  {name}", f"{text} (fresh {s['fresh_tv']:.4f})"))
    return rows
