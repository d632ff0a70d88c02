"""Runs and their scores as the rows of one table; runs that differ by their seed alone are one row.

Nothing here needs torch.
"""

import json
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from denoising_diffusion.checks import one_of
from denoising_diffusion.run.evaluations import Entry
from denoising_diffusion.run.folder import Run

ABOUT = ("recipe", "setting", "data", "parameters", "judge", "sampler", "steps", "evaluations")
"""What a row says before its scores; `setting` is in what it differs from others of its recipe."""
_SHOWN = (".request.sampler", ".request.steps")


class Number(NamedTuple):
    """A score of a row.

    Args:
        key: of the score, or of the number that stands beside it.
        title: of its column.
        form: how it is written, in Python's format specification.
        value: the mean over the runs.
        deviation: over the seeds, n - 1 in its denominator; None for a single run.
        interval: half the width of the 95 % interval of a single run, if it has one.
    """

    key: str
    title: str
    form: str
    value: float
    deviation: float | None = None
    interval: float | None = None


class Row(NamedTuple):
    """Runs that differ by their seed alone, evaluated in one way."""

    about: dict[str, Any]
    runs: int
    numbers: list[Number]


class _Evaluated(NamedTuple):
    """One run, evaluated in one way: its seed, what is equal for others of its row, and more."""

    run: Run
    settings: dict[str, Any]
    note: dict[str, Any]
    scores: dict[str, dict[str, Any]]


def summary(runs: Iterable[Run], scores: Sequence[str] = ()) -> list[Row]:
    """A row for all runs of one configuration, and for every way in which they were evaluated.

    Only the last weights of a run that were scored count. Likelihoods, which no sampler touches,
    stand in every row of their run.

    Args:
        runs: with evaluations.
        scores: keys of those that are wanted, in this order; all that every row has without it.

    Raises:
        ValueError: no run, one without evaluations, two of one seed, or no score that all share.
    """
    single = {os.path.realpath(run.path): run for run in runs}
    found = [e for run in single.values() for e in _evaluated(run)]
    rows: dict[str, list[_Evaluated]] = {}
    for e in found:
        own = {k: v for k, v in e.settings.items() if k != "training.seed"}
        rows.setdefault(json.dumps(own, sort_keys=True), []).append(e)
    for same in rows.values():
        _check_seeds(same)
    keys = _shared(found, scores)
    told = _told_apart([same[0] for same in rows.values()])
    return [
        Row(_about(same[0], setting), len(same), [n for k in keys for n in _numbers(same, k)])
        for same, setting in zip(rows.values(), told, strict=True)
    ]


def _evaluated(run: Run) -> list[_Evaluated]:
    entries = {json.dumps(e.origin, sort_keys=True): e for e in run.evaluations.read()}
    if not entries:
        raise ValueError(
            f"{run.path} has no evaluation yet; make one with ddpm evaluate {run.path}"
        )
    last = max(e.origin.get("step") or 0 for e in entries.values())
    kept = [e for e in entries.values() if (e.origin.get("step") or 0) == last]
    config = asdict(run.config)
    config["sampling"], config["data"] = None, {**config["data"], "path": None}
    settings = dict(_flat(config))
    likely = {e.origin["weights"]: e for e in kept if "likelihood" in e.origin}
    drawn = [e for e in kept if "likelihood" not in e.origin]
    return [
        _Evaluated(run, settings | _asked(e), e.note, _scores(e) | _scores(likely.get(w)))
        for e in drawn or list(likely.values())
        for w in [e.origin.get("weights")]
    ]


def _asked(entry: Entry) -> dict[str, Any]:
    """What an evaluation depends on beside the weights."""
    own = {k: v for k, v in entry.origin.items() if k not in ("step", "weights")}
    return {f"evaluation.{k}": v for k, v in _flat(own)}


def _scores(entry: Entry | None) -> dict[str, dict[str, Any]]:
    """Those that can stand in a table, by key."""
    return {
        s["key"]: s
        for s in (entry.scores if entry else [])
        if isinstance(s["value"], int | float) and s["title"].strip() == s["title"] != ""
    }


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{where}.{key}" if where else key)
    else:
        yield where, value


def _check_seeds(same: list[_Evaluated]) -> None:
    by_seed: dict[object, Run] = {}
    for e in same:
        other = by_seed.setdefault(e.settings["training.seed"], e.run)
        if other is not e.run:
            raise ValueError(
                f"{other.path} and {e.run.path} are of one configuration and seed; a spread over "
                "seeds takes each once"
            )


def _shared(found: list[_Evaluated], wanted: Sequence[str]) -> list[str]:
    if not found:
        raise ValueError("a table needs at least one run")
    keys = [k for k in found[0].scores if all(k in e.scores for e in found)]
    if not keys:
        other = next(e for e in found if not e.scores.keys() & found[0].scores.keys())
        names = [", ".join(e.scores) or "none" for e in (found[0], other)]
        raise ValueError(
            f"there is no score that all runs share: {found[0].run.path} has {names[0]}, "
            f"{other.run.path} has {names[1]}"
        )
    return [one_of("scores", key, keys) for key in wanted] or keys


def _told_apart(firsts: list[_Evaluated]) -> list[str]:
    """Of every row, the keys in which rows of its recipe differ, with their values."""
    told: list[str] = []
    for e in firsts:
        same = [o.settings for o in firsts if o.settings["recipe"] == e.settings["recipe"]]
        keys = dict.fromkeys(k for settings in same for k in settings)
        apart = [k for k in keys if any(s.get(k) != same[0].get(k) for s in same)]
        shown = [k for k in apart if not k.startswith("facts.") and not k.endswith(_SHOWN)]
        pairs = [f"{k.rpartition('.')[2]} {_plain(e.settings.get(k))}" for k in shown]
        told.append(", ".join(pairs))
    return told


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _about(e: _Evaluated, setting: str) -> dict[str, Any]:
    config, note = e.run.config, e.note
    known = (
        config.recipe, setting or None, e.run.facts.name, e.run.facts.parameters,
        note.get("judge"), note.get("sampler"), note.get("steps"), note.get("network_evaluations"),
    )  # fmt: skip
    return dict(zip(ABOUT, known, strict=True))


def _numbers(same: list[_Evaluated], key: str) -> Iterator[Number]:
    """A score of the runs of a row, and its floor if it has one."""
    scores = [e.scores[key] for e in same]
    first = scores[0]
    values = [float(s["value"]) for s in scores]
    deviation = statistics.stdev(values) if len(values) > 1 else None
    interval = first["interval"] if len(values) == 1 else None
    mean = statistics.fmean(values)
    yield Number(key, first["title"], first["form"], mean, deviation, interval)
    for beside in first["beside"]:
        floors = [s["beside"].get(beside) for s in scores]
        if beside.endswith("floor") and None not in floors:
            yield Number(f"{key}_floor", "floor", first["form"], statistics.fmean(floors))
