"""How likely data are: by the probability-flow ODE, and by the variational bound."""

import math
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import Count, checked, finite, floats, integer, number, tensor
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Row, noise_like, posterior_std
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike

STEPS = 16
MOST_EXACT = 16
"""Up to this many dimensions the divergence is exact where nothing else is asked for."""
PROBES = 2

Levels = Annotated[int, 2, 2**16]
"""Grey levels, spread evenly over [-1, 1]."""


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
    w = torch.linspace(*ends, 2 * steps + 1, dtype=torch.float64)
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


def _slope(
    denoise: Denoiser, z: Tensor, at: _Place, signs: list[Tensor]
) -> tuple[Tensor, Tensor]:
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
        _check_levels(x, levels)
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


@checked
def dequantised(
    x: Annotated[Tensor, floats, "b", ...],
    levels: Levels,
    randn_like: RandnLike = torch.randn_like,
) -> Tensor:
    """Grey levels spread evenly over their cells (Theis et al. 2016).

    x + (U − ½) · 2 / (levels − 1), with U uniform on [0, 1]. The mean of ln p of such data, with the
    logarithm of a cell's volume, is at most ln P of the levels (see `bits_per_dim`).

    Raises:
        TypeError, ValueError: arguments of other types or beyond their limits; values that are no
            grey levels.
    """
    _check_levels(x, levels)
    share = torch.special.ndtr(noise_like(randn_like, x))
    return x + (share - 0.5) * (2 / (levels - 1))


@checked
def bits_per_dim(
    log_likelihood: Annotated[Tensor, floats], dims: Count, levels: Levels | None = None
) -> Tensor:
    """−ln p in nats as bits per dimension; with levels, of dequantised data: −ln of p · a cell.

    Raises:
        TypeError, ValueError: arguments of other types or beyond their limits.
    """
    cell = 0.0 if levels is None else math.log(2 / (levels - 1))
    return -(log_likelihood / dims + cell) / math.log(2)


@checked
def grey_levels(x: Annotated[Tensor, finite]) -> int | None:
    """The fewest levels, spread evenly over [-1, 1], that hold all these values; None from 2¹⁶ on.

    uint8 images have 256, unless they use a coarser scale, as 1-bit images do.
    """
    values = x.unique().double()
    if values.numel() == 0 or float(values.abs().max()) > 1 + 1e-6:
        return None
    for steps in range(1, 2**16):
        place = (values + 1) * (steps / 2)
        if bool(((place - place.round()).abs() < 1e-6 * steps + 1e-6).all()):
            return steps + 1
    return None


def _check_levels(x: Tensor, levels: int) -> None:
    place = (x.double() + 1) * ((levels - 1) / 2)
    off = (place - place.round()).abs() > 1e-6 * levels + 1e-6
    if bool((off | (x.abs() > 1 + 1e-6)).any()):
        raise ValueError(f"x must hold {levels} grey levels in [-1, 1], got other values")
