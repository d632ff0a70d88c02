import math
import re
import warnings

import pytest
import torch
from torch import Tensor

from denoising_diffusion import (
    GaussianDiffusion,
    Schedule,
    cosine_beta_schedule,
    linear_beta_schedule,
)

COSINE = Schedule.from_betas(cosine_beta_schedule(100))


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def schedules() -> list[Schedule]:
    return [
        COSINE,
        Schedule.from_betas(cosine_beta_schedule(7)),
        Schedule.from_betas(linear_beta_schedule(1000)),
        Schedule.from_betas(linear_beta_schedule(50)),
        Schedule.from_alpha_cumprod(tensor(0.7, 0.2, 0.0)),
    ]


@pytest.mark.parametrize("schedule", schedules())
def test_row_0_is_clean_and_signal_to_noise_falls_strictly(schedule: Schedule):
    assert (schedule.alpha[0].item(), schedule.sigma[0].item()) == (1, 0)
    assert schedule.log_snr[0] == math.inf
    assert (schedule.log_snr.diff() < 0).all()
    assert len(schedule.alpha) == len(schedule.sigma) == schedule.num_timesteps + 1
    assert schedule.alpha.dtype == schedule.sigma.dtype == torch.float64
    torch.testing.assert_close(
        schedule.alpha**2 + schedule.sigma**2, torch.ones_like(schedule.alpha), rtol=0, atol=1e-14
    )


def test_linear_schedule_equals_the_original():
    betas = linear_beta_schedule(40, 8e-6, 9e-5)
    assert betas.dtype == torch.float64
    assert betas[0].item() == pytest.approx(2.0e-4, rel=1e-12)
    assert betas[-1].item() == pytest.approx(2.25e-3, rel=1e-12)
    torch.testing.assert_close(betas.diff(), (betas[1] - betas[0]).expand(39), rtol=1e-9, atol=0)
    with pytest.warns(UserWarning):
        schedule = Schedule.from_betas(betas)
    assert schedule.alpha_cumprod[-1].item() == pytest.approx(0.952, abs=5e-4)
    assert schedule.sigma[-1].item() == pytest.approx(0.219, abs=5e-4)


def test_linear_schedule_of_1000_steps_is_that_of_ho():
    torch.testing.assert_close(
        linear_beta_schedule(1000), torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    )


def test_cosine_schedule_equals_the_original():
    betas = cosine_beta_schedule(100)
    assert betas[0].item() == pytest.approx(6.3128e-4, rel=1e-4)
    assert betas[-1].item() == 0.999
    assert (betas < 0.999).sum() == 99
    assert COSINE.alpha_cumprod[-1].item() == pytest.approx(2.4286e-7, rel=1e-4)


def test_cosine_schedule_is_nichols_squared_cosine():
    f = torch.cos((torch.arange(100) / 100 + 0.008) / 1.008 * math.pi / 2).double() ** 2
    torch.testing.assert_close(COSINE.alpha_cumprod[:100], f / f[0], rtol=0, atol=1e-6)


def test_alpha_cumprod_is_the_product_of_one_minus_beta():
    betas = tensor(0.1, 0.5, 0.9999)
    schedule = Schedule.from_betas(betas)
    expected = tensor(1, 0.9, 0.45, 0.45 * 1e-4)
    torch.testing.assert_close(schedule.alpha_cumprod, expected, rtol=1e-10, atol=0)
    same = Schedule.from_alpha_cumprod(expected[1:])
    torch.testing.assert_close(same.alpha, schedule.alpha, rtol=1e-10, atol=0)
    torch.testing.assert_close(same.sigma, schedule.sigma, rtol=1e-10, atol=1e-15)


def test_tiny_betas_keep_the_digits_of_sigma():
    betas = torch.cat([tensor(1e-18), tensor(0.9999)])
    assert Schedule.from_betas(betas).sigma[1].item() == pytest.approx(1e-9, rel=1e-12)


def test_whole_times_give_the_rows():
    for t in (torch.arange(101), torch.arange(101, dtype=torch.float64)):
        alpha, sigma = COSINE(t)
        assert torch.equal(alpha, COSINE.alpha)
        assert torch.equal(sigma, COSINE.sigma)
    assert COSINE(3)[0].shape == ()
    assert COSINE(torch.zeros(2, 3))[0].shape == (2, 3)


def test_times_between_rows_stay_on_the_circle_and_are_monotone():
    t = torch.linspace(0, 100, 3001, dtype=torch.float64)
    alpha, sigma = COSINE(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t), rtol=0, atol=1e-14)
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()


def test_halfway_between_rows_is_halfway_in_angle_and_norm():
    schedule = Schedule(tensor(1, 2, 0), tensor(0, 2, 1))
    alpha, sigma = schedule(0.5)
    norm = (1 + math.sqrt(8)) / 2
    assert alpha.item() == pytest.approx(norm * math.cos(math.pi / 8), rel=1e-14)
    assert sigma.item() == pytest.approx(norm * math.sin(math.pi / 8), rel=1e-14)


def test_time_inverts_log_snr():
    t = torch.linspace(0.01, 100, 777, dtype=torch.float64).reshape(7, 111)
    alpha, sigma = COSINE(t)
    torch.testing.assert_close(COSINE.time(2 * (alpha / sigma).log()), t, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        COSINE.time(COSINE.log_snr), torch.arange(101, dtype=torch.float64), rtol=0, atol=1e-8
    )
    assert COSINE.time(math.inf).item() == 0


def test_at_shapes_the_rows_to_multiply_a_batch():
    like = torch.zeros(3, 2, 5, 5)
    alpha, sigma = COSINE.at(torch.tensor([0, 40, 100]), like=like)
    assert alpha.shape == sigma.shape == (3, 1, 1, 1)
    assert alpha.dtype == torch.float32
    assert torch.equal(alpha.flatten(), COSINE.alpha[[0, 40, 100]].float())
    assert torch.equal(sigma.flatten(), COSINE.sigma[[0, 40, 100]].float())
    assert COSINE.at(torch.tensor([1]), like=torch.zeros(1, dtype=torch.float64))[0].dtype == (
        torch.float64
    )
    assert COSINE.at(torch.tensor([1]), like=torch.zeros(1).bfloat16())[0].dtype == torch.float32


def test_a_last_beta_of_1_ends_without_signal():
    schedule = Schedule.from_betas(tensor(0.1, 0.5, 1.0))
    assert (schedule.alpha[-1].item(), schedule.sigma[-1].item()) == (0, 1)
    assert schedule.log_snr[-1] == -math.inf
    alpha, sigma = schedule(2.5)
    assert 0 < alpha < schedule.alpha[2]
    assert schedule.sigma[2] < sigma < 1
    assert schedule.time(-math.inf).item() == pytest.approx(3)


def test_signal_left_at_the_end_is_warned_of_with_numbers():
    message = (
        "does not reach noise: alpha² / (alpha² + sigma²) is 0.25 at T = 2 (at most 0.001 is "
        "advised), so x_T keeps 0.5 of the data"
    )
    with pytest.warns(UserWarning, match=re.escape(message)) as found:
        Schedule.from_alpha_cumprod(tensor(0.5, 0.25))
        Schedule.from_betas(tensor(0.5, 0.5))
        Schedule(tensor(1, 0.7, 0.5), tensor(0, 0.51**0.5, 0.75**0.5))
        GaussianDiffusion(tensor(0.5, 0.5), (2,), torch.nn.Identity())
    assert [w.filename for w in found] == [__file__] * 4  # each points at the line that made it


def test_no_warning_up_to_the_limit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Schedule.from_alpha_cumprod(tensor(0.5, 1e-3))
    with pytest.warns(UserWarning, match="does not reach noise"):
        Schedule.from_alpha_cumprod(tensor(0.5, 1.01e-3))


def test_the_linear_schedule_is_refused_when_scaling_lifts_beta_above_1():
    with pytest.raises(ValueError, match=r"num_timesteps \(19\) is too small.*num_timesteps >= 20"):
        linear_beta_schedule(19)
    assert linear_beta_schedule(20)[-1].item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear_beta_schedule(0), "num_timesteps must lie in 1..1000000, got 0"),
        (lambda: cosine_beta_schedule(0), "num_timesteps must lie in 1..1000000, got 0"),
        (lambda: linear_beta_schedule(9, 0.0), r"beta_start must lie in \(0, 1\], got 0"),
        (lambda: linear_beta_schedule(9, beta_end=1.5), r"beta_end must lie in \(0, 1\], got 1.5"),
        (lambda: cosine_beta_schedule(9, s=-0.1), "s must be a finite number >= 0, got -0.1"),
        (lambda: cosine_beta_schedule(9, s=math.inf), "s must be a finite number >= 0, got inf"),
        (lambda: cosine_beta_schedule(9, max_beta=0.0), r"max_beta must lie in \(0, 1\], got 0"),
        (lambda: cosine_beta_schedule(9, max_beta=1.1), r"max_beta must lie in \(0, 1\], got 1.1"),
        (lambda: Schedule.from_betas(torch.ones(2, 2)), r"shape \(T,\) with T >= 1, got \(2, 2\)"),
        (lambda: Schedule.from_betas(tensor()), r"shape \(T,\) with T >= 1, got \(0,\)"),
        (lambda: Schedule.from_betas(tensor(0.0, 0.5)), r"in \(0, 1\], got values from 0 to 0.5"),
        (lambda: Schedule.from_betas(tensor(0.5, 1.1)), r"\(0, 1\], got values from 0.5 to 1.1"),
        (lambda: Schedule.from_betas(tensor(0.5, math.nan)), r"betas must lie in \(0, 1\]"),
        (lambda: Schedule.from_betas(tensor(0.5, 1, 0.5)), "last beta may be 1, got beta_2 = 1 of"),
        (lambda: Schedule.from_alpha_cumprod(torch.ones(1, 1)), r"shape \(T,\).*got \(1, 1\)"),
        (lambda: Schedule.from_alpha_cumprod(tensor()), r"shape \(T,\) with T >= 1, got \(0,\)"),
        (lambda: Schedule.from_alpha_cumprod(tensor(1, 0)), r"in \[0, 1\) and fall strictly"),
        (lambda: Schedule.from_alpha_cumprod(tensor(0.5, 0.5)), r"\[0, 1\) and fall strictly"),
        (lambda: Schedule.from_alpha_cumprod(tensor(0.5, -0.1)), r"\[0, 1\) and fall strictly"),
        (lambda: Schedule(tensor(1, 0), tensor(0)), r"T >= 1, got \(2,\) and \(1,\)"),
        (lambda: Schedule(tensor(1), tensor(0)), r"T >= 1, got \(1,\) and \(1,\)"),
        (lambda: Schedule(tensor(0.9, 0), tensor(0, 1)), r"clean data.*got \(0.9, 0\)"),
        (lambda: Schedule(tensor(1, 0), tensor(0.1, 1)), r"clean data.*got \(1, 0.1\)"),
        (lambda: Schedule(tensor(1, 0.5, 0.5), tensor(0, 1, 1)), "must fall strictly with t"),
        (lambda: Schedule(tensor(1, 0.1, -0.1), tensor(0, 1, 1)), "alpha must not be negative"),
        (lambda: COSINE(101), r"t must lie in \[0, 100\], got 101"),
        (lambda: COSINE(tensor(-0.5, 3)), r"times must lie in \[0, 100\], got values from -0.5"),
        (lambda: COSINE(math.nan), r"t must lie in \[0, 100\], got nan"),
        (lambda: COSINE.time(-20.0), "log_snr must be at least -15.23, .* got -20"),
        (lambda: COSINE.at(torch.tensor([1]), torch.zeros(2, 1)), r"shape \(2,\).*got \(1,\)"),
        (lambda: COSINE.at(torch.tensor([101]), torch.zeros(1, 1)), r"times must lie in \[0, 100"),
    ],
)
def test_errors(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()
