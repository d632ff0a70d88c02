"""A configuration from a recipe, a file and options."""

import dataclasses
from pathlib import Path

from denoising_diffusion.config import RunConfig
from denoising_diffusion.files import read_json
from denoising_diffusion.recipes import FILE, recipe
from denoising_diffusion.strict_json import merge, read_config


def base_configuration(name: str, file: Path | None) -> RunConfig:
    """The recipe of this name, with the keys of a JSON file laid over it.

    Raises:
        ValueError: an unknown recipe or key, a value beyond its limits, a file that cannot be read,
            or one that was written for another recipe.
    """
    base = dataclasses.asdict(recipe(name))
    if file is None:
        return recipe(name)
    try:
        changes = read_json(file)
    except ValueError as error:
        raise ValueError(f"--config {error}") from None
    if changes.get("recipe", name) != name:
        raise ValueError(
            f"--config {file} is a configuration of the recipe {changes['recipe']}, not {name}"
        )
    return dataclasses.replace(read_config(RunConfig, merge(base, changes)), facts=None)


def settled(config: RunConfig, data: Path | None) -> RunConfig:
    """The configuration with the path of its data given, and absolute: it may be resumed anywhere.

    Raises:
        ValueError: the recipe needs a path and has none.
    """
    path = config.data.get("path") if data is None else str(data)
    if path == FILE:
        raise ValueError(f"the recipe {config.recipe} needs --data FILE.csv or FILE.npy")
    if path is None:
        return config
    whole = {**config.data, "path": str(Path(path).resolve())}
    return dataclasses.replace(config, data=whole)
