"""What each command calls, and what it prints. Commands that only describe need no torch."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

from denoising_diffusion.checks import integer
from denoising_diffusion.cli.arguments import (
    Demo,
    Distill,
    Evaluate,
    Resume,
    Sample,
    Settings,
    Train,
    Tune,
)
from denoising_diffusion.cli.demo import demo
from denoising_diffusion.cli.describe import info, recipes, table
from denoising_diffusion.cli.draw import draw
from denoising_diffusion.cli.leaving import export, report
from denoising_diffusion.cli.looking import (
    Compare,
    Completion,
    Export,
    Info,
    Recipes,
    Report,
    Table,
)
from denoising_diffusion.cli.say import say
from denoising_diffusion.config import PER_INPUT, RunConfig, Sampling
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.settings import base_configuration, data_named, settled
from denoising_diffusion.strict_json import to_json


def run(command: object) -> None:
    """Do what a parsed command asks for."""
    threads = getattr(command, "threads", None)
    if threads is not None:
        import torch

        torch.set_num_threads(integer("--threads", threads, 1, 1024))
    match command:
        case Demo():
            demo(command)
        case Train():
            _train(command)
        case Distill():
            _distill(command)
        case Resume():
            _resume(command)
        case Tune():
            _tune(command)
        case Sample():
            draw(command)
        case Evaluate():
            _evaluate(command)
        case Compare():
            _compare(command)
        case Table():
            table(command)
        case Recipes():
            recipes()
        case Info():
            info(Run(command.run))
        case Report():
            report(command)
        case Export():
            export(command)
        case Completion():
            from denoising_diffusion.cli.completion import script

            print(script(command.shell))
        case _:
            raise TypeError(f"unknown command {command!r}")


def configuration(command: Train) -> RunConfig:
    """The recipe with the file's keys over it, and the options over both.

    Raises:
        ValueError: an unknown recipe or key, or a value beyond its limits.
    """
    s: Settings = command.settings
    short = ("epochs", "batch_size", "loss", "precision", "seed")
    given = {k: v for k in short if (v := getattr(command, k)) is not None}
    training = replace(s.training, **given)
    base = base_configuration(command.recipe, command.config)
    parts = (s.data, s.network, s.schedule)
    data, network, schedule = (json.loads(json.dumps(part)) for part in parts)
    sampling = s.sampling
    if command.super_resolution is not None:
        network = {} if network.get("kind") == "film-unet" else network  # its options are its own
        network |= {"kind": "super-resolution", "factor": command.super_resolution}
        num = sampling.num and max(PER_INPUT, sampling.num // PER_INPUT * PER_INPUT)
        sampling = replace(sampling, num=num)
    for key in ("label_column", "size"):
        if getattr(command, key) is not None:
            data[key] = getattr(command, key)
    if command.minutes is not None:
        if command.epochs is not None or training.epochs != base.training.epochs:
            raise ValueError("--minutes decides the epochs: it takes no --epochs")
        training = replace(training, minutes=command.minutes)
    if command.init is not None:
        training = replace(training, init=os.path.realpath(command.init))
    config = replace(
        base,
        data=data,
        network=network,
        schedule=schedule,
        training=training,
        sampling=sampling,
    )
    return settled(config, command.data, command.config)


def _train(command: Train) -> None:
    # With it what the processor did until here, which is how long it took to come here.
    begun = time.monotonic() - time.process_time()
    config = configuration(command)
    out = command.out or Path("runs") / config.recipe
    if command.dry_run:
        _look_ahead(config, out, command)
        print(to_json(config), end="")
        return
    from denoising_diffusion.run.train import train_run

    result = train_run(
        config,
        out,
        device=command.device,
        evaluate=not command.no_evaluate,
        overwrite=command.overwrite,
        say=say,
        begun=begun,
    )
    _print_result(result.table, result.files)


def _distill(command: Distill) -> None:
    from denoising_diffusion.run.distill import distilled
    from denoising_diffusion.run.train import train_run

    source, names = Run(command.run).path, ("steps", "guidance_scale", "epochs", "seed")
    out = command.out or source.with_name(f"{source.name}-distilled")
    result = train_run(
        distilled(command.run, **{name: getattr(command, name) for name in names}),
        out,
        device=command.device,
        evaluate=not command.no_evaluate,
        overwrite=command.overwrite,
        say=say,
    )
    _print_result(result.table, result.files)


def _tune(command: Tune) -> None:
    from denoising_diffusion.run.build import pick_device
    from denoising_diffusion.run.tune import tune

    found = tune(Run(command.run), command.sampling, pick_device(command.device).type)
    print("times   distance from the samples of many steps")
    for name, error in found.errors.items():
        print(f"{name:<8}{error:.4g}")


def _look_ahead(config: RunConfig, out: Path, command: Train) -> None:
    """What a run would be, on standard error; nothing is written, and nothing downloaded."""
    from denoising_diffusion.data.known import NotHere
    from denoising_diffusion.run.build import pick_device
    from denoising_diffusion.run.preflight import preflight
    from denoising_diffusion.run.prepare import load_data

    os.environ["DDPM_OFFLINE"] = os.environ["DDPM_NO_CACHE"] = "1"
    device = pick_device(command.device)
    try:
        data = load_data(config.data)
        report = preflight(config, data, out, device, evaluate=not command.no_evaluate).report
    except NotHere as missing:
        report = [str(missing)]
    for line in report:
        say(line)


def _resume(command: Resume) -> None:
    from denoising_diffusion.run.train import resume_run

    result = resume_run(
        command.run,
        epochs=command.epochs,
        data=command.data,
        device=command.device,
        evaluate=not command.no_evaluate,
        say=say,
    )
    _print_result(result.table, result.files)


def _print_result(table: str | None, files: list[Path]) -> None:
    if table is not None:
        print(table)
        print()
    if files:
        print("look at:")
        print("\n".join(f"  {file}" for file in files))


def _evaluate(command: Evaluate) -> None:
    from denoising_diffusion import distributed
    from denoising_diffusion.kinds import Scoring
    from denoising_diffusion.run.build import pick_device
    from denoising_diffusion.run.likelihood import evaluate_likelihood
    from denoising_diffusion.run.score import evaluate_file, evaluate_run

    how = Scoring(command.lenet_seeds, command.classic, command.against)
    single = command.source.is_dir() and not Run(command.source).exists
    if command.format != "png" and (command.likelihood or not Run(command.source).exists):
        raise ValueError(f"--format {command.format}: there are pictures of a run's scores alone")
    if not command.likelihood and (command.source.suffix == ".npz" or single):
        if command.sampling != Sampling() or command.fast:
            raise ValueError(f"{command.source} is drawn already: it takes no sampling options")
        found = evaluate_file(command.source, data_named(command.data, Run(command.source)), how)
    else:
        run, data = Run(command.source), data_named(command.data, Run(command.source))
        given = (run, command.sampling, data, how, pick_device(command.device))
        if command.likelihood:
            found = evaluate_likelihood(*given)
        else:
            found = evaluate_run(*given, format=command.format)
    if found is not None and distributed.is_main():
        print(json.dumps(found.values) if command.json else found.text)


def _compare(command: Compare) -> None:
    from denoising_diffusion.metrics import table, to_json
    from denoising_diffusion.run.compare import compare_runs

    runs = Run(command.first), Run(command.second)
    found = compare_runs(
        *runs,
        num=command.num,
        seed=command.seed,
        out=command.out,
        format=command.format,
        overwrite=command.overwrite,
        device=command.device,
    )
    if command.json:
        print(json.dumps(to_json(found.scores, found.note)))
    else:
        _print_result(table(found.scores, found.note), [found.picture])
