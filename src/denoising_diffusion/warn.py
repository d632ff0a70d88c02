"""Warnings that point at the line of the user that led to them, however deep they arise."""

import inspect
import warnings


def warn(message: str) -> None:
    """A UserWarning, shown with the nearest line outside this library."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and _package(frame.f_globals.get("__name__", "")) == _package(__name__):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level + 1)


def _package(module: str) -> str:
    return module.partition(".")[0]
