"""Stopping cleanly: on Ctrl-C or SIGTERM, and when the loss is no longer a number."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType


class Interrupted(Exception):
    """Training was asked to stop, and has saved what it had."""


class Diverged(Exception):
    """The loss is no longer a number."""


@contextlib.contextmanager
def stop_on_signal() -> Generator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or SIGTERM has come; a second Ctrl-C stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked
        return
    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    # One that came before, and that an import swallowed, is answered here, where work is saved.
    if getattr(before[signal.SIGINT], "hand_over", bool)():
        asked = True
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
