import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from denoising_diffusion import seeds
from denoising_diffusion.data.curves import CURVES, MOONS, SPIRAL
from denoising_diffusion.metrics import sliced_wasserstein, wasserstein
from denoising_diffusion.metrics.frechet import (
    FeatureStatistics,
    FrechetEstimate,
    frechet_distance,
    frechet_with_error,
)
from denoising_diffusion.metrics.kernel import kernel_distance
from denoising_diffusion.metrics.labels import (
    class_proportions,
    confusion_matrix,
    proportion_error,
)
from denoising_diffusion.metrics.neighbours import (
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


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(mean, covariance):
    covariance = torch.as_tensor(covariance, dtype=torch.float64)
    return FeatureStatistics(101, torch.as_tensor(mean, dtype=torch.float64), covariance * 100)


statistics = FeatureStatistics.from_features


# Fréchet distance


def test_gaussians_with_a_closed_form():
    a = gaussian([0.0, 1.0, 2.0], torch.diag(torch.tensor([1.0, 4.0, 9.0])))
    b = gaussian([1.0, 1.0, 0.0], torch.diag(torch.tensor([4.0, 4.0, 0.0])))
    assert frechet_distance(a, b) == pytest.approx(5 + 1 + 0 + 9, rel=1e-12)


def test_zero_on_itself_and_symmetric():
    a, b = statistics(normal(300, 12)), statistics(normal(200, 12, seed=1) * 2 + 0.3)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)


def test_agrees_with_scipy():
    mix = normal(16, 16, seed=2)
    x, y = normal(400, 16) @ mix, normal(500, 16, seed=1) + 0.5
    root = np.real(sqrtm(np.cov(x.T) @ np.cov(y.T)))
    expected = float((x.mean(0) - y.mean(0)).square().sum())
    expected += np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
    assert frechet_distance(statistics(x), statistics(y)) == pytest.approx(expected, rel=1e-6)


def test_fewer_samples_than_features_do_no_harm():
    a, b = statistics(normal(10, 40)), statistics(normal(15, 40, seed=1))
    assert 0 < frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


def test_parts_merged_are_the_whole():
    x = normal(301, 7) * 3 + 100
    whole, merged = statistics(x), statistics(x[:100]).merge(statistics(x[100:]))
    assert merged.count == 301
    assert torch.allclose(merged.mean, whole.mean, rtol=1e-10)
    assert torch.allclose(merged.covariance, whole.covariance, rtol=1e-10, atol=1e-10)
    assert whole.covariance.numpy() == pytest.approx(np.cov(x.T), rel=1e-10, abs=1e-10)


def test_grows_with_added_noise():
    x, y, noise = normal(500, 8), normal(500, 8, seed=1), normal(500, 8, seed=2)
    values = [frechet_distance(statistics(y + s * noise), statistics(x)) for s in (0, 0.5, 1, 2)]
    assert values == sorted(values)


def test_the_estimate_is_that_of_all_features_and_repeats():
    x, reference = normal(300, 5, seed=1) + 0.4, statistics(normal(400, 5))
    estimate = frechet_with_error(x, reference, seed=3)
    assert estimate.value == pytest.approx(frechet_distance(statistics(x), reference), rel=1e-12)
    assert estimate == frechet_with_error(x, reference, seed=3)
    assert estimate != frechet_with_error(x, reference, seed=4)
    assert FrechetEstimate(2.0, 0.5).interval == pytest.approx(0.98)


def test_the_standard_error_is_the_spread_of_independent_sets():
    reference = statistics(normal(2000, 6))
    sets = [normal(400, 6, seed=10 + i) * 1.3 + 0.5 for i in range(20)]
    estimates = [frechet_with_error(x, reference) for x in sets]
    spread = np.std([e.value for e in estimates], ddof=1)
    assert np.mean([e.standard_error for e in estimates]) == pytest.approx(spread, rel=0.4)
    truth = 6 * (0.3**2 + 0.5**2)
    assert sum(abs(e.value - truth) < 2 * e.interval for e in estimates) >= 18


def test_bootstrap_weights_equal_drawing_the_rows():
    x, reference = normal(50, 3) + 5, statistics(normal(60, 3, seed=1))
    generator = seeds.stream(0, "bootstrap")
    rows = [torch.randint(50, (50,), generator=generator) for _ in range(10)]
    values = [frechet_distance(statistics(x[r]), reference) for r in rows]
    estimate = frechet_with_error(x, reference, resamples=10)
    assert estimate.standard_error == pytest.approx(np.std(values, ddof=1), rel=1e-9)


def test_frechet_complains():
    a = statistics(normal(5, 2))
    with pytest.raises(ValueError, match="differ in width: 2 and 3"):
        frechet_distance(a, statistics(normal(5, 3)))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        frechet_distance(a, statistics(normal(1, 2)))
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        statistics(normal(5))
    with pytest.raises(ValueError, match="resamples"):
        frechet_with_error(normal(5, 2), a, resamples=1)


# Points


def test_point_to_segment_by_hand():
    corner = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    polyline = (corner, torch.tensor([0.0, 0.5, 1.0]))
    points = torch.tensor([[1.0, 1.0], [0.5, -0.5], [-3.0, 4.0], [3.0, 1.5], [2.0, 5.0]])
    points[0, 1] = 0.25
    distances, fraction = curve_distances(points, polyline)
    assert distances.tolist() == pytest.approx([0.25, 0.5, 5, 1, 3])
    assert fraction.tolist() == pytest.approx([0.25, 0.125, 0, 0.875, 1])
    places, _ = closest_on_curve(points, polyline)
    assert places[3].tolist() == pytest.approx([2, 1.5])


def test_a_gap_between_arcs_is_not_part_of_the_curve():
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
    distances, fraction = curve_distances(
        torch.tensor([[1.5, 0.0], [2.9, 0.0]]), (line, torch.tensor([0.0, 0.5, 0.5, 1.0]))
    )
    assert distances.tolist() == pytest.approx([0.5, 0.1])
    assert fraction.tolist() == pytest.approx([0.5, 0.5])


def test_chunks_do_not_show(monkeypatch):
    points, polyline = normal(37, 2), MOONS.polyline(100)
    whole = curve_distances(points, polyline)
    monkeypatch.setattr("denoising_diffusion.metrics.points._CHUNK", 500)
    assert torch.equal(curve_distances(points, polyline)[0], whole[0])


def test_noise_at_right_angles_is_measured():
    theta = torch.linspace(0.2, 3, 50, dtype=torch.float64)
    ring = torch.stack([theta.cos(), theta.sin()], dim=1) * 1.1
    assert mean_curve_distance(ring * 2 / 3 - 1 / 3, MOONS) == pytest.approx(0.1 * 2 / 3, rel=1e-4)


@pytest.mark.parametrize("name", CURVES)
def test_fresh_data_follows_the_law_and_collapsed_data_does_not(name):
    curve = CURVES[name]
    fresh = curve.sample(4000, seeds.stream(0, "fresh"))
    expected = math.sqrt(50 / (2 * math.pi * 4000))
    assert arc_histogram_tv(fresh, curve) == pytest.approx(expected, rel=0.35)
    assert arc_histogram_tv(fresh[:1].expand(100, 2), curve) > 0.95
    _, fraction = curve_distances(fresh, curve.polyline())
    share = float((fraction < 0.5).float().mean())
    assert arc_histogram_tv(fresh[fraction < 0.5], curve) == pytest.approx(1 - share, abs=0.05)


def test_nearest_distance():
    reference = torch.tensor([[0.0, 0, 0], [10, 0, 0]])
    points = torch.tensor([[0.0, 3, 4], [9, 0, 0], [10, 0, 0]])
    assert nearest_distance(points, reference) == pytest.approx(2)


def test_a_polyline_without_length_is_refused():
    x, line = normal(3, 2), torch.zeros(4, 2)
    for fraction in (torch.zeros(4), torch.linspace(0, 1, 4)):
        with pytest.raises(ValueError, match="polyline has no segment with a length"):
            closest_on_curve(x, (line, fraction))
    with pytest.raises(ValueError, match=r"polyline\[1\] must have shape \(4,\), got \(3,\)"):
        closest_on_curve(x, (line, torch.zeros(3)))
    with pytest.raises(ValueError, match="polyline must hold two tensors, got 1"):
        closest_on_curve(x, (line,))


def test_points_complain():
    with pytest.raises(ValueError, match=r"shape \(n, 2\), got \(3, 3\)"):
        curve_distances(normal(3, 3), SPIRAL.polyline())
    with pytest.raises(ValueError, match="points has no rows"):
        arc_histogram_tv(normal(0, 2), SPIRAL)
    with pytest.raises(ValueError, match="bins"):
        arc_histogram_tv(normal(3, 2), SPIRAL, bins=0)
    with pytest.raises(ValueError, match=r"reference must have shape \(n, 2\), got \(3, 3\)"):
        nearest_distance(normal(3, 2), normal(3, 3))


# Wrong types, and numbers that are none


X, CLASSES = normal(8, 2), torch.tensor([0, 1, 2, 0])
STATISTICS = statistics(X)
CALLS = [
    (FeatureStatistics, {"count": 3, "mean": X[0], "scatter": X[:2]}),
    (statistics, {"features": X}),
    (STATISTICS.merge, {"other": STATISTICS}),
    (frechet_distance, {"a": STATISTICS, "b": STATISTICS}),
    (
        frechet_with_error,
        {"features": X, "reference": STATISTICS, "resamples": 3, "seed": 0},
    ),
    (kernel_distance, {"features": X, "reference": X}),
    (nearest, {"x": X, "reference": X, "exclude_self": False}),
    (precision_recall, {"features": X, "reference": X, "k": 2}),
    (density_coverage, {"features": X, "reference": X, "k": 2}),
    (memorisation, {"samples": X, "train": X, "held_out": X}),
    (closest_on_curve, {"points": X, "polyline": SPIRAL.polyline(50)}),
    (curve_distances, {"points": X, "polyline": SPIRAL.polyline(50)}),
    (mean_curve_distance, {"points": X, "curve": SPIRAL}),
    (arc_histogram_tv, {"points": X, "curve": SPIRAL, "bins": 5}),
    (nearest_distance, {"points": X, "reference": X}),
    (wasserstein, {"x": X, "y": X}),
    (sliced_wasserstein, {"x": X, "y": X}),
    (confusion_matrix, {"asked": CLASSES, "read": CLASSES, "num_classes": 3}),
    (class_proportions, {"read": CLASSES, "num_classes": 3}),
    (proportion_error, {"read": CLASSES, "reference_classes": CLASSES, "num_classes": 3}),
]


@pytest.mark.parametrize(
    ("call", "arguments", "name"),
    [(call, arguments, name) for call, arguments in CALLS for name in arguments],
)
def test_wrong_types_are_refused_by_name(call, arguments, name):
    call(**arguments)
    wrong = [None, "5", b"5", [], [1], {}, 1.5, 1j, -1, 10**30, math.nan, (None, None), object()]
    wrong += [X.to(torch.complex64), X > 0, X.numpy(), X[:0], torch.tensor(1.0), X / 0, X * 1e200]
    # A count or a seed may be huge, and no more than the sign of a count shows that it is wrong.
    wrong = [v for v in wrong if not (name in ("count", "seed") and isinstance(v, int) and v > 0)]
    for value in wrong:
        with pytest.raises((TypeError, ValueError)) as refused:
            call(**{**arguments, name: value})
        assert name in str(refused.value)
        assert "denoising_diffusion" in str(refused.traceback[-1].path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e71])
@pytest.mark.parametrize("place", ["first", "last"])
def test_no_metric_takes_what_is_not_finite_or_cannot_be_squared(value, place):
    bad = X.clone()
    bad[0 if place == "first" else -1, 1] = value
    for call, arguments in CALLS:
        for name, given in arguments.items():
            if isinstance(given, torch.Tensor) and given.shape == X.shape:
                message = f"{name} (holds values that are not finite|must hold numbers of at most)"
                with pytest.raises(ValueError, match=message):
                    call(**{**arguments, name: bad})


def test_integers_half_precision_and_gradients_are_welcome():
    for x in (torch.arange(16).view(8, 2), X.half(), X.bfloat16(), X.clone().requires_grad_()):
        exact = x.detach().double()
        assert frechet_distance(statistics(x), STATISTICS) == pytest.approx(
            frechet_distance(statistics(exact), STATISTICS)
        )
        assert mean_curve_distance(x, SPIRAL) == mean_curve_distance(exact, SPIRAL)
        assert nearest_distance(x, X) == nearest_distance(exact, X)
