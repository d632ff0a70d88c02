"""Samples of a run: a request filled in and checked, walked, and written piece by piece."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion import distributed, tables
from denoising_diffusion.config import TUNED, Sampling
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
from denoising_diffusion.run.given import Given
from denoising_diffusion.run.grids import stored_times
from denoising_diffusion.run.guided import guided, in_range, snapshot
from denoising_diffusion.run.pieces import parts_of, piece, prepare_parts, read_piece
from denoising_diffusion.run.request import labels_of, names_of, times_of
from denoising_diffusion.samplers import Step
from denoising_diffusion.sampling import sample


def walk(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    first: int = 0,
    num: int | None = None,
    given: Given | None = None,
) -> Iterator[Step]:
    """The steps of samples first .. first + num - 1 of a completed request, in model space."""
    assert wish.num is not None
    num = wish.num - first if num is None else num
    labels = labels_of(run, wish, given)
    weak = None if wish.autoguidance == 1 else snapshot(run, model)
    if given is not None:
        weak = weak and given.bound(weak, wish.seed, labels)[0]
        model, labels = given.bound(model, wish.seed, labels)
    labels = None if labels is None else labels[first : first + num]
    estimate = guided(model, wish, labels, weak)
    if given is None or not given.clips:
        estimate = in_range(estimate, wish, model.clip)

    def at_precision(x: Tensor, t: Tensor) -> Tensor:
        with autocast(run.config.training.precision, x.device):
            return estimate(x, t)

    sampler = tables.resolve("sampler", wish.sampler)
    sampler = sampler if wish.eta is None else partial(sampler, eta=wish.eta)
    sampler = sampler if given is None else given.sampler(sampler)
    times, seed = times_of(run, model.schedule, wish), wish.seed
    return sample(
        model, num, sampler=sampler, times=times, denoise=at_precision, seed=seed, first=first
    )


def draw(run: Run, model: GaussianDiffusion, wish: Sampling, given: Given | None = None) -> Tensor:
    """All samples of a completed request, (num, *data), in model space, on the CPU."""
    rows: list[Tensor] = []
    batch, num = _batch(run, model), wish.num or 0
    pieces = range(0, num, batch)
    _draw_pieces(run, model, wish, pieces, batch, lambda _, x: rows.append(x), given)
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
    given: Given | None,
) -> None:
    """Draw the samples from each of these numbers on, `batch` at a time; `done` takes them."""
    num = wish.num or 0

    def steps() -> Iterator[Step]:
        for first in firsts:
            x = torch.empty(0)
            for step in walk(run, model, wish, first, min(batch, num - first), given):
                x = step.x
                yield step
            done(first, x.cpu())

    for _ in progress(steps(), len(firsts) * (wish.steps or 0), "sampling"):
        pass


def origin(
    run: Run, model: GaussianDiffusion, wish: Sampling, given: Given | None = None
) -> Origin:
    """What samples depend on, in terms of JSON: the weights, the completed request, the rest."""
    # Equal labels are equal samples, however they were asked for.
    labels = labels_of(run, wish, given)
    weak = None if wish.autoguidance == 1 else snapshot(run, model)
    return {
        **weights_of(run, model, wish.average),
        **({} if weak is None else {"snapshot": digest_of(weak)}),
        "request": asdict(wish) | {"label": None if labels is None else labels.tolist()},
        "clip": json.loads(json.dumps(model.clip)),
        "precision": run.config.training.precision,
        **({"grid": stored_times(run, wish)} if wish.times == TUNED else {}),
        **({} if given is None else given.origin),
    }


def weights_of(run: Run, model: GaussianDiffusion, average: str | None) -> Origin:
    """The step and the SHA-256 of the weights in a model, as its own file would note them."""
    return {"step": run.step_of(run.average_name(average)), "weights": digest_of(model)}


def digest_of(model: GaussianDiffusion) -> str:
    """The SHA-256 of the weights in a model, as its own file would note them."""
    return digest_of_tensors({weights_prefix(RAW) + k: v for k, v in model.state_dict().items()})


def draw_file(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    out: Path,
    given: Given | None = None,
    put: Callable[[Tensor], None] | None = None,
) -> None:
    """Draw a completed request into an .npz, or give all samples to `put`, which writes them.

    Pieces that an earlier call finished are taken over. They wait in a folder beside the file,
    `.NAME.parts`, together with what they depend on; those of another model or request are thrown
    away. Several processes share the pieces.
    """
    of, batch, num = origin(run, model, wish, given), _batch(run, model), wish.num or 0
    pieces = list(range(0, num, batch))
    folder = parts_of(out)
    if distributed.is_main():
        prepare_parts(folder, {**of, "batch": batch})
    distributed.barrier()
    mine = pieces[distributed.rank() :: distributed.world_size()]
    missing = [i for i in mine if read_piece(folder, i, min(batch, num - i)) is None]

    def keep(first: int, x: Tensor) -> None:
        write(piece(folder, first), as_npz({"x": x.numpy()}))

    _draw_pieces(run, model, wish, missing, batch, keep, given)
    distributed.barrier()
    if distributed.is_main():
        found = [read_piece(folder, i, min(batch, num - i)) for i in pieces]
        x = torch.cat([x for x in found if x is not None])
        if put is None:
            run.artefacts.put(out, as_npz(arrays_of(run, wish, x, given)), of)
        else:
            put(x)
        shutil.rmtree(folder)
    distributed.barrier()


def arrays_of(run: Run, wish: Sampling, x: Tensor, given: Given | None = None) -> dict[str, Any]:
    """Samples, labels and seeds as the arrays of an .npz, none of which needs pickling.

    `samples` are what the kind of the run keeps: uint8 (n, h, w, c) of images, floats (n, d) in the
    user's units of points; `labels` are class names, absent without classes; `seeds` is (n, 2):
    seed and index of each sample.
    """
    index = np.arange(len(x), dtype=np.int64)
    seeds = np.stack([np.full_like(index, wish.seed), index], 1)
    arrays: dict[str, Any] = {"samples": run.kind.encode(x), "seeds": seeds}
    names = names_of(run, wish, given)
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
