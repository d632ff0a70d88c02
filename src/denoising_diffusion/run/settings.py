"""A configuration from a recipe, a file and options."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from denoising_diffusion import tables
from denoising_diffusion.config import RunConfig
from denoising_diffusion.files import read_json
from denoising_diffusion.recipes import FILE, RECIPES, recipe
from denoising_diffusion.run.folder import Run
from denoising_diffusion.strict_json import merge, read_config

_NEEDED = {"points": "FILE.csv or FILE.npy", "folder": "a folder of pictures"}


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


def settled(config: RunConfig, data: Path | None, file: Path | None = None) -> RunConfig:
    """The configuration with the path of its data given, and absolute: it may be resumed anywhere.

    Args:
        config: the configuration.
        data: a path to take in place of its own. If its source takes none, the source that is
            called as the recipe takes it, with the options that both have.
        file: the --config file. A path in it is one from the working folder, or else, if nothing is
            there, from the folder of the file.

    Raises:
        ValueError: the recipe needs a path and has none, or a path that no file can have.
    """
    path = config.data.get("path") if data is None else str(data)
    if path == FILE:
        name = tables.name_of(config.data, "data.name")
        raise ValueError(f"the recipe {config.recipe} needs --data, {_NEEDED.get(name, 'a path')}")
    if not isinstance(path, str):
        return config  # what is no path is refused where the data is read
    if "\0" in path:
        raise ValueError(f"data.path must be a path, got {path!r}")
    place = Path(path).expanduser()
    if data is None and file is not None and not os.path.lexists(place):
        beside = Path(file).parent / place
        place = beside if os.path.lexists(beside) else place
    # Unlike Path.resolve, it makes something of links in a loop, which reading them then refuses.
    whole = {**_source(config, data is not None), "path": os.path.realpath(place)}
    return dataclasses.replace(config, data=whole)


def _source(config: RunConfig, needs_path: bool) -> dict[str, Any]:
    """The data of a configuration, or that of the recipe's name if only this takes a path."""
    name = tables.name_of(config.data, "data.name")
    if not needs_path or config.recipe not in tables.TABLES["data"]:
        return config.data
    options = tables.options_of(tables.resolve("data", name, "data.name"))
    other = tables.options_of(tables.resolve("data", config.recipe))
    if "path" in options or "path" not in other:
        return config.data
    kept = {
        k: v for k, v in config.data.items() if k in other or k in ("labels", "pooled", "clusters")
    }
    return {"name": config.recipe, **kept}


def data_named(data: str | None, run: Run) -> dict[str, Any] | None:
    """What was named to compare with, as the data of a configuration.

    A path is read as the run reads its own, if its data come from a path at all.
    """
    if data is None:
        return None
    own = (c.data for c in RECIPES.values())
    named = {d["name"]: d for d in own if not {"path", "pooled"} & d.keys()}
    if data in named or (data in tables.TABLES["data"] and not Path(data).exists()):
        return named.get(data, {"name": data})
    if run.exists and "path" in run.config.data:
        return settled(run.config, Path(data)).data
    return {"name": "mnist" if Path(data).is_dir() else "points", "path": data}
