"""Progress on standard error, silent off a terminal."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """The items, with a bar on standard error while they are taken."""
    from tqdm.auto import tqdm

    quiet = not sys.stderr.isatty()
    yield from tqdm(items, total=total, desc=label, file=sys.stderr, disable=quiet, leave=False)
