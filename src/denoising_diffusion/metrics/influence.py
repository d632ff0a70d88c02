"""How much each sample moves a score: what the interval of a difference of two scores is made of.

A score of n samples is a function of their empirical law. Its influence function at a sample is its
derivative by that sample's weight (Hampel 1974), with mean 0; to first order the score varies by
the mean of independent influences, so its variance is that of the influences over n (the delta
method, or infinitesimal jackknife, Efron 1982). Where sample i of one set and sample i of another
came from the same noise, the difference of the two scores varies by the mean of the differences of
their influences: what both owe to the noise cancels. Resampling would not do: a Fréchet distance of
resampled rows is biased further up, and its percentiles miss the estimate itself.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import checked, finite, instance
from denoising_diffusion.metrics._checks import Features
from denoising_diffusion.metrics.estimate import Estimate
from denoising_diffusion.metrics.frechet import FeatureStatistics, frechet_distance
from denoising_diffusion.metrics.sliced import directions, sliced_potentials


class Influence(NamedTuple):
    """A score and how each sample moves it.

    Args:
        value: of the score.
        each: (n,) float64, the influence of every sample, with mean 0.
    """

    value: float
    each: Tensor


def mean_influence(values: Tensor) -> Influence:
    """The mean of values (n,), one of each sample.

    Raises:
        ValueError, TypeError: no such tensor, or values that are not finite.
    """
    values = finite("values", values, "n").detach().cpu().double()
    return Influence(float(values.mean()), values - values.mean())


@checked
def frechet_influence(features: Features, reference: FeatureStatistics) -> Influence:
    """The Fréchet distance of features (n, d) to a fixed reference.

    With N(μ, S) of the features and N(ν, R) of the reference, the derivative of the distance by S
    is G = I - R^½ (R^½ S R^½)^-½ R^½ (Bhatia et al. 2019, "On the Bures-Wasserstein distance", eq.
    (38)), so a feature x moves it by 2 (μ - ν)·(x - μ) + n/(n - 1) (x - μ)ᵀ G (x - μ) less the mean
    of this: the exact derivative, S being unbiased. Directions in which features have no variance
    carry no influence; a pseudo-inverse leaves them.

    Raises:
        ValueError: fewer than two features, another shape, values that are not finite, or a
            reference of another width.
        TypeError: anything but a tensor of numbers and statistics.
    """
    x = features.detach().cpu().double()
    own = FeatureStatistics.from_features(x)
    value = frechet_distance(own, reference)
    root = _power(reference.covariance, 0.5)
    middle = root @ own.covariance @ root
    slope = -root @ _power((middle + middle.T) / 2, -0.5) @ root
    slope.diagonal().add_(1)
    centred = x - own.mean
    along = centred @ (2 * (own.mean - reference.mean))
    across = ((centred @ slope) * centred).sum(1) * len(x) / (len(x) - 1)
    return Influence(value, along + across - across.mean())


def sliced_influence(x: Tensor, y: Tensor) -> Influence:
    """`sliced_wasserstein` of x (n, d) to fixed rows y (m, d), by Kantorovich's potentials.

    Raises:
        ValueError, TypeError: as `sliced_wasserstein`.
    """
    distance, potential, _ = sliced_potentials(x, y, directions(x.shape[1]))
    return Influence(distance, potential - potential.mean())


def by_group(
    x: Tensor, groups: Sequence[Tensor], of: Callable[[int, Tensor], Influence]
) -> Influence:
    """The mean over groups of a score of each, where every sample of x (n, ...) is in at most one.

    Args:
        x: samples.
        groups: the numbers of the samples of every group, one group or more.
        of: the score of the k-th group, given k and its samples.
    """
    parts = [of(k, x[rows]) for k, rows in enumerate(groups)]
    each = torch.zeros(len(x), dtype=torch.float64)
    for rows, part in zip(groups, parts, strict=True):
        # A group's own mean of influences is divided by its own number, not by that of all.
        each[rows] = part.each * len(x) / (len(rows) * len(groups))
    return Influence(sum(part.value for part in parts) / len(parts), each)


def paired_difference(a: Influence, b: Influence) -> Estimate:
    """The score of a less that of b, whose i-th samples came from the same noise.

    The standard error is that of the mean of a.each - b.each; the same samples twice give 0 ± 0.
    It tells how much the difference moves with the noise; what both are compared with is held
    fixed. A distance that is biased upward by few samples is so in both: near one another, and at
    one n, the biases cancel, but where one set is far and the other near they do not.

    Raises:
        ValueError: fewer than two samples, or not as many of both.
        TypeError: anything but influences.
    """
    n = len(instance("a", a, Influence).each)
    if n < 2 or len(instance("b", b, Influence).each) != n:
        raise ValueError(f"a pair needs two samples or more, as many of both: {n}, {len(b.each)}")
    apart = a.each - b.each
    error = (apart.square().sum() / (n * (n - 1))).sqrt()
    return Estimate(a.value - b.value, float(error))


def _power(matrix: Tensor, power: float) -> Tensor:
    """A power of a symmetric matrix (d, d) of no negative values, in the space that it spans."""
    values, vectors = torch.linalg.eigh(matrix)
    spanned = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    scaled = torch.where(spanned, values.clamp(min=torch.finfo(values.dtype).tiny) ** power, 0)
    return (vectors * scaled) @ vectors.T
