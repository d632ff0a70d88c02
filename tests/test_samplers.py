import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from denoising_diffusion import (
    Denoiser,
    Schedule,
    Step,
    clipped,
    cosine_beta_schedule,
    ddim,
    ddpm,
    time_grid,
)

SCHEDULE = Schedule.from_betas(cosine_beta_schedule(100))
TRIPLES = Schedule(
    torch.tensor([1, 0.8, 0.6, 0], dtype=torch.float64),
    torch.tensor([0, 0.6, 0.8, 1], dtype=torch.float64),
)
MEAN, STD = 0.3, 0.5
GAUSSIAN = torch.tensor([[1.0], [MEAN], [STD]], dtype=torch.float64)
MIXTURE = torch.tensor([[0.3, 0.7], [-0.8, 0.5], [0.3, 0.2]], dtype=torch.float64)


def exact_denoiser(law: Tensor) -> Denoiser:
    """E[x_0 | x_t] for a mixture of Gaussians: so any error left is the sampler's own."""
    weight, mean, std = law

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.at(t, like=x)
        variance = alpha**2 * std**2 + sigma**2
        log_share = weight.log() - variance.log() / 2 - (x - alpha * mean) ** 2 / (2 * variance)
        share = (log_share - log_share.logsumexp(-1, keepdim=True)).exp()
        return (share * (mean + alpha * std**2 / variance * (x - alpha * mean))).sum(-1, True)

    return denoise


def cdf(law: Tensor, x: float, t: float) -> float:
    weight, mean, std = law
    alpha, sigma = SCHEDULE(t)
    z = (x - alpha * mean) / (alpha**2 * std**2 + sigma**2).sqrt()
    return (weight * torch.special.ndtr(z)).sum().item()


def carried(law: Tensor, x: float, t: float, s: float) -> float:
    """The exact end at s of the ODE through x at t, which in one dimension carries quantiles."""
    level = cdf(law, x, t)
    return brentq(lambda y: cdf(law, y, s) - level, -20, 20, xtol=1e-14, rtol=1e-14)


def even_in_log_snr(num_steps: int, first: float = -6.0, last: float = 4.0) -> list[float]:
    return SCHEDULE.time(torch.linspace(first, last, num_steps + 1, dtype=torch.float64)).tolist()


def last(steps: Iterator[Step]) -> Step:
    *_, step = steps
    return step


def scripted(noises: Tensor) -> Callable[[Tensor], Tensor]:
    rows = iter(noises)
    return lambda _: next(rows)


def order(errors: list[float]) -> float:
    return math.log2(abs(errors[-2]) / abs(errors[-1]))


@pytest.mark.parametrize("law", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("start", [-1.7, 0.4, 1.3])
def test_ddim_converges_to_the_ode_with_order_1(law: Tensor, start: float):
    errors = []
    for num_steps in (160, 320):
        times = even_in_log_snr(num_steps)
        x = torch.tensor([[start]], dtype=torch.float64)
        end = last(ddim(exact_denoiser(law), SCHEDULE, x, times)).x.item()
        errors.append(end - carried(law, start, times[0], times[-1]))
    assert abs(errors[-1]) < 0.02
    assert 0.85 <= order(errors) <= 1.15


def test_the_step_to_clean_data_errs_by_the_square_of_sigma():
    errors = []
    for log_snr in (10.0, 10.0 + 2 * math.log(2)):  # sigma / alpha falls by a half
        t = SCHEDULE.time(log_snr).item()
        x = torch.tensor([[1.1]], dtype=torch.float64)
        end = last(ddim(exact_denoiser(GAUSSIAN), SCHEDULE, x, [t, 0])).x.item()
        errors.append(end - carried(GAUSSIAN, 1.1, t, 0))
    assert abs(errors[0]) < 1e-3
    assert order(errors) == pytest.approx(2, abs=0.01)


def terminal_law(
    sample: Callable[..., Iterator[Step]], num_steps: int
) -> tuple[float, float, float, float]:
    """The exact mean and variance after a walk, and those of x_t there.

    Denoiser and walk are affine, so row 0 without noise is the mean, and row i, which differs by
    one unit of the i-th random number alone, is the response to it.
    """
    times = even_in_log_snr(num_steps)
    (alpha, sigma), (alpha_s, sigma_s) = SCHEDULE(times[0]), SCHEDULE(times[-1])
    x = (alpha * MEAN).expand(num_steps + 2, 1).clone()
    x[1] += (alpha**2 * STD**2 + sigma**2).sqrt()
    noises = torch.eye(num_steps + 2, dtype=torch.float64)[2:].unsqueeze(-1)
    end = last(
        sample(exact_denoiser(GAUSSIAN), SCHEDULE, x, times, randn_like=scripted(noises))
    ).x.flatten()
    variance = (end[1:] - end[0]).square().sum().item()
    exact = (alpha_s * MEAN).item(), (alpha_s**2 * STD**2 + sigma_s**2).item()
    return end[0].item(), variance, *exact


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, None], ids=["0", "0.5", "1", "ddpm"])
def test_terminal_mean_and_variance_are_those_of_the_data(eta: float | None):
    def sample(*args, **options) -> Iterator[Step]:
        return ddpm(*args, **options) if eta is None else ddim(*args, eta=eta, **options)

    errors = []
    for num_steps in (160, 320):
        mean, variance, exact_mean, exact_variance = terminal_law(sample, num_steps)
        assert mean == pytest.approx(exact_mean, abs=1e-12)
        errors.append(variance / exact_variance - 1)
    assert abs(errors[-1]) < 0.03
    assert 0.85 <= order(errors) <= 1.15


def one_step(eta: float, unit: float) -> float:
    x = torch.ones(1, 1, dtype=torch.float64)
    (step,) = ddim(
        lambda x, t: torch.full_like(x, 0.5),
        TRIPLES,
        x,
        [2, 1],
        eta=eta,
        randn_like=lambda like: torch.full_like(like, unit),
    )
    return step.x.item()


def test_eta_scales_the_standard_deviation_not_the_variance():
    added = {eta: one_step(eta, 1.0) - one_step(eta, 0.0) for eta in (0.0, 0.5, 1.0)}
    posterior_std = math.sqrt(1 - (0.6 / 0.8) ** 2) * 0.6 / 0.8
    assert added[0.0] == 0
    assert added[1.0] == pytest.approx(posterior_std, rel=1e-12)
    assert added[0.5] == pytest.approx(0.5 * posterior_std, rel=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_one_ddim_step_by_hand(eta: float):
    noise = (1 - 0.6 * 0.5) / 0.8
    jump = eta * math.sqrt(1 - (0.6 / 0.8) ** 2) * 0.6 / 0.8
    by_hand = 0.8 * 0.5 + math.sqrt(0.36 - jump**2) * noise
    assert one_step(eta, 0.0) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("clip", [True, False], ids=["clipped", "free"])
@pytest.mark.parametrize(
    "times", [range(100, -1, -1), [100, 71, 70, 33, 5, 0], [90.5, 31.25, 2, 0.125]]
)
def test_ddpm_is_ddim_with_eta_1(times, clip: bool):
    denoise = exact_denoiser(MIXTURE)
    denoise = clipped(denoise, -0.4, 0.3) if clip else denoise
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 1, dtype=torch.float64, generator=generator)
    noises = torch.randn(len(times), 9, 1, dtype=torch.float64, generator=generator)
    one = list(ddpm(denoise, SCHEDULE, x, times, randn_like=scripted(noises)))
    two = list(ddim(denoise, SCHEDULE, x, times, eta=1.0, randn_like=scripted(noises)))
    assert [s.t for s in one] == [s.t for s in two] == list(times)[1:]
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.x, b.x, rtol=0, atol=1e-12)
        torch.testing.assert_close(a.x_start, b.x_start, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sample", [ddim, ddpm])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_last_x_is_the_last_estimate_bit_for_bit(sample, dtype: torch.dtype):
    x = torch.linspace(-3, 3, 50, dtype=dtype).view(-1, 1)
    for times in ([100, 50, 1, 0], [100, 37.5, 0], [100, 0]):
        step = last(sample(exact_denoiser(MIXTURE.to(dtype)), SCHEDULE, x, times))
        assert step.t == 0
        assert torch.equal(step.x, step.x_start)
        assert step.x.dtype == dtype


def test_the_step_to_clean_data_draws_no_noise():
    def refuse(like: Tensor) -> Tensor:
        raise AssertionError("noise was drawn")

    x = torch.ones(1, 1, dtype=torch.float64)
    list(ddim(exact_denoiser(GAUSSIAN), SCHEDULE, x, [100, 50, 0], eta=0, randn_like=refuse))
    list(ddim(exact_denoiser(GAUSSIAN), SCHEDULE, x, [50, 0], eta=1, randn_like=refuse))
    list(ddpm(exact_denoiser(GAUSSIAN), SCHEDULE, x, [50, 0], randn_like=refuse))


@pytest.mark.parametrize("sample", [ddim, ddpm])
def test_a_walk_starts_where_no_signal_is_left(sample):
    x = torch.tensor([[2.0]], dtype=torch.float64)
    first, *_ = sample(
        lambda x, t: torch.full_like(x, 0.25), TRIPLES, x, [3, 2, 0], randn_like=torch.zeros_like
    )
    kept = 2.0 * 0.8 if sample is ddim else 0.0
    assert first.x.item() == pytest.approx(0.6 * 0.25 + kept, abs=1e-12)


@pytest.mark.parametrize("sample", [ddim, ddpm])
def test_the_denoiser_sees_the_state_and_the_time_before_the_step(sample):
    seen = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        seen.append((x, t))
        return x / 2

    start = torch.ones(3, 2)
    steps = list(sample(denoise, SCHEDULE, start, [100, 50.5, 3]))
    assert [t.tolist() for _, t in seen] == [[100.0] * 3, [50.5] * 3]
    assert seen[0][0] is start
    assert seen[1][0] is steps[0].x
    assert torch.equal(steps[1].x_start, steps[0].x / 2)
    assert torch.equal(start, torch.ones(3, 2))


@pytest.mark.parametrize("sample", [ddim, ddpm])
@pytest.mark.parametrize("outside", [True, False])
def test_a_walk_runs_without_gradients_and_leaves_grad_mode_as_it_was(sample, outside: bool):
    inside = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        inside.append(torch.is_grad_enabled())
        return x

    with torch.set_grad_enabled(outside):
        for _ in sample(denoise, SCHEDULE, torch.ones(1, 1), [100, 50, 0]):
            assert torch.is_grad_enabled() is outside
        assert torch.is_grad_enabled() is outside
    assert inside == [False, False]


@pytest.mark.parametrize("num_timesteps", [1, 2, 7, 40, 100])
def test_time_grid_falls_strictly_from_the_end_to_the_data(num_timesteps: int):
    for num_steps in range(1, num_timesteps + 1):
        grid = time_grid(num_timesteps, num_steps)
        assert (len(grid), grid[0], grid[-1]) == (num_steps + 1, num_timesteps, 0)
        steps = [now - then for now, then in pairwise(grid)]
        assert min(steps) >= 1
        even = [num_timesteps * (1 - i / num_steps) for i in range(num_steps + 1)]
        assert max(abs(a - b) for a, b in zip(grid, even, strict=True)) <= 0.5 + 1e-9
    assert time_grid(num_timesteps, num_timesteps) == list(range(num_timesteps, -1, -1))


@pytest.mark.parametrize("num_steps", [0, 101])
def test_time_grid_refuses_more_steps_than_timesteps(num_steps: int):
    with pytest.raises(ValueError, match=rf"must lie in 1..100.*got {num_steps}"):
        time_grid(100, num_steps)


@pytest.mark.parametrize("sample", [ddim, ddpm])
@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([5], "times must be at least two and fall strictly, got"),
        ([], "times must be at least two and fall strictly, got"),
        ([5, 5], "times must be at least two and fall strictly, got"),
        ([5, 3, 4], "times must be at least two and fall strictly, got"),
        ([101, 3], r"times\[0\] must lie in \[0, 100\], got 101"),
        ([3, -1], r"times\[1\] must lie in \[0, 100\], got -1"),
        ([3, math.nan], r"times\[1\] must lie in \[0, 100\], got nan"),
    ],
)
def test_times_are_refused_when_the_sampler_is_called(sample, times, message: str):
    with pytest.raises(ValueError, match=message):
        sample(lambda x, t: x, SCHEDULE, torch.zeros(1, 1), times)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_eta_outside_0_to_1_is_refused(eta: float):
    with pytest.raises(ValueError, match=rf"eta must lie in \[0, 1\], got {eta}"):
        ddim(lambda x, t: x, SCHEDULE, torch.zeros(1, 1), [1, 0], eta=eta)
