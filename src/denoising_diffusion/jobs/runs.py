"""The jobs that take a run: begin or go on with it, finish it, score it, sample it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from denoising_diffusion import distributed
from denoising_diffusion.config import DataFacts, RunConfig
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs import pictures
from denoising_diffusion.jobs.prepare import (
    read_data,
    resolve_precision,
    training_tensors,
    with_facts,
)
from denoising_diffusion.jobs.sampling import Plan, SampleOptions, plan
from denoising_diffusion.jobs.scoring import draw_evaluation, score
from denoising_diffusion.jobs.training import (
    Interrupted,
    Trainer,
    check_same,
    move_aside,
    stop_on_signal,
)
from denoising_diffusion.report import plot_history
from denoising_diffusion.run import RunFolder, build_diffusion, count_parameters, load, pick_device
from denoising_diffusion.strict_json import to_json


@dataclass(frozen=True)
class TrainResult:
    """What a finished run has to show."""

    scores: dict[str, Any] | None
    files: list[Path]


def train_run(
    config: RunConfig,
    out: Path,
    *,
    device: str = "auto",
    evaluate: bool = True,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
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
    chosen = pick_device(device)
    folder = RunFolder(out)
    with distributed.processes(chosen.type):
        data = read_data(config)
        config = with_facts(config, data)
        _check_folder(folder, overwrite)
        if distributed.broadcast_object(folder.exists and not overwrite):
            config = check_same(folder, config)
        else:
            config = _begin(folder, config, data, chosen, say)
        _complete(folder, config, data, chosen, evaluate, say)
    return _result(folder, config, data, chosen, evaluate)


def _begin(
    folder: RunFolder,
    config: RunConfig,
    data: Dataset,
    device: torch.device,
    say: Callable[[str], None],
) -> RunConfig:
    """Resolve the configuration and make the folder; an old one is moved aside."""
    assert config.facts is not None
    distributed.share(config.training.batch_size)
    build_diffusion(config, config.facts)  # what cannot be built fails before anything is written
    config = resolve_precision(config, training_tensors(config, data), device)
    if distributed.is_main():
        if folder.path.exists() and any(folder.path.iterdir()):
            say(f"the old run is now {move_aside(folder.path)}")
        folder.create(config)
    distributed.barrier()
    return config


def resume_run(
    path: Path,
    *,
    epochs: int | None = None,
    device: str = "auto",
    evaluate: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> TrainResult:
    """Go on with the run in this folder, to another total number of epochs if one is given.

    Raises:
        ValueError: no run there, its data has changed, or fewer epochs than it has done.
    """
    chosen = pick_device(device)
    folder = RunFolder(path)
    with distributed.processes(chosen.type):
        config = folder.read_config()
        data = read_data(config)
        config = _lengthened(folder, config, data, epochs)
        _complete(folder, config, data, chosen, evaluate, say)
    return _result(folder, config, data, chosen, evaluate)


def _lengthened(
    folder: RunFolder, config: RunConfig, data: Dataset, epochs: int | None
) -> RunConfig:
    """The configuration with another number of epochs, written down."""
    if folder.facts(config).fingerprint != data.fingerprint:
        raise ValueError(f"the data of {folder.path} has changed since the run began")
    if epochs is not None and epochs != config.training.epochs:
        done = [row["epoch"] for row in folder.read_history()]
        if done and epochs < done[-1]:
            raise ValueError(f"epochs must be at least {done[-1]}, which are done, got {epochs}")
        config = replace(config, training=replace(config.training, epochs=epochs))
        distributed.barrier()
        if distributed.is_main():
            folder.write_text(folder.config_file, to_json(config))
            for file in (folder.model_file, folder.evaluation_file):
                file.unlink(missing_ok=True)
        distributed.barrier()
    return config


def _check_folder(folder: RunFolder, overwrite: bool) -> None:
    path = folder.path
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; --out takes a folder")
    if path.exists() and not folder.exists and not overwrite and any(path.iterdir()):
        raise ValueError(f"{path} holds files but no run; take another --out, or --overwrite")


def _complete(
    folder: RunFolder,
    config: RunConfig,
    data: Dataset,
    device: torch.device,
    evaluate: bool,
    say: Callable[[str], None],
) -> None:
    """What all processes do together: train, and draw the samples that are scored."""
    facts = folder.facts(config)
    if not distributed.broadcast_object(folder.finished):
        _train(folder, config, data, facts, device, say)
    if evaluate and not distributed.broadcast_object(folder.evaluation_file.exists()):
        model = load(folder.path, device=device.type)
        draw_evaluation(folder, config, data, model, _scored(config, facts))


def _result(
    folder: RunFolder, config: RunConfig, data: Dataset, device: torch.device, evaluate: bool
) -> TrainResult:
    """What one process does in the end: pictures and scores."""
    if not distributed.is_main():
        return TrainResult(None, [])
    model = load(folder.path, device=device.type)
    shown = _pictures(folder, config, data, model)
    if not evaluate:
        return TrainResult(None, shown)
    scores = _stored_scores(folder)
    if scores is None:
        chosen = _scored(config, folder.facts(config))
        file = draw_evaluation(folder, config, data, model, chosen)
        scores = score(file, data, model, chosen)
        folder.write_text(folder.evaluation_file, json.dumps(scores, indent=2) + "\n")
    return TrainResult(scores, [*shown, *sorted(folder.samples.glob("evaluation-*.png"))])


def _scored(config: RunConfig, facts: DataFacts) -> Plan:
    """The plan of the samples that end a run."""
    return plan(config, facts, SampleOptions(), config.sampling.num)


def _pictures(
    folder: RunFolder, config: RunConfig, data: Dataset, model: GaussianDiffusion
) -> list[Path]:
    """The pictures that end a run, drawn if one is missing."""
    facts = folder.facts(config)
    shown = [folder.path / n for n in ("samples.png", "reverse.gif", "estimate.gif")]
    history = folder.path / "history.png"
    if not all(f.exists() for f in (*shown, history)):
        plot_history(folder.read_history(), history)
        small = small_plan(config, facts, pictures.PER_CLASS)
        shown = pictures.write_pictures(model, data, facts, small, folder.path)
    return [*shown, history]


def _train(
    folder: RunFolder,
    config: RunConfig,
    data: Dataset,
    facts: DataFacts,
    device: torch.device,
    say: Callable[[str], None],
) -> None:
    small = small_plan(config, facts, 4)

    def preview(model: GaussianDiffusion, epoch: int) -> None:
        path = folder.samples / f"epoch-{epoch:04d}.png"
        pictures.preview(model, facts, small, path)

    trainer = Trainer(folder, config, data, device, preview)
    trainer.restore()
    say(
        f"{count_parameters(trainer.model):,} parameters, {len(data.train):,} examples, "
        f"step {trainer.step:,} of {trainer.total_steps:,}, {config.training.precision} "
        f"on {device.type}"
    )
    with stop_on_signal() as stop:
        try:
            trainer.run(stop)
        except Interrupted:
            raise Interrupted(
                f"stopped after step {trainer.step:,}, saved; go on with: ddpm resume {folder.path}"
            ) from None
    rate = trainer.step * config.training.batch_size / max(trainer.seconds, 1e-9)
    say(f"trained in {trainer.seconds:.0f} s, {rate:,.0f} examples/s")
    if distributed.is_main():
        folder.export(trainer.sampling_model, config, trainer.step)
    distributed.barrier()


def small_plan(config: RunConfig, facts: DataFacts, per_class: int) -> Plan:
    """The plan of a few samples to look at: a row per class, or 1,000 points."""
    classes = max(1, len(facts.class_names))
    if len(facts.shape) == 1:
        names = ("none", *facts.class_names) if facts.class_names else ()
        num = pictures.POINTS_SHOWN * max(1, len(names))
        if config.training.label_dropout == 0:
            names, num = facts.class_names, pictures.POINTS_SHOWN * classes
        return plan(config, facts, SampleOptions(labels=names), num)
    return plan(config, facts, SampleOptions(), per_class * classes if facts.class_names else 16)


def _stored_scores(folder: RunFolder) -> dict[str, Any] | None:
    if not folder.evaluation_file.exists():
        return None
    return json.loads(folder.evaluation_file.read_text(encoding="utf-8"))
