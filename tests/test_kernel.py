"""The kernel distance: against a double loop, closed forms, and all sets that there are."""

import itertools

import numpy as np
import pytest
import torch

from denoising_diffusion.metrics import KernelEstimate, kernel, kernel_distance


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slowly(x, y):
    def k(a, b):
        return (sum(float(p) * float(q) for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z):
        pairs = [k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
        return sum(pairs) / len(pairs)

    return within(x) + within(y) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


def exactly(x, y):
    """The distance of two laws on the line with these moments 1, 2, 3, expanded by hand."""
    return sum(c * (a - b) ** 2 for c, a, b in zip((3, 3, 1), x, y, strict=True))


def gaussian_moments(m, s):
    return m, m**2 + s**2, m**3 + 3 * m * s**2


def mean_kernel(a, b, d):
    """E (x·y / d + 1)³ of x ~ N(a, 1) and y ~ N(b, 1) in each of d columns: u = Σ x_i y_i."""
    one, two, three = a * b, (1 + a**2) * (1 + b**2), (a**3 + 3 * a) * (b**3 + 3 * b)
    u = d * one
    u2 = d * two + d * (d - 1) * one**2
    u3 = d * three + 3 * d * (d - 1) * two * one + d * (d - 1) * (d - 2) * one**3
    return 1 + 3 * u / d + 3 * u2 / d**2 + u3 / d**3


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (2, 5, 3), (7, 3, 2), (12, 9, 5)])
@pytest.mark.parametrize("chunk", [1, 20, 2**23])
def test_a_double_loop_finds_the_same(n, m, d, chunk, monkeypatch):
    monkeypatch.setattr(kernel, "_CHUNK", chunk)
    x, y = normal(n, d), normal(m, d, seed=1) * 2 + 0.5
    found = kernel_distance(x, y)
    assert found.value == pytest.approx(slowly(x, y), rel=1e-12)
    turned = kernel_distance(y, x)
    assert turned.value == pytest.approx(found.value, rel=1e-12)
    assert turned.standard_error == pytest.approx(found.standard_error, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("x_law", "y_law"),
    [([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]), ([0.0, 1.0, 3.0], [-1.0, 0.5, 1.0]), ([0, 2], [1, 4, 6])],
)
def test_over_all_sets_that_there_are_value_and_variance_are_without_bias(x_law, y_law):
    n, m = 4, 5 if len(x_law) == 2 else 4
    values, variances = [], []
    ones = {
        law: [
            torch.tensor(s, dtype=torch.float64)[:, None] for s in itertools.product(of, repeat=k)
        ]
        for law, of, k in (("x", x_law, n), ("y", y_law, m))
    }
    own = [kernel._pairs(x) for x in ones["x"]]
    other = [kernel._pairs(y) for y in ones["y"]]
    for (x, p), (y, q) in itertools.product(
        zip(ones["x"], own, strict=True), zip(ones["y"], other, strict=True)
    ):
        r = kernel._cross(x, y)
        values.append(p.mean + q.mean - 2 * r.mean)
        variances.append(sum(kernel._variance(p, q, r)))
    moments = [[np.mean(np.array(law) ** p) for p in (1, 2, 3)] for law in (x_law, y_law)]
    scale = np.std(values)
    assert np.mean(values) == pytest.approx(exactly(*moments), abs=1e-10 * scale)
    assert np.mean(variances) == pytest.approx(np.var(values), rel=1e-9)


@pytest.mark.parametrize(("m", "s"), [(0.0, 1.0), (0.4, 1.0), (0.0, 1.5), (-0.3, 0.7)])
def test_gaussians_on_the_line_have_a_closed_form(m, s):
    truth = exactly(gaussian_moments(0, 1), gaussian_moments(m, s))
    found = [
        kernel_distance(normal(200, 1, seed=2 * i), normal(150, 1, seed=2 * i + 1) * s + m)
        for i in range(300)
    ]
    values = np.array([f.value for f in found])
    assert values.mean() == pytest.approx(truth, abs=3.5 * values.std() / 300**0.5)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("n", "m"), [(150, 150), (300, 30), (30, 30)])
def test_the_interval_holds_the_truth_for_small_sets_too(n, m, shift, d=32):
    truth = mean_kernel(0, 0, d) + mean_kernel(shift, shift, d) - 2 * mean_kernel(0, shift, d)
    found = [
        kernel_distance(normal(n, d, seed=2 * i) + shift, normal(m, d, seed=2 * i + 1))
        for i in range(100)
    ]
    assert sum(abs(f.value - truth) <= f.interval for f in found) >= 87
    values = [f.value for f in found]
    assert np.mean(values) == pytest.approx(truth, abs=3.5 * np.std(values) / 10)
    assert np.mean([f.standard_error for f in found]) == pytest.approx(np.std(values), rel=0.4)


def test_small_sets_have_no_bias_where_the_frechet_distance_has():
    values = [
        kernel_distance(normal(6, 8, seed=2 * i), normal(6, 8, seed=2 * i + 1)).value
        for i in range(500)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / 500**0.5


def test_grows_with_added_noise_and_a_set_against_itself_is_below_zero():
    x, y, noise = normal(500, 8), normal(500, 8, seed=1), normal(500, 8, seed=2)
    values = [kernel_distance(y + s * noise, x).value for s in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    assert kernel_distance(x, x).value < 0


def test_few_rows_have_a_value_and_no_error():
    found = kernel_distance(normal(3, 2), normal(9, 2, seed=1))
    assert np.isfinite(found.value) and np.isnan(found.interval)
    assert np.isfinite(kernel_distance(normal(4, 2), normal(4, 2, seed=1)).interval)
    assert KernelEstimate(2.0, 0.5).interval == pytest.approx(0.98)
    equal = torch.ones(6, 3)
    assert kernel_distance(equal, equal) == KernelEstimate(0.0, 0.0)


def test_kernel_distance_complains():
    with pytest.raises(ValueError, match="reference must hold at least 2 rows, got 1"):
        kernel_distance(normal(5, 2), normal(1, 2))
    with pytest.raises(ValueError, match=r"reference must have shape \(n, 2\), got \(5, 3\)"):
        kernel_distance(normal(5, 2), normal(5, 3))
    with pytest.raises(ValueError, match=r"features must hold numbers of at most 1e\+20"):
        kernel_distance(normal(5, 2) * 1e30, normal(5, 2))
