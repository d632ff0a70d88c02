"""A request for samples: filled in, checked against its run, and named."""

import hashlib
import inspect
import math
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from denoising_diffusion import tables
from denoising_diffusion.config import NONE, TUNED, RunConfig, Sampling
from denoising_diffusion.guidance import is_within
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.run.grids import stored_times
from denoising_diffusion.samplers import last, time_grid
from denoising_diffusion.schedule import Schedule


def completed(run: Run, wish: Sampling, num: int | None = None) -> Sampling:
    """The request with the run's defaults filled in, if the run can answer it.

    Args:
        run: what is sampled.
        wish: what was asked for.
        num: the number of samples if the request names none; by default that of the kind.

    Raises:
        ValueError: more steps than timesteps, an eta for a sampler that takes none, an average that
            is not kept, an unknown label, a guidance scale for a run without classes, anything
            unlabelled of a run that never trained it, guidance that excludes other guidance, or
            what needs means of a run whose estimates are none.
    """
    if not has_means(run):
        wish = _distilled(run, wish)
    timesteps = run.config.schedule.get("timesteps", 100)
    eta = wish.eta
    if eta is not None and "eta" not in tables.options_of(tables.resolve("sampler", wish.sampler)):
        if eta != run.config.sampling.eta:
            raise ValueError(
                f"sampler {wish.sampler} takes no eta, got {eta:g}; ddpm is ddim with eta = 1"
            )
        eta = None
    full = replace(
        wish,
        steps=timesteps if wish.steps is None else len(time_grid(timesteps, wish.steps)) - 1,
        num=(num or run.kind.default_num()) if wish.num is None else wish.num,
        average=run.average_name(wish.average),
        eta=eta,
    )
    full = _guidance(run, full)
    if full.times == TUNED:
        stored_times(run, full)
    if run.config.factor is not None and run.kind.num_labels and not full.label:
        full = replace(full, label=(NONE,))  # nobody says what the pictures show
    run.kind.label_rows(full.label, 1)
    _check_unlabelled(run, full)
    return full


def _distilled(run: Run, wish: Sampling) -> Sampling:
    """The request of a distilled run, whose estimates lead to the end of a segment by DDIM alone.

    Raises:
        ValueError: another sampler, other times, chance, or steps that cut segments otherwise.
    """
    if (wish.sampler, wish.times, wish.eta or 0.0) != ("ddim", "uniform", 0.0):
        what = wish.sampler if wish.sampler != "ddim" else f"ddim, times {wish.times}"
        chance = f", eta {wish.eta:g}" if wish.eta else ""
        check_means(run, f"sampler {what}{chance}")
    segments = segments_of(run.config) or 1
    steps = segments if wish.steps is None else wish.steps
    if steps % segments:
        raise ValueError(
            f"steps must be a multiple of {segments}, in which {run.path} was made to sample, "
            f"got {steps}"
        )
    return replace(wish, steps=steps)


def segments_of(config: RunConfig) -> int | None:
    """In how many steps, or multiples of them, a distilled run samples; None for others."""
    objective = config.training.objective
    made = inspect.signature(tables.bound("objective", objective, "training.objective"))
    return made.parameters["segments"].default if "segments" in made.parameters else None


def check_means(run: Run, what: str) -> None:
    """Refuse a distilled run, whose estimates are ends of the ODE and no means of x_start.

    Raises:
        ValueError: `what` is said to need means.
    """
    if not has_means(run):
        training = run.config.training
        origin = f", {training.init}" if training.init else ""
        raise ValueError(
            f"{what} needs estimates that are means, and {run.path} learned by "
            f"{tables.name_of(training.objective, 'training.objective')}; ask the run that it was "
            f"distilled from{origin}"
        )


def has_means(run: Run) -> bool:
    """Whether estimates of x_start are its posterior means, as diffusion learns them."""
    return tables.name_of(run.config.training.objective, "training.objective") == "diffusion"


def _guidance(run: Run, wish: Sampling) -> Sampling:
    """The request without an interval of no guidance that the run says, if all of it can be had."""
    scale, auto, own = wish.guidance_scale, wish.autoguidance, run.config.training
    if not _conditional(run) and scale != 1:
        raise ValueError(f"guidance_scale {scale:g} needs a run with classes")
    if auto != 1 and (own.snapshot is None or own.snapshot > own.epochs):
        raise ValueError(
            f"autoguidance {auto:g} needs a run that keeps a snapshot; train one with "
            "--training.snapshot EPOCH"
        )
    if any(s not in (0, 1) for s in (scale, auto)):
        check_means(run, "guidance")
    if 1 not in (scale, auto):
        raise ValueError(
            f"guidance_scale {scale:g} and autoguidance {auto:g} exclude each other; one must be 1"
        )
    if wish.threshold is not None and not wish.clip:
        raise ValueError(f"threshold {wish.threshold:g} takes the place of clipping, which is off")
    if wish.guidance_interval is None or (scale, auto) != (1, 1):
        return wish
    if wish.guidance_interval != run.config.sampling.guidance_interval:
        raise ValueError(
            "guidance_interval needs a guidance_scale or autoguidance other than 1, got both 1"
        )
    return replace(wish, guidance_interval=None)


def _conditional(run: Run) -> bool:
    """Whether there is anything that guidance could push towards."""
    return run.kind.num_labels > 0 or run.config.factor is not None


def _check_unlabelled(run: Run, wish: Sampling) -> None:
    if not _conditional(run) or run.config.training.label_dropout > 0:
        return
    if wish.guidance_scale != 1 or NONE in wish.label:
        raise ValueError(
            f"this run was trained with label_dropout 0, without unlabelled samples, so it takes "
            f"neither the label {NONE} nor a guidance_scale other than 1, got "
            f"{wish.guidance_scale:g}"
        )


def times_of(run: Run, schedule: Schedule, wish: Sampling) -> list[float]:
    """The times that a completed request visits."""
    if wish.times == TUNED:
        return stored_times(run, wish)
    return tables.bound("grid", wish.times)(schedule, wish.steps or schedule.num_timesteps)


def evaluations(run: Run, wish: Sampling) -> int:
    """Rows that the network evaluates per sample of a completed request; a guided one is two.

    They are counted on a walk without a network, so that every sampler tells its own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the run itself has warned of
        schedule = tables.bound("schedule", run.config.schedule)()
    asked: list[Tensor] = []
    x = torch.zeros(1, 1)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        asked.append(t)
        return x

    sampler = tables.resolve("sampler", wish.sampler)
    options = {} if wish.eta is None else {"eta": wish.eta}
    last(
        sampler(
            denoise,
            schedule,
            x,
            times_of(run, schedule, wish),
            randn_like=torch.zeros_like,
            **options,
        )
    )
    scales = (wish.guidance_scale if _conditional(run) else 1.0, wish.autoguidance)
    if all(scale in (0, 1) for scale in scales):
        return len(asked)
    low, high = wish.guidance_interval or (0.0, math.inf)
    return len(asked) + int(is_within(schedule, torch.cat(asked), low, high).sum())


def file_name(run: Run, wish: Sampling, given: Given | None = None) -> str:
    """The stem of the default file: all that differs from what the run draws by itself."""
    parts = [wish.sampler, str(wish.steps), f"g{wish.guidance_scale:g}", f"s{wish.seed}"]
    if wish.times not in ("uniform", "trailing"):
        parts.append(wish.times)
    if wish.eta:
        parts.append(f"eta{wish.eta:g}")
    if wish.guidance_interval is not None:
        parts.append("in{:g}to{:g}".format(*wish.guidance_interval))
    if wish.autoguidance != 1:
        parts.append(f"auto{wish.autoguidance:g}")
    if wish.threshold is not None:
        parts.append(f"threshold{wish.threshold:g}")
    if wish.average != run.average_name(None):
        parts.append(str(wish.average))
    if not wish.clip:
        parts.append("unclipped")
    if wish.num != run.kind.default_num():
        parts.append(f"n{wish.num}")
    if wish.label:
        named = "-".join("".join(c if c.isalnum() else "_" for c in n) for n in wish.label)
        short = named if len(named) <= 40 else hashlib.sha256(named.encode()).hexdigest()[:12]
        parts.append(f"label-{short}")
    stem = "-".join(parts)
    return stem if given is None else given.named(stem)


def labels_of(run: Run, wish: Sampling, given: Given | None = None) -> Tensor | None:
    """The labels of the samples of a completed request, (num,); those of one picture are equal."""
    if given is None:
        return run.kind.label_rows(wish.label, wish.num or 0)
    return given.labels(run.kind, wish)


def names_of(run: Run, wish: Sampling, given: Given | None = None) -> list[str] | None:
    """The class name of every sample of a completed request."""
    return run.kind.label_names(labels_of(run, wish, given))
