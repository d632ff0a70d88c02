"""DPM-Solver++, multistep: `dpmpp_2m`, `dpmpp_3m` and, with chance, `dpmpp_sde_2m`."""

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import function
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import (
    Estimate,
    Move,
    Row,
    Step,
    noise_like,
    posterior_std,
    walk,
)
from denoising_diffusion.samplers.exponential import Past, extrapolated, flown
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


def dpmpp_2m(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x along `times` with one estimate a step, extrapolated from the last two: order 2.

    DPM-Solver++ 2M (Lu et al. 2022, arXiv:2211.01095, algorithm 2). Its weights are the exact
    integrals of the straight line through the two estimates (see `extrapolated`), where the paper
    rounds them to the same order. The first step, and one to clean data or from pure noise, is that
    of `ddim`. It follows the probability-flow ODE, without chance.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: strictly falling, in [0, T], at least two; or rising from above 0, which encodes x.
        randn_like: not used; every sampler is called with it.

    Raises:
        TypeError, ValueError: as `samplers.base.walk`.
    """
    function("randn_like", randn_like)
    return walk(denoise, schedule, x, times, multistep(2), up=True)


def dpmpp_3m(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """`dpmpp_2m` with a parabola through the last three estimates: order 3.

    The 3M of the paper's authors lacks a factor of 2 in its second difference, and has order 2.
    Begun without a past, the first step's error, of order 2, stays; it is small.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: as `dpmpp_2m`.
        randn_like: not used.

    Raises:
        TypeError, ValueError: as `samplers.base.walk`.
    """
    function("randn_like", randn_like)
    return walk(denoise, schedule, x, times, multistep(3), up=True)


def multistep(order: int, past: Sequence[Past] = ()) -> Move:
    """Steps through the last `order` estimates; `past` is what was estimated before the walk."""
    known = deque(past, maxlen=order)

    def move(estimate: Estimate, x: Tensor, now: Row, then: Row) -> Step:
        x_start = estimate(x, now)
        known.append((now, x_start))
        return Step(then.t, flown(x, extrapolated(known, now, then), now, then), x_start)

    return move


def dpmpp_sde_2m(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """`ddpm` with estimates extrapolated from the last two: SDE-DPM-Solver++ 2M.

    The variance of a step is that of q(x_s | x_t, x_0), exact for any step; the mean is that of
    `ddpm` with the estimate of `extrapolated` at rate 2 (Lu et al. 2022, arXiv:2211.01095,
    eq. 12 and appendix). One step is `ddpm`. The variance of Gaussian data converges with
    order 2, where that of `ddpm` does with 1.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: strictly falling, in [0, T], at least two; any real numbers.
        randn_like: draws the fresh noise.

    Raises:
        TypeError, ValueError: as `samplers.base.walk`.
    """
    function("randn_like", randn_like)
    known: deque[Past] = deque(maxlen=2)

    def move(estimate: Estimate, x: Tensor, now: Row, then: Row) -> Step:
        x_start = estimate(x, now)
        known.append((now, x_start))
        std = posterior_std(now, then)
        kept = now.alpha / then.alpha * (then.sigma / now.sigma) ** 2
        mean = extrapolated(known, now, then, rate=2.0)
        x = kept * x + (then.alpha - kept * now.alpha) * mean
        return Step(then.t, x + std * noise_like(randn_like, x) if std > 0 else x, x_start)

    return walk(denoise, schedule, x, times, move)
