"""Scores as data: the table prints a list of them and the JSON holds it; neither knows a key."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from denoising_diffusion.checks import instance

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Score(NamedTuple):
    """A number, or one number for each of several things, and what it is to be read beside.

    Args:
        key: where it stands in the JSON; a dot leads into an object.
        title: of its row in the table; empty for a score that stands in the JSON alone.
        value: None or NaN where it is not defined.
        interval: half the width of its 95 % interval.
        beside: numbers to compare with, by key.
        form: how numbers are written in the table, in Python's format specification.
    """

    key: str
    title: str
    value: float | Sequence[float] | None
    interval: float | None = None
    beside: Mapping[str, float | None] = _NOTHING
    form: str = ".3f"


def table(scores: Sequence[Score], note: Mapping[str, object] = _NOTHING) -> str:
    """Scores as a short table for a terminal, in their order, with the rows of a note at the end.

    Raises:
        TypeError: anything but scores of real numbers, or a note that is no mapping.
    """
    _check(scores, note)
    rows = [("number", "value")]
    for score in scores:
        if not score.title:
            continue
        text = _text(score.value, score.form)
        if score.interval is not None:
            text += f" ± {_text(score.interval, score.form)} (95 %)"
        rows.append((score.title, text))
        depth = len(score.title) - len(score.title.lstrip()) + 2
        rows += [(" " * depth + _words(k), _text(v, score.form)) for k, v in score.beside.items()]
    rows += [(_words(key), _text(value, ",")) for key, value in note.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def to_json(scores: Sequence[Score], note: Mapping[str, object] = _NOTHING) -> dict[str, Any]:
    """{key: value, key_interval: interval, **beside} of every score, and the note, as strict JSON.

    A number that is not finite becomes None.

    Raises:
        TypeError: as `table`.
        ValueError: a key that is given twice, or that is a value here and an object there.
    """
    _check(scores, note)
    flat: list[tuple[str, object]] = []
    for score in scores:
        flat.append((score.key, score.value))
        if score.interval is not None:
            flat.append((f"{score.key}_interval", score.interval))
        flat += score.beside.items()
    found: dict[str, Any] = {}
    for key, value in [*flat, *note.items()]:
        *path, last = key.split(".")
        place: Any = found
        for part in path:
            place = place.setdefault(part, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last in place:
            raise ValueError(f"key {key!r} is given twice")
        place[last] = _plain(value)
    return found


def _plain(value: object) -> Any:
    """The value as strict JSON can hold it."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object, form: str) -> str:
    plain = _plain(value)
    if isinstance(plain, list):
        return ", ".join(_text(v, form) for v in plain)
    if isinstance(plain, int | float):
        return format(plain, form)
    return "–" if plain is None else str(plain)


def _words(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")


def _check(scores: Sequence[Score], note: Mapping[str, object]) -> None:
    instance("note", note, Mapping)
    for i, score in enumerate(instance("scores", scores, Sequence)):
        key, _, value, interval, beside, _ = instance(f"scores[{i}]", score, Score)
        values = value if isinstance(value, list | tuple) else [value]
        for v in (*values, interval, *beside.values()):
            if v is not None:
                instance(f"a number of score {key}", v, int, float)
