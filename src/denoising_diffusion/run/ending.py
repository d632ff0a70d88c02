"""The pictures of a run: small ones while it trains, and those that end it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from denoising_diffusion import distributed, tables
from denoising_diffusion.config import Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import digest_of, write
from denoising_diffusion.report import Drawing, encoded, plot_history
from denoising_diffusion.run.animate import walked
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import draw, origin
from denoising_diffusion.run.figures import notes_of, put_frames, put_picture
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.inputs import shown_inputs
from denoising_diffusion.run.request import completed, names_of
from denoising_diffusion.run.show import picture_of

if TYPE_CHECKING:
    from PIL.Image import Image

_LAST = "samples.png"
_SHOWN = (_LAST, "reverse.gif", "estimate.gif")


def small(run: Run, *, preview: bool) -> Sampling:
    """The completed request of a few samples to look at."""
    unlabelled = run.config.training.label_dropout > 0
    num, labels = run.kind.shown(preview=preview, unlabelled=unlabelled)
    own = run.config.sampling
    if preview:
        own = replace(own, autoguidance=1.0)  # there may be no snapshot yet
    return completed(run, replace(own, num=num, label=labels))


def preview(run: Run, model: GaussianDiffusion, epoch: int) -> None:
    """A picture of a few samples while training goes on."""
    run.kind.show_behind(run.data)
    wish, given = shown_inputs(run, small(run, preview=True))
    picture = picture_of(run, wish, draw(run, model, wish, given), given)
    notes = notes_of(run, {"epoch": epoch, "request": asdict(wish)})
    write(run.samples / f"epoch-{epoch:04d}.png", encoded(picture, ".png", notes))


def pictures(run: Run, model: GaussianDiffusion) -> list[Path] | None:
    """The pictures that end a run, those to look at first; None if one of them is missing."""
    of = _pictures_origin(run, model)
    files = run.artefacts.recorded(of)
    if run.path / _LAST not in files or not all(run.artefacts.current(f, of) for f in files):
        return None
    shown = [run.path / name for name in _SHOWN]
    return [*shown, *(f for f in files if f not in shown)]


def _pictures_origin(run: Run, model: GaussianDiffusion) -> Origin:
    wish, given = shown_inputs(run, small(run, preview=False))
    return {**origin(run, model, wish, given), "picture": "run"}


def draw_pictures(run: Run, model: GaussianDiffusion) -> None:
    """Draw the pictures that end a run; that of the samples comes last."""
    of = _pictures_origin(run, model)
    for name, picture in _made(run, model).items():
        put: Callable[..., None] = put_frames if isinstance(picture, list) else put_picture
        put(run, run.path / name, picture, of, Path(name).stem)


def figures(run: Run, model: GaussianDiffusion, format: str) -> list[Path]:
    """Write the pictures that end a run, but for animations, as .svg or .pdf into RUN/figures.

    Raises:
        ValueError: the data is not there, or another command writes into the run.
    """
    of = {**_pictures_origin(run, model), "history": digest_of(repr(run.history.read()).encode())}
    folder = run.path / "figures"
    made = {
        (folder / name).with_suffix(f".{format}"): picture
        for name, picture in _made(run, model).items()
        if isinstance(picture, Drawing)
    }
    with distributed.alone(run.path):
        folder.mkdir(exist_ok=True)
        for path, picture in made.items():
            put_picture(run, path, picture, of, path.stem)
    return list(made)


def _made(run: Run, model: GaussianDiffusion) -> "dict[str, Drawing | list[Image]]":
    """The pictures by name, that of the samples last."""
    run.kind.show_behind(run.data)
    wish, given = shown_inputs(run, small(run, preview=False))
    steps = list(walked(run, model, wish, given))
    names = names_of(run, wish, given)
    return {
        "history.png": plot_history.drawing(run.history.read(), _held_out(run), of=_loss(run)),
        "reverse.gif": run.kind.frames(steps, names, "state"),
        "estimate.gif": run.kind.frames(steps, names, "estimate"),
        **run.kind.run_pictures(model, run.data, steps),
        _LAST: picture_of(run, wish, steps[-1].x, given),
    }


def _loss(run: Run) -> str:
    """What was learned, for the axis of losses."""
    training = run.config.training
    names = [tables.name_of(v, k) for k, v in (("loss", training.loss), ("p", training.prediction))]
    return f"loss ({names[0]} of {names[1]})"


def _held_out(run: Run) -> str:
    """In what the held-out loss differs from that of training."""
    training = run.config.training
    averaged = ", with averaged weights" if training.average_names else ""
    labelled = ", no label hidden" if run.kind.num_classes and training.label_dropout else ""
    return f"at the end of an epoch{averaged}{labelled}"
