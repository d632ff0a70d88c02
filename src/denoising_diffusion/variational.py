"""How likely data are, by the variational bound: what ancestral sampling is sure to reach."""

import math
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import checked, floats, tensor
from denoising_diffusion.dequantisation import Levels, check_levels
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Row, noise_like, posterior_std
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


@checked
@torch.no_grad()
def variational_bound(
    denoise: Denoiser,
    schedule: Schedule,
    x: Annotated[Tensor, floats, "b", ...],
    *,
    levels: Levels | None = None,
    randn_like: RandnLike = torch.randn_like,
) -> Tensor:
    """A lower bound of ln p of data under ancestral sampling over all T steps (Ho et al., eq. 5).

    For t = 2..T the divergence of q(x_{t−1} | x_t, x_0) from the sampler's step, at one draw of x_t
    each, is half the fall of the signal-to-noise ratio times (x_0 − D)² (Kingma et al. 2021, eq.
    14). The first step is a decoder of mean D and the variance of q(x_1 | x_2, x_0), since at t = 1
    that of the posterior is 0; and the divergence of q(x_T | x_0) from N(0, sigma_T²) comes last.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process, of at least two times.
        x: data in model space.
        levels: of grey, over [-1, 1]: the decoder is then a probability, its normal law summed over
            the cell of each level, of which the outermost are endless (Ho et al. 2020, eq. 13).
            None: a density.
        randn_like: draws the noise.

    Returns:
        (b,), nats, float64 on the host.

    Raises:
        TypeError, ValueError: arguments of other types or beyond their limits; values that are no
            grey levels; an estimate of another shape than x.
    """
    if schedule.num_timesteps < 2:
        raise ValueError("the bound needs a schedule of at least 2 timesteps, got 1")
    if levels is not None:
        check_levels(x, levels)
    dtype = torch.promote_types(x.dtype, torch.float32)
    whole = x.cpu().double()
    ratio = (schedule.alpha / schedule.sigma) ** 2

    def estimate(t: int) -> Tensor:
        alpha, sigma = (v.item() for v in schedule(t))
        noised = alpha * x + sigma * noise_like(randn_like, x)
        times = torch.full((len(x),), t, dtype=dtype, device=x.device)
        return tensor("the answer of denoise", denoise(noised, times), *x.shape).cpu().double()

    rows = [Row(t, *(v.item() for v in schedule(t))) for t in (1, 2)]
    std = posterior_std(rows[1], rows[0])
    bound = _decoder(whole, estimate(1), std, levels).flatten(1).sum(1)
    for t in range(2, schedule.num_timesteps + 1):
        square = (whole - estimate(t)).square().flatten(1).sum(1)
        bound -= 0.5 * (ratio[t - 1] - ratio[t]).item() * square
    return bound - 0.5 * ratio[-1].item() * whole.square().flatten(1).sum(1)


def _decoder(x: Tensor, mean: Tensor, std: float, levels: int | None) -> Tensor:
    """ln p(x_0 | x_1) per element: a density, or the probability of a cell."""
    if levels is None:
        return -0.5 * ((x - mean) / std).square() - math.log(std * math.sqrt(2 * math.pi))
    half = 1 / (levels - 1)
    low = torch.where(x < -1 + half, -math.inf, (x - mean - half) / std)
    high = torch.where(x > 1 - half, math.inf, (x - mean + half) / std)
    # In the upper tail both shares are 1; the mirror image keeps their digits.
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    above, below = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return above + torch.log1p(-(below - above).exp())
