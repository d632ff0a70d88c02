"""Denoising diffusion implicit models."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import Share, checked
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Estimate, Row, Step, noise_like, posterior_std, walk
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


@checked
def ddim(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    eta: Share = 0.0,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x along `times` by denoising diffusion implicit models (Song et al. 2021, eq. 12).

    A step from t to s keeps the estimate of x_start and the noise that goes with it, re-derived
    from x_t and that estimate, and replaces a part of the noise by fresh noise:

        noise_t = (x_t − alpha_t x_start) / sigma_t
        x_s = alpha_s x_start + sqrt(sigma_s² − j²) noise_t + j · fresh noise

    where j is eta times the standard deviation of q(x_s | x_t, x_0) (eq. 16): eta = 0 follows the
    probability-flow ODE without chance, with order 1; eta = 1 is `ddpm`.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: strictly falling, in [0, T], at least two; any real numbers. With eta = 0 they may
            rise from above 0 instead, which encodes x.
        eta: the share of the posterior's standard deviation, in [0, 1].
        randn_like: draws the fresh noise.

    Raises:
        TypeError, ValueError: as `samplers.base.walk`; an eta outside [0, 1].
    """

    def move(estimate: Estimate, x: Tensor, now: Row, then: Row) -> Step:
        x_start = estimate(x, now)
        noise = (x - now.alpha * x_start) / now.sigma
        jump = eta * posterior_std(now, then) if eta > 0 else 0.0
        x = then.alpha * x_start + max(then.sigma**2 - jump**2, 0.0) ** 0.5 * noise
        return Step(then.t, x + jump * noise_like(randn_like, x) if jump > 0 else x, x_start)

    return walk(denoise, schedule, x, times, move, up=eta == 0)
