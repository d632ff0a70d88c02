"""Tables of numbers, and of classes, in text."""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoising_diffusion.data.text import (
    Row,
    Style,
    comments_of,
    decoded,
    number,
    rows_of,
    told_by,
)
from denoising_diffusion.files import read_bytes

MOST_BYTES = 256 << 20
"""The largest file of text that is read; a .npy file may be larger."""
MOST_COLUMNS = 10_000
LONGEST_NAME = 80
"""The most characters that the name of a column or of a class may have."""

_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_MISSING = {"", "na", "n/a", "<na>", "nan", "null", "none", "-", "?"}
_INFINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
_ROW_NAMES = {"", "index", "id", "row", "rowid", "rownames", "row_names", "unnamed: 0"}
"""What programs call the column of row numbers that they write in front of the data."""


@dataclass(frozen=True)
class Table:
    """A table of numbers, and of classes.

    Args:
        values: (n, d) float64, finite.
        columns: the d names; x, y, z or x1, x2, ... where the file has none.
        classes: the n cells of the column of classes, if one was asked for.
        notes: what was guessed, dropped or skipped.
    """

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    place: int
    name: str
    cells: Sequence[str]

    def __str__(self) -> str:
        return f"column {self.place}" + (f" ({self.name!r})" if self.name else "")


def read_table(path: Path, label_column: str | None = None) -> Table:
    """The table in a file of text.

    Between the cells stand commas, semicolons, tabs, bars or white space, and numbers have a
    decimal point or comma: whichever makes the most numbers. A header may come first; lines that
    begin with # are skipped, but if there is no header, the last of them may be one. A column of
    row numbers in front is dropped, and so is a column without name and cells.

    Args:
        path: the file.
        label_column: the name of a column of classes, whatever its cells hold.

    Raises:
        ValueError: in one line that names the file, and line and column where there are such: it
            cannot be read, is no text, is ragged, has no such column, or holds something that is
            no finite number.
    """
    text, encoding = decoded(read_bytes(path, MOST_BYTES), path)
    try:
        style = told_by(text)
        header, rows = _header_and_rows(path, text, style)
    except csv.Error as error:
        raise ValueError(f"{path}: not numeric, no text in separated values: {error}") from None
    notes = [encoding, style.note]
    comments = comments_of(text)
    if comments:
        notes.append(f"lines that begin with #, skipped: {len(comments)}")
    if header is None and (names := _named_by(comments, rows, style)):
        header = Row(0, names)
        notes.append(f"names of the columns from a comment: {', '.join(names)}")
    if header is None and _may_be_names(rows):
        first = ", ".join(rows[0].cells)
        notes.append(f"line {rows[0].line}, {first}, is read as numbers, not as names of columns")
    columns = _columns(path, header, rows)
    columns, dropped = _without_row_numbers(path, columns, header is not None, label_column)
    label = _label(path, columns, label_column, header is not None)
    kept = [column for column in columns if column is not label]
    _check_thousands(path, kept, rows, style)
    values = [_numbers(path, column, rows, style) for column in kept]
    return Table(
        np.array(values, np.float64).reshape(len(kept), len(rows)).T,
        tuple(column.name for column in kept),
        None if label is None else _classes(path, label, rows),
        tuple(note for note in [*notes, *dropped] if note),
    )


def _header_and_rows(path: Path, text: str, style: Style) -> tuple[Row | None, list[Row]]:
    """The header, if there is one, and the rows below it, all equally long."""
    rows: list[Row] = []
    for row in rows_of(text, style):
        if len(row.cells) > MOST_COLUMNS:
            raise ValueError(
                f"{path}: line {row.line} has {len(row.cells):,} columns, at most "
                f"{MOST_COLUMNS:,} are read"
            )
        rows.append(row)
    header = rows.pop(0) if rows and _is_header(rows[0].cells, style) else None
    for row in rows:
        if len(row.cells) != len(rows[0].cells):
            expected = f"{len(row.cells)} columns, not {len(rows[0].cells)}"
            raise ValueError(f"{path}: ragged, line {row.line} has {expected}")
    if header and rows and len(header.cells) != len(rows[0].cells):
        raise ValueError(
            f"{path}: ragged, the header in line {header.line} names {len(header.cells)} columns, "
            f"but line {rows[0].line} has {len(rows[0].cells)}"
        )
    return header, rows


def _is_header(cells: list[str], style: Style) -> bool:
    """Whether these are names: no number among them, or a first one left out before 0, 1, ..."""
    if cells[0] == "" and len(cells) > 1 and cells[1:] == [str(i) for i in range(len(cells) - 1)]:
        return True  # pandas names columns so that have no name
    texts = [cell for cell in cells if cell.lower() not in _MISSING | _INFINITE]
    return bool(texts) and not any(number(c, style.decimal_comma) is not None for c in cells)


def _named_by(comments: list[str], rows: list[Row], style: Style) -> list[str] | None:
    """The names in the last comment, if it has as many as there are columns; numpy writes such."""
    found = next(rows_of(comments[-1], style), None) if comments else None
    names = found.cells if found else []
    fits = bool(rows) and len(names) == len(rows[0].cells) > 1 and _is_header(names, style)
    return names if fits and all(names) else None


def _may_be_names(rows: list[Row]) -> bool:
    """Whether the first row alone consists of whole numbers, as years would."""
    some = [row.cells for row in rows[:50]]
    whole = [[cell.isdecimal() for cell in cells] for cells in some]
    return len(some) > 1 and all(whole[0]) and not any(map(any, whole[1:]))


def _columns(path: Path, header: Row | None, rows: list[Row]) -> list[_Column]:
    """The columns, with the names in the header or the usual ones."""
    count = len(rows[0].cells) if rows else len(header.cells) if header else 0
    cells: list[Sequence[str]] = list(zip(*(r.cells for r in rows), strict=True))
    cells = cells or [()] * count
    names = header.cells if header else usual_names(count)
    places: dict[str, int] = {}
    for i, name in enumerate(names, start=1):
        if len(name) > LONGEST_NAME:
            raise ValueError(
                f"{path}: the name of column {i}, {_short(name)}, has {len(name)} characters, at "
                f"most {LONGEST_NAME} are read"
            )
        if name and places.setdefault(name, i) != i:
            raise ValueError(f"{path}: columns {places[name]} and {i} are both named {name!r}")
    columns = [_Column(i + 1, name, cells[i]) for i, name in enumerate(names)]
    # A delimiter at the end of every line makes a column that has nothing in it.
    named = header is not None
    return [c for c in columns if any(c.cells) or (named and c.name) or not rows]


def usual_names(count: int) -> list[str]:
    """x, y, z, or x1, x2, ... for more columns."""
    return list("xyz"[:count]) if count <= 3 else [f"x{i + 1}" for i in range(count)]


def _without_row_numbers(
    path: Path, columns: list[_Column], named: bool, label_column: str | None
) -> tuple[list[_Column], list[str]]:
    """The columns but for one of row numbers in front, and what is said of it.

    Without a name it is one if it holds different whole numbers: rows may have been left out or
    mixed since they were numbered. With one of the usual names, if it counts the rows.
    """
    if not named or not columns:
        return columns, []
    first, rest = columns[0], columns
    notes: list[str] = []
    if first.name.lower() in _ROW_NAMES and (first.name != label_column or not first.name):
        different = len(set(first.cells)) == len(first.cells)
        if _counts(first.cells) or (not first.name and different and _whole(first.cells)):
            rest = columns[1:]
            notes.append(f"{first} of row numbers dropped")
    for column in rest:
        if not column.name:
            raise ValueError(
                f"{path}: the header has no name for {column}, which begins with "
                f"{column.cells[0] if column.cells else ''!r}; name it, or remove it"
            )
    return rest, notes


def _whole(cells: Sequence[str]) -> bool:
    return all(cell.isdecimal() for cell in cells)


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are 0, 1, 2, ... or 1, 2, 3, ..."""
    if not cells or not _whole(cells[:1]) or len(cells[0]) > 1:
        return False
    begin = int(cells[0])
    return begin in (0, 1) and all(cell == str(begin + i) for i, cell in enumerate(cells))


def _label(
    path: Path, columns: list[_Column], label_column: str | None, named: bool
) -> _Column | None:
    """The column of classes."""
    if label_column is None:
        return None
    if not named:
        raise ValueError(
            f"{path}: label_column is {label_column!r}, but the file has no header with names"
        )
    names = [column.name for column in columns]
    if label_column in names:
        return columns[names.index(label_column)]
    near = difflib.get_close_matches(label_column, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    known = ", ".join([*names[:20], *(["..."] if len(names) > 20 else [])])
    raise ValueError(
        f"{path}: label_column must be one of {known}, got {_short(label_column)}{hint}"
    )


def _numbers(path: Path, column: _Column, rows: list[Row], style: Style) -> list[float]:
    """The numbers of a column; the first cell that holds none is named."""
    found = [number(cell, style.decimal_comma) for cell in column.cells]
    for cell, value, row in zip(column.cells, found, rows, strict=True):
        if value is not None and abs(value) != float("inf"):
            continue
        where = f"{path}: not numeric, line {row.line} holds"
        if cell.lower() in _MISSING:
            raise ValueError(f"{where} {cell!r} in {column}: a value is missing")
        if value is not None or cell.lower() in _INFINITE:
            raise ValueError(f"{where} {_short(cell)} in {column}: a number that is not finite")
        sign = "comma" if style.decimal_comma else "point"
        raise ValueError(
            f"{where} {_short(cell)} in {column}: no number with a decimal {sign}; a column of "
            "classes is named by label_column"
        )
    return [value for value in found if value is not None]


def _classes(path: Path, column: _Column, rows: list[Row]) -> tuple[str, ...]:
    for cell, row in zip(column.cells, rows, strict=True):
        if not cell:
            raise ValueError(f"{path}: line {row.line} has no class in {column}")
        if len(cell) > LONGEST_NAME:
            raise ValueError(
                f"{path}: line {row.line} holds {_short(cell)} in {column}, which has {len(cell)} "
                f"characters; names of classes have at most {LONGEST_NAME}"
            )
    return tuple(column.cells)


def _check_thousands(path: Path, columns: list[_Column], rows: list[Row], style: Style) -> None:
    """Refuse 1,234 where it may be a number of thousands; beside semicolons it hardly is."""
    if not style.decimal_comma or style.delimiter == ";":
        return
    with_comma = [(c, row) for column in columns for c, row in zip(column.cells, rows, strict=True)
                  if "," in c]  # fmt: skip
    if with_comma and all(_THOUSANDS.fullmatch(cell) for cell, _ in with_comma):
        cell, row = with_comma[0]
        raise ValueError(
            f"{path}: line {row.line} holds {cell!r}, which may be a fraction or thousands; write "
            "numbers with a decimal point and nothing else"
        )


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
