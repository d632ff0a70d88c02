"""Metrics of features, neighbours and classes, and of how points lie along a known curve."""

from denoising_diffusion.metrics.frechet import (
    FeatureStatistics,
    FrechetEstimate,
    frechet_distance,
    frechet_with_error,
)
from denoising_diffusion.metrics.labels import (
    class_proportions,
    confusion_matrix,
    proportion_error,
)
from denoising_diffusion.metrics.neighbours import (
    DensityCoverage,
    Memorisation,
    PrecisionRecall,
    density_coverage,
    memorisation,
    nearest,
    precision_recall,
)
from denoising_diffusion.metrics.points import (
    arc_histogram_tv,
    closest_on_curve,
    curve_distances,
    mean_curve_distance,
    nearest_distance,
)

__all__ = [
    "DensityCoverage",
    "FeatureStatistics",
    "FrechetEstimate",
    "Memorisation",
    "PrecisionRecall",
    "arc_histogram_tv",
    "class_proportions",
    "closest_on_curve",
    "confusion_matrix",
    "curve_distances",
    "density_coverage",
    "frechet_distance",
    "frechet_with_error",
    "mean_curve_distance",
    "memorisation",
    "nearest",
    "nearest_distance",
    "precision_recall",
    "proportion_error",
]
