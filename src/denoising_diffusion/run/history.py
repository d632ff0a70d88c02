"""The history of a run: a line of JSON for every epoch."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from denoising_diffusion import files

_MOST = 2**28
_KEYS = {"step": (int,), "epoch": (int,), **dict.fromkeys(("loss", "val_loss", "lr"), (int, float))}


OnLog = Callable[[int, dict[str, Any]], None]
"""(step, record): told of every line of a history, once it is written."""


class History:
    """Its lines, appended one by one and cut where a continued run writes them again.

    Args:
        file: where they stand; it need not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.on_log: OnLog | None = None

    def append(self, row: dict[str, Any]) -> None:
        """Add a line, and tell whoever listens."""
        with self.file.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(row) + "\n")
        if self.on_log is not None:
            self.on_log(row["step"], dict(row))

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; a kill may have cut the last one.

        Raises:
            ValueError: a line before the last that none of ours could be, or no regular file.
        """
        if not self.file.exists() and not self.file.is_symlink():
            return []
        lines = files.read_bytes(self.file, _MOST).split(b"\n")
        rows = [_row(line) for line in lines]
        for number, row in enumerate(rows[:-1], 1):
            if row is None:
                raise ValueError(f"{self.file} is damaged in line {number}")
        return [row for row in rows if row is not None]

    def cut(self, step: int) -> None:
        """Drop the lines after this step, and one that was cut."""
        content = "".join(json.dumps(r) + "\n" for r in self.read() if r["step"] <= step).encode()
        if self.file.exists() and self.file.read_bytes() != content:
            files.write(self.file, content)


def _row(line: bytes) -> dict[str, Any] | None:
    """The line as a row of ours, or None."""
    try:
        row = json.loads(line)
        right = all(type(row[k]) in kinds and math.isfinite(row[k]) for k, kinds in _KEYS.items())
    except (ValueError, RecursionError, TypeError, KeyError, OverflowError):
        return None
    return row if right else None
