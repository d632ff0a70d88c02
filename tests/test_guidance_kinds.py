"""Guidance in an interval, by a weaker model, and thresholds, against what is known exactly."""

import math

import pytest
import torch
from torch import Tensor

from denoising_diffusion import (
    ClassifierFreeGuidance,
    Schedule,
    autoguided,
    bound,
    clipped,
    cosine_beta_schedule,
    counted,
    ddim,
    last,
    stream,
    thresholded,
    time_grid,
    within_interval,
)
from denoising_diffusion.guidance import is_within
from denoising_diffusion.rectified_flow import rectified_flow
from mixtures import Mixture

SCHEDULE = Schedule.from_betas(cosine_beta_schedule(100))
LABELS = torch.tensor([1, 2, 3, 1])
X = torch.randn(4, 2, dtype=torch.float64, generator=stream(0, "x"))


def network(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    return torch.tanh(x * (1 + labels[:, None]) + t[:, None] / 100) + labels[:, None]


def at(t: float) -> Tensor:
    return torch.full((4,), t)


def gaussian(mean: float, std: float, schedule: Schedule = SCHEDULE):
    one = torch.ones(1, dtype=torch.float64)
    return Mixture(one, mean * one[None], (std**2 * one)[None, None]).denoiser(schedule)


# Guided densities of two Gaussians, p_strong^s p_weak^(1 - s) at one noise level, are Gaussians.
def product(t: float, scale: float, strong: tuple[float, float], weak: tuple[float, float]):
    """Mean and variance of that density of x_t."""
    alpha, sigma = (v.item() for v in SCHEDULE(t))
    means, variances = zip(
        *((alpha * m, (alpha * s) ** 2 + sigma**2) for m, s in (strong, weak)), strict=True
    )
    precision = scale / variances[0] + (1 - scale) / variances[1]
    pull = scale * means[0] / variances[0] + (1 - scale) * means[1] / variances[1]
    return pull / precision, 1 / precision


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.5])
@pytest.mark.parametrize("t", [3, 40, 99])
def test_autoguidance_follows_the_score_of_the_guided_density(t, scale):
    strong, weak = (0.7, 0.2), (0.5, 0.5)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    time = torch.full((9,), float(t))
    estimate = autoguided(gaussian(*strong), gaussian(*weak), scale)(x, time)
    alpha, sigma = (v.item() for v in SCHEDULE(t))
    mean, variance = product(t, scale, strong, weak)
    # Tweedie: x_start = (x + sigma² score) / alpha, with the score of that density.
    expected = (x - sigma**2 * (x - mean) / variance) / alpha
    torch.testing.assert_close(estimate, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 2.0, 7.5])
def test_a_model_guided_by_itself_is_itself(scale):
    model = gaussian(0.3, 0.4)
    x = X[:, :1]
    torch.testing.assert_close(
        autoguided(model, model, scale)(x, at(50)), model(x, at(50)), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize(("scale", "counts"), [(1.0, (1, 0)), (0.0, (0, 1)), (2.0, (1, 1))])
def test_one_of_the_two_is_enough_at_scales_0_and_1(scale, counts):
    strong, weak = counted(gaussian(1, 1)), counted(gaussian(0, 1))
    estimate = autoguided(strong, weak, scale)(X[:, :1], at(50))
    assert (strong.evaluations, weak.evaluations) == counts
    if scale != 2:
        only = gaussian(1, 1) if scale == 1 else gaussian(0, 1)
        assert torch.equal(estimate, only(X[:, :1], at(50)))


def test_the_weak_model_sees_the_labels_too():
    seen: list[list[int]] = []

    def weak(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels.tolist())
        return network(x, t, labels) / 2

    guided = autoguided(bound(network, LABELS), bound(weak, LABELS), 3.0)
    torch.testing.assert_close(guided(X, at(9)), 2 * network(X, at(9), LABELS))
    assert seen == [LABELS.tolist()]


def full(scale: float = 2.0, net=network):
    return ClassifierFreeGuidance(net, LABELS, scale)


def walked(denoise, times) -> Tensor:
    return last(ddim(denoise, SCHEDULE, X, times)).x


def test_an_interval_of_all_levels_is_full_guidance_and_an_empty_one_is_none():
    plain, times = bound(network, LABELS), time_grid(100, 10)
    whole = within_interval(full(), plain, SCHEDULE, 0.0, math.inf)
    assert torch.equal(walked(whole, times), walked(full(), times))
    empty = within_interval(full(), plain, SCHEDULE, 1e9, 2e9)
    assert torch.equal(walked(empty, times), walked(plain, times))


def test_guidance_costs_a_second_row_inside_the_interval_alone():
    rows: dict[float, int] = {}

    def counting(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        rows[t[0].item()] = len(x)
        return network(x, t, labels)

    times = time_grid(100, 20)
    low, high = 0.5, 3.0
    walked(
        within_interval(full(2.0, counting), bound(counting, LABELS), SCHEDULE, low, high), times
    )
    alpha, sigma = SCHEDULE(torch.tensor(times[:-1]))
    inside = (sigma / alpha > low) & (sigma / alpha <= high)
    assert list(rows.values()) == [8 if i else 4 for i in inside.tolist()]
    assert 0 < inside.sum() < 20


def test_the_interval_is_open_below_and_closed_above_as_in_the_paper():
    schedule = rectified_flow(timesteps=4)  # sigma / alpha = 1/3, 1, 3, infinity at 1, 2, 3, 4
    t = torch.arange(5.0)
    assert is_within(schedule, t, 1.0, 3.0).tolist() == [False, False, False, True, False]
    assert is_within(schedule, t, 3.0, math.inf).tolist() == [False] * 4 + [True]
    assert is_within(schedule, t, 0.0, 1.0).tolist() == [False, True, True, False, False]


def test_each_sample_has_its_own_time():
    t = torch.tensor([1.0, 50.0, 60.0, 99.0])
    mixed = within_interval(full(), bound(network, LABELS), SCHEDULE, 0.5, 3.0)(X, t)
    inside = is_within(SCHEDULE, t, 0.5, 3.0)
    assert inside.tolist() == [False, True, True, False]
    assert torch.equal(mixed[inside], full()(X, t)[inside])
    assert torch.equal(mixed[~inside], network(X, t, LABELS)[~inside])


def test_a_threshold_is_the_quantile_of_each_sample():
    # Sorted absolute values 0, 0.5, 1, 2, 4: the quantile of 0.75 is 2, and of 0.625 is 1.5.
    x = torch.tensor([[-4.0, 2.0, 0.0, 1.0, -0.5], [0.1, -0.2, 0.9, -0.3, 1.4]])
    t = torch.ones(2)
    found = thresholded(lambda x, t: x, 0.75)(x, t)
    assert found.tolist()[0] == [-1, 1, 0, 0.5, -0.25]
    assert torch.equal(found[1], x[1].clamp(-1, 1))  # its quantile, 0.9, lies in the range
    found = thresholded(lambda x, t: x, 0.625)(x, t)
    torch.testing.assert_close(found[0], x[0].clamp(-1.5, 1.5) / 1.5)


def test_at_a_share_of_1_nothing_is_cut_and_the_largest_is_at_the_limit():
    x = 3 * torch.randn(5, 3, 4, 4, generator=stream(0, "t"))
    found = thresholded(lambda x, t: x, 1.0)(x, torch.ones(5))
    torch.testing.assert_close(found, x / x.abs().amax((1, 2, 3), keepdim=True))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.995])
def test_the_quantile_is_that_of_torch(share):
    x = 2 * torch.randn(6, 1, 9, 7, generator=stream(1, "t"), dtype=torch.float64)
    s = torch.quantile(x.abs().flatten(1), share, dim=1).clamp(min=1).view(-1, 1, 1, 1)
    found = thresholded(lambda x, t: x, share)(x, torch.ones(6))
    torch.testing.assert_close(found, x.clamp(-s, s) / s, rtol=1e-12, atol=0)


def test_ranges_need_not_be_symmetric_nor_equal_in_all_columns():
    x = torch.tensor([[5.0, 40.0], [3.0, 22.0]], dtype=torch.float64)
    t = torch.ones(2)
    # From the middles (2, 20) in units of (2, 10): (1.5, 2) and (0.5, 0.2).
    found = thresholded(lambda x, t: x, 1.0, (0.0, 10.0), (4.0, 30.0))(x, t)
    torch.testing.assert_close(found, torch.tensor([[3.5, 30.0], [3.0, 22.0]]).double())
    assert thresholded(lambda x, t: x, 1.0, (0.0, 10.0), (4.0, 30.0))(x.float(), t).dtype == (
        torch.float32
    )


def test_a_sampler_derives_the_noise_anew_from_the_threshold():
    # x_s = alpha_s x_start + sigma_s noise with x_t = alpha_t x_start + sigma_t noise.
    scaled = thresholded(lambda x, t: 5 * x, 0.5)
    step = next(ddim(scaled, SCHEDULE, X, [60, 40]))
    (a, s), (b, r) = ([v.item() for v in SCHEDULE(t)] for t in (60, 40))
    noise = (step.x - b * step.x_start) / r
    torch.testing.assert_close(a * step.x_start + s * noise, X, rtol=0, atol=1e-12)
    assert step.x_start.abs().max() <= 1
    assert torch.equal(clipped(scaled)(X, at(60)), scaled(X, at(60)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: autoguided(network, network, -1.0), "scale must be a finite number >= 0, got -1"),
        (lambda: autoguided(network, None), "weak must be callable"),
        (lambda: thresholded(network, 0.0), r"share must lie in \(0, 1\], got 0"),
        (lambda: thresholded(network, math.nan), r"share must lie in \(0, 1\], got nan"),
        (lambda: thresholded(network, 0.5, 1, -1), "low must be below high"),
        (lambda: thresholded(network, 0.5, -1, math.inf), "must be finite, got -1 and inf"),
        (
            lambda: within_interval(network, network, SCHEDULE, 2.0, 1.0),
            "low must be below high, got 2 and 1",
        ),
        (
            lambda: within_interval(network, network, SCHEDULE, -1.0, 1.0),
            "low must be a finite number >= 0, got -1",
        ),
        (
            lambda: within_interval(network, network, SCHEDULE, 1.0, math.nan),
            "high must be a number, got nan",
        ),
        (lambda: within_interval(network, None, SCHEDULE, 0, 1), "plain must be callable"),
    ],
)
def test_errors(call, text):
    with pytest.raises((ValueError, TypeError), match=text):
        call()


def test_answers_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"the answer of weak must have shape \(4, 2\)"):
        autoguided(lambda x, t: x, lambda x, t: x[:1], 2.0)(X, at(5))
