"""How likely data are, by the probability-flow ODE: the density of what it makes of noise."""

import math
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import Count, checked, floats, integer, number, tensor
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import noise_like
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike

STEPS = 16
MOST_EXACT = 16
"""Up to this many dimensions the divergence is exact where nothing else is asked for."""
PROBES = 2


class LogLikelihood(NamedTuple):
    """ln p of every sample, and the standard error that a random divergence leaves in it.

    Both are (b,), in nats, float64 on the host; the error is 0 where the divergence is exact, and
    NaN for a single probe.
    """

    value: Tensor
    error: Tensor


@checked
def ode_log_likelihood(
    denoise: Denoiser,
    schedule: Schedule,
    x: Annotated[Tensor, floats, "b", ...],
    *,
    start: float = 1.0,
    steps: Count = STEPS,
    probes: int | None = None,
    randn_like: RandnLike = torch.randn_like,
) -> LogLikelihood:
    """The log-density of data x under the probability-flow ODE (Song et al. 2021, eq. 39).

    It is that of what the ODE makes of N(0, sigma_T²) when it is stopped at the time `start` and
    divided by alpha there: an exact density, whatever the network knows. With the best denoiser it
    is that of the data with noise of standard deviation sigma / alpha of `start` added, since at
    t = 0 data on a grid or a curve have no density.

    With the angle φ = atan2(sigma, alpha), the norm n = hypot(alpha, sigma), z = x / n and
    w = ln tan(φ / 2), the ODE has no singular place, not even where alpha is 0:

        dz/dw = cos φ z − D,   d ln p/dw = n tr ∂D/∂x − dim cos φ,   D = denoise(x, t)

    It is walked by the classic Runge-Kutta method, of order 4, in even steps of w, which resolve
    small noise by its logarithm and large noise by its angle.

    Args:
        denoise: (x, t) -> x_start, differentiable in x. A clipped one has no divergence where it is
            cut, and a guided one has no likelihood: it is no expectation of any data.
        schedule: the forward process.
        x: data in model space.
        start: in (0, T); a network trained on whole times knows none below 1.
        steps: of four estimates each.
        probes: random directions for the trace (Hutchinson), the same along the whole walk; 0 takes
            one derivative per dimension, without chance. None is 0 up to 16 dimensions, and else 2.
        randn_like: where the signs of the probes come from.

    Raises:
        TypeError, ValueError: arguments of other types or beyond their limits; an estimate of
            another shape than x, or without a gradient.
    """
    if not 0 < number("start", start) < schedule.num_timesteps:
        raise ValueError(f"start must lie in (0, {schedule.num_timesteps}), got {start:g}")
    dims = math.prod(x.shape[1:])
    count = integer("probes", probes, 0) if probes is not None else PROBES
    if probes is None and dims <= MOST_EXACT:
        count = 0
    signs = [torch.where(noise_like(randn_like, x) < 0, -1.0, 1.0).to(x) for _ in range(count)]
    grid = _grid(schedule, start, steps)
    first, final = grid[0], grid[-1]
    z = x * (first.alpha / first.norm)
    gained = torch.zeros(max(1, count), len(x), dtype=torch.float64)
    for i in range(0, 2 * steps, 2):
        z, part = _step(denoise, z, grid[i], grid[i + 1], grid[i + 2], signs)
        gained += part
    noise = (z * (final.norm / final.sigma)).cpu().double().flatten(1)
    prior = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(1)
    scaling = math.log(final.norm / final.sigma * first.alpha / first.norm)
    value = prior + dims * scaling + gained
    error = torch.zeros(len(x), dtype=torch.float64) if count == 0 else _standard_error(value)
    return LogLikelihood(value.mean(0), error)


def _standard_error(values: Tensor) -> Tensor:
    """Of the mean of (n, b) over n; NaN of one alone."""
    square = (values - values.mean(0)).square().sum(0)
    n = len(values)
    return (square / n).sqrt() / math.sqrt(n - 1) if n > 1 else square * math.nan


class _Place(NamedTuple):
    """A place w of the walk: its time, and what the schedule says there."""

    w: float
    t: float
    alpha: float
    sigma: float

    @property
    def norm(self) -> float:
        return math.hypot(self.alpha, self.sigma)


def _grid(schedule: Schedule, start: float, steps: int) -> list[_Place]:
    """The ends and the middles of even steps of w = ln tan(φ / 2) from `start` to T."""
    ends: list[float] = []
    for t in (start, float(schedule.num_timesteps)):
        alpha, sigma = (v.item() for v in schedule(t))
        ends.append(math.log(sigma / (alpha + math.hypot(alpha, sigma))))
    w = torch.linspace(ends[0], ends[1], 2 * steps + 1, dtype=torch.float64)
    # cot φ = −sinh w
    times = schedule.time(2 * (-torch.sinh(w)).clamp(min=0).log()).clamp(max=schedule.num_timesteps)
    times[0], times[-1] = start, schedule.num_timesteps
    return [_Place(*row) for row in torch.stack([w, times, *schedule(times)], 1).tolist()]


def _step(
    denoise: Denoiser, z: Tensor, now: _Place, middle: _Place, then: _Place, signs: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """z after a step, and what ln p gains on the way, (probes, b)."""
    h = then.w - now.w
    one, a = _slope(denoise, z, now, signs)
    two, b = _slope(denoise, z + h / 2 * one, middle, signs)
    three, c = _slope(denoise, z + h / 2 * two, middle, signs)
    four, d = _slope(denoise, z + h * three, then, signs)
    return z + h / 6 * (one + 2 * two + 2 * three + four), h / 6 * (a + 2 * b + 2 * c + d)


def _slope(denoise: Denoiser, z: Tensor, at: _Place, signs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """dz/dw, and its divergence by each probe, (probes, b) float64."""
    cos = at.alpha / at.norm
    dtype = torch.promote_types(z.dtype, torch.float32)
    with torch.enable_grad():
        x = (z.detach() * at.norm).requires_grad_()
        x_start = denoise(x, torch.full((len(x),), at.t, dtype=dtype, device=x.device))
        tensor("the answer of denoise", x_start, *x.shape)
        if not x_start.requires_grad:
            raise ValueError("the answer of denoise has no gradient, so no divergence")
        traces = _traces(x, x_start, signs)
    dims = math.prod(x.shape[1:])
    return cos * z - x_start.detach(), dims * cos - at.norm * traces


def _traces(x: Tensor, y: Tensor, signs: list[Tensor]) -> Tensor:
    """The trace of ∂y/∂x of each sample by each probe, or exactly: (probes or 1, b) float64."""

    def product(direction: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(y, x, direction, retain_graph=True)
        return found

    if signs:
        return torch.stack([(product(s) * s).cpu().double().flatten(1).sum(1) for s in signs])
    total = torch.zeros(len(x), dtype=torch.float64)
    for i in range(math.prod(x.shape[1:])):
        unit = torch.zeros_like(x).flatten(1)
        unit[:, i] = 1
        total += product(unit.view_as(x)).flatten(1)[:, i].cpu().double()
    return total[None]
