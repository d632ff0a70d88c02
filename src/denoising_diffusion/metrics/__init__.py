"""Metrics: the Fréchet distance of features, and how points lie along a known curve."""

from denoising_diffusion.metrics.frechet import (
    FeatureStatistics,
    FrechetEstimate,
    frechet_distance,
    frechet_with_error,
)
from denoising_diffusion.metrics.points import (
    arc_histogram_tv,
    closest_on_curve,
    curve_distances,
    mean_curve_distance,
    nearest_distance,
)

__all__ = [
    "FeatureStatistics",
    "FrechetEstimate",
    "arc_histogram_tv",
    "closest_on_curve",
    "curve_distances",
    "frechet_distance",
    "frechet_with_error",
    "mean_curve_distance",
    "nearest_distance",
]
