"""The pictures in a folder, and the classes that its sub-folders are."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
    ".pbm", ".pnm", ".tga", ".ico",
)  # fmt: skip
"""Of the names that are taken for pictures, in either case."""


@dataclass(frozen=True)
class Listing:
    """Pictures by name, in order.

    Args:
        folder: where they lie.
        names: their paths within it.
        cells: the class of each; None without classes.
        signature: the SHA-256 of names, sizes and times of change.
        notes: what was passed over, for the user.
    """

    folder: Path
    names: tuple[str, ...]
    cells: tuple[str, ...] | None
    signature: str
    notes: tuple[str, ...]


def list_pictures(folder: Path) -> Listing:
    """The pictures in a folder and in its sub-folders, which are classes if there are several.

    Links are followed, once each. What begins with a point is passed over.

    Raises:
        ValueError: no folder, or one without pictures.
    """
    if not os.path.isdir(folder):
        exists = os.path.lexists(folder)
        raise ValueError(f"{folder}: {'no folder of pictures' if exists else 'no such folder'}")
    walk = _Walk(folder)
    if not walk.found:
        counts = "; ".join(walk.notes()) or "it is empty"
        raise ValueError(f"{folder} holds no pictures (.png, .jpg, ...): {counts}")
    found = sorted(walk.found.items())
    names = tuple(name for name, _ in found)
    text = "\n".join(f"{os.fsencode(name).hex()} {size} {time}" for name, (size, time) in found)
    cells, notes = _classes(names)
    signature = hashlib.sha256(text.encode()).hexdigest()
    return Listing(folder, names, cells, signature, (*walk.notes(), *notes))


def readable(name: str) -> str:
    """A file's name as text that can be printed and stored, whatever its bytes are."""
    text = os.fsencode(name).decode("utf-8", "replace")
    # Python takes no space but the usual one for printable; names in Japanese have another.
    return "".join(c if c.isprintable() or category(c) == "Zs" else "�" for c in text)


class _Walk:
    """Files by path within the folder, with size and time of change; and what was not taken."""

    def __init__(self, folder: Path) -> None:
        self.found: dict[str, tuple[int, int]] = {}
        self._others: list[str] = []
        self._shut: list[str] = []
        self._again: list[str] = []
        self._outside = 0
        self._root = os.path.realpath(folder)
        self._seen = {self._root}
        self._enter(folder, "")

    def _enter(self, folder: Path, within: str) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            self._shut.append(within or str(folder))
            return
        for entry in entries:
            name = f"{within}/{entry.name}" if within else entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            try:
                if entry.is_dir():
                    self._descend(entry, name)
                else:
                    self._take(entry, name)
            except OSError:
                self._shut.append(name)

    def _descend(self, entry: "os.DirEntry[str]", name: str) -> None:
        place = os.path.realpath(entry.path)
        if place in self._seen:
            self._again.append(name)
            return
        self._seen.add(place)
        self._enter(Path(entry.path), name)

    def _take(self, entry: "os.DirEntry[str]", name: str) -> None:
        if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
            self._others.append(name)
            return
        stat = entry.stat()
        if entry.is_symlink() and not os.path.realpath(entry.path).startswith(self._root + os.sep):
            self._outside += 1
        self.found[name] = (stat.st_size, stat.st_mtime_ns)

    def notes(self) -> list[str]:
        counted = {
            "files that are no pictures by their names, passed over": self._others,
            "folders and files that cannot be opened": self._shut,
            "links to folders that are read already, not followed": self._again,
        }
        notes = [f"{what}: {len(names):,} ({some(names)})" for what, names in counted.items()
                 if names]  # fmt: skip
        if self._outside:
            notes.append(f"links to pictures outside the folder, followed: {self._outside:,}")
        return notes


def some(names: list[str], most: int = 5) -> str:
    """The first of these names."""
    shown = ", ".join(map(readable, names[:most]))
    return shown if len(names) <= most else f"{shown}, ..."


def _classes(names: tuple[str, ...]) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The class of each picture, its outermost sub-folder, and what is said of it."""
    cells = tuple(readable(name.partition("/")[0]) if "/" in name else "" for name in names)
    folders = set(cells) - {""}
    if len(folders) > 1 and "" not in cells:
        return cells, ()
    if not folders:
        return None, ()
    if "" in cells:
        return None, (
            "pictures lie both beside and in sub-folders, which are therefore no classes",
        )
    return None, (f"all pictures lie in one sub-folder, {next(iter(folders))}: no classes",)
