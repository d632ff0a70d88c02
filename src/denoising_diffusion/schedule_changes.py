"""Schedules made of schedules: shifted in log-SNR, or brought to end in noise alone."""

import warnings
from typing import Annotated

import torch

from denoising_diffusion import tables
from denoising_diffusion.checks import MAX_TIMESTEPS, checked, integer
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.tables import Choice


@checked
def shifted(schedule: Schedule, shift: Annotated[float, "(0, inf)"]) -> Schedule:
    """The schedule with 2 ln(shift) added to ln(alpha² / sigma²) in every row.

    Larger pictures show more at equal noise, and want a shift below 1: for pictures n times as wide
    as those that a schedule suits, 1 / n (Hoogeboom et al. 2023, arXiv:2301.11093, eqs. 4-5). The
    norms of (alpha, sigma) stay.

    Raises:
        TypeError: no Schedule, or a shift that is no number.
        ValueError: a shift that is not above 0 and finite.
    """
    norm = torch.hypot(schedule.alpha, schedule.sigma)
    alpha = shift * schedule.alpha
    scale = norm / torch.hypot(alpha, schedule.sigma)
    alpha, sigma = alpha * scale, schedule.sigma * scale
    alpha[0] = 1.0
    return Schedule(alpha, sigma)


@checked
def zero_terminal(schedule: Schedule) -> Schedule:
    """The schedule rescaled so that no signal is left at T, alpha_T = 0, and row 1 is as it was
    (Lin et al. 2023, arXiv:2305.08891, algorithm 1).

    The share of signal c = alpha / hypot(alpha, sigma), alpha itself where the variance is kept,
    becomes (c − c_T) c_1 / (c_1 − c_T); the norms stay. Noise cannot be predicted there; v,
    x_start, velocity and EDM's F can.

    Raises:
        TypeError: no Schedule.
        ValueError: fewer than two timesteps.
    """
    integer("timesteps", schedule.num_timesteps, 2)
    norm = torch.hypot(schedule.alpha, schedule.sigma)
    c, s = schedule.alpha / norm, schedule.sigma / norm
    rest = c[-1] / (c[1] - c[-1])
    new = (c - c[-1]) * c[1] / (c[1] - c[-1])
    # 1 − new, without the digits that this difference would lose where there is little noise.
    short = s**2 / (1 + c) + rest * (c[1] - c)
    alpha, sigma = norm * new, norm * (short * (1 + new)).clamp(min=0).sqrt()
    alpha[0], sigma[0] = 1.0, 0.0
    return Schedule(alpha, sigma)


def shifted_schedule(
    *, timesteps: int = 100, of: Choice = "cosine", shift: float = 0.5
) -> Schedule:
    """`shifted`, of a schedule by its name, or name and options but timesteps."""
    return shifted(_named(of, timesteps), shift)


def zero_terminal_schedule(*, timesteps: int = 100, of: Choice = "linear") -> Schedule:
    """`zero_terminal`, of a schedule by its name, or name and options but timesteps."""
    return zero_terminal(_named(of, timesteps))


def _named(of: Choice, timesteps: int) -> Schedule:
    options = {"kind": of} if isinstance(of, str) else of
    if "timesteps" in options:
        raise ValueError("schedule.of takes no timesteps, which stand beside it")
    integer("timesteps", timesteps, 2, MAX_TIMESTEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of signal at its end, before it is changed
        return tables.bound("schedule", {**options, "timesteps": timesteps}, "schedule.of")()
