"""A run as a model folder with a card, which is a run folder too."""

import dataclasses
import json
from pathlib import PureWindowsPath
from typing import Any

from denoising_diffusion import files
from denoising_diffusion.config import RunConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.export.card import card
from denoising_diffusion.run.draw import digest_of
from denoising_diffusion.run.folder import RAW, Run, weights_prefix
from denoising_diffusion.strict_json import to_json


def hub(model: GaussianDiffusion, run: Run, average: str) -> dict[str, bytes]:
    """The files of the folder: weights, configuration, card and samples.

    `Run` reads it like any run that has ended and keeps these weights alone. Of paths only the last
    part is told.

    Args:
        model: what is exported.
        run: where it comes from.
        average: the name of its weights.

    Raises:
        ValueError: a run that has not ended, or without its picture.
    """
    if run.step_of(average) != run.config.total_steps or not run.finished:
        raise ValueError(f"{run.path} has not ended; ddpm resume {run.path} goes on with it")
    picture = run.path / "samples.png"
    if run.artefacts.origin(picture) is None:
        raise ValueError(f"{picture} is missing; ddpm resume {run.path} draws it")
    config = published(run.config, average)
    notes = {"config": json.loads(to_json(config))}
    weights = {weights_prefix(RAW) + k: v for k, v in model.state_dict().items()}
    found = {
        "config.json": to_json(config).encode(),
        "model.safetensors": files.as_tensors(weights, {**notes, "step": config.total_steps}),
        "samples.png": files.read_bytes(picture, 2**30),
        "README.md": card(run, average, digest_of(model)).encode(),
    }
    if run.snapshot_file.exists():
        tensors, old = files.read_tensors(run.snapshot_file)
        found["snapshot.safetensors"] = files.as_tensors(tensors, old | notes)
    return found


def published(config: RunConfig, average: str) -> RunConfig:
    """The configuration of a folder that holds these weights alone, and names no other folder."""
    training = dataclasses.replace(
        config.training,
        ema_decay=config.training.ema_decay if average == "ema" else None,
        averages=() if average in (RAW, "ema") else (average,),
        init=config.training.init and PureWindowsPath(config.training.init).name,
    )
    data: dict[str, Any] = dict(config.data)
    if isinstance(data.get("path"), str):
        data["path"] = PureWindowsPath(data["path"]).name
    sampling = dataclasses.replace(config.sampling, average=None)
    return dataclasses.replace(config, data=data, training=training, sampling=sampling)
