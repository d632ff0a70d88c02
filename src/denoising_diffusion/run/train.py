"""A whole run, read downwards: data, network, training, pictures, score."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from denoising_diffusion import distributed, tables
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.run.build import build_diffusion, count_parameters, pick_device
from denoising_diffusion.run.convergence import still_falling
from denoising_diffusion.run.draw import completed
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.loop import Trainer
from denoising_diffusion.run.prepare import facts_of, learned, load_data, resolve_precision
from denoising_diffusion.run.score import draw_evaluation, score
from denoising_diffusion.run.show import preview, run_pictures
from denoising_diffusion.run.stop import stop_on_signal
from denoising_diffusion.strict_json import first_difference

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
) -> TrainResult:
    """Train a run in this folder, or go on with it, and finish it with pictures and scores.

    Args:
        config: what to train; precision "auto" is resolved before the first step.
        out: the run folder.
        device: where the network runs.
        evaluate: whether to score the run at the end.
        overwrite: move another run that is in the folder aside.
        say: takes messages.

    Raises:
        ValueError: bad configuration or data, or a folder that holds something else.
        Interrupted: stopped by a signal, after saving.
        Diverged: the loss is not a number.
    """
    place, run = pick_device(device), Run(out)
    with distributed.processes(place.type):
        data = load_data(config.data)
        facts = facts_of(learned(config, data))
        config = replace(config, facts=facts)
        # What cannot be built fails here, before anything is written.
        model = build_diffusion(config).to(place)
        config = replace(config, facts=replace(facts, parameters=count_parameters(model)))
        distributed.share(config.training.batch_size)
        _check_folder(run, overwrite)
        run.data = data
        if distributed.broadcast_object(run.exists and not overwrite):
            _check_same(run, config)
        else:
            _begin(run, config, model, say)
        model = _train(run, model, say)
        drawn = _draw(run, model, say) if evaluate else None
    return _finish(run, model, drawn, evaluate)


def resume_run(
    path: str | Path,
    *,
    epochs: int | None = None,
    device: str = "auto",
    evaluate: bool = True,
    say: Say = lambda _: None,
) -> TrainResult:
    """Go on with the run in this folder, to another total number of epochs if one is given.

    Raises:
        ValueError: no run there, its data has changed, or fewer epochs than it has done.
    """
    place, run = pick_device(device), Run(path)
    with distributed.processes(place.type):
        if run.facts.fingerprint != run.data.fingerprint:
            raise ValueError(f"the data of {run.path} has changed since the run began")
        model = build_diffusion(run.config).to(place)
        if epochs is not None and epochs != run.config.training.epochs:
            _lengthen(run, model, epochs)
        model = _train(run, model, say)
        drawn = _draw(run, model, say) if evaluate else None
    return _finish(run, model, drawn, evaluate)


def _begin(run: Run, config: RunConfig, model: GaussianDiffusion, say: Say) -> None:
    """Settle the precision and make the folder; an old one is moved aside."""
    assert config.facts is not None
    kind = tables.resolve("kind", config.facts.kind)(config.facts)
    config = resolve_precision(config, model, learned(config, run.data), kind.half)
    if distributed.is_main():
        if run.path.exists() and any(run.path.iterdir()):
            say(f"the old run is now {move_aside(run.path)}")
        run.create(config)
    distributed.barrier()
    run.config = config


def _train(run: Run, model: GaussianDiffusion, say: Say) -> GaussianDiffusion:
    """The trained model: from the run if it has ended, else by going on from its checkpoint."""
    if distributed.broadcast_object(run.finished):
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
    if still_falling(run.read_history()):
        say(
            f"the held-out loss was still falling: go on with ddpm resume {run.path} "
            f"--epochs {2 * run.config.training.epochs}"
        )
    trainer.export()
    return trainer.sampling_model.eval()


def _draw(run: Run, model: GaussianDiffusion, say: Say) -> tuple[Sampling, Path] | None:
    """The samples that will be scored, drawn by all processes; None if they are scored already."""
    if distributed.broadcast_object(run.evaluated):
        return None
    wanted, most = run.config.sampling.num or run.kind.default_num(), run.kind.most(run.data)
    if wanted > most:
        say(f"{most:,} samples are scored, not {wanted:,}: there is no more data to compare with")
    wish = completed(run, replace(run.config.sampling, num=min(wanted, most)))
    say(f"drawing {wish.num:,} samples to score")
    return wish, draw_evaluation(run, model, wish, run.data)


def _finish(
    run: Run, model: GaussianDiffusion, drawn: tuple[Sampling, Path] | None, evaluate: bool
) -> TrainResult:
    """What one process does in the end: pictures, then scores."""
    if not distributed.is_main():
        return TrainResult(None, [])
    shown = run_pictures(run, model)
    if not evaluate:
        return TrainResult(None, shown)
    if drawn is not None:
        wish, file = drawn
        found = score(run, model, wish, run.data, file)
        run.write_scores(found.values, found.text)
    return TrainResult(run.read_table(), [*shown, *sorted(run.samples.glob("evaluation-*.png"))])


def _check_folder(run: Run, overwrite: bool) -> None:
    path = run.path
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; --out takes a folder")
    if path.exists() and not run.exists and not overwrite and any(path.iterdir()):
        raise ValueError(f"{path} holds files but no run; take another --out, or --overwrite")


def _check_same(run: Run, config: RunConfig) -> None:
    """Refuse another configuration than the stored one; the first key that differs is named."""
    stored = run.config
    if config.training.precision == "auto":
        precision = stored.training.precision
        config = replace(config, training=replace(config.training, precision=precision))
    key = first_difference(stored, config)
    if key is not None:
        raise ValueError(
            f"{run.path} holds a run of another configuration: {key} differs; take another "
            "--out, or --overwrite to move that run aside"
        )


def _lengthen(run: Run, model: GaussianDiffusion, epochs: int) -> None:
    """Write down another number of epochs; what a longer run needs is checked first."""
    done = [row["epoch"] for row in run.read_history()]
    if done and epochs < done[-1]:
        raise ValueError(f"epochs must be at least {done[-1]}, which are done, got {epochs}")
    training = replace(run.config.training, epochs=epochs)
    config = replace(run.config, training=training)
    Trainer(run, model, learned(config, run.data), partial(preview, run)).restore()
    distributed.barrier()
    if distributed.is_main():
        run.forget_results()
        run.write_config(config)
    distributed.barrier()
    run.config = config


def move_aside(path: Path) -> Path:
    """Move a run folder to the first free of RUN.old, RUN.old2, ...; the new path."""
    number, target = 1, path.with_name(path.name + ".old")
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.old{number}")
    path.rename(target)
    return target
