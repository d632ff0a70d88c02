"""Names and what they stand for: where a new sampler, network, kind, ... is added."""

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from denoising_diffusion.checks import function, instance, one_of, shown
from denoising_diffusion.strict_json import read_value

Target = str | Callable[..., Any]
"""What a name stands for: a callable, or "module:name", imported when it is asked for."""

Choice = str | dict[str, Any]
"""A name, or a name with options: {"name": "log-normal", "mean": 0.4}."""

_HERE = "denoising_diffusion."

TABLES: dict[str, dict[str, Target]] = {
    # (data_shape, num_timesteps, num_classes, **options) -> a network
    "network": {
        "unet": "nn.unet:UNet.for_data",
        "film-unet": "nn.film_unet:FiLMUNet.for_data",
        "mlp": "nn.mlp:MLP.for_data",
        "super-resolution": "nn.super_resolution:SuperResolution.for_data",
    },
    # (**options) -> a Schedule
    "schedule": {
        "cosine": "schedule:cosine",
        "linear": "schedule:linear",
        "sigmoid": "sigmoid_schedule:sigmoid_schedule",
        "shifted": "schedule_changes:shifted_schedule",
        "zero-terminal": "schedule_changes:zero_terminal_schedule",
        "rectified-flow": "rectified_flow:rectified_flow",
        "edm": "edm:edm_schedule",
    },
    # (**options) -> a Prediction
    "prediction": {
        "noise": "prediction:noise",
        "x_start": "prediction:x_start",
        "v": "prediction:v",
        "velocity": "rectified_flow:velocity",
        "edm": "edm:edm_prediction",
    },
    # (model, learning_rate, **options) -> an Optimizer
    "optimizer": {
        "adam": "optimizers:adam",
        "muon": "optimizers:muon",
    },
    # (error, times, weight, conditions, augment, *, teacher, **options) -> the loss of a batch
    "objective": {
        "diffusion": "loss:DiffusionLoss",
        "consistency": "consistency_loss:ConsistencyLoss",
    },
    # (prediction, target) -> losses
    "loss": {
        "mse": "diffusion:squared_error",
        "mae": "diffusion:absolute_error",
    },
    # (schedule, n, generator, **options) -> times
    "times": {
        "uniform": "loss:uniform_times",
        "continuous": "consistency_loss:continuous_times",
        "log-normal": "edm:log_normal_times",
    },
    # (log_snr, **options) -> weights of the squared error of x_start
    "weight": {
        "edm": "edm:edm_weight",
        "min-snr": "weights:min_snr",
        "sigmoid": "weights:sigmoid",
    },
    # (**options) -> (x, generator) -> x changed, and codes of what was changed or None
    "augment": {
        "pictures": "augment:PictureAugment",
    },
    # (number) -> the decay of each step
    "average": {
        "ema": "ema:warmed_up",
        "power": "ema_power:power",
    },
    # (denoise, schedule, x, times, *, randn_like, **options) -> steps
    "sampler": {
        "ddpm": "samplers.ddpm:ddpm",
        "ddim": "samplers.ddim:ddim",
        "heun": "samplers.heun:heun",
        "dpmpp-2m": "samplers.dpm_solver:dpmpp_2m",
        "dpmpp-3m": "samplers.dpm_solver:dpmpp_3m",
        "dpmpp-sde-2m": "samplers.dpm_solver:dpmpp_sde_2m",
        "unipc": "samplers.unipc:unipc",
    },
    # (schedule, num_steps, **options) -> falling times
    "grid": {
        "uniform": "samplers.grids:uniform_grid",
        "trailing": "samplers.grids:uniform_grid",
        "log-snr": "samplers.grids:log_snr_grid",
        "karras": "samplers.grids:karras_grid",
    },
    # (denoise, schedule, observation, operator, *, noise, **options) -> a denoiser that agrees
    "method": {
        "replacement": "restoration:replacement",
        "dps": "restoration:dps",
        "pigdm": "restoration:pigdm",
    },
    # (the shape of a sample, the number behind the name if there is one) -> an Operator
    "operator": {
        "pool": "restoration:average_pooling",
        "blur": "restoration:blur",
        "grey": "restoration:grey_from_colour",
    },
    # (**options) -> a Dataset
    "data": {
        "digits": "data.digits:digits",
        "folder": "data.folder:folder",
        "spiral": "data.patterns:spiral",
        "patterns": "data.patterns:patterns",
        "points": "data.points:points",
        "mnist": "data.idx:mnist",
        "fashion-mnist": "data.idx:fashion_mnist",
        "kmnist": "data.idx:kmnist",
        "qmnist": "data.idx:qmnist",
        "emnist": "data.idx:emnist",
        "sines": "data.signals:sines",
        "signals": "data.signals:signals",
    },
    # (model, metadata, **options) -> the file; or (model, run, average) -> the files of a folder
    "export": {
        "html": "export.html:html",
        "onnx": "export.onnx:onnx",
        "pt2": "export.pt2:pt2",
        "hub": "export.hub:hub",
    },
    # (facts) -> a Kind
    "kind": {
        "images": "kinds.images:Images",
        "points": "kinds.points:Points",
        "signals": "kinds.signals:Signals",
    },
}


def register(table: str, name: str, target: Target) -> None:
    """Add a name of your own to a table of this process: a network, a sampler, a weight, ...

    Raises:
        ValueError: an unknown table, or a name that stands for something else already.
        TypeError: a target that is neither callable nor a string.
    """
    rows = TABLES[one_of("table", table, TABLES)]
    instance("name", name, str)
    if not isinstance(target, str):
        function("target", target)
    if rows.get(name, target) != target:
        raise ValueError(f"name {name!r} of table {table} is taken by {rows[name]!r}")
    rows[name] = target


def resolve(table: str, name: str, where: str | None = None) -> Callable[..., Any]:
    """What a name stands for; its module is imported now.

    Raises:
        ValueError: a name that is not in the table; `where`, or the table, is named.
    """
    target = TABLES[table][one_of(where or table, name, TABLES[table])]
    if not isinstance(target, str):
        return target
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(_HERE + module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def name_of(choice: Choice | Mapping[str, Any], where: str) -> str:
    """The name in a choice.

    Raises:
        ValueError: it has none.
    """
    name = choice.get("kind", choice.get("name")) if isinstance(choice, Mapping) else choice
    if not isinstance(name, str):
        raise ValueError(f"{where} must be a name, or an object with one, got {shown(choice)}")
    return name


def check(table: str, choice: Choice | Mapping[str, Any], where: str) -> str:
    """The name in a choice, if the table has it; nothing is imported.

    Raises:
        ValueError: it has not.
    """
    return one_of(where, name_of(choice, where), TABLES[table])


def numbered(table: str, name: str, where: str) -> tuple[str, float]:
    """A name such as power-0.05 as the name in the table, and the number.

    Raises:
        ValueError: another form, or a name that the table has not.
    """
    head, _, tail = name.rpartition("-")
    try:
        return check(table, head, where), float(tail)
    except ValueError:
        known = ", ".join(f"{n}-NUMBER" for n in TABLES[table])
        raise ValueError(f"{where} must be of {known}, got {name!r}") from None


def bound(table: str, choice: Choice | Mapping[str, Any], where: str | None = None) -> Any:
    """What a choice stands for, with its options bound, which are read against the signature.

    Raises:
        ValueError: an unknown name, an option that it does not take, or a value of another type.
    """
    where = where or table
    name = name_of(choice, where)
    target = resolve(table, name, where)
    options = {} if isinstance(choice, str) else dict(choice)
    options.pop("kind" if "kind" in options else "name", None)
    known = options_of(target)
    for key in options:
        if key not in known:
            takes = ", ".join(known) or "no options"
            raise ValueError(f"{where} {name} takes no {key}; it takes {takes}")
    values = {k: read_value(known[k], v, f"{where}.{k}") for k, v in options.items()}
    return partial(target, **values) if values else target


def options_of(target: Callable[..., Any]) -> dict[str, Any]:
    """The options that a target takes, with their types.

    They are its keyword-only parameters, and those of a `**options: Unpack[...]`.
    """
    hints = typing.get_type_hints(target if not inspect.isclass(target) else target.__init__)
    found: dict[str, Any] = {}
    for p in inspect.signature(target).parameters.values():
        if p.kind is p.KEYWORD_ONLY:
            found[p.name] = hints.get(p.name, Any)
        elif p.kind is p.VAR_KEYWORD and typing.get_origin(hints.get(p.name)) is typing.Unpack:
            found |= typing.get_type_hints(typing.get_args(hints[p.name])[0])
    return found
