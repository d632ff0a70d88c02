"""Drawing samples from a model: `sample`, and the five classic entry points over it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, TypedDict, Unpack

import torch
from torch import Tensor

from denoising_diffusion.checks import Count, checked, instance, integer, number
from denoising_diffusion.diffusion import GaussianDiffusion, check_alike, check_clip
from denoising_diffusion.guidance import ClassifierFreeGuidance, Denoiser, Limit, clipped
from denoising_diffusion.samplers import Sampler, Step, ddim, ddpm, last, time_grid
from denoising_diffusion.seeds import STREAMS, SampleNoise, base_seed

Clip = bool | tuple[Limit, Limit]
"""True for the range [-1, 1], a pair for another, False for none."""


class Guided(TypedDict, total=False):
    """Options of all classic entry points, described at `denoiser`."""

    labels: Tensor | None
    guidance_scale: float
    clip: Clip


@checked
def sample(
    model: GaussianDiffusion,
    num: Count,
    *,
    sampler: Sampler = ddpm,
    times: Sequence[float] | None = None,
    denoise: Denoiser | None = None,
    seed: int | None = None,
    first: int = 0,
) -> Iterator[Step]:
    """The walk of `num` samples from noise to data: take what you like of its steps.

        samples = last(sample(model, 16)).x
        for step in tqdm(sample(model, 16, sampler=ddim, times=time_grid(100, 20)), total=20): ...

    Args:
        model: what is sampled.
        num: how many samples, at least 1.
        sampler: see `samplers`; options of its own are bound with functools.partial.
        times: where it walks; from T to 0 by single steps without them. Where they begin below T,
            noise of that time stands for x.
        denoise: (x, t) -> x_start; without one the model's own, cut to its range if it knows one.
        seed: sample i of a seed is the same in any batch and on any device; None takes a seed from
            torch's global generator.
        first: the number of the first sample of this batch.

    Raises:
        TypeError, ValueError: arguments of another type or beyond their limits, at the call.
    """
    if denoise is None:
        denoise = clipped(model.denoise, *model.clip) if model.clip else model.denoise
    if times is None:
        times = range(model.num_timesteps, -1, -1)
    instance("times", times, list, tuple, range)
    at = [number("times[0]", t, f"[0, {model.num_timesteps}]") for t in times[:1]]
    x, noise = start(model, num, seed, first, *at)
    return sampler(denoise, model.schedule, x, times, randn_like=noise)


@checked
def start(
    d: GaussianDiffusion,
    num: Annotated[int, 1, STREAMS],
    seed: int | None,
    first: int = 0,
    t: float | None = None,
) -> tuple[Tensor, SampleNoise]:
    """x_t of samples first .. first + num - 1 of this seed, and the source of their later noise.

    x_t is (num, *data_shape), noise alone, scaled by sigma_t, on the model's device; t is T unless
    another time is given, at which noise should drown the data.

    Raises:
        ValueError: num below 1, first below 0, more than 2³² samples, or t outside [0, T].
    """
    integer("first", first, 0, STREAMS - num)
    sigma = d.schedule.sigma[-1] if t is None else d.schedule(t)[1]
    noise = SampleNoise(base_seed(seed), range(first, first + num))
    parameter = next(d.parameters(), torch.empty(0))
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    like = torch.empty(num, *d.data_shape, dtype=dtype, device=parameter.device)
    return sigma.item() * noise(like), noise


@checked
def denoiser(
    d: GaussianDiffusion,
    *,
    labels: Tensor | None = None,
    guidance_scale: Annotated[float, "[0, inf)"] = 1.0,
    clip: Clip = True,
) -> Denoiser:
    """The model's denoiser with labels bound, estimates guided, then clipped.

    Args:
        d: the model.
        labels: (b,), 1..n, 0 for none; None calls the network without labels.
        guidance_scale: see `ClassifierFreeGuidance`; needs labels unless it is 1.
        clip: the range of x_start; True is the model's own, [-1, 1] where it knows none.

    Raises:
        TypeError, ValueError: arguments of another type or beyond their limits; a guidance_scale
            other than 1 without labels.
    """
    if labels is not None:
        estimate: Denoiser = ClassifierFreeGuidance(d.denoise, labels, guidance_scale)
    elif guidance_scale == 1:
        estimate = d.denoise
    else:
        raise ValueError(f"guidance_scale {guidance_scale} needs labels to guide towards")
    if clip is False:
        return estimate
    own = d.clip or (-1.0, 1.0)
    return clipped(estimate, *(own if clip is True else check_clip(clip, d.data_shape)))


def p_sample(
    d: GaussianDiffusion, x: Tensor, t: int, noise: Tensor, **guided: Unpack[Guided]
) -> Step:
    """One ancestral step from t to t - 1 with the noise given; x and noise are (b, *data)."""
    estimate = denoiser(d, **guided)
    check_alike("noise", noise, "x", x)
    return next(ddpm(estimate, d.schedule, x, [t, t - 1], randn_like=lambda _: noise))


def ddim_sample(
    d: GaussianDiffusion,
    x: Tensor,
    t: int,
    t_next: int,
    noise: Tensor,
    *,
    eta: float = 0.0,
    **guided: Unpack[Guided],
) -> Step:
    """One DDIM step from t to t_next < t with the noise given; x and noise are (b, *data)."""
    estimate = denoiser(d, **guided)
    check_alike("noise", noise, "x", x)
    return next(ddim(estimate, d.schedule, x, [t, t_next], eta=eta, randn_like=lambda _: noise))


def p_sample_loop(
    d: GaussianDiffusion, num: int, *, seed: int | None = None, **guided: Unpack[Guided]
) -> Tensor:
    """`num` samples by ancestral sampling over all T steps, (num, *data_shape).

    `seed=None` takes one from torch's global generator; sample i of a seed is the same in any
    batch.
    """
    return last(sample(d, num, denoise=denoiser(d, **guided), seed=seed)).x


def p_sample_loop_all(
    d: GaussianDiffusion, num: int = 16, *, seed: int | None = None, **guided: Unpack[Guided]
) -> tuple[Tensor, Tensor]:
    """The states after every step and the estimates of x_start, both (T, num, *data_shape).

    Row 0 is after the step from T; the last rows are equal, and x_T itself is not kept.
    """
    steps = list(sample(d, num, denoise=denoiser(d, **guided), seed=seed))
    return torch.stack([s.x for s in steps]), torch.stack([s.x_start for s in steps])


def ddim_sample_loop(
    d: GaussianDiffusion,
    num_steps: int,
    num: int,
    *,
    eta: float = 0.0,
    seed: int | None = None,
    **guided: Unpack[Guided],
) -> Tensor:
    """`num` samples by DDIM in `num_steps` steps from T to 0, (num, *data_shape).

    Raises:
        ValueError: num_steps outside 1..T, eta outside [0, 1], num below 1.
    """
    estimate, times = denoiser(d, **guided), time_grid(d.num_timesteps, num_steps)
    sampler = partial(ddim, eta=eta)
    return last(sample(d, num, sampler=sampler, times=times, denoise=estimate, seed=seed)).x
