"""A finished run made into one that samples in a few steps."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from denoising_diffusion import tables
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.request import completed
from denoising_diffusion.samplers import time_grid

STEPS = 2
"""In which a distilled run samples, without a wish."""
RATE = 1e-3
"""Of Adam: what was learned is to be moved, and not learned anew."""


def distilled(
    path: str | Path,
    *,
    steps: int = STEPS,
    guidance_scale: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
) -> RunConfig:
    """The configuration of a run that goes on from this one by `ConsistencyLoss`.

    It begins with the weights that sample there and learns the same data, with the same network,
    schedule and prediction; it says where it began and how many examples were seen before.

    Args:
        path: of a run that has come to its end.
        steps: in which the new run samples: the segments of its times.
        guidance_scale: of the old run's walk, in its own interval of guidance, if it has one; that
            of its configuration without.
        epochs: of the new run; a fourth of the old one's without.
        seed: of the new run; that of the old one without.

    Raises:
        ValueError: no run, one that is not finished, or one that was distilled already; no number
            of steps from 1 to T.
    """
    run = Run(path)
    old, own = run.config.training, run.config.sampling
    if not run.finished:
        raise ValueError(f"{path} is not finished; go on with ddpm resume {path}")
    if tables.name_of(old.objective, "training.objective") != "diffusion":
        raise ValueError(f"{path} is distilled already; ddpm resume {path} --epochs trains it on")
    time_grid(run.config.schedule.get("timesteps", 100), steps)
    training = replace(
        old,
        objective={"name": "consistency", "segments": steps, **_guidance(run, guidance_scale)},
        optimizer="adam",
        learning_rate=RATE,
        times="continuous",
        weight=None,
        epochs=-(-old.epochs // 4) if epochs is None else epochs,
        minutes=None,
        decay=True,
        init=os.path.realpath(path),
        seen=old.seen + run.config.total_steps * old.batch_size,
        snapshot=None,
        seed=old.seed if seed is None else seed,
    )
    sampling = Sampling("ddim", steps=steps, clip=own.clip, num=own.num, seed=own.seed)
    return replace(run.config, training=training, sampling=sampling, fast={}, facts=None)


def _guidance(run: Run, scale: float | None) -> dict[str, Any]:
    """How the walk that is learned from is guided, as options of the objective."""
    own, factor = run.config.sampling, run.config.factor
    if factor is not None and scale not in (None, 1):
        raise ValueError(f"guidance_scale {scale:g}: {run.path} enlarges, and is learned unguided")
    scale = own.guidance_scale if scale is None else scale
    if scale == 1 or factor is not None:
        return {}
    within = completed(run, replace(own, guidance_scale=scale, autoguidance=1.0)).guidance_interval
    return {"guidance_scale": scale} | ({"guidance_interval": list(within)} if within else {})
