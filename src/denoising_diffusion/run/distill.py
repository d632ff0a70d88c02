"""A finished run made into one that samples in a step or two."""

import os
from dataclasses import replace
from pathlib import Path

from denoising_diffusion import tables
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.run.folder import Run

STEPS = 2
"""Of the sampler of a distilled run."""


def distilled(path: str | Path, *, epochs: int | None = None, seed: int | None = None) -> RunConfig:
    """The configuration of a run that goes on from this one by `ConsistencyLoss`.

    It begins with the weights that sample there and learns the same data, with the same network,
    schedule and prediction; it says where it began and how many examples were seen before.

    Args:
        path: of a run that has come to its end.
        epochs: of the new run; as many as of the old one without.
        seed: of the new run; that of the old one without.

    Raises:
        ValueError: no run, one that is not finished, or one that was distilled already.
    """
    run = Run(path)
    old, own = run.config.training, run.config.sampling
    if not run.finished:
        raise ValueError(f"{path} is not finished; go on with ddpm resume {path}")
    if tables.name_of(old.objective, "training.objective") != "diffusion":
        raise ValueError(f"{path} is distilled already; ddpm resume {path} --epochs trains it on")
    training = replace(
        old,
        objective="consistency",
        loss="huber",
        times="continuous",
        weight=None,
        epochs=old.epochs if epochs is None else epochs,
        minutes=None,
        decay=True,
        init=os.path.realpath(path),
        seen=old.seen + run.config.total_steps * old.batch_size,
        snapshot=None,
        # Differences of estimates are too small for half precision.
        precision="float32",
        seed=old.seed if seed is None else seed,
    )
    sampling = Sampling("consistency", steps=STEPS, clip=own.clip, num=own.num, seed=own.seed)
    return replace(run.config, training=training, sampling=sampling, fast={}, facts=None)
