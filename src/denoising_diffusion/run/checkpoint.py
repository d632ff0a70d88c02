"""Checkpoints: one safetensors file each, written beside and renamed, never unpickled."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from denoising_diffusion.ema import EMA

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Stored:
    """The tensors and the notes of one file."""

    tensors: dict[str, Tensor]
    notes: dict[str, str]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place: whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> None:
    """Write a safetensors file with these notes in its metadata, atomically."""
    tensors = {k: v.detach().to("cpu").contiguous().clone() for k, v in tensors.items()}
    notes = {**notes, "format_version": str(FORMAT_VERSION)}
    write_atomically(path, lambda p: save_file(tensors, p, metadata=notes))


def read_tensors(path: Path) -> Stored:
    """Read a file of `write_tensors`.

    Raises:
        ValueError: the file is missing, cut short or no safetensors file, or its format version
            is not ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = cast("dict[str, str]", file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from None
    version = notes.get("format_version")
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"{path} has format version {version}, this program reads {FORMAT_VERSION}"
        )
    return Stored(tensors, notes)


def training_state(model: nn.Module, ema: EMA | None, optimizer: Optimizer) -> dict[str, Tensor]:
    """All tensors that the rest of a run depends on, by name."""
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    if ema is not None:
        state |= {f"ema.{k}": v for k, v in ema.model.state_dict().items()}
    slots = cast("dict[int, dict[str, Any]]", optimizer.state_dict()["state"])
    for index, slot in slots.items():
        state |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in slot.items()}
    return state


def restore_training_state(
    tensors: dict[str, Tensor], model: nn.Module, ema: EMA | None, optimizer: Optimizer
) -> None:
    """Put the tensors of `training_state` back.

    Raises:
        ValueError: tensors that do not fit the model.
    """
    load_weights(model, tensors, "model.")
    if ema is not None:
        load_weights(ema.model, tensors, "ema.")
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            slots.setdefault(int(index), {})[key] = value
    state = optimizer.state_dict()
    optimizer.load_state_dict({**state, "state": slots})


def load_weights(model: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    """Load the tensors under this prefix into the model.

    Raises:
        ValueError: names or shapes that do not fit the model.
    """
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the stored weights do not fit the configuration: {reason}") from None


def note_json(notes: dict[str, str], key: str, path: Path) -> Any:
    """The JSON under this key of the metadata.

    Raises:
        ValueError: the key is missing or holds no JSON.
    """
    try:
        return json.loads(notes[key])
    except (KeyError, json.JSONDecodeError):
        raise ValueError(f"{path} is damaged: its metadata has no readable {key!r}") from None
