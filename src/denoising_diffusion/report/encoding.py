"""Drawings as the content of files, with notes about what they show; equal ones are equal bytes."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from denoising_diffusion.files import as_png
from denoising_diffusion.report import style
from denoising_diffusion.report.drawing import Drawing

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

FORMATS = (".png", ".svg", ".pdf")
"""The suffixes of a picture: pixels for a screen, and lines and text for paper."""

# What each format calls our notes; there is no date, which would make equal pictures differ.
_CALLED = {
    ".svg": {"Software": "Creator"},
    ".pdf": {"Software": "Creator", "Source": "Subject", "Description": "Keywords"},
}
_DATES = {".svg": "Date", ".pdf": "CreationDate"}


def encoded(drawing: Drawing, suffix: str, notes: Mapping[str, str] | None = None) -> bytes:
    """A drawing as the content of a file of one of these `FORMATS`.

    Args:
        drawing: the picture.
        suffix: of the file.
        notes: "Title", "Software", "Source" and "Description", as far as they are known.
    """
    if suffix == ".png":
        return as_png(drawing.image(), as_texts(notes or {}))
    content, called = io.BytesIO(), _CALLED[suffix]
    metadata = {called.get(key, key): text for key, text in (notes or {}).items()}
    figure = drawing.figure()
    with style.applied():
        figure.savefig(content, format=suffix[1:], metadata={**metadata, _DATES[suffix]: None})
    return content.getvalue()


def as_texts(notes: Mapping[str, str]) -> "PngInfo":
    """Notes as the texts of a .png."""
    from PIL.PngImagePlugin import PngInfo

    found = PngInfo()
    for key, text in notes.items():
        found.add_text(key, text)
    return found
