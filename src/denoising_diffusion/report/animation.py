"""Animations in the format that a suffix names; each begins again when it has ended."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from denoising_diffusion.report.encoding import as_texts
from denoising_diffusion.report.gif import as_gif, pauses, shown_frames
from denoising_diffusion.report.video import as_mp4, check_codec

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = (".gif", ".apng", ".webp", ".mp4")
_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{Title}</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{Description}</rdf:li></rdf:Alt>
</dc:description>
<dc:source>{Source}</dc:source><xmp:CreatorTool>{Software}</xmp:CreatorTool>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
_NOTES = ("Title", "Software", "Source", "Description")


def check_animation(suffix: str) -> None:
    """Refuse what cannot be written here, before frames are drawn.

    Raises:
        ValueError: ".mp4" without what encodes it.
    """
    if suffix == ".mp4":
        check_codec()


def as_animation(
    frames: "Sequence[Image]",
    suffix: str,
    *,
    fps: float = 15,
    hold: float = 1.0,
    notes: Mapping[str, str] | None = None,
) -> bytes:
    """The content of an animation of at most 60 of the frames, evenly thinned.

    .gif has 64 colours or 16 greys, .apng and .webp keep each pixel, .mp4 is nearly exact.

    Args:
        frames: pictures of one size and one mode.
        suffix: one of `ANIMATIONS`.
        fps: frames in a second, at least 0.1.
        hold: seconds that the last frame stays, at most 60.
        notes: what is written into it, by name.

    Raises:
        ValueError: no frames, frames of different sizes or modes, fps or hold out of range, or an
            .mp4 without what encodes it.
        TypeError: arguments of other types.
    """
    said = "\n".join(f"{key}: {text}" for key, text in (notes or {}).items())
    if suffix == ".gif":
        return as_gif(frames, fps=fps, hold=hold, comment=said)
    chosen = shown_frames(frames)
    pause, last = pauses(fps, hold)
    if suffix == ".mp4":
        return as_mp4(chosen, pause, last, said)
    content = io.BytesIO()
    how: dict[str, Any] = {
        "save_all": True,
        "append_images": chosen[1:],
        "duration": [pause] * (len(chosen) - 1) + [last],
        "loop": 0,
    }
    if suffix == ".apng":
        chosen[0].save(content, "PNG", pnginfo=as_texts(notes or {}), **how)
    else:
        chosen[0].save(content, "WEBP", lossless=True, xmp=_as_xmp(notes or {}), **how)
    return content.getvalue()


def _as_xmp(notes: Mapping[str, str]) -> bytes:
    return _XMP.format(**{key: escape(notes.get(key, "")) for key in _NOTES}).encode()
