"""The jobs that take a run: begin or go on with it, finish it, score it, sample it."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from denoising_diffusion.config import DataFacts, RunConfig
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs import pictures
from denoising_diffusion.jobs.evaluation import evaluate_images, evaluate_points
from denoising_diffusion.jobs.prepare import (
    read_data,
    resolve_precision,
    training_tensors,
    with_facts,
)
from denoising_diffusion.jobs.sampling import (
    Plan,
    SampleOptions,
    draw,
    label_names,
    plan,
    to_data,
    write_npz,
)
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
    data = read_data(config)
    config = with_facts(config, data)
    _check_folder(folder, overwrite)
    if folder.exists and not overwrite:
        config = check_same(folder, config)
    else:
        _dry_build(config)
        config = resolve_precision(config, training_tensors(config, data), chosen)
        if folder.path.exists() and overwrite:
            say(f"the old run is now {move_aside(folder.path)}")
        folder.create(config)
    return _complete(folder, config, data, chosen, evaluate, say)


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
    config = folder.read_config()
    data = read_data(config)
    if folder.facts(config).fingerprint != data.fingerprint:
        raise ValueError(f"the data of {path} has changed since the run began")
    if epochs is not None and epochs != config.training.epochs:
        done = [row["epoch"] for row in folder.read_history()]
        if done and epochs < done[-1]:
            raise ValueError(f"epochs must be at least {done[-1]}, which are done, got {epochs}")
        config = replace(config, training=replace(config.training, epochs=epochs))
        folder.write_text(folder.config_file, to_json(config))
        for file in (folder.model_file, folder.evaluation_file):
            file.unlink(missing_ok=True)
    return _complete(folder, config, data, chosen, evaluate, say)


def _check_folder(folder: RunFolder, overwrite: bool) -> None:
    path = folder.path
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; --out takes a folder")
    if path.exists() and not folder.exists and not overwrite and any(path.iterdir()):
        raise ValueError(f"{path} holds files but no run; take another --out, or --overwrite")


def _dry_build(config: RunConfig) -> None:
    """Find out what cannot be built before anything is written."""
    assert config.facts is not None
    build_diffusion(config, config.facts)


def _complete(
    folder: RunFolder,
    config: RunConfig,
    data: Dataset,
    device: torch.device,
    evaluate: bool,
    say: Callable[[str], None],
) -> TrainResult:
    facts = folder.facts(config)
    if not folder.finished:
        _train(folder, config, data, facts, device, say)
    model = load(folder.path, device=device.type)
    shown = [folder.path / n for n in ("samples.png", "reverse.gif", "estimate.gif")]
    history = folder.path / "history.png"
    if not all(f.exists() for f in (*shown, history)):
        plot_history(folder.read_history(), history)
        small = small_plan(config, facts, pictures.PER_CLASS)
        shown = pictures.write_pictures(model, data, facts, small, folder.path)
    scores = None
    if evaluate:
        scores = _stored_scores(folder) or _score(folder, config, data, model)
    return TrainResult(scores, [*shown, history])


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
    folder.export(trainer.sampling_model, config, trainer.step)


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


def _score(
    folder: RunFolder, config: RunConfig, data: Dataset, model: GaussianDiffusion
) -> dict[str, Any]:
    chosen = plan(config, folder.facts(config), SampleOptions(), config.sampling.num)
    scores = score(config, data, model, chosen)
    folder.write_text(folder.evaluation_file, json.dumps(scores, indent=2) + "\n")
    return scores


def score(
    config: RunConfig, data: Dataset, model: GaussianDiffusion, chosen: Plan
) -> dict[str, Any]:
    """Draw the samples of a plan and score them against the held-out data."""
    assert config.facts is not None
    x = draw(model, chosen)
    labels = label_names(config.facts.class_names, chosen.labels)
    if x.ndim == 4:
        scores = evaluate_images(data, x, labels)
    else:
        scores = evaluate_points(data, to_data(config.facts, x), labels)
    scores |= {
        "parameters": count_parameters(model) or sum(p.numel() for p in model.parameters()),
        "sampler": chosen.sampling.sampler,
        "steps": chosen.steps,
        "network_evaluations": chosen.network_evaluations,
    }
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in scores.items()}


def sample_run(
    path: Path,
    options: SampleOptions,
    *,
    out: Path | None = None,
    gif: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> list[Path]:
    """Draw samples from a run into a .png or .npz, and the walk into a .gif; the files written.

    Raises:
        ValueError: bad options, an unknown suffix, or no run.
        FileExistsError: a file is there already and `overwrite` is off.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    facts = folder.facts(config)
    classes = len(facts.class_names)
    default = 1000 * max(1, classes) if len(facts.shape) == 1 else 8 * classes if classes else 16
    chosen = plan(config, facts, options, default)
    out = folder.samples / f"{chosen.name}.png" if out is None else out
    for file, suffixes in ((out, (".png", ".npz")), (gif, (".gif",))):
        _check_target(file, suffixes, overwrite)
    model = load(path, ema=not options.raw_weights, device=device)
    out.parent.mkdir(parents=True, exist_ok=True)
    if gif is not None:
        gif.parent.mkdir(parents=True, exist_ok=True)
        x = pictures.animate(model, facts, chosen, gif, None)[-1].x.cpu()
    else:
        x = draw(model, chosen)
    if out.suffix == ".npz":
        write_npz(out, facts, chosen, x)
    else:
        pictures.save_picture(out, pictures.picture_of(facts, x, chosen.labels))
    return [out] if gif is None else [out, gif]


def _check_target(path: Path | None, suffixes: tuple[str, ...], overwrite: bool) -> None:
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")
