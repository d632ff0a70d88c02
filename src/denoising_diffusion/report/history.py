"""The course of training as a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from denoising_diffusion.report import style
from denoising_diffusion.report.files import write_png


def plot_history(rows: Sequence[Mapping[str, float | None]], path: str | Path) -> None:
    """Draw the loss over the steps, on a logarithmic axis, to a PNG file, whole or not at all.

    Args:
        rows: the lines of `history.jsonl`; "step" and "loss" are drawn where both are present,
            "val_loss" where it is.
        path: where to write.

    Raises:
        ValueError: no row has a step and a loss.
    """
    losses = _series(rows, "loss")
    if not losses:
        raise ValueError("the history holds no row with a step and a loss")
    held_out = _series(rows, "val_loss")
    figure = style.new_figure(640, 360)
    axes = figure.add_subplot()
    steps, values = zip(*losses, strict=True)
    marker = "" if len(losses) > 1 else "o"
    axes.plot(steps, values, color=style.POINTS, lw=1.4, marker=marker, label="training")
    if held_out:
        steps, values = zip(*held_out, strict=True)
        marker = "o" if len(held_out) < 40 else ""
        axes.plot(steps, values, color=style.ACCENT, lw=1.6, marker=marker, ms=3, label="held out")
        axes.legend(frameon=False, fontsize=9)
    if any(value > 0 for _, value in losses + held_out):
        axes.set_yscale("log")
    style.curve_axes(axes, "step", "loss")
    write_png(style.to_image(figure), path)


def _series(rows: Sequence[Mapping[str, float | None]], key: str) -> list[tuple[float, float]]:
    """(step, value) of the rows that have both."""
    pairs = [(row.get("step"), row.get(key)) for row in rows]
    return [(step, value) for step, value in pairs if step is not None and value is not None]
