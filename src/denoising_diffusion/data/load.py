"""Data sets by name."""

import os
from collections.abc import Mapping
from typing import Any

from denoising_diffusion.data.rows import Dataset
from denoising_diffusion.tables import bound


def load_dataset(choice: str | Mapping[str, Any], **options: Any) -> Dataset:
    """The data set of a name, such as "spiral", with options, such as size=1000 and seed=3.

    Args:
        choice: a name of the table "data", or a mapping of "name" and options.
        options: those of the source that the name stands for; a path may be a `Path`.

    Raises:
        ValueError: an unknown name or option, one that is given twice, or what the source refuses.
        TypeError: what the source refuses.
    """
    named = choice if isinstance(choice, Mapping) else {"name": choice}
    if twice := named.keys() & options.keys():
        raise ValueError(f"data gets {', '.join(sorted(twice))} twice")
    given = {**named, **options}
    paths = {k: os.fspath(v) for k, v in given.items() if isinstance(v, os.PathLike)}
    return bound("data", given | paths)()
