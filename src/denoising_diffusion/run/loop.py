"""The training of a run: its objects, what must survive a stop, and the loop over its steps."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from denoising_diffusion.data import Dataset
from denoising_diffusion.data.rows import on_device
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.distributed import all_sum, barrier, is_main, world_size
from denoising_diffusion.ema import EMA
from denoising_diffusion.loss import autocast
from denoising_diffusion.run.build import (
    build_averages,
    build_loss,
    build_optimizer,
    has_teacher,
    held_out_conditions,
)
from denoising_diffusion.run.checkpoint import restore_training_state, training_state
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.plan import PREVIEWS
from denoising_diffusion.run.prepare import at_precision
from denoising_diffusion.run.stop import Diverged, Interrupted
from denoising_diffusion.training import TrainStep, train

SECONDS_BETWEEN_CHECKPOINTS = 300.0
# Several processes ask one another this rarely, for it makes each wait for the slowest.
STEPS_BETWEEN_QUESTIONS = 10
LINES = 100
"""At most so many lines on epochs are printed off a terminal."""


def is_told(epoch: int, epochs: int) -> bool:
    """Whether an epoch has a line off a terminal: every k-th, with the least k that keeps to
    `LINES`, and the last.
    """
    return epoch == epochs or epoch % -(-epochs // LINES) == 0


@dataclass
class Trainer:
    """One run in memory. Of several processes all train, and the first alone writes.

    Args:
        run: where it lives, with its configuration.
        model: with initial weights, on the device where it is trained.
        data: what is learned.
        preview: called with the sampling model and the epoch, ten times in a run.
    """

    run: Run
    model: GaussianDiffusion
    data: Dataset
    preview: Callable[[GaussianDiffusion, int], None]
    step: int = 0
    pending: list[Tensor] = field(default_factory=list[Tensor])
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.config = self.run.config.training
        self.device = next(self.model.parameters()).device
        self.averages = build_averages(self.run.config, self.model)
        self.optimizer = build_optimizer(self.run.config, self.model)
        # Kept as an average is, and stored with them; no step moves it.
        self.teacher = {"teacher": EMA(self.model)} if has_teacher(self.run.config) else {}
        taught: Any = next((kept.model for kept in self.teacher.values()), None)
        self.loss = build_loss(self.run.config, taught)
        self.rows = on_device(self.data.train, self.device)
        self.held_out = on_device(self.data.validation, self.device)

    @property
    def sampling_model(self) -> GaussianDiffusion:
        """The model that samples: the first average if there is one."""
        for average in self.averages.values():
            assert isinstance(average.model, GaussianDiffusion)
            return average.model
        return self.model

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.run.config.total_steps

    def epoch_end(self, epoch: int) -> int:
        """The step with which this epoch is complete, counted from 1."""
        return self.run.config.epoch_end(epoch)

    def learning_rate(self, step: int) -> float:
        """The rate of this step, counted from 1: a rise, then level or half a cosine to 0."""
        c = self.config
        warm = min(1.0, step / c.warmup_steps) if c.warmup_steps else 1.0
        rest = 0.5 * (1 + math.cos(math.pi * step / self.total_steps)) if c.decay else 1.0
        return c.learning_rate * warm * rest

    def run_to_end(self, stop: Callable[[], bool]) -> None:
        """Train to the end, or until `stop` says so after a step, in any process.

        Raises:
            Interrupted: stopped early, with a checkpoint written.
            Diverged: the loss is not a number.
        """
        bar = tqdm(
            total=self.total_steps * self.config.batch_size,
            initial=self.step * self.config.batch_size,
            unit=self.run.kind.unit,
            unit_scale=True,
            desc=self.run.config.recipe,
            file=sys.stderr,
            disable=not (is_main() and sys.stderr.isatty()),
        )
        with bar:
            self._consume(self.steps(), bar, stop)

    def steps(self) -> Iterator[TrainStep]:
        """The steps from the present one on."""
        return train(
            self.model,
            at_precision(self.loss, self.config.precision),
            self.rows,
            self.optimizer,
            steps=self.total_steps,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            accumulate=self.config.accumulate,
            start=self.step,
            averages=self.averages,
            learning_rate=self.learning_rate,
            max_grad_norm=self.config.max_grad_norm,
        )

    def _consume(
        self, steps: Iterator[TrainStep], bar: "tqdm[Any]", stop: Callable[[], bool]
    ) -> None:
        epoch = self.step * self.config.batch_size // self.run.config.epoch_size
        clock = last_save = time.monotonic()
        for taken in steps:
            self.step = taken.step
            self.pending.append(taken.loss)
            bar.update(self.config.batch_size)
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            ended = self.step >= self.epoch_end(epoch + 1)
            while self.step >= self.epoch_end(epoch + 1):
                epoch += 1
            if ended:
                self._end_epoch(epoch, taken.lr, bar)
            due, stopping = self._agree(now - last_save > SECONDS_BETWEEN_CHECKPOINTS, stop())
            if ended or due or stopping:
                self.keep()
                last_save = now
            if ended:
                barrier()  # nobody runs ahead of a write that failed
            clock = time.monotonic()
            if stopping and self.step < self.total_steps:
                raise Interrupted(
                    f"stopped after step {self.step:,}, saved; go on with: "
                    f"ddpm resume {self.run.path}"
                )

    def _agree(self, *wishes: bool) -> list[bool]:
        """What any process wishes, the same in all of them; asked only now and then if several."""
        if world_size() == 1:
            return list(wishes)
        if self.step % STEPS_BETWEEN_QUESTIONS:
            return [False] * len(wishes)
        return [count > 0 for count in all_sum(torch.tensor(wishes, dtype=torch.int32)).tolist()]

    def held_out_loss(self) -> float:
        """The loss of the model that samples, on the data held out."""
        with autocast(self.config.precision, self.device):
            conditions = held_out_conditions(self.run.config)
            return self.loss.held_out(self.sampling_model.eval(), self.held_out, conditions)

    def _end_epoch(self, epoch: int, lr: float, bar: "tqdm[Any]") -> None:
        self._check_finite()
        model, held_out = self.sampling_model.eval(), self.held_out_loss()
        loss = torch.stack(self.pending).double().mean().item()
        self.pending = []
        if not is_main():
            return
        kept = self.config.snapshot
        if kept is not None and self.step == self.epoch_end(kept):
            self.run.export(model.state_dict(), self.step, self.run.snapshot_file)
        row = {"step": self.step, "epoch": epoch, "loss": loss, "val_loss": held_out, "lr": lr}
        self.run.history.append(row)
        bar.set_postfix(epoch=epoch, loss=f"{loss:.4f}", val=f"{held_out:.4f}")
        epochs = self.config.epochs
        if bar.disable and is_told(epoch, epochs):
            text = f"epoch {epoch:,} of {epochs:,}, loss {loss:.4f}, held-out {held_out:.4f}"
            print(f"ddpm: {text}, {self.seconds:,.0f} s", file=sys.stderr)
        if epoch * PREVIEWS // epochs > (epoch - 1) * PREVIEWS // epochs:
            self.preview(model, epoch)

    def keep(self) -> None:
        """Write a checkpoint, unless a loss since the last one is not a number."""
        self._check_finite()
        if not is_main():
            return
        tensors = training_state(self.model, self.averages | self.teacher, self.optimizer)
        pending = torch.stack(self.pending) if self.pending else torch.empty(0)
        notes = {"step": self.step, "seconds": round(self.seconds, 3)}
        self.run.write_checkpoint({**tensors, "pending": pending}, notes)

    def restore(self) -> None:
        """Go back to the last checkpoint, if there is one."""
        stored = self.run.read_checkpoint()
        if stored is not None:
            pending = stored.tensors.pop("pending", torch.empty(0))
            kept = self.averages | self.teacher
            restore_training_state(stored.tensors, self.model, kept, self.optimizer)
            self.pending = list(pending)
            self.step, self.seconds = stored.notes["step"], float(stored.notes["seconds"])
        if is_main():
            self.run.history.cut(self.step)

    def export(self) -> None:
        """Write the weights that sampling uses."""
        if is_main():
            self.run.export(self.sampling_model.state_dict(), self.step)
        barrier()

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
        file = self.run.checkpoint_file
        kept = f"the last good checkpoint is {file}" if file.exists() else "no checkpoint was made"
        raise Diverged(
            f"the loss is not a number at step {step}, learning rate "
            f"{self.learning_rate(step):.3g}; {kept}; try a smaller learning_rate"
        )
