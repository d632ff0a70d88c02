"""A run as a notebook shows it: what it is, how good, and samples; none of it needs torch."""

import contextlib
from html import escape
from typing import TYPE_CHECKING

from denoising_diffusion import inline
from denoising_diffusion.files import read_bytes

if TYPE_CHECKING:
    from denoising_diffusion.run.folder import Run

_MOST_PICTURE = 2**20


def run_html(run: "Run") -> str:
    """The run as HTML in itself; one that cannot be read says why."""
    title = f"<strong>Run {escape(run.path.name)}</strong>"
    try:
        about, scores = _about(run), run.read_table() if run.evaluated else "not scored yet"
    except (ValueError, OSError) as error:
        return f"<div>{title}<p>{escape(str(error))}</p></div>"
    shown = ""
    with contextlib.suppress(ValueError):
        content = read_bytes(run.path / "samples.png", _MOST_PICTURE)
        shown = inline.picture(content, f"samples of {run.path.name}")
    return f"<div>{title}<p>{escape(about)}</p>{shown}<pre>{escape(scores)}</pre></div>"


def _about(run: "Run") -> str:
    config, facts, history = run.config, run.facts, run.history.read()
    shape = " × ".join(map(str, facts.shape))
    done = history[-1]["epoch"] if history else 0
    return (
        f"{config.recipe}: {facts.num_train:,} {facts.kind} of {facts.name}, {shape}; "
        f"{facts.parameters:,} parameters; epoch {done} of {config.training.epochs}"
    )
