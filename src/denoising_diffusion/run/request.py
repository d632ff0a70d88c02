"""A request for samples: filled in, checked against its run, and named."""

import hashlib
from dataclasses import replace

from torch import Tensor

from denoising_diffusion import tables
from denoising_diffusion.config import NONE, Sampling
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.samplers import time_grid


def completed(run: Run, wish: Sampling, num: int | None = None) -> Sampling:
    """The request with the run's defaults filled in, if the run can answer it.

    Args:
        run: what is sampled.
        wish: what was asked for.
        num: the number of samples if the request names none; by default that of the kind.

    Raises:
        ValueError: more steps than timesteps, an eta for a sampler that takes none, an average that
            is not kept, an unknown label, a guidance scale for a run without classes, or anything
            unlabelled of a run that never trained it.
    """
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
    if not _conditional(run) and full.guidance_scale != 1:
        raise ValueError(f"guidance_scale {full.guidance_scale:g} needs a run with classes")
    if run.config.factor is not None and run.kind.num_classes and not full.label:
        full = replace(full, label=(NONE,))  # nobody says what the pictures show
    run.kind.label_rows(full.label, 1)
    _check_unlabelled(run, full)
    return full


def _conditional(run: Run) -> bool:
    """Whether there is anything that guidance could push towards."""
    return run.kind.num_classes > 0 or run.config.factor is not None


def _check_unlabelled(run: Run, wish: Sampling) -> None:
    if not _conditional(run) or run.config.training.label_dropout > 0:
        return
    if wish.guidance_scale != 1 or NONE in wish.label:
        raise ValueError(
            f"this run was trained with label_dropout 0, without unlabelled samples, so it takes "
            f"neither the label {NONE} nor a guidance_scale other than 1, got "
            f"{wish.guidance_scale:g}"
        )


def evaluations(run: Run, wish: Sampling) -> int:
    """Rows that the network evaluates per sample; a guided step counts two."""
    guided = _conditional(run) and wish.guidance_scale not in (0, 1)
    return (wish.steps or 0) * (2 if guided else 1)


def file_name(run: Run, wish: Sampling, given: Given | None = None) -> str:
    """The stem of the default file: all that differs from what the run draws by itself."""
    parts = [wish.sampler, str(wish.steps), f"g{wish.guidance_scale:g}", f"s{wish.seed}"]
    if wish.eta:
        parts.append(f"eta{wish.eta:g}")
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
