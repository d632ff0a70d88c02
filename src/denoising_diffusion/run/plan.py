"""How long a run trains, so that all of it, to its report, takes the minutes asked for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from denoising_diffusion.config import RunConfig

PREVIEWS = 10
"""Pictures of a few samples while a run trains."""
EPOCHS = 10
"""At least so many are planned, if need be small ones: points of the curves of the losses."""
LEAST_STEPS = 100
"""With fewer there is nothing to look at."""
_EXACT = 20
"""Above so many epochs what is left of the last one may be wasted."""
_ENDS = 0.1
"""The most of the training that what ends an epoch may take."""
_WARMUP = 10
"""The rate rises over at most one in so many steps."""
_AGAIN = 1.05
"""What is asked for in place of too little has some room: no clock tells the same twice."""

Clock = Callable[[], float]


class Costs(NamedTuple):
    """Seconds of each part of a run on this machine.

    Args:
        step: of a training step.
        epoch: of what ends an epoch: the held-out loss and a checkpoint.
        preview: of a picture of a few samples while it trains.
        ending: of each part that comes after training, by what it is called.
    """

    step: float
    epoch: float
    preview: float
    ending: Mapping[str, float]

    @property
    def fixed(self) -> float:
        """Of all that does not depend on how long the run trains."""
        return PREVIEWS * self.preview + sum(self.ending.values())


def planned(config: RunConfig, costs: Costs, spent: float) -> RunConfig:
    """The configuration with the epochs that fit into its minutes, and, of few, their size.

    The rate of a recipe that decays does so over the planned steps, of which it rises over at most
    a tenth.

    Args:
        config: with facts and minutes.
        costs: of its parts.
        spent: seconds since the command began.

    Raises:
        ValueError: too few minutes for a hundred steps; the least is said.
    """
    training = config.training
    assert training.minutes is not None
    room = 60 * training.minutes - spent - costs.fixed
    short = LEAST_STEPS * costs.step + costs.epoch - room
    if short > 0:
        least = math.ceil(10 * _AGAIN * (training.minutes + short / 60)) / 10
        raise ValueError(
            f"minutes must be at least {least:g} for this run on this machine, got "
            f"{training.minutes:g}: {_parts(costs, spent)} leave no {LEAST_STEPS} training steps"
        )
    natural = config.epoch_size / training.batch_size * costs.step + costs.epoch
    epochs, size = int(room / natural), training.epoch_size
    if epochs < _EXACT:
        if epochs < EPOCHS:
            epochs = EPOCHS
            while epochs > 1 and epochs * costs.epoch > _ENDS * room:
                epochs -= 1
        size = int((room - epochs * costs.epoch) / (epochs * costs.step)) * training.batch_size
    steps = math.ceil(epochs * (size or config.epoch_size) / training.batch_size)
    warmup = min(training.warmup_steps, steps // _WARMUP)
    kept = training.snapshot and max(1, round(training.snapshot * epochs / training.epochs))
    training = replace(training, epochs=epochs, epoch_size=size, warmup_steps=warmup, snapshot=kept)
    return replace(config, training=training)


def as_stored(config: RunConfig, stored: RunConfig) -> RunConfig:
    """The configuration with all that was measured before step 0 as a run wrote it down."""
    new, old = config.training, stored.training
    if new.precision == "auto":
        new = replace(new, precision=old.precision)
    if new.minutes is not None and new.minutes == old.minutes:
        decided = ("epochs", "epoch_size", "warmup_steps", "snapshot")
        new = replace(new, **{name: getattr(old, name) for name in decided})
    return replace(config, training=new)


def about_plan(config: RunConfig, costs: Costs, spent: float) -> str:
    """What was chosen, and how long each part will take, on one line."""
    training = config.training
    train = config.total_steps * costs.step + training.epochs * costs.epoch
    return (
        f"{training.minutes:g} minutes are {training.epochs:,} epochs of {config.epoch_size:,} "
        f"examples, {config.total_steps:,} steps: {_parts(costs, spent)}, {train:.0f} s of training"
    )


def _parts(costs: Costs, spent: float) -> str:
    parts = {"previews": PREVIEWS * costs.preview, **costs.ending}
    told = ", ".join(f"{seconds:.0f} s of {name}" for name, seconds in parts.items())
    return f"{spent:.0f} s until now, {told}"
