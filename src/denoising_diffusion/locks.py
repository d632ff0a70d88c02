"""One writer at a time: a lock that dies with its process, and what dead ones left."""

import contextlib
import glob
import os
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def locked(path: str | Path, wait: float = 0.0) -> Generator[None]:
    """Keep other processes from writing a file or folder; the death of this one lets go of it.

    Args:
        path: what is written; it need not exist, the folder that it lies in must.
        wait: seconds to wait for another process.

    Raises:
        ValueError: another process, which is named, still holds it.
    """
    from filelock import FileLock, Timeout

    path = Path(os.path.abspath(path))
    beside = os.access(path.parent, os.W_OK)
    file = path.with_name(f".{path.name}.lock") if beside else path / ".lock"
    lock = FileLock(file, timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"{path} is being written by {_holder(file)}; wait for it") from None
    try:
        file.write_text(str(os.getpid()))
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()
        lock.release()


def _holder(file: Path) -> str:
    try:
        return f"process {int(file.read_text())}"
    except (OSError, ValueError):
        return "another process"


def sweep(path: Path) -> None:
    """Remove what processes that died while they wrote this file have left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = left.name.split(".")[-2]
        if number.isdigit() and not _lives(int(number)):
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
