"""Samples of a run: a request filled in and checked, walked, and written piece by piece."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion import distributed, tables
from denoising_diffusion.config import NONE, Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import (
    as_npz,
    digest_of_tensors,
    read_npz,
    write,
)
from denoising_diffusion.kinds import Kind
from denoising_diffusion.loss import autocast
from denoising_diffusion.progress import progress
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.folder import RAW, Run, weights_prefix
from denoising_diffusion.run.inputs import Inputs
from denoising_diffusion.run.pieces import parts_of, piece, prepare_parts, read_piece
from denoising_diffusion.samplers import Step, time_grid
from denoising_diffusion.sampling import denoiser, sample


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


def file_name(run: Run, wish: Sampling, inputs: Inputs | None = None) -> str:
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
    if inputs is not None:
        parts.append(f"from-{hashlib.sha256(json.dumps(inputs.origin).encode()).hexdigest()[:12]}")
    return "-".join(parts)


def labels_of(run: Run, wish: Sampling, inputs: Inputs | None = None) -> Tensor | None:
    """The labels of the samples of a completed request, (num,); those of one picture are equal."""
    if inputs is None:
        return run.kind.label_rows(wish.label, wish.num or 0)
    labels = run.kind.label_rows(wish.label, inputs.count)
    return None if labels is None else labels.repeat_interleave(inputs.per_input)


def names_of(run: Run, wish: Sampling, inputs: Inputs | None = None) -> list[str] | None:
    """The class name of every sample of a completed request."""
    return run.kind.label_names(labels_of(run, wish, inputs))


def walk(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    first: int = 0,
    num: int | None = None,
    inputs: Inputs | None = None,
) -> Iterator[Step]:
    """The steps of samples first .. first + num - 1 of a completed request, in model space."""
    assert wish.num is not None and wish.steps is not None
    num = wish.num - first if num is None else num
    labels = labels_of(run, wish, inputs)
    if inputs is not None:
        model, labels = inputs.bound(model, wish.seed, labels)
    estimate = denoiser(
        model,
        labels=None if labels is None else labels[first : first + num],
        guidance_scale=wish.guidance_scale,
        clip=wish.clip,
    )

    def at_precision(x: Tensor, t: Tensor) -> Tensor:
        with autocast(run.config.training.precision, x.device):
            return estimate(x, t)

    sampler = tables.resolve("sampler", wish.sampler)
    return sample(
        model,
        num,
        sampler=sampler if wish.eta is None else partial(sampler, eta=wish.eta),
        times=time_grid(model.num_timesteps, wish.steps),
        denoise=at_precision,
        seed=wish.seed,
        first=first,
    )


def draw(
    run: Run, model: GaussianDiffusion, wish: Sampling, inputs: Inputs | None = None
) -> Tensor:
    """All samples of a completed request, (num, *data), in model space, on the CPU."""
    rows: list[Tensor] = []
    batch, num = _batch(run, model), wish.num or 0
    pieces = range(0, num, batch)
    _draw_pieces(run, model, wish, pieces, batch, lambda _, x: rows.append(x), inputs)
    return torch.cat(rows)


def _batch(run: Run, model: GaussianDiffusion) -> int:
    device = next(model.parameters(), torch.empty(0)).device
    return run.kind.batch(device.type == "cpu")


def _draw_pieces(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    firsts: Sequence[int],
    batch: int,
    done: Callable[[int, Tensor], None],
    inputs: Inputs | None,
) -> None:
    """Draw the samples from each of these numbers on, `batch` at a time; `done` takes them."""
    num = wish.num or 0

    def steps() -> Iterator[Step]:
        for first in firsts:
            x = torch.empty(0)
            for step in walk(run, model, wish, first, min(batch, num - first), inputs):
                x = step.x
                yield step
            done(first, x.cpu())

    for _ in progress(steps(), len(firsts) * (wish.steps or 0), "sampling"):
        pass


def origin(
    run: Run, model: GaussianDiffusion, wish: Sampling, inputs: Inputs | None = None
) -> Origin:
    """What samples depend on, in terms of JSON: the weights, the completed request, the inputs."""
    # Equal labels are equal samples, however they were asked for.
    labels = labels_of(run, wish, inputs)
    return {
        **weights_of(run, model, wish.average),
        "request": asdict(wish) | {"label": None if labels is None else labels.tolist()},
        "clip": json.loads(json.dumps(model.clip)),
        "precision": run.config.training.precision,
        **({} if inputs is None else inputs.origin),
    }


def weights_of(run: Run, model: GaussianDiffusion, average: str | None) -> Origin:
    """The step and the SHA-256 of the weights in a model, as its own file would note them."""
    named = {weights_prefix(RAW) + k: v for k, v in model.state_dict().items()}
    return {
        "step": run.step_of(run.average_name(average)),
        "weights": digest_of_tensors(named),
    }


def draw_file(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    out: Path,
    inputs: Inputs | None = None,
    put: Callable[[Tensor], None] | None = None,
) -> None:
    """Draw a completed request into an .npz, or give all samples to `put`, which writes them.

    Pieces that an earlier call finished are taken over. They wait in a folder beside the file,
    `.NAME.parts`, together with what they depend on; those of another model or request are thrown
    away. Several processes share the pieces.
    """
    of, batch, num = origin(run, model, wish, inputs), _batch(run, model), wish.num or 0
    pieces = list(range(0, num, batch))
    folder = parts_of(out)
    if distributed.is_main():
        prepare_parts(folder, {**of, "batch": batch})
    distributed.barrier()
    mine = pieces[distributed.rank() :: distributed.world_size()]
    missing = [i for i in mine if read_piece(folder, i, min(batch, num - i)) is None]

    def keep(first: int, x: Tensor) -> None:
        write(piece(folder, first), as_npz({"x": x.numpy()}))

    _draw_pieces(run, model, wish, missing, batch, keep, inputs)
    distributed.barrier()
    if distributed.is_main():
        found = [read_piece(folder, i, min(batch, num - i)) for i in pieces]
        x = torch.cat([x for x in found if x is not None])
        if put is None:
            run.artefacts.put(out, as_npz(arrays_of(run, wish, x, inputs)), of)
        else:
            put(x)
        shutil.rmtree(folder)
    distributed.barrier()


def arrays_of(run: Run, wish: Sampling, x: Tensor, inputs: Inputs | None = None) -> dict[str, Any]:
    """Samples, labels and seeds as the arrays of an .npz, none of which needs pickling.

    `samples` are what the kind of the run keeps: uint8 (n, h, w, c) of images, floats (n, d) in the
    user's units of points; `labels` are class names, absent without classes; `seeds` is (n, 2):
    seed and index of each sample.
    """
    index = np.arange(len(x), dtype=np.int64)
    seeds = np.stack([np.full_like(index, wish.seed), index], 1)
    arrays: dict[str, Any] = {"samples": run.kind.encode(x), "seeds": seeds}
    names = names_of(run, wish, inputs)
    if names is not None:
        arrays["labels"] = np.array(names)
    return arrays


def read_samples(kind: Kind, path: Path) -> tuple[Tensor, list[str] | None]:
    """Samples in model space and the names of their classes, of a file of `draw_file`.

    Raises:
        ValueError: missing, no .npz, or without samples that this kind writes.
    """
    arrays = read_npz(path)
    if "samples" not in arrays:
        raise ValueError(f"{path} holds no samples")
    try:
        x = kind.decode(arrays["samples"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    labels = [str(v) for v in arrays["labels"]] if "labels" in arrays else None
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{path} has {len(x)} samples and {len(labels)} labels")
    return x, labels
