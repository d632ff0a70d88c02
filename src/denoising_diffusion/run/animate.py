"""A walk from its beginning on, as the frames of an animation."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from denoising_diffusion.config import Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.report import thin
from denoising_diffusion.run.draw import walk
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.run.request import names_of, times_of
from denoising_diffusion.samplers import Step
from denoising_diffusion.sampling import start

if TYPE_CHECKING:
    from PIL.Image import Image


def states(x: Tensor, t: float, steps: Iterator[Step]) -> Iterator[Step]:
    """Every state of a walk, from x at t on, beside the x_start that was estimated from it.

    There is one more than steps; the last stands beside the last estimate.
    """
    x_start = x
    for step in steps:
        yield Step(t, x, step.x_start)
        t, x, x_start = step
    yield Step(t, x, x_start)


def walked(
    run: Run, model: GaussianDiffusion, wish: Sampling, given: Given | None = None
) -> Iterator[Step]:
    """The states of all samples of a completed request, from noise on."""
    first = float(times_of(run, model.schedule, wish)[0])
    x, _ = start(model, wish.num or 0, wish.seed, t=first)
    return states(x, first, walk(run, model, wish, given=given))


def frames_of(
    run: Run, model: GaussianDiffusion, wish: Sampling, of: str, given: Given | None = None
) -> "list[Image]":
    """The frames of a walk, of which no more states are kept than are shown."""
    shown = set(thin((wish.steps or 0) + 1))
    kept = [state for i, state in enumerate(walked(run, model, wish, given)) if i in shown]
    return run.kind.frames(kept, names_of(run, wish, given), of)
