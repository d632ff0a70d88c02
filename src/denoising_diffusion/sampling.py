"""The classic entry points: one step or a whole walk, from a diffusion model and a few options."""

from collections.abc import Iterator

import torch
from torch import Tensor

from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.guidance import ClassifierFreeGuidance, Denoiser, clipped
from denoising_diffusion.samplers import Step, ddim, ddpm, time_grid
from denoising_diffusion.seeds import SampleNoise, base_seed

Clip = bool | tuple[float, float]
"""True for the range [-1, 1], a pair for another, False for none."""


def denoiser(
    d: GaussianDiffusion,
    *,
    labels: Tensor | None = None,
    guidance_scale: float = 1.0,
    clip: Clip = True,
) -> Denoiser:
    """The model's denoiser with labels bound, estimates guided, then clipped.

    Args:
        d: the model.
        labels: (b,), 1..n, 0 for none; None calls the network without labels.
        guidance_scale: see `ClassifierFreeGuidance`; needs labels unless it is 1.
        clip: the range of x_start.

    Raises:
        ValueError: a guidance_scale other than 1 without labels.
    """
    if labels is not None:
        estimate: Denoiser = ClassifierFreeGuidance(d.denoise, labels, guidance_scale)
    elif guidance_scale == 1:
        estimate = d.denoise
    else:
        raise ValueError(f"guidance_scale {guidance_scale} needs labels to guide towards")
    if clip is False:
        return estimate
    return clipped(estimate) if clip is True else clipped(estimate, *clip)


def p_sample(
    d: GaussianDiffusion,
    x: Tensor,
    t: int,
    noise: Tensor,
    *,
    labels: Tensor | None = None,
    guidance_scale: float = 1.0,
    clip: Clip = True,
) -> Step:
    """One ancestral step from t to t - 1 with the noise given; x and noise are (b, *data)."""
    estimate = denoiser(d, labels=labels, guidance_scale=guidance_scale, clip=clip)
    return next(ddpm(estimate, d.schedule, x, [t, t - 1], randn_like=lambda _: noise))


def ddim_sample(
    d: GaussianDiffusion,
    x: Tensor,
    t: int,
    t_next: int,
    noise: Tensor,
    *,
    eta: float = 0.0,
    labels: Tensor | None = None,
    guidance_scale: float = 1.0,
    clip: Clip = True,
) -> Step:
    """One DDIM step from t to t_next < t with the noise given; x and noise are (b, *data)."""
    estimate = denoiser(d, labels=labels, guidance_scale=guidance_scale, clip=clip)
    return next(ddim(estimate, d.schedule, x, [t, t_next], eta=eta, randn_like=lambda _: noise))


def p_sample_loop(
    d: GaussianDiffusion,
    num: int,
    *,
    labels: Tensor | None = None,
    guidance_scale: float = 1.0,
    clip: Clip = True,
    seed: int | None = None,
) -> Tensor:
    """`num` samples by ancestral sampling over all T steps, (num, *data_shape).

    `seed=None` takes one from torch's global generator; sample i of a seed is the same in any
    batch.
    """
    estimate = denoiser(d, labels=labels, guidance_scale=guidance_scale, clip=clip)
    return _last(_ancestral(d, estimate, num, seed)).x


def p_sample_loop_all(
    d: GaussianDiffusion,
    num: int = 16,
    *,
    labels: Tensor | None = None,
    guidance_scale: float = 1.0,
    clip: Clip = True,
    seed: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The states after every step and the estimates of x_start, both (T, num, *data_shape).

    Row 0 is after the step from T; the last rows are equal, and x_T itself is not kept.
    """
    estimate = denoiser(d, labels=labels, guidance_scale=guidance_scale, clip=clip)
    steps = list(_ancestral(d, estimate, num, seed))
    return torch.stack([s.x for s in steps]), torch.stack([s.x_start for s in steps])


def ddim_sample_loop(
    d: GaussianDiffusion,
    num_steps: int,
    num: int,
    *,
    eta: float = 0.0,
    labels: Tensor | None = None,
    guidance_scale: float = 1.0,
    clip: Clip = True,
    seed: int | None = None,
) -> Tensor:
    """`num` samples by DDIM in `num_steps` steps from T to 0, (num, *data_shape).

    Raises:
        ValueError: num_steps outside 1..T, eta outside [0, 1], num below 1.
    """
    estimate = denoiser(d, labels=labels, guidance_scale=guidance_scale, clip=clip)
    times = time_grid(d.num_timesteps, num_steps)
    x, noise = start(d, num, seed)
    return _last(ddim(estimate, d.schedule, x, times, eta=eta, randn_like=noise)).x


def start(
    d: GaussianDiffusion, num: int, seed: int | None, first: int = 0
) -> tuple[Tensor, SampleNoise]:
    """x_T of samples first .. first + num - 1 of this seed, and the source of their later noise.

    x_T is (num, *data_shape), scaled by sigma_T, on the model's device.

    Raises:
        ValueError: num below 1.
    """
    if num < 1:
        raise ValueError(f"num must be at least 1, got {num}")
    noise = SampleNoise(base_seed(seed), range(first, first + num))
    parameter = next(d.parameters(), torch.empty(0))
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    like = torch.empty(num, *d.data_shape, dtype=dtype, device=parameter.device)
    return d.schedule.sigma[-1].item() * noise(like), noise


def _ancestral(
    d: GaussianDiffusion, estimate: Denoiser, num: int, seed: int | None
) -> Iterator[Step]:
    x, noise = start(d, num, seed)
    times = range(d.num_timesteps, -1, -1)
    return ddpm(estimate, d.schedule, x, times, randn_like=noise)


def _last(steps: Iterator[Step]) -> Step:
    *_, step = steps
    return step
