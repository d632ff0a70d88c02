"""The Fréchet distance between two sets of features, with the uncertainty of its estimate."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion import seeds
from denoising_diffusion.checks import Count, checked, exact, instance, tensor
from denoising_diffusion.metrics._checks import Features
from denoising_diffusion.metrics.estimate import Estimate


@checked
@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Count, mean and scatter of features, enough for the Fréchet distance; sets can be merged.

    Args:
        count: the number of samples n.
        mean: (d,) float64.
        scatter: (d, d) float64, the sum over samples of (x - mean)(x - mean)ᵀ.

    Raises:
        ValueError: no sample, other shapes, or values that are not finite.
        TypeError: anything but an integer and tensors of numbers.
    """

    count: Count
    mean: Annotated[Tensor, exact, "d"]
    scatter: Annotated[Tensor, exact, "d", "d"]

    def __post_init__(self) -> None:
        tensor("scatter", self.scatter, len(self.mean), len(self.mean))

    @classmethod
    @checked
    def from_features(cls, features: Features) -> "FeatureStatistics":
        """The statistics of features of shape (n, d), n >= 1.

        Raises:
            ValueError: another shape, no sample, or values that are not finite.
            TypeError: anything but a tensor of numbers.
        """
        x = features.detach().cpu().double()
        mean = x.mean(0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def merge(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """The statistics of both sets together (Chan et al. 1979), as if never apart.

        Raises:
            ValueError: features of another width.
            TypeError: anything but statistics.
        """
        _check_width(self, instance("other", other, FeatureStatistics))
        count = self.count + other.count
        gap = other.mean - self.mean
        between = torch.outer(gap, gap) * (self.count * other.count / count)
        mean = self.mean + gap * (other.count / count)
        return FeatureStatistics(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (d, d), scatter / (n - 1).

        Raises:
            ValueError: fewer than two samples.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 samples, got {self.count}")
        return self.scatter / (self.count - 1)


@dataclass(frozen=True)
class FrechetEstimate(Estimate):
    """A Fréchet distance and its standard error over the choice of samples."""


@checked
def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """The squared 2-Wasserstein distance between the two Gaussians with these moments.

    |μ₁ - μ₂|² + tr(S₁ + S₂ - 2 (S₁^½ S₂ S₁^½)^½), in float64; the root is that of a symmetric
    matrix, so singular covariances are no trouble and nothing complex arises.

    Raises:
        ValueError: features of different width, or fewer than two samples in either.
        TypeError: anything but statistics.
    """
    _check_width(a, b)
    return _distance(a, b, _root(b.covariance))


@checked
def frechet_with_error(
    features: Features,
    reference: FeatureStatistics,
    *,
    resamples: Annotated[int, 2, 10**6] = 100,
    seed: int = 0,
) -> FrechetEstimate:
    """The Fréchet distance of features (n, d) to the reference, with a bootstrap standard error.

    The value is that of all features. The error is the standard deviation over `resamples` sets of
    n features drawn with replacement; the reference is held fixed. It tells how much the value
    moves with the choice of samples. The upward bias of small n is not in it: compare sets of one
    size.

    Raises:
        ValueError: fewer than two features or two resamples, another shape, values that are not
            finite, or a reference of another width.
        TypeError: anything but a tensor of numbers, statistics and integers.
    """
    x = features.detach().cpu().double()
    whole = FeatureStatistics.from_features(x)
    _check_width(whole, reference)
    root = _root(reference.covariance)
    generator = seeds.stream(seed, "bootstrap")
    drawn = (x[torch.randint(len(x), (len(x),), generator=generator)] for _ in range(resamples))
    values = [_distance(FeatureStatistics.from_features(rows), reference, root) for rows in drawn]
    error = float(torch.tensor(values, dtype=torch.float64).std())
    return FrechetEstimate(_distance(whole, reference, root), error)


def _distance(a: FeatureStatistics, b: FeatureStatistics, root: Tensor) -> float:
    """The distance of a to b, of whose covariance this is the root."""
    middle = root @ a.covariance @ root
    overlap = torch.linalg.eigvalsh((middle + middle.T) / 2).clamp(min=0).sqrt().sum()
    spread = a.covariance.trace() + b.covariance.trace() - 2 * overlap
    return max(0.0, float((a.mean - b.mean).square().sum() + spread))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root (d, d) of a covariance, rounding below zero cut off."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _check_width(a: FeatureStatistics, b: FeatureStatistics) -> None:
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features differ in width: {len(a.mean)} and {len(b.mean)}")
