import math
from itertools import pairwise

import pytest
import torch

from denoising_diffusion import GaussianDiffusion, dpmpp_2m, last, sample, time_grid
from denoising_diffusion.edm import edm_schedule
from denoising_diffusion.rectified_flow import rectified_flow
from denoising_diffusion.samplers.grids import karras_grid, log_snr_grid, uniform_grid
from denoising_diffusion.sampling import start
from denoising_diffusion.schedule import cosine
from denoising_diffusion.tables import TABLES, bound

SCHEDULES = {"cosine": cosine(), "edm": edm_schedule(), "flow": rectified_flow()}
EACH = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def ratios(schedule, times):
    alpha, sigma = schedule(torch.tensor(times, dtype=torch.float64))
    return sigma / alpha


@EACH
@pytest.mark.parametrize("name", TABLES["grid"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_times_fall_to_the_data(schedule, name, steps):
    times = bound("grid", name)(schedule, steps)
    assert len(times) == steps + 1
    assert times[-1] == 0
    assert all(a > b for a, b in pairwise(times))
    assert times[0] <= schedule.num_timesteps


@EACH
def test_they_are_even_in_what_they_say(schedule):
    even = ratios(schedule, log_snr_grid(schedule, 30)[:-1]).log().diff()
    torch.testing.assert_close(even, even[0].expand(29), rtol=1e-9, atol=0)
    even = (ratios(schedule, karras_grid(schedule, 30, rho=5.0)[:-1]) ** 0.2).diff()
    torch.testing.assert_close(even, even[0].expand(29), rtol=1e-9, atol=0)
    for grid in (log_snr_grid, karras_grid):
        seen = ratios(schedule, grid(schedule, 30, low=0.05, high=30.0))
        assert seen[0].item() == pytest.approx(30, rel=1e-9)
        assert seen[-2].item() == pytest.approx(0.05, rel=1e-9)


def test_ends_that_a_schedule_does_not_reach_are_its_own():
    schedule = edm_schedule(sigma_min=0.1, sigma_max=35.0)
    times = karras_grid(schedule, 10)
    assert times[0] == schedule.num_timesteps
    assert times[-2] == pytest.approx(1, abs=1e-9)


def test_the_grid_of_edm_is_that_of_its_own_schedule():
    schedule = edm_schedule(timesteps=18)
    times = karras_grid(schedule, 18, low=0.002, high=80.0)
    assert times == pytest.approx(range(18, -1, -1), abs=1e-9)


def test_uniform_is_the_list_of_whole_times():
    assert uniform_grid(cosine(timesteps=100), 7) == time_grid(100, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.0}, "low"),
        ({"high": math.inf}, "high"),
        ({"low": 3.0, "high": 2.0}, "low must be below high, got 3 and 2"),
        ({"low": 1e5, "high": 1e6}, "never lies in"),
        ({"rho": 0.0}, "rho"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        karras_grid(cosine(), 10, **options)
    with pytest.raises(ValueError, match="steps"):
        karras_grid(cosine(), 0)


def test_samples_that_begin_below_the_end_begin_with_noise_of_that_time():
    class Nothing(torch.nn.Module):
        def forward(self, x, t):
            return torch.zeros_like(x)

    model = GaussianDiffusion(edm_schedule(), (3,), Nothing(), "x_start")
    at_end, _ = start(model, 4, 0)
    at_half, _ = start(model, 4, 0, t=50.0)
    sigma = model.schedule.sigma
    torch.testing.assert_close(at_half / sigma[50].item(), at_end / sigma[100].item())
    # an estimate that is always 0 leaves the noise, made as small as the schedule says
    (first, *_) = sample(model, 4, sampler=dpmpp_2m, times=[50, 20, 0], seed=0)
    torch.testing.assert_close(first.x, at_half * (sigma[20] / sigma[50]).item())
    assert last(sample(model, 4, sampler=dpmpp_2m, times=[50, 20, 0], seed=0)).x.abs().max() == 0
