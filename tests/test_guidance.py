import math

import pytest
import torch
from torch import Tensor

from denoising_diffusion import (
    ClassifierFreeGuidance,
    GaussianDiffusion,
    Schedule,
    clipped,
    cosine_beta_schedule,
    ddpm,
    drop_labels,
)

SCHEDULE = Schedule.from_betas(cosine_beta_schedule(100))
LABELS = torch.tensor([1, 2, 3, 1])
X = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
T = torch.tensor([5.0, 40.0, 70.0, 99.0])


def network(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    """Some answer that depends on all three, sample by sample."""
    return torch.tanh(x * (1 + labels[:, None]) + t[:, None] / 100) + labels[:, None]


class Counting:
    def __init__(self):
        self.sizes: list[int] = []
        self.labels: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        assert len(x) == len(t) == len(labels)
        self.sizes.append(len(x))
        self.labels += labels.tolist()
        return network(x, t, labels)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_guidance_moves_from_the_unconditional_to_the_conditional_estimate(scale: float):
    counting = Counting()
    estimate = ClassifierFreeGuidance(counting, LABELS, scale)(X, T)
    cond, uncond = network(X, T, LABELS), network(X, T, torch.zeros_like(LABELS))
    torch.testing.assert_close(estimate, (1 - scale) * uncond + scale * cond, rtol=0, atol=1e-13)
    assert counting.sizes == ([4] if scale in (0, 1) else [8])


@pytest.mark.parametrize(("scale", "expected"), [(1, [1, 2, 3, 1]), (0, [0, 0, 0, 0])])
def test_scales_0_and_1_are_the_plain_models_bit_for_bit(scale: float, expected: list[int]):
    counting = Counting()
    estimate = ClassifierFreeGuidance(counting, LABELS, scale)(X, T)
    assert counting.labels == expected
    assert torch.equal(estimate, network(X, T, torch.tensor(expected)))


def test_the_scale_is_1_unless_said_otherwise():
    assert ClassifierFreeGuidance(network, LABELS).scale == 1


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_guiding_the_estimate_is_guiding_the_noise(scale: float):
    d = GaussianDiffusion(SCHEDULE, (2,), network)
    by_start = ClassifierFreeGuidance(d.denoise, LABELS, scale)(X, T)
    cond, uncond = network(X, T, LABELS), network(X, T, torch.zeros_like(LABELS))
    by_noise = d.predict_start_from_noise(X, T, uncond + scale * (cond - uncond))
    torch.testing.assert_close(by_start, by_noise, rtol=1e-10, atol=0)


@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_image_space_guidance_is_a_step_with_mixed_estimates_and_mixed_noises(scale: float):
    # x = x_uncond + scale (x_cond - x_uncond), each half with its own clip and its own noise,
    # equals one ordinary step whose noise is stronger than it should be.
    def halves(labels: Tensor):
        return clipped(lambda x, t: network(x, t, labels))

    cond, uncond = halves(LABELS), halves(torch.zeros_like(LABELS))

    def mixed(x: Tensor, t: Tensor) -> Tensor:
        return uncond(x, t) + scale * (cond(x, t) - uncond(x, t))

    def step(denoise, noise: Tensor) -> Tensor:
        return next(ddpm(denoise, SCHEDULE, X, [60, 59], randn_like=lambda _: noise)).x

    def image_space(noise_cond: Tensor, noise_uncond: Tensor) -> Tensor:
        x_cond, x_uncond = step(cond, noise_cond), step(uncond, noise_uncond)
        return x_uncond + scale * (x_cond - x_uncond)

    one, two = torch.randn(2, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        image_space(one, two), step(mixed, scale * one + (1 - scale) * two), rtol=0, atol=1e-12
    )

    nil, unit = torch.zeros_like(X), torch.ones_like(X)
    variance = (image_space(unit, nil) - image_space(nil, nil)) ** 2
    variance += (image_space(nil, unit) - image_space(nil, nil)) ** 2
    ordinary = (step(mixed, unit) - step(mixed, nil)) ** 2
    torch.testing.assert_close(variance, ((1 - scale) ** 2 + scale**2) * ordinary)
    posterior = GaussianDiffusion(SCHEDULE, (2,), network).q_posterior_mean_variance(
        X, X, torch.full((4,), 60)
    )[1]
    torch.testing.assert_close(ordinary, posterior.expand(4, 2))


def test_clipped_cuts_the_estimate_to_the_range_of_the_data():
    x = torch.tensor([[-3.0, -1.0, 0.5, 1.0, 2.0]])
    t = torch.ones(1)
    assert clipped(lambda x, t: x)(x, t).tolist() == [[-1, -1, 0.5, 1, 1]]
    assert clipped(lambda x, t: x, 0, 1.5)(x, t).tolist() == [[0, 0, 0.5, 1, 1.5]]
    assert x.tolist() == [[-3, -1, 0.5, 1, 2]]


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, -1), (math.nan, 1)])
def test_clipped_refuses_an_empty_range(low: float, high: float):
    with pytest.raises(ValueError, match=f"low must be below high, got {low} and {high}"):
        clipped(lambda x, t: x, low, high)


def test_every_column_may_have_its_own_range():
    x = torch.tensor([[-3.0, -3.0], [0.25, 0.25], [9.0, 9.0]])
    t = torch.ones(3)
    cut = clipped(lambda x, t: x, (-1.0, -2.0), (0.5, 4.0))
    assert cut(x, t).tolist() == [[-1, -2], [0.25, 0.25], [0.5, 4]]
    assert cut(x.double(), t).dtype == torch.float64
    cut = clipped(lambda x, t: x, -1, (0.5, 4.0))
    assert cut(x, t).tolist() == [[-1, -1], [0.25, 0.25], [0.5, 4]]


@pytest.mark.parametrize(
    ("low", "high", "kind", "reason"),
    [
        ((0.0, 1.0), (1.0, 1.0), ValueError, "low must be below high"),
        ((0.0, 1.0), 1.0, ValueError, "low must be below high"),
        ((0.0, math.nan), (1.0, 1.0), ValueError, "low must be below high"),
        ((0.0,), (1.0, 1.0), ValueError, "low and high have 1 and 2 columns"),
        ((0.0, "1"), (1.0, 2.0), TypeError, "low must be a float or int, got str '1'"),
        (0.0, [1.0], TypeError, "high must be a float or int, got list"),
    ],
)
def test_ranges_of_columns_are_checked(low, high, kind, reason):
    with pytest.raises(kind, match=reason):
        clipped(lambda x, t: x, low, high)


@pytest.mark.parametrize("prob", [0.1, 0.2, 0.9])
def test_labels_are_dropped_with_their_probability(prob: float):
    n = 40_000
    labels = torch.arange(n) % 3 + 1
    dropped = drop_labels(labels, prob, torch.Generator().manual_seed(0))
    share = (dropped == 0).double().mean().item()
    assert abs(share - prob) < 5 * math.sqrt(prob * (1 - prob) / n)
    assert torch.equal(dropped[dropped != 0], labels[dropped != 0])
    assert (labels != 0).all()
    assert torch.equal(dropped, drop_labels(labels, prob, torch.Generator().manual_seed(0)))


def test_all_or_no_labels_are_dropped():
    labels = torch.ones(10_000, dtype=torch.int64)
    assert torch.equal(drop_labels(labels, 0.0), labels)
    assert not drop_labels(labels, 1.0).any()


@pytest.mark.parametrize("prob", [-0.1, 1.1, math.nan])
def test_drop_labels_refuses_what_is_no_probability(prob: float):
    with pytest.raises(ValueError, match=rf"prob must lie in \[0, 1\], got {prob}"):
        drop_labels(LABELS, prob)


@pytest.mark.parametrize("scale", [-0.5, math.inf, math.nan])
def test_a_scale_that_is_negative_or_not_finite_is_refused(scale: float):
    with pytest.raises(ValueError, match=f"scale must be a finite number >= 0, got {scale}"):
        ClassifierFreeGuidance(network, LABELS, scale)


def test_labels_must_be_one_per_sample():
    with pytest.raises(ValueError, match=r"labels must have shape \(b,\), got \(2, 2\)"):
        ClassifierFreeGuidance(network, LABELS.view(2, 2))
    for scale in (0, 1, 2):
        with pytest.raises(ValueError, match="got 3 samples for 4 labels"):
            ClassifierFreeGuidance(network, LABELS, scale)(X[:3], T[:3])
