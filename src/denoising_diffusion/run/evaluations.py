"""Every score that a run was ever given, with what it was made from: a line of JSON for each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from denoising_diffusion import __version__, files, locks, strict_json

_MOST = 2**28
_SCORE = {"key", "title", "value", "interval", "beside", "form"}


class Entry(NamedTuple):
    """One evaluation, in terms of JSON.

    Args:
        scores: the fields of each `Score`.
        note: what stands below them in the table: sampler, steps, evaluations, ...
        origin: what they were made from: weights, request, data, how.
        version: of the program that made them.
    """

    scores: list[dict[str, Any]]
    note: dict[str, Any]
    origin: dict[str, Any]
    version: str


class Evaluations:
    """The evaluations of a run, of which none is ever taken away.

    Args:
        file: where they stand; it need not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(
        self,
        scores: Sequence[Mapping[str, Any]],
        note: Mapping[str, Any],
        origin: Mapping[str, Any],
    ) -> None:
        """Add an evaluation behind the others, unless it is there; whole or not at all.

        A number that is not finite becomes null.
        """
        value = {"version": __version__, "from": origin, "note": note, "scores": scores}
        plain = json.loads(json.dumps(value, default=dict), parse_constant=lambda _: None)
        line = strict_json.utf8(json.dumps(plain, ensure_ascii=False))
        with locks.locked(self.file, wait=60):
            there = self._content()
            if line in there.split(b"\n"):
                return
            if there and not there.endswith(b"\n"):
                there += b"\n"
            files.write(self.file, there + line + b"\n")

    def read(self) -> list[Entry]:
        """All of them, the oldest first.

        Raises:
            ValueError: no regular file, or a line that none of ours could be.
        """
        lines = enumerate(self._content().split(b"\n"), 1)
        return [self._entry(number, line) for number, line in lines if line]

    def _content(self) -> bytes:
        if not self.file.exists() and not self.file.is_symlink():
            return b""
        return files.read_bytes(self.file, _MOST)

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            value = json.loads(line)
            found = [value[key] for key in ("scores", "note", "from", "version")]
            right = list(map(type, found)) == [list, dict, dict, str] and all(
                map(_is_score, found[0])
            )
        except (ValueError, RecursionError, TypeError, KeyError):
            found, right = [], False
        if not right:
            raise ValueError(f"{self.file} is damaged in line {number}")
        return Entry(*found)


def _is_score(score: object) -> bool:
    if not isinstance(score, dict) or set(score) != _SCORE or not isinstance(score["beside"], dict):
        return False
    values = score["value"] if isinstance(score["value"], list) else [score["value"]]
    numbers = [*values, score["interval"], *score["beside"].values()]
    texts = (score["key"], score["title"], score["form"], *score["beside"])
    return all(isinstance(t, str) for t in texts) and all(map(_is_number, numbers))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
