"""The rows of a summary as text for a terminal, LaTeX, CSV or Markdown."""

import csv
import io
import re
from collections.abc import Sequence

from denoising_diffusion.run.summary import ABOUT, Number, Row

SPREAD = (
    "± is the standard deviation over seeds where there are several runs, and half the width of "
    "the 95 % interval of a single run."
)
_NAMES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def as_text(rows: Sequence[Row]) -> str:
    """Columns of equal width, numbers to the right."""
    cells = _cells(rows)
    left = _left(cells[0])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(f"{c:<{w}}" if i < left else f"{c:>{w}}" for i, (c, w) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", SPREAD])


def as_markdown(rows: Sequence[Row]) -> str:
    """A table as GitHub and others read it."""
    head, *body = [[c.replace("|", r"\|") for c in row] for row in _cells(rows)]
    rule = ["---" if i < _left(head) else "---:" for i in range(len(head))]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
    return "\n".join([*lines, "", SPREAD])


def as_latex(rows: Sequence[Row]) -> str:
    """A tabular with the rules of the package booktabs."""
    head, *body = [" & ".join(_escaped(c) for c in row) + r" \\" for row in _cells(rows)]
    names = _cells(rows)[0]
    columns = "l" * _left(names) + "r" * (len(names) - _left(names))
    start = [f"% {SPREAD}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    return "\n".join([*start, head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"])


def as_csv(rows: Sequence[Row]) -> str:
    """Numbers as exact as they are; of each score its key, key_deviation and key_interval."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names: list[str] = []
    for n in rows[0].numbers:
        bare = n.title == "floor"
        names += [n.key] if bare else [n.key, f"{n.key}_deviation", f"{n.key}_interval"]
    table.writerow([*ABOUT, "runs", *names])
    for row in rows:
        numbers: list[float | None] = []
        for n in row.numbers:
            bare = n.title == "floor"
            numbers += [n.value] if bare else [n.value, n.deviation, n.interval]
        table.writerow([*(row.about[key] for key in ABOUT), row.runs, *numbers])
    return text.getvalue().rstrip("\n")


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """The head and the rows; columns in which nothing is known are left out."""
    known = [key for key in ABOUT if any(row.about[key] is not None for row in rows)]
    head = [*known, "runs", *(n.title for n in rows[0].numbers)]
    return [head, *([*_about(row, known), *map(_written, row.numbers)] for row in rows)]


def _about(row: Row, known: Sequence[str]) -> list[str]:
    values = [row.about[key] for key in known]
    texts = ["–" if v is None else f"{v:,}" if isinstance(v, int) else str(v) for v in values]
    return [*texts, str(row.runs)]


def _left(head: Sequence[str]) -> int:
    """How many columns hold words."""
    return next(i for i, name in enumerate(head) if name in ("parameters", "runs"))


def _written(number: Number) -> str:
    spread = number.interval if number.deviation is None else number.deviation
    text = format(number.value, number.form)
    return text if spread is None else f"{text} ± {format(spread, number.form)}"


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}±–]", lambda found: _NAMES[found[0]], text)
