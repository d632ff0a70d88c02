"""Whether a run may begin in a folder, and what becomes of one that is there."""

from pathlib import Path

from denoising_diffusion.run.folder import Run


def check_folder(run: Run, overwrite: bool) -> None:
    """Refuse a folder that holds something else than a run.

    Raises:
        ValueError: a file, or files of another kind, unless these may be moved aside.
    """
    path = run.path
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; --out takes a folder")
    if path.exists() and not run.exists and not overwrite and not just_begun(path):
        raise ValueError(f"{path} holds files but no run; take another --out, or --overwrite")


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
