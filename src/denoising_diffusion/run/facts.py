"""A run in words: what a page tells of it before it shows anything."""

import os
import platform
from typing import Any

from denoising_diffusion.report.page.rulers import closeness, rulers
from denoising_diffusion.run.folder import Run

_NAMED = 12
"""Classes that are named one by one."""
_COUNTED = {
    "judge": "judge",
    "num_samples": "samples scored",
    "network_evaluations": "evaluations per sample",
}


def headline(run: Run) -> str:
    """The result in words."""
    name = run.facts.name[:1].upper() + run.facts.name[1:]
    epochs = len(run.history.read())
    if not run.finished:
        return f"{name}: {epochs} of {run.config.training.epochs} epochs learned"
    made = f"{name}, enlarged ×{run.config.factor}" if run.config.factor else f"{name} from noise"
    scores = rulers(run.read_scores() or {}) if run.evaluated else []
    if not scores:
        return f"{made}: trained, and not scored yet"
    main = scores[0]
    words = closeness(main)
    if words is not None:
        return f"{made}: {words}"
    return f"{made}: {main.title} {main.value}" + (f", {main.beside}" if main.beside else "")


def lead(run: Run) -> str:
    """One sentence below it."""
    config, facts, seen = run.config, run.facts, run.config.training.seen
    before = f", after {seen:,} examples in the run that it began with" if seen else ""
    return (
        f"A denoising diffusion model of {facts.parameters:,} parameters, trained on "
        f"{facts.num_train:,} {facts.kind} of {_size(run)} for "
        f"{_many(config.training.epochs, 'epoch')}{before}."
    )


def _size(run: Run) -> str:
    columns = len(run.kind.axes())
    return _many(columns, "column") if columns else " × ".join(map(str, run.facts.shape))


def _many(count: int, of: str) -> str:
    return f"{count} {of}{'' if count == 1 else 's'}"


def facts(run: Run, epochs: int, scores: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What it is, by name, with what its scores were counted from."""
    import torch

    config, s = run.config, run.config.sampling
    timesteps = config.schedule.get("timesteps", 100)
    seconds = run.training_seconds
    rows = [
        ("recipe", config.recipe),
        ("data", f"{run.facts.name}: {run.facts.num_train:,} {run.facts.kind} of {_size(run)}"),
        ("classes", _named(run)),
        ("clusters", _clusters(run)),
        ("network", f"{config.network['kind']}, {run.facts.parameters:,} parameters"),
        ("predicts", str(config.training.prediction)),
        ("schedule", f"{config.schedule['kind']}, T = {timesteps}"),
        (
            "sampler",
            f"{s.sampler}, {_many(s.steps or timesteps, 'step')}"
            + (f", guidance {s.guidance_scale:g}" if run.kind.num_labels else ""),
        ),
        ("weights", run.average_name(None)),
        ("epochs", f"{epochs} of {config.training.epochs}"),
        ("precision", config.training.precision),
        ("training time", "" if seconds is None else _duration(seconds)),
        (
            "page made on",
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
            f"PyTorch {torch.__version__}",
        ),
    ]
    rows += [
        (
            name,
            f"{scores[key]:,}" if type(scores[key]) is int else str(scores[key]),
        )
        for key, name in _COUNTED.items()
        if scores and scores.get(key) is not None
    ]
    timed = ("training time", "page made on")
    return [{"name": n, "text": text, "time": n in timed} for n, text in rows if text]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _named(run: Run) -> str:
    """The classes in words."""
    names = run.facts.class_names
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "none") + more


def _clusters(run: Run) -> str:
    """What the network is told, if it is more than a class."""
    found, names = run.facts.clusters, run.facts.class_names
    where = "within classes" if names else "of data without labels"
    return f"told one of {len(found)}, found by k-means {where}" if found else ""
