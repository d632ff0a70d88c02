"""What each command calls, and what it prints."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from denoising_diffusion import distributed
from denoising_diffusion.cli.arguments import (
    Evaluate,
    Info,
    Recipes,
    Resume,
    Sample,
    SamplingOptions,
    Train,
)
from denoising_diffusion.config import DataConfig, RunConfig
from denoising_diffusion.jobs import (
    ImageScoring,
    Outputs,
    SampleOptions,
    TrainResult,
    draw_evaluation,
    plan,
    read_data,
    read_npz,
    resume_run,
    sample_run,
    score,
    score_samples,
    table,
    train_run,
)
from denoising_diffusion.recipes import RECIPES, recipe
from denoising_diffusion.run import RunFolder, build_schedule, load, pick_device
from denoising_diffusion.strict_json import merge, read_config, to_json


def run(command: object) -> None:
    """Do what a parsed command asks for."""
    if isinstance(command, Train | Resume) and command.threads is not None:
        if command.threads < 1:
            raise ValueError(f"--threads must be at least 1, got {command.threads}")
        torch.set_num_threads(command.threads)
    match command:
        case Train():
            _train(command)
        case Resume():
            _print_result(
                resume_run(
                    command.run,
                    epochs=command.epochs,
                    device=command.device,
                    evaluate=not command.no_evaluate,
                    say=_say,
                )
            )
        case Sample():
            _sample(command)
        case Evaluate():
            _evaluate(command)
        case Recipes():
            _recipes()
        case Info():
            _info(command)
        case _:
            raise TypeError(f"unknown command {command!r}")


def _say(text: str) -> None:
    if distributed.is_main():
        print(f"ddpm: {text}", file=sys.stderr)


def _sample(command: Sample) -> None:
    outputs = Outputs(
        out=command.out,
        gif=command.gif,
        gif_of=command.gif_of,
        strip=command.strip,
        grid=command.grid is not None,
        overwrite=command.overwrite,
    )
    with distributed.processes(pick_device("auto").type):
        files = sample_run(command.run, _options(command.options), outputs)
    if distributed.is_main():
        print("\n".join(map(str, files)))


def _train(command: Train) -> None:
    config = configuration(command)
    if command.dry_run:
        print(to_json(config), end="")
        return
    _print_result(
        train_run(
            config,
            command.out or Path("runs") / config.recipe,
            device=command.device,
            evaluate=not command.no_evaluate,
            overwrite=command.overwrite,
            say=_say,
        )
    )


def configuration(command: Train) -> RunConfig:
    """The recipe with the file's keys over it, and the options over both.

    Raises:
        ValueError: an unknown recipe or key, or a value beyond its limits.
    """
    base = dataclasses.asdict(recipe(command.recipe))
    if command.config is not None:
        base = merge(base, _read_json(command.config))
    training = {
        "epochs": command.epochs,
        "batch_size": command.batch_size,
        "loss": command.loss,
        "precision": command.precision,
        "seed": command.seed,
    }
    base["training"] |= {k: v for k, v in training.items() if v is not None}
    if command.data is not None:
        # Resolved, so that the run can be resumed from any folder.
        base["data"] |= {"path": str(command.data.resolve())}
    elif base["data"]["path"] == "FILE":
        raise ValueError("the recipe points needs --data FILE.csv or FILE.npy")
    return read_config(RunConfig, base)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--config {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--config {path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"--config {path} must hold one JSON object")
    return value


def _print_result(result: TrainResult) -> None:
    if not distributed.is_main():
        return
    if result.scores is not None:
        print(table(result.scores))
        print()
    print("look at:")
    for file in result.files:
        print(f"  {file}")


def _options(given: SamplingOptions) -> SampleOptions:
    return SampleOptions(
        num=given.num,
        labels=given.label,
        guidance_scale=given.guidance_scale,
        sampler=given.sampler,
        steps=given.steps,
        eta=given.eta,
        seed=given.seed,
        raw_weights=given.raw_weights,
    )


def _evaluate(command: Evaluate) -> None:
    how = ImageScoring(classifiers=command.lenet_seeds, classic=command.classic)
    is_file = command.source.suffix == ".npz"
    scores = _evaluate_file(command, how) if is_file else _evaluate_run(command, how)
    if distributed.is_main():
        print(json.dumps(scores) if command.json else table(scores))


def _evaluate_run(command: Evaluate, how: ImageScoring) -> dict[str, Any]:
    folder = RunFolder(command.source)
    config = folder.read_config()
    chosen = plan(config, folder.facts(config), _options(command.options), config.sampling.num)
    data = read_data(_with_data(config, command.data))
    with distributed.processes(pick_device("auto").type):
        model = load(command.source, ema=not command.options.raw_weights)
        file = draw_evaluation(folder, config, data, model, chosen)
    return score(file, data, model, chosen, how) if distributed.is_main() else {}


def _with_data(config: RunConfig, data: str | None) -> RunConfig:
    return config if data is None else dataclasses.replace(config, data=_data_config(data))


def _data_config(data: str) -> DataConfig:
    named = {c.data.name: c.data for c in RECIPES.values() if c.data.name != "points"}
    if data == "fashion-mnist":
        return DataConfig("fashion-mnist")
    if data in named:
        return named[data]
    return DataConfig("mnist" if Path(data).is_dir() else "points", path=data)


def _evaluate_file(command: Evaluate, how: ImageScoring) -> dict[str, Any]:
    if command.options != SamplingOptions():
        raise ValueError(f"{command.source} is drawn already: it takes no sampling options")
    samples, labels = read_npz(command.source)
    if command.data is not None:
        config = dataclasses.replace(recipe("digits"), data=_data_config(command.data))
    else:
        near = [p for p in command.source.absolute().parents[:2] if RunFolder(p).exists]
        if not near:
            raise ValueError(
                f"{command.source} lies in no run folder; say with --data what to compare with"
            )
        config = RunFolder(near[0]).read_config()
    unknown = {"parameters": None, "sampler": None, "steps": None, "network_evaluations": None}
    return {**score_samples(read_data(config), samples, labels, how, None), **unknown}


def _recipes() -> None:
    rows = [("recipe", "network", "schedule", "T", "epochs", "batch", "predicts", "sampler")]
    for config in RECIPES.values():
        s, t = config.schedule, config.training
        network = config.network
        size = network.hidden if network.kind == "mlp" else network.model_channels
        rows.append(
            (
                config.recipe,
                f"{network.kind} {size}",
                s.kind,
                str(s.timesteps),
                str(t.epochs),
                str(t.batch_size),
                t.prediction,
                f"{config.sampling.sampler} {config.sampling.steps or s.timesteps}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{v:<{w}}" for v, w in zip(row, widths, strict=True)).rstrip())


def _info(command: Info) -> None:
    folder = RunFolder(command.run)
    config = folder.read_config()
    facts = folder.facts(config)
    history = folder.read_history()
    schedule = build_schedule(config.schedule)
    shape = " × ".join(map(str, facts.shape))
    rows = [
        ("recipe", config.recipe),
        ("data", f"{config.data.name}, {facts.num_train:,} examples of shape {shape}"),
        ("classes", ", ".join(facts.class_names) or "none"),
        ("network", config.network.kind),
        ("predicts", config.training.prediction),
        ("schedule", f"{config.schedule.kind}, T = {config.schedule.timesteps}"),
        ("  alpha_cumprod at T", f"{schedule.alpha_cumprod[-1].item():.3g}"),
        ("  log SNR", f"{schedule.log_snr[1].item():.2f} .. {schedule.log_snr[-1].item():.2f}"),
        ("precision", config.training.precision),
        ("epochs", f"{history[-1]['epoch'] if history else 0} of {config.training.epochs}"),
        ("finished", "yes" if folder.finished else "no"),
    ]
    if history:
        rows.append(("validation loss", f"{history[-1]['val_loss']:.5f}"))
    if folder.checkpoint_file.exists() or folder.finished:
        model = load(command.run, device="cpu")
        rows.append(("parameters", f"{sum(p.numel() for p in model.parameters()):,}"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
