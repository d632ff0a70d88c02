"""Recipes: configurations with a name, from `recipes.toml`."""

import tomllib
from pathlib import Path
from typing import Any

from denoising_diffusion.checks import one_of
from denoising_diffusion.config import RunConfig
from denoising_diffusion.strict_json import merge, read_config

FILE = "FILE"
"""Stands for a path that the user must give."""

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _keys(name: str) -> dict[str, Any]:
    """The keys of a recipe, laid over those of the one that it extends."""
    own = {k: v for k, v in _TABLES[name].items() if k != "extends"}
    base = _TABLES[name].get("extends")
    return merge(_keys(base), own) if base else own


RECIPES: dict[str, RunConfig] = {
    name: read_config(RunConfig, {"recipe": name, **_keys(name)}) for name in _TABLES
}


def recipe(name: str) -> RunConfig:
    """The configuration of this name; that of "points" has a path to be replaced.

    Raises:
        ValueError: an unknown name; the nearest known one is offered.
    """
    return RECIPES[one_of("recipe", name, RECIPES)]
