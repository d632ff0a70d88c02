"""Many samples into one .npz, piece by piece, so that a kill costs one piece."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion import distributed
from denoising_diffusion.config import DataFacts
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs.sampling import Plan, batch_size, draw_pieces, write_npz
from denoising_diffusion.run import write_atomically

_PLAN = "plan.json"


def origin(diffusion: GaussianDiffusion, plan: Plan) -> dict[str, Any]:
    """What samples depend on, in terms of JSON: the weights and the plan."""
    digest = hashlib.sha256()
    for name, value in diffusion.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    labels = None if plan.labels is None else plan.labels.numpy().tobytes()
    return {
        "weights": digest.hexdigest(),
        "sampling": asdict(plan.sampling),
        "num": plan.num,
        "seed": plan.seed,
        "labels": None if labels is None else hashlib.sha256(labels).hexdigest(),
        "clip": None if plan.clip is None else list(plan.clip),
        "timesteps": plan.timesteps,
        "precision": plan.precision,
    }


def draw_file(diffusion: GaussianDiffusion, facts: DataFacts, plan: Plan, out: Path) -> None:
    """Draw the plan's samples into an .npz; pieces that an earlier call finished are taken over.

    Pieces wait in a folder beside the file, `.NAME.parts`, together with what they depend on; those
    of another model or plan are thrown away. Several processes share the pieces.
    """
    batch = batch_size(diffusion)
    pieces = list(range(0, plan.num, batch))
    folder = out.with_name(f".{out.name}.parts")
    if distributed.is_main():
        _prepare(folder, {**origin(diffusion, plan), "batch": batch})
    distributed.barrier()
    mine = pieces[distributed.rank() :: distributed.world_size()]
    missing = [
        first for first in mine if _read(folder, first, min(batch, plan.num - first)) is None
    ]

    def keep(first: int, x: Tensor) -> None:
        write_atomically(_file(folder, first), lambda path: _save(path, x))

    draw_pieces(diffusion, plan, missing, batch, keep)
    distributed.barrier()
    if distributed.is_main():
        found = [_read(folder, first, min(batch, plan.num - first)) for first in pieces]
        write_npz(out, facts, plan, torch.cat([x for x in found if x is not None]))
        shutil.rmtree(folder)
    distributed.barrier()


def _save(path: Path, x: Tensor) -> None:
    with path.open("wb") as file:
        np.save(file, x.numpy(), allow_pickle=False)


def _prepare(folder: Path, wanted: dict[str, Any]) -> None:
    """An empty folder that tells what belongs in it, or the one that is there if it fits."""
    plan = folder / _PLAN
    try:
        if json.loads(plan.read_text(encoding="utf-8")) == wanted:
            return
    except (OSError, ValueError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_atomically(plan, lambda p: p.write_text(json.dumps(wanted), encoding="utf-8"))


def _file(folder: Path, first: int) -> Path:
    return folder / f"{first:08d}.npy"


def _read(folder: Path, first: int, rows: int) -> Tensor | None:
    try:
        with _file(folder, first).open("rb") as file:
            x = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(x) if len(x) == rows else None
