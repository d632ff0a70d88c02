"""Separated values in text: encoding, delimiter and decimal sign told, rows of cells."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TOLD = re.compile(r'"?sep=.?"?(?=\r|\n)', re.IGNORECASE)
"""A first line that tells Excel the delimiter, which is found without it."""
_SAMPLE_LINES, _SAMPLE_LENGTH = 50, 1 << 18
"""How much of a file the style is told from."""


class Row(NamedTuple):
    """The cells of a row, and the number of its first line, from 1."""

    line: int
    cells: list[str]


class Style(NamedTuple):
    """How numbers are written and separated."""

    delimiter: str
    decimal_comma: bool

    @property
    def note(self) -> str | None:
        """What is said of it, unless it is what everybody expects."""
        names = {"\t": "tab", " ": "white space"}
        told = f"delimiter {names.get(self.delimiter, repr(self.delimiter))}"
        if self.decimal_comma:
            return f"{told}, decimal comma"
        return None if self.delimiter == "," else told


_STYLES = [Style(delimiter, comma) for comma in (False, True) for delimiter in ",;\t| "]


def decoded(raw: bytes, path: Path) -> tuple[str, str | None]:
    """The text of a file in UTF-8, in UTF-16 or -32 with its mark, or else in latin-1; and a note.

    Raises:
        ValueError: it is no text.
    """
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    note = None if encoding.startswith("utf-8") else f"encoding {encoding}"
    try:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "utf-8":
                raise
            text, note = raw.decode("cp1252"), "encoding latin-1 (Windows-1252), as it is no UTF-8"
    except UnicodeDecodeError:
        text = "\0"
    # Some programs end a file with the mark that ended files in CP/M.
    text = text.removesuffix("\x1a")
    if told := _TOLD.match(text):
        text = text[told.end() :]
    if found := _CONTROL.search(text):
        what = "a zip archive, such as .xlsx" if raw[:4] == b"PK\3\4" else "no text"
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"{path}: not numeric, {what}: line {line} holds a control character")
    return text, note


def number(cell: str, decimal_comma: bool) -> float | None:
    """The number in a cell, infinite where it is too large; None if it holds anything else."""
    if decimal_comma:
        cell = "" if "." in cell else cell.replace(",", ".", 1)
    return float(cell) if _NUMBER.fullmatch(cell) else None


def told_by(text: str) -> Style:
    """The style in which the first lines hold the greatest share of numbers.

    Where that leaves a choice: with the fewest other delimiters in the cells, then in columns.
    """
    head = io.StringIO(text[:_SAMPLE_LENGTH], newline="")
    lines = [line for line in head if line.strip() and not line.lstrip().startswith("#")]
    sample = "".join(lines[1 : _SAMPLE_LINES + 1] or lines[:1])

    def quality(style: Style) -> tuple[float, int, bool]:
        rows = [row.cells for row in rows_of(sample, style)]
        cells = [cell for row in rows for cell in row if cell]
        numbers = sum(number(cell, style.decimal_comma) is not None for cell in cells)
        strays = sum(delimiter in cell for cell in cells for delimiter in ";\t|")
        return numbers / max(1, len(cells)), -strays, any(len(row) > 1 for row in rows)

    return max(_STYLES, key=quality)


def rows_of(text: str, style: Style) -> Iterator[Row]:
    """The rows that hold anything, but for lines that begin with #.

    Raises:
        csv.Error: a cell of more than 128 KiB, mostly since a quote is not closed.
    """

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            if line.lstrip().startswith("#"):
                yield "\n"  # counted all the same
            else:
                yield " ".join(line.split()) + "\n" if style.delimiter == " " else line

    reader = csv.reader(lines(), delimiter=style.delimiter, skipinitialspace=True)
    line = 1
    for cells in reader:
        stripped = [" ".join(cell.split()) for cell in cells]
        if any(stripped):
            yield Row(line, stripped)
        line = reader.line_num + 1


def comments_of(text: str) -> list[str]:
    """What the lines that begin with # say."""
    lines = (line.strip() for line in io.StringIO(text, newline=""))
    return [line.lstrip("#").strip() for line in lines if line.startswith("#")]
