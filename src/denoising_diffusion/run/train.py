"""A whole run, read downwards: data, network, training, pictures, score."""

import contextlib
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from denoising_diffusion import distributed, tables
from denoising_diffusion.checks import function
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.run.build import build_diffusion, count_parameters, pick_device, take_over
from denoising_diffusion.run.convergence import still_falling
from denoising_diffusion.run.ending import draw_pictures, pictures, preview
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.history import OnLog
from denoising_diffusion.run.loop import Trainer
from denoising_diffusion.run.place import check_folder, just_begun, move_aside
from denoising_diffusion.run.plan import as_stored
from denoising_diffusion.run.preflight import preflight
from denoising_diffusion.run.prepare import learned, load_data, resolve_precision
from denoising_diffusion.run.rehearse import plan_run
from denoising_diffusion.run.report import reported, write_report
from denoising_diffusion.run.score import (
    draw_evaluation,
    ending_request,
    evaluation_origin,
    score,
)
from denoising_diffusion.run.settings import settled
from denoising_diffusion.run.stop import stop_on_signal
from denoising_diffusion.strict_json import first_difference
from denoising_diffusion.training import batch_parts

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """What a finished run has to show: a table of scores, if it was evaluated, and pictures."""

    table: str | None
    files: list[Path]


def train_run(
    config: RunConfig,
    out: str | Path,
    *,
    device: str = "auto",
    evaluate: bool = True,
    overwrite: bool = False,
    say: Say = lambda _: None,
    on_log: OnLog | None = None,
    begun: float | None = None,
) -> TrainResult:
    """Train a run in this folder, or go on with it, and finish it with pictures and scores.

    Args:
        config: what to train; precision "auto" is resolved before the first step, and minutes
            decide the epochs.
        out: the run folder.
        device: where the network runs.
        evaluate: whether to score the run at the end.
        overwrite: move another run that is in the folder aside.
        say: takes messages.
        on_log: told of every epoch, (step, {"epoch", "loss", "val_loss", "lr", "step"}), in the
            first process, once its line is in the history; what it raises ends the training, which
            can be resumed.
        begun: the time, of time.monotonic(), from which minutes count; now without it.

    Raises:
        ValueError: bad configuration or data, or a folder that holds something else.
        Interrupted: stopped by a signal, after saving.
        Diverged: the loss is not a number.
    """
    begun = time.monotonic() if begun is None else begun
    place, run = pick_device(device), Run(out)
    run.history.on_log = on_log and function("on_log", on_log)
    with contextlib.ExitStack() as lock:
        with distributed.processes(place.type):
            data = load_data(config.data)
            batch_parts(config.training.batch_size, config.training.accumulate)
            needed = {"data.path": config.data.get("path"), "training.init": config.training.init}
            check_folder(run, overwrite, needed)
            # What could not come to its end fails here, before anything is written.
            ready = preflight(config, data, run.path, place, evaluate=evaluate)
            config, model = ready.config, ready.model
            for line in ready.report:
                say(line)
            lock.enter_context(distributed.alone(run.path))
            run.data = data
            if distributed.broadcast_object(_goes_on(run, config, model, evaluate, overwrite)):
                _check_same(run, config)
            else:
                _begin(run, config, model, say, begun, evaluate)
            ended = _train_and_draw(run, model, evaluate, say)
        return _score(run, ended)


def resume_run(
    path: str | Path,
    *,
    epochs: int | None = None,
    data: str | Path | None = None,
    device: str = "auto",
    evaluate: bool = True,
    say: Say = lambda _: None,
    on_log: OnLog | None = None,
) -> TrainResult:
    """Go on with the run in this folder.

    Args:
        path: the run folder.
        epochs: another total number of epochs.
        data: where the data is now, if it has moved.
        device: where the network runs.
        evaluate: whether to score the run at the end.
        say: takes messages.
        on_log: told of every epoch, (step, {"epoch", "loss", "val_loss", "lr", "step"}), in the
            first process, once its line is in the history; what it raises ends the training, which
            can be resumed.

    Raises:
        ValueError: no run there, its data has changed, or fewer epochs than it has done.
    """
    place, run = pick_device(device), Run(path)
    run.history.on_log = on_log and function("on_log", on_log)
    config = run.config if data is None else settled(run.config, Path(data))
    run.data = load_data(config.data)
    with contextlib.ExitStack() as lock:
        with distributed.processes(place.type):
            if run.facts.fingerprint != run.data.fingerprint:
                raise ValueError(f"the data of {run.path} has changed since the run began")
            model = build_diffusion(run.config)
            if run.config.training.init and not run.checkpoint_file.exists():
                take_over(model, run.config.training.init)
            model = model.to(place)
            lock.enter_context(distributed.alone(run.path))
            if epochs is not None or config != run.config:
                _change(run, model, config, epochs)
            ended = _train_and_draw(run, model, evaluate, say)
        return _score(run, ended)


@dataclass(frozen=True)
class _Ended:
    """What is left to be scored: a request and the file of its samples, where there are any."""

    model: GaussianDiffusion
    shown: list[Path]
    wish: Sampling | None = None
    file: Path | None = None


def _begin(
    run: Run, config: RunConfig, model: GaussianDiffusion, say: Say, begun: float, evaluate: bool
) -> None:
    """Settle the precision and the steps, and make the folder; an old one is moved aside."""
    assert config.facts is not None
    kind = tables.resolve("kind", config.facts.kind)(config.facts)
    config = resolve_precision(config, model, learned(config, run.data), kind.half)
    config = plan_run(config, model, run.data, say, begun=begun, evaluate=evaluate)
    if distributed.is_main():
        if run.path.exists() and not just_begun(run.path):
            say(f"the old run is now {move_aside(run.path)}")
        run.create(config)
    distributed.barrier()
    run.config = config


def _train(run: Run, model: GaussianDiffusion, say: Say) -> GaussianDiffusion:
    """The trained model: from the run if it has ended, else by going on from its checkpoint."""
    if distributed.broadcast_object(run.finished):
        with contextlib.suppress(ValueError):  # damaged: it is made again from the checkpoint
            return run.load_into(model).eval()
    trainer = Trainer(run, model, learned(run.config, run.data), partial(preview, run))
    trainer.restore()
    say(
        f"{count_parameters(model):,} parameters, {run.facts.num_train:,} examples, "
        f"step {trainer.step:,} of {trainer.total_steps:,}, {run.config.training.precision} "
        f"on {next(model.parameters()).device.type}"
    )
    with stop_on_signal() as stop:
        trainer.run_to_end(stop)
    rate = trainer.step * run.config.training.batch_size / max(trainer.seconds, 1e-9)
    say(f"trained in {trainer.seconds:.0f} s, {rate:,.0f} examples/s")
    if still_falling(run.history.read()):
        say(
            f"the held-out loss was still falling: go on with ddpm resume {run.path} "
            f"--epochs {2 * run.config.training.epochs}"
        )
    trainer.export()
    return trainer.sampling_model.eval()


def _train_and_draw(run: Run, model: GaussianDiffusion, evaluate: bool, say: Say) -> _Ended:
    """What all processes do together: training, pictures and the samples that will be scored."""
    model = _train(run, model, say)
    if distributed.is_main() and pictures(run, model) is None:
        draw_pictures(run, model)
    distributed.barrier()
    shown = pictures(run, model) or []
    if not evaluate:
        return _Ended(model, shown)
    wish = ending_request(run)
    if distributed.broadcast_object(_scored(run, model, wish)):
        return _Ended(model, shown, wish)
    say(f"drawing {wish.num:,} samples to score")
    return _Ended(model, shown, wish, draw_evaluation(run, model, wish, run.data))


def _scored(run: Run, model: GaussianDiffusion, wish: Sampling) -> bool:
    of = evaluation_origin(run, model, wish, run.data)
    return all(run.artefacts.current(f, of) for f in (run.evaluation_file, run.table_file))


def _score(run: Run, ended: _Ended) -> TrainResult:
    """What the first process does in the end, when the others are gone: scores and the page."""
    if not distributed.is_main():
        return TrainResult(None, ended.shown)
    if ended.wish is None:
        return TrainResult(None, [*ended.shown, write_report(run, ended.model)])
    of = evaluation_origin(run, ended.model, ended.wish, run.data)
    if ended.file is not None:
        found = score(run, ended.model, ended.wish, run.data, ended.file)
        run.write_scores(found.values, found.text, of)
    made = (f for f in run.artefacts.recorded(of) if f.suffix == ".png")
    return TrainResult(run.read_table(), [*ended.shown, *made, write_report(run, ended.model)])


def _goes_on(
    run: Run, config: RunConfig, model: GaussianDiffusion, evaluate: bool, overwrite: bool
) -> bool:
    """Whether the command goes on with the run in the folder.

    One that may be overwritten goes on too if it is the same and did not come to its end: it ends
    in the same bits, and a command that was killed is completed by itself.
    """
    if not run.exists or not overwrite:
        return run.exists
    try:
        _check_same(run, config)
        if not run.finished:
            return True
        model = run.load_into(copy.deepcopy(model)).eval()
    except ValueError:
        return False
    ended = run.evaluated if evaluate else pictures(run, model)
    return not (ended and reported(run, model))


def _check_same(run: Run, config: RunConfig) -> None:
    """Refuse another configuration than the stored one; the first key that differs is named."""
    key = first_difference(run.config, as_stored(config, run.config))
    if key is not None:
        raise ValueError(
            f"{run.path} holds a run of another configuration: {key} differs; take another "
            "--out, or --overwrite to move that run aside"
        )


def _change(run: Run, model: GaussianDiffusion, config: RunConfig, epochs: int | None) -> None:
    """Write down another place of the data, or number of epochs, whose needs are checked first."""
    done = [row["epoch"] for row in run.history.read()]
    if epochs is not None:
        if done and epochs < done[-1]:
            raise ValueError(f"epochs must be at least {done[-1]}, which are done, got {epochs}")
        config = replace(config, training=replace(config.training, epochs=epochs))
    if config == run.config:
        return
    lost = run.model_file.exists() and not run.checkpoint_file.exists()
    if lost and config.training != run.config.training:
        # From its beginning, with another end in view, it would become another run.
        raise ValueError(f"{run.checkpoint_file} is missing, from which {run.path} would go on")
    Trainer(run, model, learned(config, run.data), partial(preview, run)).restore()
    distributed.barrier()
    if distributed.is_main():
        run.write_config(config)
    distributed.barrier()
    run.config = config
