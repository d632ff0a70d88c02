"""Videos, by the libraries of FFmpeg, which come with the extra `video`."""

import importlib
import importlib.util
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


def check_codec() -> None:
    """Refuse a video where nothing encodes it.

    Raises:
        ValueError: PyAV is not installed.
    """
    if importlib.util.find_spec("av") is None:
        raise ValueError(
            "an .mp4 needs PyAV: pip install 'denoising-diffusion[video]'; .gif, .apng and .webp "
            "need nothing"
        )


def as_mp4(frames: "Sequence[Image]", pause: int, last: int, comment: str = "") -> bytes:
    """The content of an .mp4 (H.264), which any browser and any slides can show.

    Equal frames are equal bytes. A side of odd length gets a white line: the format counts in twos.

    Args:
        frames: pictures of one size.
        pause: milliseconds that a frame stays.
        last: milliseconds that the last frame stays.
        comment: what is written into it.

    Raises:
        ValueError: as `check_codec`.
    """
    check_codec()
    av: Any = importlib.import_module("av")
    width, height = (side + side % 2 for side in frames[0].size)
    content, rate = io.BytesIO(), Fraction(1000, pause)
    with av.open(content, "w", format="mp4", options={"fflags": "+bitexact"}) as file:
        if comment:
            file.metadata["comment"] = comment
        stream: Any = file.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # in any number of threads the bytes would differ
        # Players drop a single long frame, so the last one is shown again and again.
        for frame in [*frames, *[frames[-1]] * (max(1, round(last / pause)) - 1)]:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(_even(frame, width, height))))
        file.mux(stream.encode())
    return content.getvalue()


def _even(frame: "Image", width: int, height: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """The frame as (height, width, 3) bytes, with paper beyond its own size."""
    pixels = np.asarray(frame.convert("RGB"))
    beyond = ((0, height - frame.height), (0, width - frame.width), (0, 0))
    return np.pad(pixels, beyond, constant_values=255)
