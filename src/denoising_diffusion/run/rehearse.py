"""Each part of a run in small, in a folder of its own, with a clock beside it."""

import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from denoising_diffusion import distributed
from denoising_diffusion.config import MOST, PER_INPUT, RunConfig, Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import as_npz
from denoising_diffusion.run.draw import draw_file
from denoising_diffusion.run.ending import draw_pictures, preview
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.inputs import scored_inputs
from denoising_diffusion.run.loop import Trainer
from denoising_diffusion.run.plan import Clock, Costs, about_plan, planned
from denoising_diffusion.run.prepare import learned
from denoising_diffusion.run.report import write_report
from denoising_diffusion.run.score import ending_request, score

_WARM = 5
"""Steps that are taken before the clock counts."""
_SHARE = 0.02
"""Of the minutes, for which steps are timed."""
_FEW = 2 * PER_INPUT
"""Samples of the smaller of two trials."""


def plan_run(
    config: RunConfig,
    model: GaussianDiffusion,
    data: Dataset,
    say: Callable[[str], None],
    *,
    begun: float,
    evaluate: bool,
    clock: Clock = time.monotonic,
) -> RunConfig:
    """The configuration as it is, or, if it has minutes, with the epochs that fit into them.

    Args:
        config: with facts, and its precision settled.
        model: with initial weights, which are left as they are.
        data: with classes, even if they are not learned.
        say: told of what was chosen.
        begun: when the command began, by the clock.
        evaluate: whether the run will be scored.
        clock: seconds.

    Raises:
        ValueError: too few minutes, or several processes.
    """
    if config.training.minutes is None:
        return config
    if distributed.world_size() > 1:
        raise ValueError(f"minutes are planned for one process, got {distributed.world_size()}")
    costs = rehearsed(config, model, data, clock, evaluate=evaluate)
    spent = clock() - begun
    config = planned(config, costs, spent)
    say(about_plan(config, costs, spent))
    return config


def rehearsed(
    config: RunConfig, model: GaussianDiffusion, data: Dataset, clock: Clock, *, evaluate: bool
) -> Costs:
    """What each part of a run costs; nothing of it stays.

    Steps are those of the run, as many as fit into a fiftieth of its minutes; what does not depend
    on its length is done once; drawing and scoring are done for few samples and for some more, and
    the line through both tells the rest.

    Args:
        config: with facts and minutes, and its precision settled.
        model: with initial weights, which are left as they are.
        data: with classes, even if they are not learned.
        clock: seconds.
        evaluate: whether the run will be scored.
    """
    assert config.training.minutes is not None
    with tempfile.TemporaryDirectory(prefix="ddpm-") as folder:
        run = Run(Path(folder) / "run")
        # As long as it can be: what is timed must not come to its end.
        run.create(replace(config, training=replace(config.training, epochs=MOST)))
        run.data = data
        trainer = Trainer(run, copy.deepcopy(model), learned(config, data), _unseen)
        step = _steps(trainer, 60 * _SHARE * config.training.minutes, clock)
        epoch = _timed(lambda: _end_epoch(trainer), clock)
        trainer.step = trainer.total_steps
        trainer.export()
        if config.training.snapshot is not None:
            run.export(trainer.model.state_dict(), 1, run.snapshot_file)
        own = trainer.sampling_model.eval()
        preview(run, own, 0)  # imports
        ending: dict[str, float] = {}
        small = _timed(lambda: preview(run, own, 1), clock)
        ending["pictures"] = _timed(lambda: draw_pictures(run, own), clock)
        if evaluate:
            wish = ending_request(run)
            ending[f"{wish.num:,} samples"] = _drawing(run, own, wish, clock)
            ending["scores"] = _scoring(run, own, wish, clock)
        ending["report"] = _timed(lambda: write_report(run, own), clock)
    return Costs(step, epoch, small, ending)


def _unseen(model: GaussianDiffusion, epoch: int) -> None:
    """No preview: those are timed apart."""


def _timed(do: Callable[[], object], clock: Clock) -> float:
    begin = clock()
    do()
    return clock() - begin


def _steps(trainer: Trainer, seconds: float, clock: Clock) -> float:
    """Seconds of a step, over as many as fit."""
    steps = trainer.steps()
    for _ in range(_WARM):
        trainer.pending.append(next(steps).loss)
    trainer.pending[-1].item()  # waits for the device
    begin, count = clock(), 0
    while clock() - begin < seconds or count < _WARM:
        trainer.pending.append(next(steps).loss)
        count += 1
    trainer.pending[-1].item()
    return (clock() - begin) / count


def _end_epoch(trainer: Trainer) -> None:
    loss = trainer.held_out_loss()
    trainer.keep()
    row = {"epoch": 1, "loss": loss, "val_loss": loss, "lr": 0.0}
    trainer.run.history.append({"step": 1, **row})


def _drawing(run: Run, model: GaussianDiffusion, wish: Sampling, clock: Clock) -> float:
    """Seconds in which the samples that are scored will be drawn, piece by piece."""
    num, device = wish.num or 0, next(model.parameters()).device
    batch = min(num, run.kind.batch(device.type == "cpu"))

    def draw(count: int) -> float:
        some, file = replace(wish, num=count), run.samples / f"{count}.npz"
        inputs = scored_inputs(run, run.data, count)
        return _timed(lambda: draw_file(run, model, some, file, inputs), clock)

    few, more = _two(batch // 4, num)
    draw(few)
    line = _line(few, draw(few), more, draw(more))
    return num // batch * line(batch) + (line(num % batch) if num % batch else 0.0)


def _scoring(run: Run, model: GaussianDiffusion, wish: Sampling, clock: Clock) -> float:
    """Seconds in which that many samples will be scored; those here are real ones."""
    num = wish.num or 0

    def scored(count: int) -> float:
        x, *labels = run.data.reference[torch.arange(count) % len(run.data.reference)]
        arrays = {"samples": run.kind.encode(x)}
        if labels and run.kind.num_classes:
            arrays["labels"] = np.array([run.data.class_names[k - 1] for k in labels[0].tolist()])
        file = run.samples / f"real-{count}.npz"
        run.artefacts.put(file, as_npz(arrays), {})
        some = replace(wish, num=count)
        return _timed(lambda: score(run, model, some, run.data, file), clock)

    few, more = _two(num // 4, num)
    scored(few)  # what is learned for scores is kept from then on, where anything is
    return _line(few, scored(few), more, scored(more))(num)


def _two(more: int, most: int) -> tuple[int, int]:
    """The sizes of two trials, in whole pictures of those that are enlarged."""
    few = min(_FEW, most)
    return few, max(few, more // PER_INPUT * PER_INPUT)


def _line(few: int, a: float, more: int, b: float) -> Callable[[int], float]:
    """Through the seconds of two trials; one that falls is a clock that was disturbed."""
    rise = max(0.0, b - a) / (more - few) if more > few else b / more
    return lambda count: b + rise * (count - more)
