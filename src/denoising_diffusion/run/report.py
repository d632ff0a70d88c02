"""report.html: one page of a run, or of several side by side."""

from collections.abc import Sequence
from pathlib import Path

from denoising_diffusion import __version__, distributed
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import digest, digest_of
from denoising_diffusion.report.page import assets_digest, render
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import weights_of
from denoising_diffusion.run.facts import headline, lead
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.page import BYTES, comparison, page_of
from denoising_diffusion.strict_json import to_json

MOST_RUNS = 12


def reported(run: Run, model: GaussianDiffusion) -> bool:
    """Whether the page of this run is there, made from what the run is now."""
    return run.artefacts.current(run.report_file, _origin(run, model))


def write_report(run: Run, model: GaussianDiffusion | None) -> Path:
    """Write the page of a run into its folder, if it is not there as the run is now.

    Raises:
        ValueError: the run cannot be read.
    """
    of = _origin(run, model)
    if not run.artefacts.current(run.report_file, of):
        text = _page([run], [model])
        run.artefacts.put(run.report_file, _encoded(text), of)
    return run.report_file


def report_runs(
    runs: Sequence[Run], out: Path | None, *, device: str = "auto", overwrite: bool = False
) -> Path:
    """Write the page of one run, or of several side by side.

    Args:
        runs: what it is about.
        out: the file; report.html in the folder of a single run without it.
        device: where the networks run.
        overwrite: replace a file that is none of these pages.

    Raises:
        ValueError: no file for several runs, too many of them, or one that cannot be read.
        FileExistsError: something else is there and may not be replaced.
    """
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ValueError(f"a report takes 1 to {MOST_RUNS} runs, got {len(runs)}")
    if out is not None and out.suffix != ".html":
        raise ValueError(f"{out}: the name must end in .html")
    if out is None and len(runs) > 1:
        raise ValueError("a report on several runs needs --out FILE.html")
    models = [_model(run, device) for run in runs]
    first = runs[0]
    if out is None:
        with distributed.alone(first.path):
            return write_report(first, models[0])
    origins = [_origin(run, model) for run, model in zip(runs, models, strict=True)]
    of = (
        origins[0]
        if len(runs) == 1
        else {"runs": origins, "names": [run.path.name for run in runs]}
    )
    with distributed.alone(out):
        if first.artefacts.current(out, of):
            return out
        page = {"page", "runs"} & (first.artefacts.origin(out) or {}).keys()
        if out.exists() and not overwrite and not page:
            raise FileExistsError(f"{out} exists; --overwrite replaces it")
        first.artefacts.put(out, _encoded(_page(runs, models)), of)
    return out


def _model(run: Run, device: str) -> GaussianDiffusion | None:
    """The model as far as it is trained; None before the first checkpoint."""
    there = run.facts and (run.model_file.exists() or run.checkpoint_file.exists())
    return run.model(None, device) if there else None


def _origin(run: Run, model: GaussianDiffusion | None) -> Origin:
    """What a page depends on."""
    history = run.history.read()
    return {
        **({} if model is None else weights_of(run, model, None)),
        "config": digest_of(to_json(run.config).encode()),
        "history": digest_of(repr(history).encode()),
        "scores": digest(run.evaluation_file) if run.evaluated else None,
        "page": assets_digest(),
        "version": __version__,
    }


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a run may be called by any bytes


def _page(runs: Sequence[Run], models: Sequence[GaussianDiffusion | None]) -> str:
    room = BYTES // len(runs)
    shown = [page_of(run, model, room) for run, model in zip(runs, models, strict=True)]
    if len(runs) == 1:
        title = heading = headline(runs[0])
        told, beside = lead(runs[0]), {"rows": [], "loss": None, "schedules": None}
    else:
        names = [page["name"] for page in shown]
        title = heading = f"{', '.join(names[:-1])} and {names[-1]}"
        told = "; ".join(f"{n}: {headline(run)}" for n, run in zip(names, runs, strict=True)) + "."
        beside = comparison(list(runs), shown)
    return render(
        title=title, headline=heading, lead=told, runs=shown, version=__version__, **beside
    )
