"""Drawings side by side, in rows or each under its title."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from denoising_diffusion.checks import integer, sequence
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import texts
from denoising_diffusion.report.drawing import Drawing, Text, letter, write_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure
    from PIL.Image import Image

_GAP, _TITLE = 16, 26


class _Placed(NamedTuple):
    drawing: Drawing
    left: int
    top: int


def beside(drawings: Sequence[Drawing], titles: Sequence[str]) -> Drawing:
    """One of drawings of any size, aligned above, with a title over each.

    Raises:
        ValueError: no drawings, or another number of titles.
        TypeError: arguments of other types.
    """
    if not sequence("drawings", drawings, Drawing):
        raise ValueError("drawings must hold at least one drawing")
    names = texts("titles", titles, len(drawings), "drawings")
    parts: list[_Placed] = []
    marks: list[Text] = []
    left = 0
    for drawing, name in zip(drawings, names, strict=True):
        parts.append(_Placed(drawing, left, _TITLE))
        marks.append(Text(left + 4, _TITLE // 2, name, size=style.TITLE))
        left += max(drawing.width, style.text_width(name, style.TITLE) + 8) + _GAP
    height = _TITLE + max(d.height for d in drawings)
    return _whole(left - _GAP, height, parts, marks)


def side_by_side(drawings: Sequence[Drawing], columns: int) -> Drawing:
    """One of drawings of one size in a grid, row by row.

    Raises:
        ValueError: no drawings, of different sizes, or fewer than one column.
        TypeError: arguments of other types.
    """
    if len({(d.width, d.height) for d in sequence("drawings", drawings, Drawing)}) != 1:
        raise ValueError("drawings must hold at least one drawing, all of one size")
    columns = min(integer("columns", columns, 1), len(drawings))
    width, height = drawings[0].width, drawings[0].height
    parts = [_Placed(d, i % columns * width, i // columns * height) for i, d in enumerate(drawings)]
    return _whole(columns * width, -(-len(drawings) // columns) * height, parts, [])


def _whole(width: int, height: int, parts: list[_Placed], marks: list[Text]) -> Drawing:
    def paint() -> "Image":
        from PIL import Image

        whole = Image.new("RGB", (width, height), "white")
        for part in parts:
            whole.paste(part.drawing.image(), (part.left, part.top))
        write_on(whole, marks)
        return whole

    def draw(figure: "Figure | SubFigure") -> None:
        for d, left, top in parts:
            cells = figure.add_gridspec(
                3,
                3,
                width_ratios=[left, d.width, width - left - d.width],
                height_ratios=[top, d.height, height - top - d.height],
            )
            d.draw(figure.add_subfigure(cells[1, 1]))
        if marks:
            letter(figure, (width, height), marks)

    return Drawing(width, height, draw, paint)
