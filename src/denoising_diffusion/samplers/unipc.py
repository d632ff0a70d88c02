"""UniPC: multistep, each state corrected by the estimate that is made there anyway."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import checked
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.samplers.base import Estimate, Move, Row, Step, walk
from denoising_diffusion.samplers.exponential import Past, extrapolated, flown
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike


@checked
def unipc(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Sequence[float],
    *,
    order: Annotated[int, 1, 3] = 2,
    randn_like: RandnLike = torch.randn_like,
) -> Iterator[Step]:
    """Walk x along `times` with one estimate a step, which first corrects and then predicts.

    A state is predicted from the last `order` estimates, as by `dpmpp_2m`; the estimate made
    there takes its part in the step once more, which gives a better state to go on from (Zhao et
    al. 2023, arXiv:2302.04867, algorithms 1 and 2, with the exact weights of `extrapolated`). The
    order is one more than that of its predictor: 3 by default. It follows the probability-flow
    ODE, without chance.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at times[0].
        times: as `dpmpp_2m`.
        order: of the predictor, 1 to 3.
        randn_like: not used; every sampler is called with it.

    Raises:
        TypeError, ValueError: as `samplers.base.walk`; an order outside 1..3.
    """
    del randn_like
    return walk(denoise, schedule, x, times, corrected(order), up=True)


def corrected(order: int, past: Sequence[Past] = ()) -> Move:
    """Steps of `unipc`; `past` is what was estimated before the walk."""
    known = deque(past, maxlen=order)
    before: list[tuple[Tensor, Row]] = []

    def move(estimate: Estimate, x: Tensor, now: Row, then: Row) -> Step:
        x_start = estimate(x, now)
        if before:
            state, row = before.pop()
            x = flown(state, extrapolated((*known, (now, x_start)), row, now), row, now)
        known.append((now, x_start))
        before.append((x, now))
        return Step(then.t, flown(x, extrapolated(known, now, then), now, then), x_start)

    return move
