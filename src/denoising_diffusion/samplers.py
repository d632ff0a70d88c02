"""Samplers: generators that walk x down a list of times with any denoiser."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


class Step(NamedTuple):
    """One step of a walk: t and x after it, and the x_start that was estimated before it.

    The last step of a walk to t = 0 has x equal to x_start.
    """

    t: float
    x: Tensor
    x_start: Tensor


def time_grid(num_timesteps: int, num_steps: int) -> list[int]:
    """`num_steps` + 1 whole times from T down to 0, as evenly spread as they can be.

    Raises:
        ValueError: num_steps outside 1..T.
    """
    if not 1 <= num_steps <= num_timesteps:
        raise ValueError(
            f"steps must lie in 1..{num_timesteps}, the model's timesteps, got {num_steps}"
        )
    return [round(num_timesteps * i / num_steps) for i in range(num_steps, -1, -1)]


def ddim(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    eta: float = 0.0,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x down `times` by denoising diffusion implicit models (Song et al. 2021, eq. 12).

    A step from t to s keeps the estimate of x_start and the noise that goes with it, re-derived
    from x_t and that estimate, and replaces a part of the noise by fresh noise, whose standard
    deviation is eta times that of q(x_s | x_t, x_0) (eq. 16): eta = 0 follows the probability-flow
    ODE without chance, eta = 1 is `ddpm`.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: strictly falling, in [0, T], at least two; any real numbers.
        eta: the share of the posterior's standard deviation, in [0, 1].
        randn_like: draws the fresh noise.

    Raises:
        ValueError: times that do not fall or leave [0, T], eta outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")

    def step(x: Tensor, x_start: Tensor, now: float, then: float) -> Tensor:
        (alpha, sigma), (alpha_s, sigma_s) = _row(schedule, now), _row(schedule, then)
        noise = (x - alpha * x_start) / sigma
        jump = eta * _posterior_std(alpha, sigma, alpha_s, sigma_s)
        x = alpha_s * x_start + max(sigma_s**2 - jump**2, 0.0) ** 0.5 * noise
        return x + jump * randn_like(x) if jump > 0 else x

    return _walk(denoise, x, _checked(schedule, times), step)


def ddpm(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x down `times` by ancestral sampling (Ho et al. 2020, algorithm 2).

    Every step draws from q(x_s | x_t, x_start), with eqs. 6-7 written for any s < t. The arguments
    and errors are those of `ddim`, of which this is the case eta = 1.
    """

    def step(x: Tensor, x_start: Tensor, now: float, then: float) -> Tensor:
        (alpha, sigma), (alpha_s, sigma_s) = _row(schedule, now), _row(schedule, then)
        kept = alpha / alpha_s
        added = sigma**2 - (kept * sigma_s) ** 2
        x = (alpha_s * added / sigma**2) * x_start + (kept * sigma_s**2 / sigma**2) * x
        std = _posterior_std(alpha, sigma, alpha_s, sigma_s)
        return x + std * randn_like(x) if std > 0 else x

    return _walk(denoise, x, _checked(schedule, times), step)


def _row(schedule: Schedule, t: float) -> tuple[float, float]:
    alpha, sigma = schedule(t)
    return alpha.item(), sigma.item()


def _posterior_std(alpha: float, sigma: float, alpha_s: float, sigma_s: float) -> float:
    """The standard deviation of q(x_s | x_t, x_0), from t (alpha, sigma) to s < t."""
    added = sigma**2 - (alpha / alpha_s * sigma_s) ** 2
    return max(added, 0.0) ** 0.5 * sigma_s / sigma


def _checked(schedule: Schedule, times: Sequence[float]) -> list[float]:
    values = [float(t) for t in times]
    schedule.check_times(torch.tensor(values, dtype=torch.float64))
    if len(values) < 2 or any(now <= then for now, then in pairwise(values)):
        raise ValueError(f"times must be at least two and fall strictly, got {values}")
    return values


@torch.no_grad()
def _walk(
    denoise: Denoiser,
    x: Tensor,
    times: list[float],
    step: Callable[[Tensor, Tensor, float, float], Tensor],
) -> Iterator[Step]:
    for now, then in pairwise(times):
        dtype = torch.promote_types(x.dtype, torch.float32)
        t = torch.full((len(x),), now, dtype=dtype, device=x.device)
        x_start = denoise(x, t)
        x = step(x, x_start, now, then)
        yield Step(then, x, x_start)
