"""Whether a run may begin in a folder, and what becomes of one that is there."""

import os
from collections.abc import Mapping
from pathlib import Path

from denoising_diffusion.run.folder import Run


def check_folder(run: Run, overwrite: bool, needed: Mapping[str, str | None]) -> None:
    """Refuse a folder that holds something else than a run, or what the new run needs.

    Args:
        run: what is to be begun or gone on with.
        overwrite: whether what is there may be moved aside.
        needed: paths that must stay where they are, by what they are called.

    Raises:
        ValueError: a name that is no text; a file; files of another kind, unless these may be
            moved aside; or a path that is needed, which would be moved with them.
    """
    path = run.path
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{path} is no UTF-8, and weights are not read from there") from None
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; --out takes a folder")
    if path.exists() and not run.exists and not overwrite and not just_begun(path):
        raise ValueError(f"{path} holds files but no run; take another --out, or --overwrite")
    if not overwrite or not path.exists() or just_begun(path):
        return
    for name, place in {**needed, "the working folder": os.getcwd()}.items():
        if place and Path(os.path.realpath(place)).is_relative_to(os.path.realpath(path)):
            raise ValueError(
                f"--overwrite would move {path} aside, and with it {name}, {place}; take another "
                "--out"
            )


def just_begun(path: Path) -> bool:
    """Whether a folder holds nothing but what a kill left of the beginning of a run."""
    return all(
        file.name == "samples" and not any(file.iterdir()) if file.is_dir()
        else file.name.startswith(".config.json.") or file.name == ".lock"
        for file in path.iterdir()
    )  # fmt: skip


def move_aside(path: Path) -> Path:
    """Move a run folder to the first free of RUN.old, RUN.old2, ...; the new path."""
    number, target = 1, path.with_name(path.name + ".old")
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.old{number}")
    path.rename(target)
    return target
