"""What every command takes, as its dataclass says it: for the completion of command lines."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from denoising_diffusion.cli.arguments import COMMANDS, Settings, Train
from denoising_diffusion.config import REPAINT, TUNED
from denoising_diffusion.recipes import RECIPES
from denoising_diffusion.tables import TABLES

RUN, FILE, ANY, NOTHING = "run", "file", "any", "nothing"
"""What an argument may be: a run folder, a file or folder, a word of its own, or none at all."""

_NAMES: dict[str, tuple[str, ...]] = {
    "recipe": tuple(RECIPES),
    "to": tuple(TABLES["export"]),
    "sampler": tuple(TABLES["sampler"]),
    "sampling.sampler": tuple(TABLES["sampler"]),
    "method": (*TABLES["method"], REPAINT),
    **dict.fromkeys(("times", "sampling.times"), (*TABLES["grid"], TUNED)),
    "loss": tuple(TABLES["loss"]),
    **{
        f"training.{name}": tuple(TABLES[name])
        for name in ("objective", "loss", "optimizer", "prediction", "times", "weight", "augment")
    },
    "data.name": tuple(TABLES["data"]),
    "network.kind": tuple(TABLES["network"]),
    "schedule.kind": tuple(TABLES["schedule"]),
}
"""The options whose values are names of a table."""


class Argument(NamedTuple):
    """An option, or what stands in a place of its own: then its name has no dashes."""

    name: str
    takes: str
    words: tuple[str, ...] = ()


class Command(NamedTuple):
    """A command; `by_recipe` are the options of `ddpm train RECIPE` beyond those of all recipes."""

    name: str
    about: str
    places: list[Argument]
    options: list[Argument]
    by_recipe: dict[str, list[Argument]]


def commands() -> list[Command]:
    """All commands, in their order."""
    return [_command(name, kind) for name, kind in COMMANDS.items()]


def _command(name: str, kind: type[Any]) -> Command:
    found = list(_arguments(kind))
    places = [a for a in found if not a.name.startswith("-")]
    options = [a for a in found if a.name.startswith("-")]
    own: dict[str, list[Argument]] = {}
    if kind is Train:
        own = {recipe: list(_keys(Settings.of(c))) for recipe, c in RECIPES.items()}
        shared = [a for a in own["digits"] if all(a in rest for rest in own.values())]
        options += shared
        own = {r: [a for a in rest if a not in shared] for r, rest in own.items()}
    return Command(name, _sentence(kind.__doc__), places, options, own)


def _arguments(kind: type[Any], prefix: str = "") -> Iterator[Argument]:
    """Those of a dataclass, and of the dataclasses in its fields."""
    hints = get_type_hints(kind, include_extras=True)
    for f in fields(kind):
        hint, given = hints[f.name], ()
        if get_origin(hint) is Annotated:
            hint, *given = get_args(hint)
        how = next((g for g in given if hasattr(g, "metavar")), None)
        name = f.name.replace("_", "-") if how is None or how.name is None else how.name
        if hint is Settings:
            continue  # its keys are those of a recipe
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _arguments(hint, f"{prefix}{name}." if name else prefix)
            continue
        placed = any("Positional" in repr(g) for g in given)
        metavar = (how and how.metavar) or ""
        argument = _argument(prefix + name, hint, f.default, metavar, placed=placed)
        yield argument
        yield from (argument._replace(name=other) for other in (how and how.aliases) or ())


def _keys(settings: Settings) -> Iterator[Argument]:
    """The keys of a configuration."""
    for part in ("data", "network", "schedule"):
        keys: Mapping[str, Any] = getattr(settings, part)
        for key, value in keys.items():
            name = f"{part}.{key.replace('_', '-')}"
            yield _argument(name, type(value), value, "")
    for part in ("training", "sampling"):
        value = getattr(settings, part)
        for argument in _arguments(type(value), f"{part}."):
            key = argument.name.rpartition(".")[2].removeprefix("no-").replace("-", "_")
            now = getattr(value, key)
            turned = _argument(f"{part}.{key.replace('_', '-')}", bool, now, "")
            yield turned if argument.takes == NOTHING else argument


def _argument(
    name: str, hint: Any, default: object, metavar: str, *, placed: bool = False
) -> Argument:
    if hint is bool:
        *parts, last = name.split(".")
        return Argument("--" + ".".join([*parts, f"no-{last}" if default else last]), NOTHING)
    words = _NAMES.get(name) or tuple(_literals(hint))
    path = any(t is Path for t in _parts(hint)) or name in ("out", "data", "data.path")
    run = "|" not in metavar and (metavar.startswith("RUN") or (placed and path))
    takes = RUN if run else FILE if path else ANY
    return Argument(name if placed else f"--{name}", takes, words)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    if get_origin(hint) in (Union, types.UnionType, tuple):
        for part in get_args(hint):
            yield from _parts(part)


def _literals(hint: Any) -> Iterator[str]:
    for part in _parts(hint):
        if get_origin(part) is Literal:
            yield from get_args(part)


def _sentence(text: str | None) -> str:
    """The first sentence, on one line."""
    return " ".join((text or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")
