"""What the page of a run shows: scores, losses, classes, schedule, commands, what is drawn."""

import json
from pathlib import PureWindowsPath
from typing import Any

from denoising_diffusion.config import RunConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.report.page.chart import Chart, chart
from denoising_diffusion.report.page.classes import classes_of
from denoising_diffusion.report.page.rulers import Ruler, rulers
from denoising_diffusion.run.facts import facts
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.request import has_means
from denoising_diffusion.run.walked import real_like, shown_nearest, shown_sets, shown_walk, walk_of
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.strict_json import to_json

BYTES = 950_000
"""Of a page at most, apart from its texts."""
_WALK = 0.72

_WALK_HOW = {
    "tiles": "Move the slider: every sample begins as noise on the left and ends as data on the "
    "right. Beside it stands what the network takes it for at that moment: first a blurred mean, "
    "then ever more certain.",
    "points": "Move the slider: every point begins as noise on the left and ends as data on the "
    "right. Beside it stands where the network expects it to end.",
    "curves": "Move the slider: every signal begins as noise on the left and ends as data on the "
    "right. Beside it stands what the network takes it for at that moment.",
}
_FIELD = " Arrows point from a place to that estimate."
_BEHIND = " Grey points are data."
_ENLARGED = (
    "The pictures that were given, what the model makes of each, more than once, and what each was "
    "before it was made small; none was trained on, and none was chosen."
)
_GUIDED = (
    " Guidance says how strongly samples are pushed towards what the network "
    "is told, a class or a cluster of the data: 0 ignores it, 1 is as "
    "the model learned, and more is clearer and less varied."
)


def page_of(run: Run, model: GaussianDiffusion | None, room: int) -> dict[str, Any]:
    """All that a page shows of a run, as far as it is there; what is not has a line that says so.

    Args:
        run: what it is about.
        model: its trained model; None before the first checkpoint.
        room: bytes for the pictures.
    """
    scores = run.read_scores() if run.evaluated else None
    history = run.history.read()
    shown: dict[str, Any] = {
        "name": run.path.name or run.config.recipe,
        "facts": facts(run, len(history), scores),
        "rulers": rulers(scores) if scores else [],
        "loss": _loss(history),
        "classes": classes_of(run.facts.class_names, scores or {}),
        "config": json.dumps(_without_paths(json.loads(to_json(run.config))), indent=2),
        "commands": _commands(run),
        "walk": None,
        "walk_how": _WALK_HOW[run.kind.drawing],
        "sets": None,
        "sets_how": "Both are drawn in the same way, without choosing: cover the titles and see "
        "whether you can tell.",
        "nearest": None,
    }
    lines: dict[str, list[dict[str, str]]] = {
        k: [] for k in ("run", "score", "walk", "sets", "loss", "classes")
    }
    if not run.finished:
        lines["run"].append(_line("Training has not come to its end.", "ddpm resume RUN"))
    if not scores:
        lines["score"].append(_line("This run was not scored as it is now.", "ddpm resume RUN"))
    if not history:
        lines["loss"].append(_line("No epoch is complete yet.", "ddpm resume RUN"))
    if model is None:
        why = _line("There is no checkpoint to draw from yet.", "ddpm resume RUN")
        lines["walk"].append(why)
        lines["sets"].append(why)
        return {**shown, "missing": lines, "schedule": _schedule(_scheduled(run))}
    shown["schedule"] = _schedule(model.schedule)
    _draw(run, model, room, shown, lines)
    return {**shown, "missing": lines}


def comparison(runs: list[Run], shown: list[dict[str, Any]]) -> dict[str, Any]:
    """What a page of several runs shows beside the pages of each: a table and common curves."""
    rows: dict[str, dict[int, str]] = {}
    for i, page in enumerate(shown):
        found: list[Ruler] = page["rulers"]
        for ruler in found:
            error = f" ± {ruler.interval}" if ruler.interval else ""
            rows.setdefault(ruler.title, {})[i] = ruler.value + error
    for i, page in enumerate(shown):
        for fact in page["facts"]:
            rows.setdefault(fact["name"], {})[i] = fact["text"]
    losses = [
        (page["name"], [(r["epoch"], r["val_loss"]) for r in run.history.read()])
        for run, page in zip(runs, shown, strict=True)
    ]
    schedules = [
        (page["name"], _log_snr(_scheduled(run))) for run, page in zip(runs, shown, strict=True)
    ]
    return {
        "rows": [
            {"name": name, "cells": [values.get(i, "–") for i in range(len(runs))]}
            for name, values in rows.items()
        ],
        "loss": chart("Held-out loss of each run", losses, "epoch", "held-out loss", log=True),
        "schedules": chart(
            "Log of the signal-to-noise ratio", schedules, "t / T", "log(signal² / noise²)"
        ),
    }


def _draw(
    run: Run, model: GaussianDiffusion, room: int, shown: dict[str, Any], lines: dict[str, Any]
) -> None:
    """Add the walk and what stands beside it; what needs data that is not there says so."""
    away = _line("The data of this run is not where it was.", "ddpm resume RUN --data PATH")
    try:
        data = run.data
        run.kind.show_behind(data)
    except (ValueError, OSError):
        data = None
    if data is None and run.config.factor is not None:
        lines["walk"].append(away)
        lines["sets"].append(away)
        return
    walk = walk_of(run, model)
    shown["walk"] = shown_walk(run, model, walk, int(room * _WALK))
    if len(walk.scales) > 1:
        shown["walk_how"] += _GUIDED
    if shown["walk"]["field"]:
        shown["walk_how"] += _FIELD
    if data is None:
        lines["sets"].append(away)
        return
    if walk.inputs is not None:
        shown["sets_how"] = _ENLARGED
    real = real_like(run, walk)
    shown["sets"] = shown_sets(run, walk, real)
    shown["nearest"] = shown_nearest(run, data, walk.samples)
    if run.kind.axes():
        shown["walk_how"] += _BEHIND
        shown["walk"]["real"] = shown["sets"]["parts"][1]["values"]


def _line(text: str, command: str = "") -> dict[str, str]:
    return {"text": text, "command": command}


def _loss(history: list[dict[str, Any]]) -> Chart | None:
    curves = [
        (name, [(row["epoch"], row[key]) for row in history])
        for name, key in (("training", "loss"), ("held out", "val_loss"))
    ]
    last = [f"{n}, {points[-1][1]:.4g} in the end" for n, points in curves if points]
    named = [(text, points) for text, (_, points) in zip(last, curves, strict=False)]
    return chart("Loss over the epochs", named, "epoch", "loss", log=True)


def _scheduled(run: Run) -> Schedule:
    from denoising_diffusion.run.build import build_diffusion

    return build_diffusion(run.config).schedule


def _schedule(schedule: Schedule) -> Chart | None:
    curves = [
        (name, list(enumerate(table.tolist())))
        for name, table in (("signal", schedule.alpha), ("noise", schedule.sigma))
    ]
    return chart("Signal and noise over the times", curves, "t", "share")


def _log_snr(schedule: Schedule) -> list[tuple[float, float]]:
    values = schedule.log_snr.tolist()
    return [(i / (len(values) - 1), v) for i, v in enumerate(values) if abs(v) < 40]


def _commands(run: Run) -> list[dict[str, str]]:
    config: RunConfig = run.config
    path = " --data PATH" if "path" in config.data else ""
    rows = [
        (f"ddpm train {config.recipe}{path} --out RUN", "from nothing; its options are below"),
        ("ddpm resume RUN", "go on, or complete what is missing"),
        ("ddpm sample RUN --num 100", "more samples"),
        ("ddpm sample RUN --gif walk.gif", "the walk as an animation"),
    ]
    guided = run.kind.num_classes > 0 and has_means(run)
    if config.factor is None and run.kind.compares and guided:
        rows.append(("ddpm sample RUN --grid label×guidance", "all classes at rising guidance"))
    rows += [("ddpm evaluate RUN", "the scores"), ("ddpm report RUN", "this page")]
    if config.factor is None:
        rows.append(("ddpm export RUN", "a page that draws, for any browser"))
    return [_line(text, command) for command, text in rows]


def _without_paths(value: Any) -> Any:
    """A configuration in which no folder of a machine is named."""
    if isinstance(value, dict):
        return {k: _without_paths(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_paths(v) for v in value]
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return PureWindowsPath(value).name  # which knows both separators
    return value
