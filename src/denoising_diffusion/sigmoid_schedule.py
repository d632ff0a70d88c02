"""The sigmoid schedule."""

import torch

from denoising_diffusion.checks import MAX_TIMESTEPS, integer, number
from denoising_diffusion.schedule import Schedule


def sigmoid_schedule(
    *,
    timesteps: int = 100,
    start: float = -3.0,
    end: float = 3.0,
    tau: float = 1.0,
    clip_min: float = 1e-9,
) -> Schedule:
    """A signal that falls along a sigmoid (Jabri et al. 2022, arXiv:2212.11972; Chen 2023,
    arXiv:2301.10972, algorithm 1).

    With S(u) = 1 / (1 + exp(−u / tau)) and u_t = start + t / T · (end − start),

        alpha_cumprod_t = (S(end) − S(u_t)) / (S(end) − S(start)),

    which is 1 at t = 0; at T, where it is 0, it is clip_min. Differences of sigmoids are computed
    as ratios of hyperbolic functions, so neither alpha nor sigma loses digits at its end.

    Args:
        timesteps: T, 1..10⁶.
        start: where the sigmoid begins.
        end: where it ends, above start.
        tau: its width; below 1 more of the times lie at the ends of the noise levels.
        clip_min: the least alpha_cumprod, in [0, 1e-3]; 0 leaves no signal at T.

    Raises:
        ValueError: arguments beyond these limits, or so extreme that two rows would be equal.
    """
    integer("timesteps", timesteps, 1, MAX_TIMESTEPS)
    number("start", start)
    number("tau", tau, "(0, inf)")
    number("clip_min", clip_min, "[0, 1e-3]")
    if not start < number("end", end):
        raise ValueError(f"start must be below end, got {start:g} and {end:g}")
    u = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    low, high = start / tau / 2, end / tau / 2
    at = low + u * (high - low)
    first, last = torch.tensor([low, high], dtype=torch.float64).cosh()
    # S(b) − S(a) = sinh((b − a) / 2 tau) / (2 cosh(a / 2 tau) cosh(b / 2 tau))
    whole = at.cosh() * torch.sinh(at[-1] - at[0])
    signal = (torch.sinh((1 - u) * (high - low)) * first / whole).clamp(min=clip_min)
    noise = torch.minimum(torch.sinh(u * (high - low)) * last / whole, 1 - signal[-1])
    if not bool((signal.diff() < 0).all() and (noise.diff() > 0).all()):
        raise ValueError(
            f"the sigmoid schedule must fall at every one of {timesteps} timesteps, got start "
            f"{start:g}, end {end:g}, tau {tau:g} and clip_min {clip_min:g}"
        )
    signal[0], noise[0] = 1.0, 0.0
    return Schedule(signal.sqrt(), noise.sqrt())
