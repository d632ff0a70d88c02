"""Training a run: begin or go on, save often, stop cleanly, and finish once."""

import contextlib
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from denoising_diffusion.config import RunConfig
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.distributed import all_sum, barrier, is_main, world_size
from denoising_diffusion.ema import EMA
from denoising_diffusion.jobs.prepare import (
    diffusion_loss,
    training_tensors,
    validation_loss,
    validation_tensors,
)
from denoising_diffusion.run import (
    RunFolder,
    build_diffusion,
    note_json,
    restore_training_state,
    training_state,
    write_tensors,
)
from denoising_diffusion.strict_json import first_difference, to_json
from denoising_diffusion.training import Batch, TrainStep, train

SECONDS_BETWEEN_CHECKPOINTS = 300.0
# Several processes ask one another this rarely, for it makes each wait for the slowest.
STEPS_BETWEEN_QUESTIONS = 10
PREVIEWS = 10


class Interrupted(Exception):
    """Training was asked to stop, and has saved what it had."""


class Diverged(Exception):
    """The loss is no longer a number."""


@dataclass
class Trainer:
    """One run in memory: its objects, and what must survive a stop.

    Of several processes all train and score, and the first alone writes.

    Args:
        folder: where it lives.
        config: resolved, with facts.
        data: what is learned.
        device: where the network runs.
        preview: called with the sampling model and the epoch, ten times in a run.
    """

    folder: RunFolder
    config: RunConfig
    data: Dataset
    device: torch.device
    preview: Callable[[GaussianDiffusion, int], None]
    step: int = 0
    pending: list[Tensor] = field(default_factory=list[Tensor])
    seconds: float = 0.0

    def __post_init__(self) -> None:
        assert self.config.facts is not None
        training = self.config.training
        self.model = build_diffusion(self.config, self.config.facts).to(self.device)
        self.ema = None if training.ema_decay is None else EMA(self.model, training.ema_decay)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=training.learning_rate)
        self.train_tensors = self._here(training_tensors(self.config, self.data))
        self.validation_tensors = self._here(validation_tensors(self.config, self.data))

    def _here(self, batch: Batch) -> Batch:
        return tuple(v.to(self.device) for v in batch)

    @property
    def sampling_model(self) -> GaussianDiffusion:
        """The model that samples: the averaged one if there is one."""
        if self.ema is None:
            return self.model
        assert isinstance(self.ema.model, GaussianDiffusion)
        return self.ema.model

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.epoch_end(self.config.training.epochs)

    def epoch_end(self, epoch: int) -> int:
        """The step with which this epoch is complete, counted from 1."""
        return math.ceil(epoch * len(self.data.train) / self.config.training.batch_size)

    def learning_rate(self, step: int) -> float:
        """The rate of this step, counted from 1: a rise, then level or half a cosine to 0."""
        training = self.config.training
        warm = min(1.0, step / training.warmup_steps) if training.warmup_steps else 1.0
        rest = 0.5 * (1 + math.cos(math.pi * step / self.total_steps)) if training.decay else 1.0
        return training.learning_rate * warm * rest

    def restore(self) -> None:
        """Go back to the last checkpoint, if there is one."""
        found = self.folder.read_checkpoint()
        if found is not None:
            stored, self.step = found
            pending = stored.tensors.pop("pending")
            restore_training_state(stored.tensors, self.model, self.ema, self.optimizer)
            self.pending = list(pending)
            self.seconds = float(note_json(stored.notes, "seconds", self.folder.checkpoint_file))
        if is_main():
            self.folder.cut_history(self.step)

    def save(self) -> None:
        """Write a checkpoint, unless a loss since the last one is not a number."""
        self._check_finite()
        if not is_main():
            return
        tensors = training_state(self.model, self.ema, self.optimizer)
        pending = torch.stack(self.pending) if self.pending else torch.empty(0)
        notes = {
            "config": to_json(self.config),
            "step": json.dumps(self.step),
            "seconds": json.dumps(round(self.seconds, 3)),
        }
        write_tensors(self.folder.checkpoint_file, {**tensors, "pending": pending}, notes)

    def run(self, stop: Callable[[], bool]) -> None:
        """Train to the end, or until `stop` says so after a step, in any process.

        Raises:
            Interrupted: stopped early, with a checkpoint written.
            Diverged: the loss is not a number.
        """
        training = self.config.training
        steps = train(
            self.model,
            diffusion_loss(self.config),
            self.train_tensors,
            self.optimizer,
            steps=self.total_steps,
            batch_size=training.batch_size,
            seed=training.seed,
            start=self.step,
            ema=self.ema,
            learning_rate=self.learning_rate,
            max_grad_norm=training.max_grad_norm,
        )
        bar = tqdm(
            total=self.total_steps * training.batch_size,
            initial=self.step * training.batch_size,
            unit="img" if self.data.train.ndim == 4 else "pt",
            unit_scale=True,
            desc=self.config.recipe,
            file=sys.stderr,
            disable=not (is_main() and sys.stderr.isatty()),
        )
        with bar:
            self._consume(steps, bar, stop)

    def _consume(
        self, steps: Iterator[TrainStep], bar: "tqdm[Any]", stop: Callable[[], bool]
    ) -> None:
        epoch = self._epochs_done()
        clock = last_save = time.monotonic()
        for taken in steps:
            self.step = taken.step
            self.pending.append(taken.loss)
            bar.update(self.config.training.batch_size)
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            ended = self.step >= self.epoch_end(epoch + 1)
            while self.step >= self.epoch_end(epoch + 1):
                epoch += 1
            if ended:
                self._end_epoch(epoch, taken.lr, bar)
            due, stopping = self._agree(now - last_save > SECONDS_BETWEEN_CHECKPOINTS, stop())
            if ended or due or stopping:
                self.save()
                last_save = now
            if ended:
                barrier()  # nobody runs ahead of a write that failed
            clock = time.monotonic()
            if stopping and self.step < self.total_steps:
                raise Interrupted

    def _agree(self, *wishes: bool) -> list[bool]:
        """What any process wishes, the same in all of them; asked only now and then if several."""
        if world_size() == 1:
            return list(wishes)
        if self.step % STEPS_BETWEEN_QUESTIONS:
            return [False] * len(wishes)
        return [count > 0 for count in all_sum(torch.tensor(wishes, dtype=torch.int32)).tolist()]

    def _epochs_done(self) -> int:
        return self.step * self.config.training.batch_size // len(self.data.train)

    def _end_epoch(self, epoch: int, lr: float, bar: "tqdm[Any]") -> None:
        self._check_finite()
        model = self.sampling_model.eval()
        row = {
            "step": self.step,
            "epoch": epoch,
            "loss": torch.stack(self.pending).double().mean().item(),
            "val_loss": validation_loss(model, self.validation_tensors, self.config),
            "lr": lr,
        }
        self.pending = []
        if not is_main():
            return
        self.folder.append_history(row)
        bar.set_postfix(epoch=epoch, loss=f"{row['loss']:.4f}", val=f"{row['val_loss']:.4f}")
        epochs = self.config.training.epochs
        if epoch * PREVIEWS // epochs > (epoch - 1) * PREVIEWS // epochs:
            self.preview(model, epoch)

    def _check_finite(self) -> None:
        if not self.pending:
            return
        finite = torch.isfinite(torch.stack(self.pending))
        # A finite loss may still have had a gradient that was not, which spoils the weights.
        weights = all(bool(torch.isfinite(p).all()) for p in self.model.parameters())
        if bool(finite.all()) and weights:
            return
        bad = (~finite).nonzero()
        step = self.step - len(self.pending) + int(bad[0]) + 1 if len(bad) else self.step
        file = self.folder.checkpoint_file
        kept = f"the last good checkpoint is {file}" if file.exists() else "no checkpoint was made"
        raise Diverged(
            f"the loss is not a number at step {step}, learning rate "
            f"{self.learning_rate(step):.3g}; {kept}; try a smaller learning_rate"
        )


@contextlib.contextmanager
def stop_on_signal() -> Generator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or SIGTERM has come; a second Ctrl-C stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked
        return
    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_same(folder: RunFolder, config: RunConfig) -> RunConfig:
    """The stored configuration, if the one asked for is the same.

    Raises:
        ValueError: they differ; the first key is named with both values.
    """
    stored = folder.read_config()
    if config.training.precision == "auto":
        precision = stored.training.precision
        config = replace(config, training=replace(config.training, precision=precision))
    key = first_difference(stored, config)
    if key is not None:
        raise ValueError(
            f"{folder.path} holds a run of another configuration: {key} differs; take another "
            "--out, or --overwrite to move that run aside"
        )
    return stored


def move_aside(path: Path) -> Path:
    """Move a run folder to the first free of RUN.old, RUN.old2, ...; the new path."""
    number, target = 1, path.with_name(path.name + ".old")
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.old{number}")
    path.rename(target)
    return target
