"""Animated GIFs, small enough for a README."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from denoising_diffusion.report.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FRAMES = 60
_COLOURS = 64
_GREYS = 16


def thin(count: int, most: int = MAX_FRAMES) -> list[int]:
    """At most `most` indices of 0..count - 1, evenly spread, the first and the last among them.

    Raises:
        ValueError: most is less than 2.
    """
    if most < 2:
        raise ValueError(f"most must be >= 2, got {most}")
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def write_gif(
    frames: "Sequence[Image]", path: str | Path, *, fps: float = 15, hold: float = 1.0
) -> None:
    """Write an endless GIF of at most 60 of the frames, evenly thinned, whole or not at all.

    All frames share one palette, so nothing flickers: 16 greys for "L" images, otherwise up to 64
    colours chosen from the frames. Equal neighbours are merged into one longer frame.

    Args:
        frames: pictures of one size and one mode.
        path: where to write.
        fps: frames in a second; the format counts in hundredths of one.
        hold: seconds that the last frame stays.

    Raises:
        ValueError: no frames, frames of different sizes or modes, or fps or hold not positive.
    """
    if not frames:
        raise ValueError("a GIF needs at least one frame")
    if len({(frame.size, frame.mode) for frame in frames}) > 1:
        raise ValueError("the frames of a GIF must have one size and one mode")
    if not (fps > 0 and hold > 0):
        raise ValueError(f"fps and hold must be positive, got {fps} and {hold}")
    chosen = [frames[i] for i in thin(len(frames))]
    few = _few_greys(chosen) if chosen[0].mode == "L" else _few_colours(chosen)
    durations = [max(20, round(100 / fps) * 10)] * (len(few) - 1) + [round(hold * 1000)]
    with replacing(path) as beside:
        few[0].save(
            beside,
            format="GIF",
            save_all=True,
            append_images=few[1:],
            duration=durations,
            loop=0,
            optimize=False,
        )


def _few_greys(frames: "Sequence[Image]") -> "list[Image]":
    """The frames in 16 evenly spaced greys."""
    step = 255 // (_GREYS - 1)
    palette = [step * grey for grey in range(_GREYS) for _ in range(3)]
    few: list[Image] = []
    for frame in frames:
        indexed = frame.point([round(level / step) for level in range(256)])
        indexed.putpalette(palette)
        few.append(indexed)
    return few


def _few_colours(frames: "Sequence[Image]") -> "list[Image]":
    """The frames in one palette, chosen from all of them."""
    from PIL import Image

    rgb = [frame.convert("RGB") for frame in frames]
    width, height = rgb[0].size
    strip = Image.new("RGB", (width, height * len(rgb)))
    for i, frame in enumerate(rgb):
        strip.paste(frame, (0, i * height))
    averages = strip.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT).getpalette() or []
    for i in range(0, len(averages), 3):
        if min(averages[i : i + 3]) > 247:  # paper, which averaging makes a little grey
            averages[i : i + 3] = [255, 255, 255]
    palette = Image.new("P", (1, 1))
    palette.putpalette(averages)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in rgb]
