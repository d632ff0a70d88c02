"""Runs on the Hugging Face hub, through the package of the extra `hub`."""

import contextlib
import importlib
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

ADDRESS = "hf://"
FILES = ("config.json", "model.safetensors", "snapshot.safetensors")
"""All that is taken from there; none of it is ever unpickled."""
SHOWN = ("README.md", "samples.png")
"""What lies beside it, for people."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def repository(name: str) -> str:
    """The name, if it can be that of a repository: OWNER/NAME.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a repository of the hub must be OWNER/NAME, got {name!r}")
    return name


def downloaded(address: str) -> Path:
    """The run folder behind hf://OWNER/NAME, in the cache of huggingface_hub.

    Raises:
        ValueError: no such address, no huggingface_hub, or nothing that can be had there.
    """
    name = repository(address.removeprefix(ADDRESS))
    with _told(f"{address} cannot be had"):
        return Path(_library().snapshot_download(name, allow_patterns=list(FILES)))


def check_push(name: str) -> None:
    """Refuse what `push` could not do, before anything is written.

    Raises:
        ValueError: no name of a repository, or no huggingface_hub.
    """
    repository(name)
    _library()


def push(folder: Path, name: str) -> str:
    """Put a folder of `ddpm export --to hub` into a repository, made if there is none; its address.

    Raises:
        ValueError: no name of a repository, no huggingface_hub, or a hub that refuses.
    """
    check_push(name)
    with _told(f"{name} cannot be written"):
        api = _library().HfApi()
        api.create_repo(name, exist_ok=True)
        api.upload_folder(folder_path=folder, repo_id=name, allow_patterns=[*FILES, *SHOWN])
    return ADDRESS + name


def _library() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ValueError(
            f"the hub needs the package {error.name}: pip install 'denoising-diffusion[hub]'"
        ) from None


@contextlib.contextmanager
def _told(beginning: str) -> Generator[None]:
    """Errors of the hub and of the network, of many classes, as one line that begins so."""
    try:
        yield
    except Exception as error:
        if type(error).__module__ == "builtins":
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(f"{beginning}: {' '.join(lines[:2]) or type(error).__name__}") from None
