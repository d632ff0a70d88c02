"""What speed.py measured, as tables in Markdown and as a plot."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import measuring as m

from denoising_diffusion.report import style

MATRIX = "matrix product"
TO = "diffusers UNet2DModel"


def rates(found: Mapping[str, Any]) -> str:
    """A table for each of training and sampling, precision and batch."""
    networks, texts = found["networks"], [_head(found)]
    for run in found["runs"]:
        what, seconds = run["what"], run["seconds"]
        unit = "images/s" if what == "training" else "evaluations/s"
        rows = []
        for name, times in seconds.items():
            if name == MATRIX:
                continue
            of = networks.get(name) or networks[name.split(",")[0]]
            work = of["training" if what == "training" else "forward"]
            middle = m.spread([run["batch"] / t for t in times])[1]
            best = 2 * m.SIDE**3 / min(seconds[MATRIX])
            rows.append(
                (
                    name,
                    f"{of['parameters']:,}",
                    f"{work / 1e6:.1f}",
                    f"{middle:.0f}",
                    _ratio(m.ratios(seconds[TO], times)),
                    f"{work * middle / best:.0%}",
                )
            )
        head = ("network", "parameters", "MFLOP an image", unit, f"× {TO}", "of the matrix rate")
        title = f"{what.capitalize()}, {run['dtype']}, batch {run['batch']}"
        rate = f"Best matrix rate: {2 * m.SIDE**3 / min(seconds[MATRIX]) / 1e9:.0f} GFLOP/s."
        texts.append(f"### {title}\n\n{m.table(head, rows)}\n\n{rate}")
    return "\n\n".join(texts)


def variants(found: Mapping[str, Any]) -> str:
    """How much faster than eager in the same precision, and how far from float32 eager."""
    ways = list(found["runs"][0]["seconds"])
    rows = [
        (
            run["network"],
            run["dtype"],
            f"{run['what']}, batch {run['batch']}",
            *(_ratio(m.ratios(run["seconds"]["eager"], run["seconds"][w])) for w in ways[1:]),
        )
        for run in found["runs"]
    ]
    first = m.table(("network", "precision", "what", *(f"{w}, ×" for w in ways[1:])), rows)
    rows = [
        (a["network"], a["dtype"], a["how"], f"{a['answer']:.1e}", f"{a['gradient']:.1e}")
        for a in found["agreement"]
    ]
    second = m.table(("network", "precision", "way", "answer", "gradient"), rows)
    return f"{_head(found)}\n\n{first}\n\nRelative errors against float32 eager:\n\n{second}"


def profile(found: Mapping[str, Any]) -> str:
    """Shares of a training step."""
    runs = found["runs"]
    head = ("part", *(f"{r['network']}, {r['dtype']}" for r in runs))
    rows = [(k, *(f"{r['shares'][k]:.1%}" for r in runs)) for k in runs[0]["shares"]]
    return f"{_head(found)} Batch {runs[0]['batch']}.\n\n{m.table(head, rows)}"


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "rates": rates,
    "variants": variants,
    "profile": profile,
}


def write(found: Mapping[str, Any], page: Path) -> None:
    """Put the tables that there are into the page, and the plot beside it."""
    for name, block in found.items():
        text = TABLES[name](block)
        if name == "rates":
            picture = page.with_suffix(".png")
            plot(block, picture)
            text += f"\n\n![Rates beside those of diffusers, with quartiles]({picture.name})"
        m.into_page(page, name, text)


def plot(found: Mapping[str, Any], file: Path) -> None:
    """Rates over that of diffusers, with quartiles: a panel for training and one for sampling."""
    kinds = ("training", "sampling")
    figure, panels = m.panels(460, 380, 2)
    trained = next(r for r in found["runs"] if r["what"] == "training")["seconds"]
    rows = [n for n in trained if n != MATRIX][::-1]
    for what, axes in zip(kinds, panels, strict=True):
        runs = [r for r in found["runs"] if r["what"] == what]
        names = [n for n in rows if n in runs[0]["seconds"]]
        high = 0.8 / len(runs)
        for i, run in enumerate(runs):
            seconds = run["seconds"]
            spreads = [m.ratios(seconds[TO], seconds[n]) for n in names]
            middle = [s[1] for s in spreads]
            error = [[s[1] - s[0] for s in spreads], [s[2] - s[1] for s in spreads]]
            places = [k + 0.4 - high * (i + 0.5) for k in map(rows.index, names)]
            label = f"{run['dtype']}, batch {run['batch']}"
            colour = style.SERIES[i]
            axes.barh(places, middle, high * 0.9, xerr=error, color=colour, label=label)
        axes.axvline(1, color=style.NEUTRAL, lw=0.8)
        axes.set_yticks(range(len(rows)), rows if axes is panels[0] else [])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        style.curve_axes(axes, f"{what}, × {TO}")
    panels[1].legend(frameon=False, fontsize=8)
    style.to_image(figure).save(file, optimize=True)


def _ratio(found: tuple[float, float, float]) -> str:
    low, middle, high = found
    return f"{middle:.2f} ({low:.2f} … {high:.2f})"


def _head(found: Mapping[str, Any]) -> str:
    form = "Quick form" if found["quick"] else "Whole form"
    return f"{form}, medians of {found['rounds']} turns: {m.where_text(found['where'])}."
