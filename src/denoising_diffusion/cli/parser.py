"""From arguments to a command: defaults of the recipe or the run, and errors in one line."""

import contextlib
import difflib
import io
import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import tyro
from tyro.conf import DisallowNone, FlagCreatePairsOff, subcommand
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from denoising_diffusion.checks import one_of
from denoising_diffusion.cli.arguments import COMMANDS, Evaluate, Sample, Settings, Train, Tune
from denoising_diffusion.cli.say import say
from denoising_diffusion.config import Sampling, TrainingConfig
from denoising_diffusion.recipes import RECIPES
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.settings import base_configuration

_ABOUT = "Train, sample, judge and look at small denoising diffusion models."


def parse(arguments: list[str]) -> Any:
    """The command that these arguments name; the parser exits with 2 if they name none.

    Raises:
        ValueError: a value beyond its limits, an unknown recipe, or a file that cannot be read.
    """
    name, rest = (arguments or [""])[0], arguments[1:]
    _check_given(name, rest)
    if name == "train":
        return _parse_train(rest)
    if name in COMMANDS:
        command = _cli(COMMANDS[name], name, rest)
        return _with_defaults_of_run(command, name, rest)
    every = [Annotated[kind, subcommand(n)] for n, kind in COMMANDS.items() if n != "train"]
    union: Any = Annotated[_Train, subcommand("train")]
    for kind in every:
        union = union | kind
    return tyro.cli(union, prog="ddpm", description=_ABOUT, args=arguments)


def _check_given(name: str, rest: list[str]) -> None:
    """Refuse what a variable without a value leaves, and lists of which one would be lost."""
    for before, argument in zip([f"ddpm {name}", *rest], rest, strict=False):
        option, equals, value = argument.partition("=")
        if argument == "" or (option.startswith("--") and equals and not value):
            raise ValueError(f"a value must stand behind {option or before}, got ''")
    for option in ("--label", "--scores"):
        if sum(argument.partition("=")[0] == option for argument in rest) > 1:
            raise ValueError(f"{option} is given twice; write all its names after one {option}")


@dataclass(frozen=True)
class _Train:
    """Train a model from a recipe, then draw samples, an animation and a score."""


def _parse_train(rest: list[str]) -> Train:
    """Options are laid over the --config file, and that over the recipe."""
    places = [i for i, a in enumerate(rest) if a in RECIPES and not _is_value(rest[:i])]
    recipe = rest[places[0]] if places else "digits"
    if places:
        # In front, it is found even behind an option that nobody knows.
        rest = [recipe, *rest[: places[0]], *rest[places[0] + 1 :]]
    base = base_configuration(recipe, _value(rest, "--config"))
    default = Train(recipe=tyro.MISSING, settings=Settings.of(base))
    command = _cli(Train, "train", rest, default)
    one_of("recipe", command.recipe, RECIPES)
    return command


def _is_value(before: list[str]) -> bool:
    """Whether what follows these arguments is the value of an option."""
    flags = ("--no-evaluate", "--dry-run", "--overwrite")
    return bool(before) and before[-1].startswith("--") and before[-1] not in flags


def _value(arguments: list[str], option: str) -> Path | None:
    """What is given for an option, looked up before the arguments are parsed."""
    found = None
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument.startswith(f"{option}="):
            found = argument.partition("=")[2]
        elif argument == option:
            found = following
    return None if found is None else Path(found)


def _with_defaults_of_run(command: Any, name: str, rest: list[str]) -> Any:
    """The command parsed again, with what the run draws by itself in place of our defaults."""
    if not isinstance(command, Sample | Evaluate | Tune):
        return command
    for option, value in zip(rest, [*rest[1:], "--"], strict=True):
        if option == "--label" and value.startswith("--"):
            raise ValueError("--label takes one name or more, got none")
    average = command.sampling.average
    if not isinstance(command, Tune) and command.raw_weights and average not in (None, "raw"):
        raise ValueError(f"--raw-weights is --average raw: it takes no --average {average}")
    run = Run(command.source if isinstance(command, Evaluate) else command.run)
    if run.exists:
        own = replace(run.config.sampling, num=None)
        if not isinstance(command, Tune) and command.fast:
            return _fast(command, run, name, rest)
        command = _cli(type(command), name, rest, _default(command, own))
    return command if isinstance(command, Tune) else _with_average(command)


def _fast(command: Sample | Evaluate, run: Run, name: str, rest: list[str]) -> Any:
    """The command parsed again, with what --fast asks for in place of our defaults."""
    from denoising_diffusion.run.fast import about_fast, check_fast, fast_sampling

    own = fast_sampling(run)
    found = _with_average(_cli(type(command), name, rest, _default(command, own)))
    check_fast(found.sampling, own)
    say(about_fast(run, found.sampling))
    return found


def _with_average(command: Sample | Evaluate) -> Any:
    """The command with --raw-weights as the average that it stands for."""
    if not command.raw_weights:
        return command
    return replace(command, sampling=replace(command.sampling, average="raw"))


def _default(command: Sample | Evaluate | Tune, sampling: Sampling) -> Any:
    if isinstance(command, Sample | Tune):
        return type(command)(run=tyro.MISSING, sampling=sampling)
    return Evaluate(source=tyro.MISSING, sampling=sampling)


_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A name, or a JSON object with a name and options."""
    types = get_args(info.type)
    if str not in types or not any(get_origin(t) is dict for t in types):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="NAME|JSON",
        instance_from_str=lambda texts: (
            json.loads(texts[0]) if texts[0].startswith("{") else texts[0]
        ),
        is_instance=lambda value: value is None or isinstance(value, str | dict),
        str_from_instance=lambda value: [
            json.dumps(value) if isinstance(value, dict) else str(value)
        ],
    )


def _cli(kind: type[Any], name: str, arguments: list[str], default: Any = None) -> Any:
    """The command parsed; what the parser says of errors is made one line."""
    given: dict[str, Any] = {} if default is None else {"default": default}
    said, complained = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            command, unknown = tyro.cli(
                kind,
                prog=f"ddpm {name}" + (" RECIPE" if kind is Train else ""),
                args=arguments,
                config=(FlagCreatePairsOff, DisallowNone),
                registry=_REGISTRY,
                return_unknown_args=True,
                **given,
            )
    except SystemExit as end:
        if end.code:
            reason = _first_paragraph(complained.getvalue())
            raise ValueError(f"{reason} See ddpm {name} --help") from None
        # An option without a default of its own takes what the recipe or the run says.
        for nothing in ("(default: None)", "(default: )"):
            said = io.StringIO(said.getvalue().replace(nothing, " " * len(nothing)))
        print(said.getvalue(), end="")
        raise
    if unknown:
        raise ValueError(f"{_unknown(unknown[0], kind)}; see ddpm {name} --help")
    return command


def _first_paragraph(box: str) -> str:
    """The first paragraph of a message in a frame, on one line."""
    lines = [line.strip("│| ") for line in box.splitlines()[1:]]
    text: list[str] = []
    for line in lines:
        if line.strip("─-╰╯ "):
            text.append(line)
        elif text:
            break
    whole = " ".join(text).removeprefix("Error parsing ")
    whole = re.sub(r"Exceeds the limit \((\d+) digits\).*", r"at most \1 digits are read", whole)
    whole = re.sub(r"\d[\d ]{60,}", lambda long: f"{long[0][:4]}...", whole)
    return whole.rstrip(".").removeprefix("settings.").removeprefix("training: ") + "."


def _unknown(argument: str, kind: type[Any]) -> str:
    """What is wrong with an argument that no option takes, and which option is near it."""
    option = argument.partition("=")[0]
    if not option.startswith("--"):
        return f"unexpected argument {argument!r}"
    near = difflib.get_close_matches(option.strip("-"), _KEYS, 1, 0.6)
    hint = f"; did you mean --{near[0]}?" if near else ""
    if kind is Train and not near:
        hint = "; every key of the configuration is one, such as --training.learning-rate"
    return f"unknown option {option}{hint}"


_OPTIONS = {"training": TrainingConfig, "sampling": Sampling}
_KEYS = [
    f"{prefix}.{f.name.replace('_', '-')}"
    for prefix, kind in _OPTIONS.items()
    for f in fields(kind)
]
