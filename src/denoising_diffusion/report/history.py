"""The course of training as a plot."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from denoising_diffusion.checks import instance, number, sequence
from denoising_diffusion.report import style
from denoising_diffusion.report.drawing import Drawing, pictured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_LADDERS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7))
"""First digits of ticks on a logarithmic axis, the coarsest first."""
_FEWEST, _MOST = 3, 7


@pictured
def plot_history(
    rows: Sequence[Mapping[str, float | None]],
    held_out: str = "at the end of an epoch",
    *,
    of: str = "loss",
) -> Drawing:
    """The loss over the epochs, on a logarithmic axis.

    Args:
        rows: the lines of `history.jsonl`; "loss" and "val_loss" are drawn where they stand beside
            an "epoch", or a "step" if no row has an epoch. Losses that are not finite leave gaps.
        held_out: how the held-out loss is measured, unlike that of training; it is said where it
            ends below that.
        of: what the losses are, beside their axis.

    Raises:
        ValueError: no row has an epoch or a step and a finite loss.
        TypeError: rows that are no mappings, or epochs, steps and losses that are no numbers.
    """
    found = sequence("rows", rows, Mapping)
    over = "epoch" if any("epoch" in row for row in found) else "step"
    losses, unseen = (_series(found, over, key) for key in ("loss", "val_loss"))
    if not losses:
        raise ValueError(f"rows holds no row with a {over} and a finite loss")
    why = f"held out is lower: measured {instance('held_out', held_out, str)}"
    title = why if unseen and unseen[-1][1] < losses[-1][1] else ""
    label = instance("of", of, str)

    def draw(figure: "Figure | SubFigure") -> None:
        (axes,) = style.panels(figure)
        _lines(axes, losses, unseen)
        style.curve_axes(axes, over, label)
        axes.set_title(title, fontsize=8, color=style.TEXT, loc="left")

    return Drawing(640, 360, draw)


def _lines(
    axes: "Axes", losses: list[tuple[float, float]], unseen: list[tuple[float, float]]
) -> None:
    for label, colour, pairs in (
        ("training", style.POINTS, losses),
        ("held out", style.ACCENT, unseen),
    ):
        if pairs:
            marker = "o" if len(pairs) < 40 else ""
            x, y = zip(*pairs, strict=True)
            last = f"{label}, {y[-1]:.4g} in the end"
            axes.plot(x, y, color=colour, lw=1.5, marker=marker, ms=3, label=last)
    axes.legend(frameon=False, fontsize=9)
    _scale(axes, [value for _, value in losses + unseen])
    _count(axes, [place for place, _ in losses + unseen])


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    """A logarithmic axis with ticks in one size, where the losses are positive."""
    low, high = min(values), max(values)
    if low <= 0:
        return
    room = max((high / low) ** 0.06, 1.05)
    axes.set_yscale("log")
    axes.set_ylim(low / room, high * room)
    ticks = log_ticks(low / room, high * room)
    axes.set_yticks(ticks, [f"{tick:.4g}" for tick in ticks])
    axes.set_yticks([], minor=True)


def log_ticks(low: float, high: float) -> list[float]:
    """Three to nine round numbers in low..high, both above 0 and a twentieth apart."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for ladder in _LADDERS:
        # From their digits, numbers such as 0.3 come out as they are written.
        ticks = [t for d in decades for n in ladder if low <= (t := float(f"{n}e{d}")) <= high]
        if len(ticks) >= _FEWEST:
            return ticks[:: -(-len(ticks) // _MOST)]
    # Too narrow for first digits: the coarsest even steps that are enough.
    power = decades[-1]
    while True:
        for part in (10, 5, 2):
            step = float(f"{part}e{power - 1}")
            ticks = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
            if len(ticks) >= _FEWEST:
                return ticks
        power -= 1


def _count(axes: "Axes", places: Sequence[float]) -> None:
    """Ticks at whole epochs or steps, with room around a single one."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, min_n_ticks=1))
    if len(set(places)) == 1:
        axes.set_xlim(places[0] - 1, places[0] + 1)
        axes.set_xticks([places[0]])


def _series(
    rows: Sequence[Mapping[str, float | None]], over: str, key: str
) -> list[tuple[float, float]]:
    """(epoch or step, value) of the rows that have both."""
    pairs: list[tuple[float, float]] = []
    for row in rows:
        place, value = row.get(over), row.get(key)
        broken = isinstance(value, float) and not math.isfinite(value)
        if place is not None and value is not None and not broken:
            pairs.append((number(f"{over} in rows", place), number(f"{key} in rows", value)))
    return pairs
