"""The card of a model: README.md with what programs read above it."""

import json
from collections.abc import Iterator
from typing import Any

from denoising_diffusion import __version__, tables
from denoising_diffusion.run.evaluations import Entry
from denoising_diffusion.run.folder import Run

PIPELINES = {"images": "unconditional-image-generation"}
"""The hub's name for drawing this kind of data, where it has one."""


def card(run: Run, average: str, weights: str) -> str:
    """The card of a run that has ended, in Markdown, with YAML above it.

    Args:
        run: what it is about.
        average: the name of the weights.
        weights: their SHA-256, by which their evaluations are known.
    """
    entries = {
        json.dumps(e.origin, sort_keys=True): e
        for e in run.evaluations.read()
        if e.origin.get("weights") == weights
    }
    parts = (_metadata(run), _about(run, average), _scores([*entries.values()]), _use(run))
    return "\n".join(line for part in parts for line in part) + "\n"


def _metadata(run: Run) -> Iterator[str]:
    task = PIPELINES.get(run.facts.kind) if run.config.factor is None else "image-to-image"
    yield "---"
    yield "library_name: denoising-diffusion"
    if task:
        yield f"pipeline_tag: {task}"
    yield "tags:"
    tags = ("denoising-diffusion", "diffusion", "ddpm", run.facts.kind)
    yield from (f"- {tag}" for tag in tags)
    yield "# Yours to choose, and bound to that of the data:"
    yield "# license: mit"
    yield "---"
    yield ""


def _about(run: Run, average: str) -> Iterator[str]:
    config, facts = run.config, run.facts
    training = config.training
    shape = " × ".join(map(str, facts.shape))
    classes = ", ".join(map(_code, facts.class_names)) or "none"
    predicts = tables.name_of(training.prediction, "training.prediction")
    yield f"# {config.recipe}: a diffusion model of {_code(facts.name)}"
    yield ""
    yield "![Samples](samples.png)"
    yield ""
    yield f"- Data: {facts.num_train:,} {facts.kind} of shape {shape}; classes: {classes}"
    network = tables.name_of(config.network, "network")
    yield f"- Network: {network}, {facts.parameters:,} parameters; weights: {average}"
    yield (
        f"- Training: {config.total_steps:,} steps of {training.batch_size}, "
        f"{training.epochs} epochs; it predicts {predicts}"
    )
    yield f"- Schedule: {config.schedule['kind']}, T = {config.schedule.get('timesteps', 100)}"
    yield f"- Made by denoising-diffusion {__version__}; `config.json` has all the rest"
    yield ""


def _scores(entries: list[Entry]) -> Iterator[str]:
    """A table for each evaluation."""
    yield "## Scores"
    yield ""
    if not entries:
        yield "These weights were not evaluated."
        yield ""
    for entry in entries:
        told = {k.replace("_", " "): v for k, v in entry.note.items() if v is not None}
        said = (f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in told.items())
        yield _cell("; ".join(said)) + ":"
        yield ""
        yield "| score | value | half of its 95 % interval | floor |"
        yield "|---|---:|---:|---:|"
        for score in entry.scores:
            if score["title"].strip() and isinstance(score["value"], int | float):
                yield _row(score)
        yield ""


def _row(score: dict[str, Any]) -> str:
    floors = (v for k, v in score["beside"].items() if k.endswith("floor"))
    numbers = (score["value"], score["interval"], next(floors, None))
    texts = ("–" if n is None else format(n, score["form"]) for n in numbers)
    return f"| {_cell(score['title'].strip())} | {' | '.join(texts)} |"


def _use(run: Run) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "```python"
    yield "from denoising_diffusion import last, load, sample"
    yield ""
    yield 'model = load("hf://OWNER/NAME")  # or the path of this folder'
    if run.config.factor is None:
        yield "x = last(sample(model, 16, seed=0)).x  # in the model's space"
    yield "```"
    yield ""
    yield "It is a run folder too, for `ddpm sample`, `ddpm info` and `ddpm export`."


def _code(text: str) -> str:
    """A name that anybody chose, which Markdown is to leave as it is."""
    plain = "".join(c if c.isprintable() and c != "`" else "�" for c in text)
    return f"`{plain}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
