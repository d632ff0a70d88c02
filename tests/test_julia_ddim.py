import math
from itertools import pairwise

import pytest
import torch
from julia_ddim import julia_ddim, julia_grid
from torch import Tensor

from denoising_diffusion import Schedule, clipped, cosine_beta_schedule, ddim

SCHEDULE = Schedule.from_betas(cosine_beta_schedule(100))
TRIPLES = Schedule(
    torch.tensor([1, 0.8, 0.6, 0], dtype=torch.float64),
    torch.tensor([0, 0.6, 0.8, 1], dtype=torch.float64),
)


def test_the_grids_of_the_original():
    fives = list(range(100, 0, -5))
    assert julia_grid(100, 20, end=1) == [*fives, 1]
    assert julia_grid(100, 20) == julia_grid(100, 20, end=0) == [*fives, 0]
    assert julia_grid(100, 10, end=1) == [100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 1]


@pytest.mark.parametrize("num_timesteps", [1, 7, 40, 100])
@pytest.mark.parametrize("end", [0, 1])
def test_the_grids_are_the_floor_of_an_even_one(num_timesteps: int, end: int):
    for num_steps in range(1, num_timesteps + 1):
        even = torch.linspace(end, num_timesteps, num_steps + 1, dtype=torch.float64)
        floor = (even + 1e-9).floor().long().flip(0).tolist()
        assert julia_grid(num_timesteps, num_steps, end=end) == floor


def test_the_later_grid_repeats_1_when_it_has_every_step():
    assert julia_grid(5, 5, end=1) == [5, 4, 3, 2, 1, 1]
    assert julia_grid(5, 5) == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("num_steps", [0, 101])
def test_more_steps_than_timesteps_are_refused(num_steps: int):
    with pytest.raises(ValueError, match=rf"num_steps must lie in 1..100, got {num_steps}"):
        julia_grid(100, num_steps)


def test_another_end_is_refused():
    with pytest.raises(ValueError, match="end must be 0 or 1, got 2"):
        julia_grid(100, 10, end=2)


def first_step(times: list[int], **options) -> tuple[float, float]:
    step = next(
        julia_ddim(
            lambda x, t: torch.full_like(x, 3.0),
            TRIPLES,
            torch.ones(1, 1, dtype=torch.float64),
            times,
            randn_like=lambda like: torch.full_like(like, 2.0),
            **options,
        )
    )
    return step.x.item(), step.x_start.item()


# From x = 1 at (alpha, sigma) = (0.6, 0.8) an estimate of 3 means the noise (1 - 1.8) / 0.8 = -1,
# which the original keeps when it clips the estimate to 1; it goes to (0.8, 0.6).
JUMP = math.sqrt((1 - 0.36 / 0.64) * 0.36 / 0.64)


def test_one_step_by_hand_keeps_the_noise_of_the_estimate_before_clipping():
    assert first_step([2, 1], eta=0.0) == pytest.approx((0.8 - 0.6, 1.0))
    assert first_step([2, 1], eta=0.0, clip=(-2, 2)) == pytest.approx((1.6 - 0.6, 2.0))
    assert first_step([2, 1], eta=0.0, clip=None) == pytest.approx((2.4 - 0.6, 3.0))


def test_one_step_by_hand_with_noise():
    kept = math.sqrt(0.36 - JUMP**2)
    assert kept == pytest.approx(0.3375)
    assert first_step([2, 1, 0]) == pytest.approx((0.8 - kept + 2 * JUMP, 1.0))
    half = math.sqrt(0.36 - JUMP**2 / 4)
    assert first_step([2, 1, 0], eta=0.5) == pytest.approx((0.8 - half + JUMP, 1.0))


def test_the_last_step_drops_its_noise_but_not_the_room_made_for_it():
    assert first_step([2, 1]) == pytest.approx((0.8 - 0.3375, 1.0))


def test_clipping_after_the_noise_was_read_off_differs_from_the_sampler():
    denoise, x = (lambda x, t: torch.full_like(x, 3.0)), torch.ones(1, 1, dtype=torch.float64)
    ours = next(ddim(clipped(denoise), TRIPLES, x, [2, 1])).x.item()
    assert ours == pytest.approx(0.8 + 0.6 * 0.5)
    assert ours != pytest.approx(first_step([2, 1], eta=0.0)[0])


def gentle(x: Tensor, t: Tensor) -> Tensor:
    """An estimate that no clip ever touches."""
    return 0.5 * torch.tanh(x + t[:, None] / 100)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_steps", [1, 20, 100])
def test_it_is_ddim_where_the_clip_never_bites(eta: float, num_steps: int):
    times = julia_grid(100, num_steps)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, dtype=torch.float64, generator=generator)
    noises = torch.randn(num_steps, 5, 2, dtype=torch.float64, generator=generator)

    def draw():
        rows = iter(noises)
        return lambda _: next(rows)

    one = list(julia_ddim(gentle, SCHEDULE, x, times, eta=eta, randn_like=draw()))
    two = list(ddim(gentle, SCHEDULE, x, times, eta=eta, randn_like=draw()))
    assert [s.t for s in one] == [s.t for s in two] == [then for _, then in pairwise(times)]
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.x, b.x, rtol=0, atol=1e-11)
        torch.testing.assert_close(a.x_start, b.x_start, rtol=0, atol=1e-11)


def test_a_repeated_time_is_a_step_that_stays_consistent():
    x = torch.full((1, 1), 0.3, dtype=torch.float64)
    steps = list(julia_ddim(gentle, SCHEDULE, x, [2, 1, 1], eta=0.0))
    assert [s.t for s in steps] == [1, 1]
    torch.testing.assert_close(steps[1].x, steps[0].x)


def test_grad_mode_is_left_as_it_was():
    for _ in julia_ddim(gentle, SCHEDULE, torch.ones(1, 1), [100, 50, 0]):
        assert torch.is_grad_enabled()
