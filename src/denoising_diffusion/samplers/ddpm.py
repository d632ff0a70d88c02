"""Ancestral sampling."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import function
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Estimate, Row, Step, noise_like, posterior_std, walk
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


def ddpm(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x down `times` by ancestral sampling (Ho et al. 2020, algorithm 2).

    A step from t to s draws from q(x_s | x_t, x_start), eqs. 6-7 written for any s < t: with
    a = alpha_t / alpha_s and b = sigma_t² − a² sigma_s²,

        x_s = (alpha_s b x_start + a sigma_s² x_t) / sigma_t² + sqrt(b) sigma_s / sigma_t · noise

    It is `ddim` with eta = 1, and has order 1.

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

    def move(estimate: Estimate, x: Tensor, now: Row, then: Row) -> Step:
        x_start = estimate(x, now)
        kept = now.alpha / then.alpha
        added = now.sigma**2 - (kept * then.sigma) ** 2
        x = then.alpha * added / now.sigma**2 * x_start + kept * (then.sigma / now.sigma) ** 2 * x
        std = posterior_std(now, then)
        return Step(then.t, x + std * noise_like(randn_like, x) if std > 0 else x, x_start)

    return walk(denoise, schedule, x, times, move)
