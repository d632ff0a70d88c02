"""Progress on standard error: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

FIRST, NEXT = 5.0, 30.0
"""Seconds until the first line off a terminal, and between further ones."""


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """The items, while standard error tells how many of the total were taken."""
    if sys.stderr.isatty():
        from tqdm.auto import tqdm

        yield from tqdm(items, total=total, desc=label, file=sys.stderr, leave=False)
        return
    due = time.monotonic() + FIRST
    for taken, item in enumerate(items, 1):
        yield item
        if time.monotonic() > due:
            print(f"ddpm: {label}, {taken / total:.0%}", file=sys.stderr)
            due = time.monotonic() + NEXT
