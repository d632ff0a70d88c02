"""The arithmetic of DenoisingDiffusion.jl's DDIM, kept for comparison with its published figures.

It differs from `samplers.ddim` in two ways: x_start is clipped while the noise is not re-derived,
so the two no longer add up to x_t, and the later of its grids stops at t = 1 instead of the data.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers import Step
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


def julia_grid(num_timesteps: int, num_steps: int, *, end: int = 0) -> list[int]:
    """The original's times, falling: the floor of an even grid from `end` to T.

    Its published figures were made with `end` = 0; its later code has `end` = 1, and then repeats
    the time 1 when num_steps = T.

    Raises:
        ValueError: num_steps outside 1..T, or an end other than 0 or 1.
    """
    if not 1 <= num_steps <= num_timesteps:
        raise ValueError(f"num_steps must lie in 1..{num_timesteps}, got {num_steps}")
    if end not in (0, 1):
        raise ValueError(f"end must be 0 or 1, got {end}")
    span = num_timesteps - end
    return [end + span * i // num_steps for i in range(num_steps, -1, -1)]


@torch.no_grad()
def julia_ddim(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[int],
    *,
    eta: float = 1.0,
    clip: tuple[float, float] | None = (-1.0, 1.0),
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x down `times` as the original does: x_start clipped, the noise kept as predicted.

    Args:
        denoise: (x, t) -> x_start, *not* clipped: the noise is read off its answer.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: whole times, falling, such as `julia_grid` gives; a repeated time is a step too.
        eta: the share of the posterior's standard deviation; the original's default is 1.
        clip: the range to which x_start is cut after the noise was read off it, or None.
        randn_like: draws the fresh noise; the last step has none.
    """
    for step, (now, then) in enumerate(pairwise(times)):
        (alpha, sigma), (alpha_s, sigma_s) = (
            (a.item(), s.item()) for a, s in (schedule(now), schedule(then))
        )
        dtype = torch.promote_types(x.dtype, torch.float32)
        x_start = denoise(x, torch.full((len(x),), now, dtype=dtype, device=x.device))
        noise = (x - alpha * x_start) / sigma
        if clip is not None:
            x_start = x_start.clamp(*clip)
        variance = (1 - (alpha / alpha_s) ** 2) * sigma_s**2 / sigma**2
        jump = eta * variance**0.5
        x = alpha_s * x_start + max(sigma_s**2 - jump**2, 0.0) ** 0.5 * noise
        if jump > 0 and step < len(times) - 2:
            x = x + jump * randn_like(x)
        yield Step(float(then), x, x_start)
