"""The Fréchet distance between two sets of features, with the uncertainty of its estimate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from denoising_diffusion import seeds
from denoising_diffusion.checks import finite, instance, integer
from denoising_diffusion.metrics._checks import rows


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

    count: int
    mean: Tensor
    scatter: Tensor

    def __post_init__(self) -> None:
        integer("count", self.count, 1)
        d = len(finite("mean", self.mean, "d"))
        for name, found in (
            ("mean", self.mean),
            ("scatter", finite("scatter", self.scatter, d, d)),
        ):
            object.__setattr__(self, name, found.detach().to("cpu", torch.float64))

    @classmethod
    def from_features(cls, features: Tensor) -> "FeatureStatistics":
        """The statistics of features of shape (n, d), n >= 1.

        Raises:
            ValueError: another shape, no sample, or values that are not finite.
            TypeError: anything but a tensor of numbers.
        """
        x = rows("features", features, "d").detach().to("cpu", torch.float64)
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
class FrechetEstimate:
    """A Fréchet distance and its standard error over the choice of samples."""

    value: float
    standard_error: float

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval: the distance is value ± interval."""
        return 1.96 * self.standard_error


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """The squared 2-Wasserstein distance between the two Gaussians with these moments.

    |μ₁ - μ₂|² + tr(S₁ + S₂ - 2 (S₁^½ S₂ S₁^½)^½), in float64; the root is that of a symmetric
    matrix, so singular covariances are no trouble and nothing complex arises.

    Raises:
        ValueError: features of different width, or fewer than two samples in either.
        TypeError: anything but statistics.
    """
    _check_width(instance("a", a, FeatureStatistics), instance("b", b, FeatureStatistics))
    return _distance(a.mean, a.covariance, b.mean, b.covariance, _root(b.covariance))


def frechet_with_error(
    features: Tensor, reference: FeatureStatistics, *, resamples: int = 100, seed: int = 0
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
    integer("resamples", resamples, 2, 10**6)
    whole = FeatureStatistics.from_features(features)
    _check_width(whole, instance("reference", reference, FeatureStatistics))
    covariance = reference.covariance
    root = _root(covariance)
    value = _distance(whole.mean, whole.covariance, reference.mean, covariance, root)
    n = whole.count
    centred = features.detach().to("cpu", torch.float64) - whole.mean
    generator = seeds.stream(seed, "bootstrap")
    values: list[float] = []
    for _ in range(resamples):
        drawn = torch.randint(n, (n,), generator=generator)
        weights = torch.bincount(drawn, minlength=n).double()  # a multinomial count per sample
        shift = weights @ centred / n
        scatter = (centred * weights[:, None]).T @ centred - n * torch.outer(shift, shift)
        mean = whole.mean + shift
        values.append(_distance(mean, scatter / (n - 1), reference.mean, covariance, root))
    return FrechetEstimate(value, float(torch.tensor(values, dtype=torch.float64).std()))


def _distance(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor, r: Tensor) -> float:
    """The distance of (mean, cov) to a Gaussian whose covariance has the root r."""
    middle = r @ cov @ r
    overlap = torch.linalg.eigvalsh((middle + middle.T) / 2).clamp(min=0).sqrt().sum()
    spread = cov.trace() + other_cov.trace() - 2 * overlap
    return max(0.0, float((mean - other_mean).square().sum() + spread))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root (d, d) of a covariance, rounding below zero cut off."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _check_width(a: FeatureStatistics, b: FeatureStatistics) -> None:
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features differ in width: {len(a.mean)} and {len(b.mean)}")
