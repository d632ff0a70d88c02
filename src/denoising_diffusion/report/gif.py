"""Animated GIFs, small enough for a README."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from denoising_diffusion import files
from denoising_diffusion.checks import checked, sequence

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FRAMES = 60
_COLOURS = 64
_GREYS = 16
_SEEN = 1_500_000
"""Pixels that a palette is chosen from; the choice takes nearly all of the time."""


@checked
def thin(count: Annotated[int, 0], most: Annotated[int, 2] = MAX_FRAMES) -> list[int]:
    """At most `most` indices of 0..count - 1, evenly spread, the first and the last among them.

    Raises:
        ValueError: a negative count, or most below 2.
        TypeError: anything but integers.
    """
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


@checked
def write_gif(
    frames: "Sequence[Image]",
    path: str | Path,
    *,
    fps: Annotated[float, "[0.1, inf)"] = 15,
    hold: Annotated[float, "(0, 60]"] = 1.0,
) -> None:
    """Write an endless GIF (see `as_gif`), whole or not at all.

    Raises:
        ValueError, TypeError: as `as_gif`; TypeError for a path that is none.
    """
    files.write(path, as_gif(frames, fps=fps, hold=hold))


@checked
def as_gif(
    frames: "Sequence[Image]",
    *,
    fps: Annotated[float, "[0.1, inf)"] = 15,
    hold: Annotated[float, "(0, 60]"] = 1.0,
    comment: str = "",
) -> bytes:
    """The content of an endless GIF of at most 60 of the frames, evenly thinned.

    All frames share one palette, so nothing flickers: 16 greys for "L" images, otherwise up to 64
    colours chosen from the frames. Equal neighbours are merged into one longer frame.

    Args:
        frames: pictures of one size and one mode.
        fps: frames in a second, at least 0.1; the format counts in hundredths of one.
        hold: seconds that the last frame stays, at most 60.
        comment: what is written into it.

    Raises:
        ValueError: no frames, frames of different sizes or modes, or fps or hold out of range.
        TypeError: arguments of other types.
    """
    chosen = shown_frames(frames)
    pause, last = pauses(fps, hold)
    few = _few_greys(chosen) if chosen[0].mode == "L" else _few_colours(chosen)
    durations = [pause] * (len(few) - 1) + [last]
    content = io.BytesIO()
    options = {"save_all": True, "duration": durations, "loop": 0, "optimize": False}
    noted = {"comment": comment.encode()} if comment else {}
    few[0].save(content, "GIF", append_images=few[1:], **options, **noted)
    return content.getvalue()


def shown_frames(frames: "Sequence[Image]") -> "list[Image]":
    """At most 60 of the frames, evenly thinned, if they are of one kind.

    Raises:
        ValueError: no frames, or frames of different sizes or modes.
        TypeError: anything but a sequence of pictures.
    """
    from PIL import Image

    if not sequence("frames", frames, Image.Image):
        raise ValueError("frames must hold at least one frame, got none")
    if len({(frame.size, frame.mode) for frame in frames}) > 1:
        raise ValueError("frames must have one size and one mode")
    return [frames[i] for i in thin(len(frames))]


@checked
def pauses(
    fps: Annotated[float, "[0.1, inf)"], hold: Annotated[float, "(0, 60]"]
) -> tuple[int, int]:
    """Milliseconds that frames stay, and the last of them.

    Raises:
        ValueError: a number out of range.
        TypeError: anything but numbers.
    """
    # Merged frames add up to at most 650 seconds, of which the format can count 655.
    return max(20, round(100 / fps) * 10), round(hold * 1000)


def _few_greys(frames: "Sequence[Image]") -> "list[Image]":
    """The frames in 16 evenly spaced greys."""
    step = 255 // (_GREYS - 1)
    palette = [step * grey for grey in range(_GREYS) for _ in range(3)]
    few = [frame.point([round(level / step) for level in range(256)]) for frame in frames]
    for frame in few:
        frame.putpalette(palette)
    return few


def _few_colours(frames: "Sequence[Image]") -> "list[Image]":
    """The frames in one palette, chosen from all of them."""
    from PIL import Image

    rgb = [frame.convert("RGB") for frame in frames]
    averages = _seldom_and_often(rgb).quantize(_COLOURS).getpalette() or []
    for i in range(0, len(averages), 3):
        if min(averages[i : i + 3]) > 247:  # paper, which averaging makes a little grey
            averages[i : i + 3] = [255, 255, 255]
    palette = Image.new("P", (1, 1))
    palette.putpalette(averages)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in rgb]


def _seldom_and_often(frames: "Sequence[Image]") -> "Image":
    """A picture of the colours of these, each by the root of how often it is there.

    So the colours of a few dots count beside those of a large ground. Alike ones, in their five
    highest bits, are averaged.
    """
    from PIL import Image

    width, height = frames[0].size
    every = max(1, math.ceil((width * height * len(frames) / _SEEN) ** 0.5))
    parts = np.stack([np.asarray(frame)[::every, ::every] for frame in frames])
    red, green, blue = np.moveaxis(parts, -1, 0).reshape(3, -1)
    cell = (red >> 3).astype(np.int32) << 10 | (green >> 3).astype(np.int32) << 5 | blue >> 3
    counts = np.bincount(cell, minlength=2**15)
    there = np.flatnonzero(counts)
    sums = [np.bincount(cell, part, 2**15)[there] for part in (red, green, blue)]
    means = np.rint(np.stack(sums, 1) / counts[there, None]).astype(np.uint8)
    times = np.ceil(counts[there] ** 0.5).astype(np.int64)
    return Image.fromarray(means.repeat(times, axis=0)[None])
