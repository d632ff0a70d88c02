"""Networks that features are taken from: kept in the cache, and taken from there."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from denoising_diffusion import files
from denoising_diffusion.checks import finite
from denoising_diffusion.warn import warn

T = TypeVar("T")


def kept(
    what: str, key: Mapping[str, Any], model: nn.Module, ask: Callable[[Mapping[str, Any]], T]
) -> T | None:
    """What `ask` finds in the notes kept under this key, the weights being in the model then.

    None where nothing is kept, or, with a warning, what is there cannot be used.
    """
    try:
        if not _file(what, key).exists():
            return None
        stored = files.read_tensors(_file(what, key))
        if stored.notes.get("key") != key:
            return None
        for name, value in stored.tensors.items():
            finite(name, value)
        model.load_state_dict(stored.tensors)
        found = ask(stored.notes)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        warn(f"{reason}; the {what} is trained again")
        return None
    model.eval()
    return found


def keep(
    what: str, key: Mapping[str, Any], tensors: Mapping[str, Tensor], notes: Mapping[str, Any]
) -> None:
    """Keep weights under this key; where that cannot be done it costs a warning."""
    try:
        _file(what, key).parent.mkdir(parents=True, exist_ok=True)
        files.write_tensors(_file(what, key), tensors, {"key": key, **notes})
    except (OSError, RuntimeError) as error:
        warn(f"the {what} cannot be kept: {error}")


def _file(what: str, key: Mapping[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    return files.cache_folder() / f"{what}s" / f"{name}.safetensors"
