"""Times fitted to a model: those whose few steps stay closest to the path of many."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import integer
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.progress import progress
from denoising_diffusion.samplers.base import Row, Sampler, last
from denoising_diffusion.samplers.dpm_solver import dpmpp_3m
from denoising_diffusion.samplers.exponential import flown
from denoising_diffusion.samplers.grids import log_snr_grid
from denoising_diffusion.schedule import Schedule

FINE = 96
"""Steps of the reference."""
POWERS = (0.5, 1.0, 1.5, 2.0)
"""Of the errors that are added up; the higher, the more even they come out."""


class Tuned(NamedTuple):
    """The times found, and of every grid tried the error of its samples, "tuned" among them."""

    times: list[float]
    errors: dict[str, float]


@torch.no_grad()
def tuned_times(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    num_steps: int,
    sampler: Sampler,
    others: Mapping[str, Sequence[float]],
) -> Tuned:
    """The times of `num_steps` steps with which samples end closest to those of `FINE` steps.

    In the manner of GITS (Chen et al. 2024, arXiv:2405.11326): the reference is walked once; a step
    between any two of its times costs the distance from the reference of a `ddim` step that begins
    on it, over the norm of the row; the cheapest way is found by dynamic programming. This is done
    for several powers of the distance, and `sampler` walks each way found and each of the other
    grids from the same noise; the one that ends closest is taken, be it one of the others.

    Args:
        denoise: (x, t) -> x_start.
        schedule: the forward process.
        x: (b, ...), the state at T; samples to fit.
        num_steps: 1..96.
        sampler: of those without chance.
        others: names and times of further grids, such as the untuned ones.

    Returns:
        The times, and the root mean square distances of the samples to those of the reference.

    Raises:
        ValueError: num_steps beyond its limits.
    """
    integer("steps", num_steps, 1, FINE)
    end = float(schedule.num_timesteps)
    times = [end, *(t for t in log_snr_grid(schedule, FINE) if t < end)]
    rows = [Row(t, *(v.item() for v in schedule(t))) for t in times]
    walk = list(progress(dpmpp_3m(denoise, schedule, x, times), len(times) - 1, "reference"))
    cost = _costs([x, *(step.x for step in walk)], [step.x_start for step in walk], rows)
    tried = {name: list(grid) for name, grid in others.items()}
    for power in POWERS:
        tried[f"power {power:g}"] = [times[i] for i in _cheapest(cost**power, num_steps)]
    error: dict[str, float] = {}
    for name, grid in progress(tried.items(), len(tried), "tuning"):
        noise = x * (schedule(grid[0])[1] / schedule.sigma[-1]).item()
        found = last(sampler(denoise, schedule, noise, grid)).x
        error[name] = (found - walk[-1].x).double().square().mean().sqrt().item()
    best = min(error, key=error.__getitem__)
    return Tuned(tried[best], {name: error[name] for name in others} | {"tuned": error[best]})


def _costs(states: Sequence[Tensor], estimates: Sequence[Tensor], rows: Sequence[Row]) -> Tensor:
    """(n, n), the distance of a step from row i to row j from the state there; infinite upwards."""
    cost = torch.full((len(rows), len(rows)), torch.inf, dtype=torch.float64)
    for i, x_start in enumerate(estimates):
        step = partial(flown, states[i], x_start, rows[i])
        for j in range(i + 1, len(rows)):
            away = (step(rows[j]) - states[j]).square().mean().sqrt().item()
            cost[i, j] = away / (rows[j].alpha ** 2 + rows[j].sigma ** 2) ** 0.5
    return cost


def _cheapest(cost: Tensor, num_steps: int) -> list[int]:
    """The places, first and last included, of the way of `num_steps` steps with the least sum."""
    best, before = cost[0], list[list[int]]()
    for _ in range(num_steps - 1):
        best, place = (best[:, None] + cost).min(0)
        before.append(place.tolist())
    way = [len(cost) - 1]
    for place in reversed(before):
        way.append(place[way[-1]])
    return [0, *reversed(way)]
