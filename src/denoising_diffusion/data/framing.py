"""The size that pictures of many sizes are brought to, and what is said of it."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from denoising_diffusion.data.picture import Fit, Header

MOST_SIDE = 64
"""The short side of pictures that are larger, unless another is asked for."""
LEAST_SIDE, LARGEST_SIDE = 4, 1024
_MOST_RATIO = 4


@dataclass(frozen=True)
class Wish:
    """How pictures are brought to one size.

    Args:
        size: of the short side; 0 for the most common one, at most 64.
        fit: whether what does not fit is cut off, or background put beside it.
        background: a colour.
    """

    size: int
    fit: Fit
    background: str


class Frame(NamedTuple):
    """Height and width of all pictures."""

    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a picture in colour."""
        return self.height, self.width, 3

    def notes(self, headers: list[Header], wish: Wish, *, grey: bool) -> list[str]:
        """What there is, and what becomes of it."""
        sizes = Counter((h.width, h.height) for h in headers)
        modes = Counter(h.mode for h in headers)
        (width, height), _ = sizes.most_common(1)[0]
        alike = "all" if len(sizes) == 1 else f"{len(sizes):,} sizes, most often"
        notes = [
            f"{len(headers):,} pictures, {alike} {width} × {height}, "
            + ", ".join(f"{mode} {n:,}" for mode, n in modes.most_common())
        ]
        done = Counter(_done(self, h, wish.fit) for h in headers)
        cut = "cut" if wish.fit == "crop" else f"with {wish.background} beside it"
        words = {
            (-1, False): "made smaller",
            (1, False): "enlarged",
            (0, True): cut,
            (-1, True): f"made smaller and {cut}",
            (1, True): f"enlarged and {cut}",
        }
        told = [f"{words[what]} {n:,}" for what, n in done.most_common() if what in words]
        colours = "grey" if grey else "colour"
        made = f"learned in {colours} at {self.width} × {self.height}"
        return [*notes, f"{made}: {', '.join(told)}" if told else made]


def _done(frame: Frame, header: Header, fit: Fit) -> tuple[int, bool]:
    """Whether a picture is made smaller, -1, or larger, 1; and whether it is cut or padded."""
    ratios = header.width / frame.width, header.height / frame.height
    scale = min(ratios) if fit == "crop" else max(ratios)
    return (scale < 1) - (scale > 1), ratios[0] != ratios[1]


def frame_of(headers: list[Header], wish: Wish) -> Frame:
    """The size for these pictures: their own proportions if these are all alike, or a square."""
    short = Counter(min(h.width, h.height) for h in headers)
    side = wish.size or max(LEAST_SIDE, min(MOST_SIDE, short.most_common(1)[0][0]))
    ratios = {h.width / h.height for h in headers}
    ratio = ratios.pop()
    if ratios or not 1 / _MOST_RATIO <= ratio <= _MOST_RATIO:
        return Frame(side, side)
    if ratio >= 1:
        return Frame(side, round(side * ratio))
    return Frame(round(side / ratio), side)
