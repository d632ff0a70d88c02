"""Heun's method on the probability-flow ODE."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import function
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Estimate, Row, Step, walk
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


def heun(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x along `times` with two estimates a step: order 2, without chance.

    With the angle φ = atan2(sigma, alpha) and the norm n = hypot(alpha, sigma) of a row, the ODE of
    z = x / n is dz/dφ = v = cos φ · noise − sin φ · x_start, finite wherever a schedule goes, at
    alpha = 0 too. A step tries that of `ddim`, estimates again there, and takes the mean:

        x_s = n_s (x_t / n_t + (φ_s − φ_t) (v_t + v_s) / 2)

    Karras et al. 2022 (arXiv:2206.00364, algorithm 1) do the same in sigma / alpha, where the first
    steps of a schedule that ends in pure noise are without bounds. As there, the step to clean data
    is a single estimate.

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

    def move(estimate: Estimate, x: Tensor, now: Row, then: Row) -> Step:
        x_start = estimate(x, now)
        noise = (x - now.alpha * x_start) / now.sigma
        tried = then.alpha * x_start + then.sigma * noise
        if then.sigma == 0:
            return Step(then.t, tried, x_start)
        again = estimate(tried, then)
        (norm, angle), (norm_s, angle_s) = _polar(now), _polar(then)
        slope = _slope(angle, x_start, noise)
        slope_s = _slope(angle_s, again, (tried - then.alpha * again) / then.sigma)
        z = x / norm + (angle_s - angle) / 2 * (slope + slope_s)
        return Step(then.t, norm_s * z, x_start)

    return walk(denoise, schedule, x, times, move, up=True)


def _polar(row: Row) -> tuple[float, float]:
    return math.hypot(row.alpha, row.sigma), math.atan2(row.sigma, row.alpha)


def _slope(angle: float, x_start: Tensor, noise: Tensor) -> Tensor:
    return math.cos(angle) * noise - math.sin(angle) * x_start
