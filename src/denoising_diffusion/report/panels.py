"""Where the panels of a chart of points stand, and its legend."""

from collections.abc import Sequence
from typing import NamedTuple

from denoising_diffusion.checks import number
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import sequence
from denoising_diffusion.report.drawing import Dot, Text
from denoising_diffusion.report.raster import Pixels

Limits = tuple[float, float]

LEFT, BOTTOM, TOP, RIGHT = 66, 46, 28, 14
"""Around all panels, in pixels."""
BARE_LEFT, BARE_BOTTOM = 50, 40
GAP = 10


class Panel(NamedTuple):
    """Where a panel lies, (left, top, width, height) in pixels, and what it shows: two columns, or
    the histogram of one.
    """

    place: tuple[int, int, int, int]
    x: int
    y: int

    def of(self, pixels: Pixels) -> Pixels:
        """The pixels of this panel, among those of a picture."""
        left, top, width, height = self.place
        return pixels[top : top + height, left : left + width]


def named_limits(
    names: Sequence[str], limits: Sequence[Limits]
) -> tuple[tuple[str, ...], tuple[Limits, ...]]:
    """The names of columns and the limits of each, if there is one pair for each."""
    found = tuple(sequence("names", names, str))
    if not found or len(sequence("limits", limits)) != len(found):
        raise ValueError(f"limits must be one pair for each of names, got {len(limits)}")
    pairs: list[Limits] = []
    for i, pair in enumerate(limits):
        if len(sequence(f"limits[{i}]", pair)) != 2:
            raise ValueError(f"limits[{i}] must be two numbers, got {len(pair)}")
        low = number(f"limits[{i}][0]", pair[0])
        pairs.append((low, number(f"limits[{i}][1]", pair[1], f"({low}, inf)")))
    return found, tuple(pairs)


def layout(shown: int, side: int, bare: bool) -> list[Panel]:
    """The panels: the lower triangle of a square above two columns."""
    left = BARE_LEFT if bare else LEFT
    if shown <= 2:
        return [Panel((left, TOP, side, side), 0, shown - 1)]
    one = (side - GAP * (shown - 1)) // shown
    return [
        Panel((left + x * (one + GAP), TOP + y * (one + GAP), one, one), x, y)
        for y in range(shown)
        for x in range(y + 1)
    ]


def legend(
    entries: list[tuple[str, str]], panels: list[Panel], corner: bool, tall: bool
) -> list[Text | Dot]:
    """A column of entries right of the panel, or in the empty half of a corner; else one line."""
    right = max(p.place[0] + p.place[2] for p in panels)
    top = min(p.place[1] for p in panels)
    widest = max((style.text_width(text) for text, _ in entries), default=0)
    column = corner or tall
    x = right - widest if corner else right + 24
    y = top + 8 if column else TOP // 2
    if not column:
        x = right - sum(style.text_width(text) + 26 for text, _ in entries) + 20
    marks: list[Text | Dot] = []
    for text, colour in entries:
        marks += [Dot(x - 9, y, colour)] if colour else []
        marks.append(Text(x, y, text))
        x, y = (x, y + 19) if column else (x + style.text_width(text) + 26, y)
    return marks


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= 18 else name[:17] + "…"
