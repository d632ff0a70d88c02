"""The course of training as a plot."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from denoising_diffusion.checks import number, sequence
from denoising_diffusion.report import style

if TYPE_CHECKING:
    from PIL.Image import Image


def plot_history(rows: Sequence[Mapping[str, float | None]]) -> "Image":
    """The loss over the steps, on a logarithmic axis.

    Args:
        rows: the lines of `history.jsonl`; "step" and "loss" are drawn where both are present,
            "val_loss" where it is. Losses that are not finite leave gaps.

    Raises:
        ValueError: no row has a step and a finite loss.
        TypeError: rows that are no mappings, or steps and losses that are no numbers.
    """
    from matplotlib.ticker import LogLocator

    losses, held_out = (_series(rows, key) for key in ("loss", "val_loss"))
    if not losses:
        raise ValueError("rows holds no row with a step and a finite loss")
    figure, (axes,) = style.new_figure(640, 360)
    for label, colour, pairs in (
        ("training", style.POINTS, losses),
        ("held out", style.ACCENT, held_out),
    ):
        if pairs:
            marker = "o" if len(pairs) < 40 else ""
            x, y = zip(*pairs, strict=True)
            axes.plot(x, y, color=colour, lw=1.5, marker=marker, ms=3, label=label)
    if held_out:
        axes.legend(frameon=False, fontsize=9)
    if any(value > 0 for _, value in losses + held_out):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    style.curve_axes(axes, "step", "loss")
    return style.to_image(figure)


def _series(rows: Sequence[Mapping[str, float | None]], key: str) -> list[tuple[float, float]]:
    """(step, value) of the rows that have both."""
    pairs: list[tuple[float, float]] = []
    for row in sequence("rows", rows, Mapping):
        step, value = row.get("step"), row.get(key)
        broken = isinstance(value, float) and not math.isfinite(value)
        if step is not None and value is not None and not broken:
            pairs.append((number("step in rows", step), number(f"{key} in rows", value)))
    return pairs
