"""The pieces of a file of samples, which wait in a folder beside it until all are there."""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.files import read_json, read_npz, write_json

_REQUEST = "request.json"


def parts_of(out: Path) -> Path:
    """The folder of the pieces of a file."""
    return out.with_name(f".{out.name}.parts")


def prepare_parts(folder: Path, wanted: dict[str, Any]) -> None:
    """An empty folder that tells what belongs in it, or the one that is there if it fits."""
    try:
        if read_json(folder / _REQUEST) == wanted:
            return
    except ValueError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / _REQUEST, wanted)


def piece(folder: Path, first: int) -> Path:
    """Where the samples from this number on lie."""
    return folder / f"{first:08d}.npz"


def read_piece(folder: Path, first: int, rows: int) -> Tensor | None:
    """The samples from this number on, if there are as many as rows; None where they are not."""
    try:
        x = read_npz(piece(folder, first))["x"]
    except (ValueError, KeyError):
        return None
    return torch.from_numpy(x) if len(x) == rows else None
