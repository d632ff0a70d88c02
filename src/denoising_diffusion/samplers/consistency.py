"""Multistep consistency sampling."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import function
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Estimate, Row, Step, noise_like, walk
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


def consistency(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x down `times` by estimates and fresh noise (Song et al. 2023, arXiv:2303.01469,
    algorithm 1): x_s = alpha_s x_start + sigma_s · noise.

    For a model that answers where the probability-flow ODE ends (`ConsistencyLoss`), every step
    draws from the law of x_s, whatever the times: one step is enough, and a second one takes away
    errors of the first. Of a model that answers with means it draws too little variety.

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
        if then.sigma == 0:
            return Step(then.t, then.alpha * x_start, x_start)
        x = then.alpha * x_start + then.sigma * noise_like(randn_like, x_start)
        return Step(then.t, x, x_start)

    return walk(denoise, schedule, x, times, move)
