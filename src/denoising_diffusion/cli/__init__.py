"""The command line: parse, call one job, print."""

import errno
import os
import sys
import warnings

from denoising_diffusion import __version__


def main(arguments: list[str] | None = None) -> None:
    """Run `ddpm` with these arguments, or the process's own, and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(f"ddpm {__version__}")
        return
    warnings.showwarning = _show_warning
    sys.exit(_guarded(arguments))


def _guarded(arguments: list[str]) -> int:
    """The exit code of the command; errors that we raise are one line."""
    from denoising_diffusion.cli.commands import run
    from denoising_diffusion.cli.parser import parse
    from denoising_diffusion.run.stop import Diverged, Interrupted

    try:
        run(parse(arguments))
    except Interrupted as stop:
        return _say(str(stop), 130)
    except KeyboardInterrupt:
        return _say("stopped; the same command goes on from what is saved", 130)
    except (ValueError, TypeError, FileExistsError) as error:
        return _say(f"error: {error}", 2)
    except Diverged as error:
        return _say(f"error: {error}", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, MemoryError, RuntimeError) as error:
        hint = _disk_hint(error) or _memory_hint(error)
        if hint is None:
            raise
        return _say(f"error: {hint}", 1)
    return 0


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
    print(f"ddpm: {text}", file=sys.stderr)
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
