"""Times fitted to a run: found, stored in its folder, and told."""

from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor

from denoising_diffusion import distributed, tables
from denoising_diffusion.checks import integer
from denoising_diffusion.config import TUNED, Sampling
from denoising_diffusion.files import as_json
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.grids import grid_file
from denoising_diffusion.run.guided import guided, in_range, snapshot
from denoising_diffusion.run.request import check_means, completed, labels_of, times_of
from denoising_diffusion.samplers import Sampler, last
from denoising_diffusion.samplers.tuning import FINE, Tuned, tuned_times
from denoising_diffusion.sampling import start
from denoising_diffusion.schedule import Schedule

NUM = 64
"""Samples that are fitted when no number is given."""
MOST = 256
UNTUNED = ("uniform", "log-snr", "karras")


def tune(run: Run, wish: Sampling, device: str) -> Tuned:
    """Find the times of a request's steps, and store them for `times` "tuned".

    Args:
        run: what is sampled.
        wish: how; its num, at most 256, is how many samples are fitted.
        device: where the network runs.

    Raises:
        ValueError: as `completed`; times, a sampler with chance, or more steps than the
            reference has.
    """
    check_means(run, "ddpm tune")
    if wish.times not in ("uniform", TUNED, run.config.sampling.times):
        raise ValueError(f"tune finds the times by itself: it takes no times, got {wish.times!r}")
    integer("num", NUM if wish.num is None else wish.num, 1, MOST)
    wish = completed(run, replace(wish, times="uniform"), NUM)
    steps = integer("steps", wish.steps, 1, FINE)
    model = run.model(wish.average, device)
    sampler = _without_chance(wish, model.schedule)
    weak = None if wish.autoguidance == 1 else snapshot(run, model)
    labels = labels_of(run, wish)
    labels = None if labels is None else labels.to(next(model.parameters()).device)
    denoise = in_range(guided(model, wish, labels, weak), wish, model.clip)
    x, _ = start(model, wish.num or 0, wish.seed)
    others = {name: times_of(run, model.schedule, replace(wish, times=name)) for name in UNTUNED}
    found = tuned_times(denoise, model.schedule, x, steps, sampler, others)
    origin = {
        "weights": run.weights_of(run.average_name(wish.average)),
        "request": asdict(replace(wish, times=TUNED)),
    }
    file = grid_file(run, wish)
    with distributed.alone(file):
        run.artefacts.put(file, as_json(found._asdict()), origin)
    return found


def _without_chance(wish: Sampling, schedule: Schedule) -> Sampler:
    """The sampler of a request, tried out on a walk without a network."""

    def refuse(x: Tensor) -> Tensor:
        named = wish.sampler + (f" with eta {wish.eta:g}" if wish.eta else "")
        raise ValueError(f"tune takes a sampler without chance, such as dpmpp-2m, got {named}")

    def nothing(x: Tensor, t: Tensor) -> Tensor:
        return x

    sampler = tables.resolve("sampler", wish.sampler)
    bound = sampler if wish.eta is None else partial(sampler, eta=wish.eta)
    sure = partial(bound, randn_like=refuse)
    last(sure(nothing, schedule, torch.zeros(1, 1), [schedule.num_timesteps, 0.5, 0]))
    return sure
