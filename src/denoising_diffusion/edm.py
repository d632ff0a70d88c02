"""EDM, the design of Karras et al. 2022 (arXiv:2206.00364): each of its parts is chosen by name."""

import torch
from torch import Tensor

from denoising_diffusion.checks import MAX_TIMESTEPS, integer, number
from denoising_diffusion.prediction import Prediction
from denoising_diffusion.schedule import Schedule


def edm_schedule(
    *, timesteps: int = 100, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> Schedule:
    """Data that keeps its size, alpha = 1, under noise from sigma_min at t = 1 to sigma_max at T.

    sigma^(1/rho) grows evenly with t (eq. 5 read backwards).

    Raises:
        ValueError: timesteps outside 2..10⁶, numbers that are not above 0, sigma_min not below
            sigma_max, or numbers so extreme that two sigmas are equal in float64.
    """
    integer("timesteps", timesteps, 2, MAX_TIMESTEPS)
    number("sigma_min", sigma_min, "(0, inf)")
    number("rho", rho, "(0, inf)")
    if not sigma_min < number("sigma_max", sigma_max, "(0, inf)"):
        raise ValueError(f"sigma_min must be below sigma_max, got {sigma_min} and {sigma_max}")
    low, high = (torch.tensor([sigma_min, sigma_max], dtype=torch.float64) ** (1 / rho)).tolist()
    sigma = torch.linspace(low, high, timesteps, dtype=torch.float64) ** rho
    if not bool((sigma.diff() > 0).all() and sigma.isfinite().all() and sigma[0] > 0):
        raise ValueError(
            f"sigma must rise at every one of {timesteps} timesteps in float64, got rho {rho:g}, "
            f"sigma_min {sigma_min:g} and sigma_max {sigma_max:g}"
        )
    return Schedule(torch.ones(timesteps + 1), torch.cat([sigma.new_zeros(1), sigma]))


def edm_prediction(*, sigma_data: float = 0.5) -> Prediction:
    """EDM's F (eq. 7 and table 1, for any alpha), which has unit variance and sees such input.

    With n² = sigma² + alpha² sigma_data²: skip = alpha sigma_data² / n² and
    out = sigma sigma_data / n; the network sees x / n and ln(sigma / alpha) / 4.

    Raises:
        ValueError: a sigma_data that is not above 0.
    """
    square = number("sigma_data", sigma_data, "(0, inf)") ** 2

    def norm(alpha: Tensor, sigma: Tensor) -> Tensor:
        return (sigma**2 + alpha**2 * square).sqrt()

    def coefficients(alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        n = norm(alpha, sigma)
        return alpha * square / n**2, sigma * sigma_data / n

    def inputs(x: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        # Where no signal is left the logarithm has no value; a network needs some number there.
        time = (sigma.flatten().log() - alpha.flatten().clamp(min=1e-6).log()) / 4
        return x / norm(alpha, sigma), time

    return Prediction(coefficients, inputs)


def log_normal_times(
    schedule: Schedule,
    n: int,
    generator: torch.Generator,
    *,
    mean: float = -1.2,
    std: float = 1.2,
) -> Tensor:
    """Times at which ln(sigma / alpha) is normal (section 5), between t = 1 and T, float64.

    The normal law is cut to what the schedule spans by the inverse of its distribution function,
    and stratified: each of n equal shares of it is drawn from once, in random order.

    Raises:
        ValueError: a mean that is not finite, or an std that is not above 0.
    """
    number("mean", mean)
    number("std", std, "(0, inf)")
    ends = (-schedule.log_snr[[1, -1]] / 2 - mean) / std  # of ln(sigma / alpha), standardised
    # The lower tail of the normal law has all its digits; the upper one is its mirror image.
    mirrored = bool(ends.sum() > 0)
    tail = -ends.flip(0) if mirrored else ends
    low, high = torch.special.erfc(-tail / 2**0.5) / 2
    strata = torch.randperm(n, generator=generator).double()
    within = torch.rand(n, generator=generator, dtype=torch.float64)
    share = torch.special.ndtri(low + (high - low) * (strata + within) / n)
    wanted = torch.clamp(-share if mirrored else share, *ends.tolist())
    return schedule.time(-2 * (mean + std * wanted)).clamp(1, schedule.num_timesteps)


def edm_weight(log_snr: Tensor, *, sigma_data: float = 0.5) -> Tensor:
    """(sigma² + sigma_data²) / (sigma sigma_data)², sigma at alpha = 1 (table 1): 1 on F's error.

    Raises:
        ValueError: a sigma_data that is not above 0.
    """
    return log_snr.exp() + 1 / number("sigma_data", sigma_data, "(0, inf)") ** 2
