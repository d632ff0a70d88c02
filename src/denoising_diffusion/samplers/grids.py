"""The times that a sampler visits."""

import math
from collections.abc import Callable

import torch

from denoising_diffusion.checks import Timesteps, checked, integer, number
from denoising_diffusion.schedule import Schedule

HIGH = 40.0
"""Of sigma / alpha: above, data scaled to [-1, 1] cannot be told from its mean."""
LOW = 0.02
"""Of sigma / alpha: below, the noise is about the rounding of 8 bits."""


@checked
def time_grid(num_timesteps: Timesteps, num_steps: int) -> list[int]:
    """`num_steps` + 1 whole times from T down to 0, as evenly spread as they can be.

    These are the times that others call trailing (Lin et al. 2023, arXiv:2305.08891, table 2).

    Raises:
        ValueError: T outside 1..10⁶, or num_steps outside 1..T.
    """
    if not 1 <= integer("steps", num_steps) <= num_timesteps:
        raise ValueError(
            f"steps must lie in 1..{num_timesteps}, the model's timesteps, got {num_steps}"
        )
    return [round(num_timesteps * i / num_steps) for i in range(num_steps, -1, -1)]


def uniform_grid(schedule: Schedule, num_steps: int) -> list[float]:
    """`time_grid` of the schedule's T."""
    return list(time_grid(schedule.num_timesteps, num_steps))


def karras_grid(
    schedule: Schedule, num_steps: int, *, rho: float = 7.0, low: float = LOW, high: float = HIGH
) -> list[float]:
    """Times at which (sigma / alpha)^(1 / rho) falls evenly from high to low, and 0.

    Karras et al. 2022 (arXiv:2206.00364, eq. 5), between ends that the schedule reaches: high is
    at most its value at T, and low at least that at t = 1. One step goes from high to 0.

    Args:
        schedule: the forward process.
        num_steps: at least 1; there is one time more.
        rho: how much closer together times are at low noise; above 0.
        low: the last sigma / alpha before 0; above 0.
        high: the first sigma / alpha; above low.

    Raises:
        ValueError: beyond these limits.
    """
    number("rho", rho, "(0, inf)")
    return _between(schedule, num_steps, low, high, lambda v: v ** (1 / rho), lambda v: v**rho)


def log_snr_grid(
    schedule: Schedule, num_steps: int, *, low: float = LOW, high: float = HIGH
) -> list[float]:
    """Times at which the log-SNR rises evenly, between the ends of `karras_grid`, and 0.

    Raises:
        ValueError: as `karras_grid`.
    """
    return _between(schedule, num_steps, low, high, math.log, math.exp)


def _between(
    schedule: Schedule,
    num_steps: int,
    low: float,
    high: float,
    scale: Callable[[float], float],
    unscale: Callable[[float], float],
) -> list[float]:
    integer("steps", num_steps, 1)
    number("low", low, "(0, inf)")
    if not low < number("high", high, "(0, inf)"):
        raise ValueError(f"low must be below high, got {low:g} and {high:g}")
    ratio = schedule.sigma[1:] / schedule.alpha[1:]
    most, least = min(high, ratio[-1].item()), max(low, ratio[0].item())
    if num_steps > 1 and not least < most:
        raise ValueError(f"sigma / alpha of the schedule never lies in {low:g}..{high:g}")
    first, final = scale(most), scale(least)
    parts = [first + (final - first) * i / max(1, num_steps - 1) for i in range(num_steps)]
    log_snr = torch.tensor([-2 * math.log(unscale(v)) for v in parts], dtype=torch.float64)
    times = schedule.time(log_snr.clamp(*schedule.log_snr[[-1, 1]].tolist()))
    return [*times.tolist(), 0.0]
