"""What all samplers share: a walk along a list of times, one step after the other."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from denoising_diffusion import inline
from denoising_diffusion.checks import checked, floats, instance, number, tensor
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.schedule import Schedule

Sampler = Callable[..., "Iterator[Step]"]
"""(denoise, schedule, x, times, *, randn_like, **its own options) -> steps."""


class Step(NamedTuple):
    """One step of a walk: t and x after it, and the x_start that was estimated before it.

    The last step of a walk to t = 0 has x equal to x_start.
    """

    t: float
    x: Tensor
    x_start: Tensor

    def _repr_html_(self) -> str:
        return inline.step(*self)


class Row(NamedTuple):
    """A time of the schedule, with its coefficients in float64."""

    t: float
    alpha: float
    sigma: float


Estimate = Callable[[Tensor, Row], Tensor]
"""(x, row) -> x_start: the denoiser, asked for all samples at one time."""

Move = Callable[[Estimate, Tensor, Row, Row], Step]
"""(estimate, x, now, then) -> the step from x at `now` to `then`."""


@checked
def walk(
    denoise: Denoiser,
    schedule: Schedule,
    x: Annotated[Tensor, floats, "b", ...],
    times: Sequence[float],
    move: Move,
    *,
    up: bool = False,
) -> Iterator[Step]:
    """The steps of a sampler: `move` from each time to the next; arguments are checked at the call.

    Raises:
        TypeError: arguments of another type.
        ValueError: fewer than two times, times outside [0, T], or not strictly falling (with `up`,
            rising from above 0 is allowed too); when walked, an estimate of another shape than x.
    """
    rows = [Row(t, *(v.item() for v in schedule(t))) for t in _checked(schedule, times, up)]

    def estimate(x: Tensor, row: Row) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        x_start = denoise(x, torch.full((len(x),), row.t, dtype=dtype, device=x.device))
        return tensor("the answer of denoise", x_start, *x.shape)

    return _steps(estimate, x, rows, move)


@torch.no_grad()
def _steps(estimate: Estimate, x: Tensor, rows: list[Row], move: Move) -> Iterator[Step]:
    for now, then in pairwise(rows):
        step = move(estimate, x, now, then)
        x = step.x
        yield step


def _checked(schedule: Schedule, times: Sequence[float], up: bool) -> list[float]:
    instance("times", times, list, tuple, range)
    span = f"[0, {schedule.num_timesteps}]"
    values = [number(f"times[{i}]", t, span) for i, t in enumerate(times)]
    falls = all(now > then for now, then in pairwise(values))
    rises = up and len(values) > 1 and values[0] > 0 and all(a < b for a, b in pairwise(values))
    if len(values) < 2 or not (falls or rises):
        rest = "; they may also rise from above 0" if up else ""
        raise ValueError(f"times must be at least two and fall strictly, got {values}{rest}")
    return values


def noise_like(randn_like: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Fresh noise in the shape of x.

    Raises:
        ValueError: noise of another shape, which would spread over x in silence.
    """
    return tensor("the answer of randn_like", randn_like(x), *x.shape)


def posterior_std(now: Row, then: Row) -> float:
    """The standard deviation of q(x_then | x_now, x_0) for then < now (Ho et al. 2020, eq. 7)."""
    added = now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2
    return max(added, 0.0) ** 0.5 * then.sigma / now.sigma


@checked
def last(steps: Iterable[Step]) -> Step:
    """The last step of a walk; the others are not kept.

    Raises:
        ValueError: there is none.
    """
    kept = deque(steps, maxlen=1)
    if not kept:
        raise ValueError("steps must hold at least one, got none")
    return kept[0]


class counted:
    """A denoiser that counts how often it is asked, in `evaluations`; a guided one asks twice.

    Args:
        denoise: any function of (x, t, ...).
    """

    @checked
    def __init__(self, denoise: Callable[..., Tensor]) -> None:
        self.denoise = denoise
        self.evaluations = 0

    def __call__(self, x: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        """What the denoiser answers."""
        self.evaluations += 1
        return self.denoise(x, t, *conditions)
