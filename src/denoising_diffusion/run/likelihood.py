"""How likely a run makes data that it never saw, in bits per dimension."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from denoising_diffusion import distributed
from denoising_diffusion.config import Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.rows import first
from denoising_diffusion.dequantisation import bits_per_dim, dequantised
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.guidance import Denoiser, bound
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.likelihood import STEPS, ode_log_likelihood
from denoising_diffusion.metrics import Score
from denoising_diffusion.progress import progress
from denoising_diffusion.run.build import count_parameters
from denoising_diffusion.run.draw import weights_of
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.prepare import load_data
from denoising_diffusion.run.request import check_means
from denoising_diffusion.run.score import Evaluation
from denoising_diffusion.seeds import SampleNoise
from denoising_diffusion.variational import variational_bound

NUM = 500
"""Examples of each part when no number is given."""
_SMALLER = 8
"""A derivative holds on to what drawing forgets at once, so fewer rows are taken at a time."""


class _Bits(NamedTuple):
    """Bits per dimension of each example: by the ODE, with its standard error, and by the bound."""

    ode: Tensor
    error: Tensor
    bound: Tensor


def evaluate_likelihood(
    run: Run,
    wish: Sampling,
    data: dict[str, Any] | None,
    how: Scoring,
    device: torch.device,
) -> Evaluation | None:
    """Bits per dimension of held-out data, and of as much training data beside it.

    One process does this; the others answer None. A run with classes is asked with the true label
    of every example. Estimates are neither guided nor cut, in float32 whatever the run's precision.

    Args:
        run: what is asked.
        wish: its num, seed and average count; the rest must be as the run's own.
        data: another data set, as in a configuration, in place of the run's own.
        how: what else than the test set is compared with; the rest is of samples alone.
        device: where the network runs.

    Raises:
        ValueError: options of sampling or scoring, data of another shape or other classes, or too
            few rows.
    """
    _check_wish(run, wish)
    if replace(how, against="test") != Scoring():
        raise ValueError("--likelihood trains no classifiers: it takes no --classic, --lenet-seeds")
    compared = how.of(run.data if data is None else load_data(data))
    num = _check_data(run, compared, wish.num)
    if not distributed.is_main():
        return None
    model = run.model(wish.average, device.type)
    rows = [first(part, num) for part in (compared.reference, compared.train)]
    levels = run.kind.levels(torch.cat([x for x, *_ in rows]))
    start = _start(model, levels)
    asked = [_asked(run, model, part, levels, start, wish.seed + i) for i, part in enumerate(rows)]
    found = _told(run, model, asked, levels, start)
    request = {"num": num, "seed": wish.seed, "average": run.average_name(wish.average)}
    of = {"likelihood": request, "data": compared.fingerprint}
    found.kept_in(run, {**weights_of(run, model, wish.average), **of})
    return found


def _check_wish(run: Run, wish: Sampling) -> None:
    own = run.config.sampling
    check_means(run, "--likelihood")
    if replace(own, num=wish.num, seed=wish.seed, average=wish.average) != wish:
        raise ValueError(
            "--likelihood takes --num, --seed and --average of the options of sampling alone: it "
            "is that of the model itself, with neither sampler nor guidance"
        )


def _check_data(run: Run, data: Dataset, num: int | None) -> int:
    """How many examples of each part are asked for."""
    if data.kind != run.facts.kind or data.shape != run.facts.shape:
        raise ValueError(
            f"a run of {run.facts.kind} {run.facts.shape} knows nothing of {data.name}, "
            f"{data.kind} {data.shape}"
        )
    if run.facts.clusters:
        raise ValueError(f"{run.path} is told a cluster, whose likelihood is not that of the data")
    if run.kind.num_classes and data.class_names != run.facts.class_names:
        raise ValueError(f"{data.name} has not the classes of this run, which are its labels")
    most = min(len(data.reference), len(data.train))
    if num is None:
        num = min(NUM, most)
    if not 2 <= num <= most:
        raise ValueError(f"num must lie in 2..{most}, the examples held out, got {num}")
    return num


def _start(model: GaussianDiffusion, levels: int | None) -> float:
    """Where the ODE ends.

    There its own noise is as wide as that of dequantisation, so that data on a grid meet a density
    that they could have come from; without levels it is the least time that was trained.
    """
    if levels is None:
        return 1.0
    width = 2 / (levels - 1) / math.sqrt(12)
    last = model.schedule.log_snr[-1].item()
    return min(model.schedule.time(max(-2 * math.log(width), last)).item(), model.num_timesteps / 2)


def _asked(
    run: Run,
    model: GaussianDiffusion,
    rows: tuple[Tensor, ...],
    levels: int | None,
    start: float,
    seed: int,
) -> _Bits:
    device = next(model.parameters(), torch.empty(0)).device
    size = max(1, run.kind.batch(device.type == "cpu") // _SMALLER)
    count = len(rows[0])

    def pieces() -> Iterator[_Bits]:
        for i in range(0, count, size):
            piece = [v[i : i + size].to(device) for v in rows]
            noise = SampleNoise(seed, range(i, i + len(piece[0])))
            yield _bits(run, model, piece, levels, start, noise)

    found = list(progress(pieces(), -(-count // size), "likelihood"))
    return _Bits(*(torch.cat(values) for values in zip(*found, strict=True)))


def _bits(
    run: Run,
    model: GaussianDiffusion,
    rows: list[Tensor],
    levels: int | None,
    start: float,
    noise: SampleNoise,
) -> _Bits:
    x, *labels = rows
    denoise: Denoiser = bound(model.denoise, *labels) if run.kind.num_classes else model.denoise
    dims, schedule = x[0].numel(), model.schedule
    smooth = x if levels is None else dequantised(x, levels, noise)
    found = ode_log_likelihood(denoise, schedule, smooth, start=start, randn_like=noise)
    least = variational_bound(denoise, schedule, x, levels=levels, randn_like=noise)
    # A density is that of the user's units; the chance of a grey level is the same in any.
    scale = run.facts.scale if levels is None else (1.0,)
    unit = sum(map(math.log2, scale)) / len(scale)
    return _Bits(
        bits_per_dim(found.value, dims, levels) + unit,
        found.error / (dims * math.log(2)),
        bits_per_dim(least, dims) + unit,
    )


def _told(
    run: Run, model: GaussianDiffusion, asked: list[_Bits], levels: int | None, start: float
) -> Evaluation:
    held_out, train = asked
    num = len(held_out.ode)
    beside = {
        "bits_per_dim_train": train.ode.mean().item(),
        "bits_per_dim_trace_error": held_out.error.square().sum().sqrt().item() / num,
    }
    what = "bits per dimension" + ("" if levels else " of the data's own units")
    scores = [
        Score("bits_per_dim", f"{what}, by the ODE", *_mean(held_out.ode), beside),
        Score(
            "bits_per_dim_bound",
            f"{what}, by the variational bound",
            *_mean(held_out.bound),
            {"bits_per_dim_bound_train": train.bound.mean().item()},
        ),
    ]
    note = {
        "levels": levels,
        "dequantisation": "none" if levels is None else "uniform",
        "examples": num,
        "ode_steps": STEPS,
        "ode_start": round(start, 4),
        "bound_terms": model.num_timesteps,
        "parameters": count_parameters(model) or run.facts.parameters,
    }
    return Evaluation(scores, note)


def _mean(bits: Tensor) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval."""
    return bits.mean().item(), 1.96 * bits.std().item() / math.sqrt(len(bits))
