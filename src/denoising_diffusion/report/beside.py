"""Pictures side by side, each under its title."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from denoising_diffusion.checks import sequence
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import texts

if TYPE_CHECKING:
    from PIL.Image import Image

_GAP, _TITLE, _SIZE = 16, 26, 14


def beside(pictures: "Sequence[Image]", titles: Sequence[str]) -> "Image":
    """One "RGB" picture of pictures of any size, aligned above, with a title over each.

    Raises:
        ValueError: no pictures, or another number of titles.
        TypeError: arguments of other types.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not sequence("pictures", pictures, Image.Image):
        raise ValueError("pictures must hold at least one picture")
    names = texts("titles", titles, len(pictures), "pictures")
    font = ImageFont.load_default(_SIZE)
    widths = [
        max(p.width, int(font.getlength(n)) + 1) for p, n in zip(pictures, names, strict=True)
    ]
    height = _TITLE + max(p.height for p in pictures)
    whole = Image.new("RGB", (sum(widths) + _GAP * (len(widths) - 1), height), "white")
    left = 0
    for picture, name, width in zip(pictures, names, widths, strict=True):
        ImageDraw.Draw(whole).text((left + 4, _TITLE // 2), name, style.TEXT, font, anchor="lm")
        whole.paste(picture, (left, _TITLE))
        left += width + _GAP
    return whole
