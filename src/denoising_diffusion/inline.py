"""Small pictures for notebooks, as HTML that needs no file and no network: SVG, and PNG inside."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from denoising_diffusion.files import as_png

if TYPE_CHECKING:
    from torch import Tensor

_WIDTH, _HEIGHT, _EDGE = 320, 160, 12
_COLOURS = ("#2f6db5", "#e07b39", "#3f9b6c")
_MOST_PLACES = 200
_MOST_POINTS = 500
_MOST_SHOWN = 8


def curves(title: str, lines: Mapping[str, Sequence[float]], ends: tuple[float, float]) -> str:
    """Curves in one frame, as SVG.

    Args:
        title: above them.
        lines: values at equal distances, by name.
        ends: what stands below the first and the last of them.
    """
    low = min(min(values) for values in lines.values())
    high = max(max(values) for values in lines.values())
    drawn: list[str] = []
    for i, (name, values) in enumerate(lines.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        stride = -(-len(values) // _MOST_PLACES)
        places = [*range(0, len(values) - 1, stride), len(values) - 1]
        path = " ".join(
            f"{_across(k / max(1, len(values) - 1)):.1f},{_down(values[k], low, high):.1f}"
            for k in places
        )
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(_text(_WIDTH - _EDGE, 14 + 14 * i, name, colour, "end"))
    drawn.append(_text(_EDGE, _HEIGHT + 26, f"{ends[0]:g}"))
    drawn.append(_text(_WIDTH - _EDGE, _HEIGHT + 26, f"{ends[1]:g}", anchor="end"))
    drawn.append(_text(_EDGE, 14, f"{low:.3g} .. {high:.3g}"))
    return _figure(title, _svg(title, drawn))


def _across(share: float) -> float:
    return _EDGE + share * (_WIDTH - 2 * _EDGE)


def _down(value: float, low: float, high: float) -> float:
    return _HEIGHT - (value - low) / ((high - low) or 1.0) * (_HEIGHT - 24)


def step(t: float, x: "Tensor", x_start: "Tensor") -> str:
    """A step of a sampler, drawn by its shape, for it knows nothing else of itself.

    (n, 1 or 3, h, w) is taken for images in [-1, 1], (n, 2) for points, and the rest is named.
    """
    title = f"Step, t = {t:g}: x and x_start, {tuple(x.shape)}"
    match tuple(x.shape):
        case (int(n), 1 | 3, _, _) if n:
            return _figure(title, *map(_images, (x, x_start)))
        case (int(n), 2) if n:
            return _figure(title, *map(_points, (x, x_start)))
        case _:
            return _figure(title)


def picture(png: bytes, name: str) -> str:
    """A PNG inside the page.

    Args:
        png: its content.
        name: what is said in its place where it cannot be seen.
    """
    content = base64.b64encode(png).decode()
    look = "max-width:100%;image-rendering:pixelated"
    return f'<img alt="{escape(name)}" style="{look}" src="data:image/png;base64,{content}"/>'


def _images(x: "Tensor") -> str:
    from PIL import Image

    few = x[:_MOST_SHOWN].detach().cpu().float().nan_to_num()
    row = ((few.clamp(-1, 1) + 1) * 127.5).round().byte().permute(2, 0, 3, 1).flatten(1, 2)
    strip = Image.fromarray((row[..., 0] if row.shape[2] == 1 else row).numpy())
    scale = max(1, 48 // few.shape[2])
    large = strip.resize((strip.width * scale, strip.height * scale), Image.Resampling.NEAREST)
    return picture(as_png(large), f"the first {len(few)} of {len(x)} images")


def _points(x: "Tensor") -> str:
    few = x[:_MOST_POINTS].detach().cpu().double().nan_to_num()
    furthest = max(1.0, float(few.abs().max()))
    half = _HEIGHT / 2
    discs = [
        f'<circle cx="{half + a * half:.1f}" cy="{half - b * half:.1f}" r="1.5"/>'
        for a, b in (few / furthest).tolist()
    ]
    name = f"the first {len(few)} of {len(x)} points, both axes to {furthest:.3g}"
    return (
        f'<svg role="img" aria-label="{name}" width="{_HEIGHT}" height="{_HEIGHT}" '
        f'fill="{_COLOURS[0]}" style="border:1px solid #8888">{"".join(discs)}</svg>'
    )


def _svg(name: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(name)}" width="{_WIDTH}" height="{_HEIGHT + 32}" '
        f'font-family="sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _text(
    x: float, y: float, text: str, colour: str = "currentColor", anchor: str = "start"
) -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def _figure(title: str, *parts: str) -> str:
    inner = "".join(f"<div>{part}</div>" for part in parts)
    return f"<figure><figcaption>{escape(title)}</figcaption>{inner}</figure>"
