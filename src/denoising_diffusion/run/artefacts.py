"""What the files of a run were made from: one JSON, which speaks of a file before it is written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denoising_diffusion import files, locks

Origin = dict[str, Any]
"""What a file was made from, in terms of JSON: weights, step, request."""


class Artefacts:
    """The record of the files that were made from a run, wherever they lie.

    A file that is not as it was written, or was made from something else, counts as missing.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "origins.json"

    def origin(self, path: Path) -> Origin | None:
        """What a file was made from, if it is there as it was written."""
        entry = self._read().get(self._key(path))
        if entry is None or entry.get("sha256", "") != files.digest(path):
            return None
        return entry.get("from")

    def current(self, path: Path, origin: Origin) -> bool:
        """Whether a file is there as it was written, made from just this."""
        return self.origin(path) == _plain(origin)

    def recorded(self, origin: Origin) -> list[Path]:
        """The files that were made from this, whether they are still there or not."""
        plain = _plain(origin)
        return [self.folder / key for key, e in self._read().items() if e.get("from") == plain]

    def put(self, path: Path, content: bytes, origin: Origin) -> None:
        """Write a file, after what it is made from: a kill in between leaves it missing."""
        self._record(path, {"from": _plain(origin), "sha256": files.digest_of(content)})
        files.write(path, content)

    def begun(self, folder: Path, origin: Origin) -> bool:
        """Whether `put_folder` was called for a folder with just this, and came to its record."""
        return self._read().get(self._key(folder), {}).get("from") == _plain(origin)

    def unchanged(self, folder: Path) -> set[str]:
        """The names of the files in a folder that are there as they were written."""
        written = self._read().get(self._key(folder), {}).get("files")
        if not isinstance(written, dict):
            return set()
        return {name for name, sha in written.items() if files.digest(folder / name) == sha}

    def put_folder(self, folder: Path, content: Mapping[str, bytes], origin: Origin) -> None:
        """Write files into a folder, under one entry of the record, which comes first."""
        digests = {name: files.digest_of(file) for name, file in content.items()}
        self._record(folder, {"from": _plain(origin), "files": digests})
        there = self.unchanged(folder)
        for name, file in content.items():
            if name not in there:
                files.write(folder / name, file)

    def _record(self, path: Path, entry: dict[str, Any]) -> None:
        with locks.locked(self.file, wait=60):
            record = self._read() | {self._key(path): entry}
            files.write_json(self.file, dict(sorted(record.items())))

    def _key(self, path: Path) -> str:
        # Relative even outside the run, so that equal runs have equal records.
        whole = os.path.join(os.path.realpath(path.parent), path.name)
        try:
            key = os.path.relpath(whole, os.path.realpath(self.folder))
        except ValueError:  # on another drive
            key = whole
        return Path(key).as_posix()

    def _read(self) -> dict[str, Any]:
        """The record; what is damaged in it counts as missing, and is made again."""
        try:
            record = files.read_json(self.file)
        except ValueError:
            return {}
        return {k: v for k, v in record.items() if isinstance(v, dict)}


def _plain(origin: Origin) -> Origin:
    return json.loads(json.dumps(origin))
