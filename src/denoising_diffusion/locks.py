"""One writer at a time: a lock that dies with its process, and what dead ones left."""

import contextlib
import glob
import os
import time
from collections.abc import Generator
from pathlib import Path

WINDOWS = os.name == "nt"
_WAITS = (0.01, 0.1, 1.0)


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
    if not path.name:
        raise ValueError(f"{path} cannot be written: it is no file or folder of its own")
    beside = os.access(path.parent, os.W_OK)
    file = path.with_name(f".{path.name}.lock") if beside else path / ".lock"
    lock = FileLock(file, timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"{path} is being written by {_holder(file)}; wait for it") from None
    try:
        # Windows lets nobody write into what is locked, and then nobody learns who holds it.
        with contextlib.suppress(PermissionError):
            file.write_text(str(os.getpid()))
        yield
    finally:
        # While it is held, or another process might lock what is no longer there; Windows refuses,
        # and does so later too where another process has it.
        with contextlib.suppress(OSError):
            file.unlink()
        lock.release()
        if WINDOWS:
            with contextlib.suppress(OSError):
                file.unlink()


def _holder(file: Path) -> str:
    try:
        return f"process {int(file.read_text())}"
    except (OSError, ValueError):
        return "another process"


def replace(beside: Path, path: Path) -> None:
    """Put a file in the place of another, which Windows refuses while anybody reads that one."""
    for wait in _WAITS if WINDOWS else ():
        try:
            beside.replace(path)
            return
        except PermissionError:
            time.sleep(wait)
    beside.replace(path)


def sweep(path: Path) -> None:
    """Remove what processes that died while they wrote this file have left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = left.name.split(".")[-2]
        if number.isdigit() and not _lives(int(number)):
            with contextlib.suppress(OSError):
                left.unlink()


def _lives(process: int) -> bool:
    if WINDOWS:
        # There signal 0 is Ctrl-C; and a file that is being written cannot be removed.
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
