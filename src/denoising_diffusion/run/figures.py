"""Pictures of a run as files, each of which says by itself what it shows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from denoising_diffusion import __version__
from denoising_diffusion.report import Drawing, as_animation, encoded
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.folder import Run

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_LABELS = 64


def put_picture(run: Run, path: Path, drawing: Drawing, of: Origin, what: str = "samples") -> None:
    """Write a picture in the format that its suffix names, as an artefact made from `of`."""
    run.artefacts.put(path, encoded(drawing, path.suffix, notes_of(run, of, what)), of)


def put_frames(
    run: Run, path: Path, frames: "Sequence[Image]", of: Origin, what: str = "samples"
) -> None:
    """Write an animation likewise."""
    notes = notes_of(run, of, what)
    content = as_animation(frames, path.suffix, fps=run.kind.fps, notes=notes)
    run.artefacts.put(path, content, of)


def notes_of(run: Run, of: Origin, what: str = "samples") -> dict[str, str]:
    """What is written into a picture: its title, this package, the run and what was asked for.

    A run is called by its recipe, seed, step and weights. Its folder has a name too, but that may
    change, and runs that are equal in folders of different names write equal bytes.
    """
    config = run.config
    parts = [config.recipe, f"seed {config.training.seed}"]
    if "step" in of:
        parts.append(f"step {of['step']}")
    if "weights" in of:
        parts.append(f"weights {of['weights'][:12]}")
    return {
        "Title": f"{what} of {run.facts.name}",
        "Software": f"denoising-diffusion {__version__}",
        "Source": ", ".join(parts),
        "Description": json.dumps(_told(run, of), ensure_ascii=False),
    }


def _told(run: Run, of: Origin) -> dict[str, Any]:
    """The origin, with classes by their names; of many samples each name once."""
    request = of.get("request")
    labels = request.get("label") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not labels:
        return of
    if all(isinstance(label, int) for label in labels):
        labels = run.kind.label_names(torch.tensor(labels)) or []
    few = labels if len(labels) <= _MOST_LABELS else list(dict.fromkeys(labels))
    return {**of, "request": {**request, "label": few}}
