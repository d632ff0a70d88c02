"""Influences of samples on scores, and intervals of paired differences, against exact values."""

import math

import pytest
import torch

from denoising_diffusion.metrics import (
    FeatureStatistics,
    frechet_distance,
    frechet_with_error,
    sliced_wasserstein,
)
from denoising_diffusion.metrics.influence import (
    Influence,
    by_group,
    frechet_influence,
    mean_influence,
    paired_difference,
    sliced_influence,
)


def gaussian(mean, covariance) -> FeatureStatistics:
    """Statistics whose moments are exactly these."""
    covariance = torch.as_tensor(covariance, dtype=torch.float64)
    return FeatureStatistics(11, torch.as_tensor(mean, dtype=torch.float64), covariance * 10)


def drawn(n, d, seed) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def spread(d, seed) -> torch.Tensor:
    a = drawn(d, d, seed)
    return a @ a.T + 0.1 * torch.eye(d)


def moved(x, i, weight, score) -> float:
    """The derivative of a score of weighted rows by the weight of row i, by central differences."""

    def at(h):
        w = torch.full((len(x),), (1 - h) / len(x), dtype=torch.float64)
        w[i] += h
        return score(w)

    return (at(weight) - at(-weight)) / (2 * weight)


def test_the_influence_on_a_frechet_distance_is_its_derivative():
    x, reference = drawn(40, 3, 0) * 0.7 + 0.3, gaussian([0.1, -0.2, 0.4], spread(3, 1))

    def score(w):
        mean = w @ x
        centred = x - mean
        covariance = (centred.T * w) @ centred * 40 / 39  # as n - 1 has it
        return frechet_distance(gaussian(mean, covariance), reference)

    found = frechet_influence(x, reference)
    assert found.value == pytest.approx(
        frechet_distance(FeatureStatistics.from_features(x), reference), abs=1e-12
    )
    assert abs(float(found.each.mean())) < 1e-12
    for i in (0, 7, 33):
        assert float(found.each[i]) == pytest.approx(moved(x, i, 1e-5, score), rel=1e-6)


def test_one_dimension_has_a_closed_form():
    x = drawn(5000, 1, 2) * 2 + 1
    found = frechet_influence(x, gaussian([0.5], [[9.0]]))
    mean, deviation = x.mean(), x.std()
    apart = (mean - 0.5) ** 2 + (deviation - 3) ** 2
    assert found.value == pytest.approx(float(apart), rel=1e-12)
    c = (x - mean)[:, 0]
    square = (c.square() - c.square().mean()) * 5000 / 4999
    exact = 2 * (mean - 0.5) * c + (1 - 3 / deviation) * square
    assert torch.allclose(found.each, exact, atol=1e-10)


def test_its_error_is_that_of_the_bootstrap():
    x, reference = drawn(2000, 5, 3) @ spread(5, 4), gaussian([0.0] * 5, spread(5, 5))
    found = frechet_influence(x, reference)
    error = float(found.each.std()) / math.sqrt(2000)
    assert error == pytest.approx(
        frechet_with_error(x, reference, resamples=400).standard_error, rel=0.12
    )


def test_features_that_never_vary_are_no_trouble():
    x = drawn(500, 3, 6)
    wide = torch.cat([x, torch.zeros(500, 2)], 1)
    covariance = torch.zeros(5, 5, dtype=torch.float64)
    covariance[:3, :3], covariance[3, 3] = spread(3, 7), 2.0
    narrow = frechet_influence(x, gaussian([0.0] * 3, covariance[:3, :3]))
    found = frechet_influence(wide, gaussian([0.0] * 5, covariance))
    assert found.value == pytest.approx(narrow.value + 2.0)
    assert torch.allclose(found.each, narrow.each, atol=1e-9)


def test_the_same_samples_twice_differ_by_0_with_certainty():
    x, reference = drawn(100, 4, 8), gaussian([0.0] * 4, spread(4, 9))
    for found in (
        frechet_influence(x, reference),
        sliced_influence(x, drawn(90, 4, 10)),
        mean_influence(x[:, 0]),
    ):
        difference = paired_difference(found, found)
        assert (difference.value, difference.interval) == (0.0, 0.0)


def test_intervals_of_frechet_differences_hold_the_truth_in_95_of_100_cases():
    """Gaussian features of known moments, of pairs that share most of their noise."""
    n, d, repetitions = 400, 3, 600
    reference = gaussian([0.0] * d, spread(d, 11))
    to_a = spread(d, 12) / 3
    to_b = to_a + 0.1 * drawn(d, d, 13)
    mean_a, mean_b = torch.tensor([[0.8, 0.0, 0.2], [0.7, 0.2, 0.2]]).double()
    truth = frechet_distance(gaussian(mean_a, to_a @ to_a.T), reference) - frechet_distance(
        gaussian(mean_b, to_b @ to_b.T), reference
    )
    held, paired, apart = 0, 0.0, 0.0
    for seed in range(repetitions):
        noise, other = drawn(n, 2 * d, 100 + seed).split(d, 1)
        shared = 0.9 * noise + math.sqrt(1 - 0.81) * other
        a = frechet_influence(noise @ to_a.T + mean_a, reference)
        b = frechet_influence(shared @ to_b.T + mean_b, reference)
        found = paired_difference(a, b)
        held += abs(found.value - truth) <= found.interval
        paired += found.standard_error**2
        apart += float(a.each.var() + b.each.var()) / n
    # Four standard deviations of a count of 600 at 0.95 are 0.036.
    assert held / repetitions == pytest.approx(0.95, abs=0.036)
    assert paired < 0.5 * apart


def test_the_error_of_a_mean_is_that_of_the_paired_t_test():
    x, y = drawn(50, 2, 14).unbind(1)
    found = paired_difference(mean_influence(x), mean_influence(y))
    assert found.value == pytest.approx(float((x - y).mean()))
    assert found.standard_error == pytest.approx(float((x - y).std()) / math.sqrt(50))


def test_the_sliced_influence_has_the_error_of_many_draws():
    y = drawn(300, 2, 15)
    values, errors = [], []
    for seed in range(200):
        x = drawn(200, 2, 1000 + seed) * 1.5 + 1
        found = sliced_influence(x, y)
        values.append(found.value)
        errors.append(float(found.each.std()) / math.sqrt(200))
    assert found.value == pytest.approx(sliced_wasserstein(x, y).distance)
    measured = float(torch.tensor(values).std())
    assert sum(errors) / len(errors) == pytest.approx(measured, rel=0.15)


def test_groups_of_unequal_size_are_a_stratified_mean():
    x = drawn(30, 1, 16)
    groups = [torch.arange(10), torch.arange(10, 30)]
    found = by_group(x, groups, lambda k, part: mean_influence(part[:, 0] * (k + 1)))
    a, b = x[:10, 0], 2 * x[10:, 0]
    assert found.value == pytest.approx(float(a.mean() + b.mean()) / 2)
    zero = Influence(0.0, torch.zeros(30, dtype=torch.float64))
    exact = (a.var(correction=0) / 10 + b.var(correction=0) / 20) / 4
    error = paired_difference(found, zero).standard_error
    assert error == pytest.approx(math.sqrt(float(exact) * 30 / 29))


def test_pairs_need_as_many_of_both():
    a, b = mean_influence(torch.zeros(3)), mean_influence(torch.zeros(4))
    with pytest.raises(ValueError, match="as many of both: 3, 4"):
        paired_difference(a, b)
    with pytest.raises(ValueError, match="two samples or more"):
        paired_difference(mean_influence(torch.zeros(1)), mean_influence(torch.zeros(1)))
