"""The command line: parse, call one job, print."""

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from types import FrameType

from denoising_diffusion import __version__

_BAD_PATH = (
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EINVAL,
)  # fmt: skip
"""What is wrong with a path that was given, not with the machine."""

STOPPED = 130
PATIENCE = 3.0
"""Seconds that a command has to end itself after Ctrl-C, outside training, which saves first."""


def main(arguments: list[str] | None = None) -> None:
    """Run `ddpm` with these arguments, or the process's own, and exit with its code."""
    own = arguments is None
    arguments = sys.argv[1:] if arguments is None else arguments
    warnings.showwarning = _show_warning
    # A stream that was closed before we began takes everything and keeps nothing.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    code = _flushed(_guarded(arguments))
    if own and code == STOPPED:
        # An interrupt in code that C ran stays noted in the interpreter, which would at its end
        # kill itself by the signal instead.
        os._exit(code)
    sys.exit(code)


def _guarded(arguments: list[str]) -> int:
    """The exit code of the command; errors that we raise are one line."""
    with _first_process_speaks(), _interruptible() as interrupted:
        try:
            _run(arguments)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
        except BaseException as error:
            if interrupted() or isinstance(error, KeyboardInterrupt):
                return _stopped(error)
            told = _told(error)
            if told is None:
                raise
            return told
    return 0


def _run(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print(f"ddpm {__version__}")
        return
    from denoising_diffusion.cli.commands import run
    from denoising_diffusion.cli.parser import parse

    run(parse(arguments))


def _told(error: BaseException) -> int | None:
    """The exit code of an error that was told in one line; None for one that is a fault of ours."""
    name = type(error).__name__
    if name == "Interrupted":
        return _say(str(error), STOPPED)
    if isinstance(error, BrokenPipeError):
        return 0
    if isinstance(error, ValueError | TypeError | FileExistsError):
        return _say(f"error: {error}", 2)
    if name == "Diverged":
        return _say(f"error: {error}", 1)
    if isinstance(error, OSError | MemoryError | RuntimeError):
        hint = _disk_hint(error) or _memory_hint(error)
        if hint is not None:
            bad_path = isinstance(error, OSError) and error.errno in _BAD_PATH
            return _say(f"error: {hint}", 2 if bad_path else 1)
    return None


def _stopped(error: BaseException) -> int:
    """An interrupt may come out as any error, where it hit an import or a library."""
    if type(error).__name__ == "Interrupted":
        return _say(str(error), STOPPED)
    return _say("stopped; the same command goes on from what is saved", STOPPED)


class _Interrupts:
    """What Ctrl-C does outside training, from the first import on."""

    def __init__(self) -> None:
        self.came = False
        # Imports and libraries may swallow the exception; what is saved survives any death.
        self.late = threading.Timer(PATIENCE, lambda: os._exit(_stopped(KeyboardInterrupt())))
        self.late.daemon = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.came:
            self.late.start()
        self.came = True
        raise KeyboardInterrupt

    def hand_over(self) -> bool:
        """Leave what has come to the handler that takes its place: whether it has come."""
        self.late.cancel()
        return self.came


@contextlib.contextmanager
def _interruptible() -> Generator[Callable[[], bool]]:
    """A function that says whether Ctrl-C has come, from the first import on."""
    interrupts = _Interrupts()
    try:
        before = signal.signal(signal.SIGINT, interrupts)
    except ValueError:  # not in the main thread, where no signal arrives
        yield lambda: interrupts.came
        return
    try:
        yield lambda: interrupts.came
    finally:
        interrupts.late.cancel()
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _first_process_speaks() -> Generator[None]:
    """Of processes that torchrun started, only the first prints results."""
    if os.environ.get("RANK", "0") in ("0", "") or "LOCAL_RANK" not in os.environ:
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _flushed(code: int) -> int:
    """The exit code, when all that was printed has arrived: a reader that left is no error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            # What is left in its buffer would be tried again, and complained of, at exit.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                reason = getattr(error, "strerror", None) or error
                with contextlib.suppress(OSError, ValueError):
                    print(f"ddpm: error: results cannot be printed: {reason}", file=sys.stderr)
                code = code or 1
    return code


def _disk_hint(error: BaseException) -> str | None:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in str(error):
        return "the disk is full; free some space and give the same command again, it goes on"
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}"
    return None


def _memory_hint(error: BaseException) -> str | None:
    out = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if out or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "memory ran out; take a smaller --batch-size, or a smaller --num"
    return None


def _say(text: str, code: int) -> int:
    # A name of a file may hold anything.
    line = "".join(
        c if c.isprintable() or c.isspace() else "?" for c in " ".join(text.splitlines())
    )
    with contextlib.suppress(OSError):  # the exit code still tells
        print(f"ddpm: {line}", file=sys.stderr)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    print(f"ddpm: warning: {message}", file=sys.stderr)
