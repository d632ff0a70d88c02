"""One run, exported: `ddpm export`."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from denoising_diffusion import __version__, distributed, tables
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import digest_of
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import weights_of
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.request import segments_of
from denoising_diffusion.strict_json import to_json

CARD = "README.md"
FORMAT = 1
"""Of the metadata."""


class Exported(NamedTuple):
    """Where it lies, and whether it had to be made."""

    path: Path
    made: bool


def export_run(
    run: Run,
    to: str,
    out: Path | None = None,
    *,
    average: str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Exported:
    """Export the model of a run; what is there already, of the same, stays.

    Args:
        run: what is exported.
        to: a name in the table "export", which is the suffix of a file too.
        out: the file, RUN/export/model.TO without it, or the folder, RUN/export/TO.
        average: "raw", or an average that the run keeps; its first without a name.
        overwrite: replace another file that exists.
        options: of the target.

    Raises:
        ValueError: no run, a target that cannot express this model or is not installed, an option
            that it does not take, another suffix, or another command that is writing.
        FileExistsError: something else is there already and may not be replaced.
        RuntimeError: what was made answers other than the model; nothing is written.
    """
    target = tables.bound("export", {"name": to, **options}, "--to")
    folder = "run" in inspect.signature(target).parameters
    out = run.path / "export" / (to if folder else f"model.{to}") if out is None else out
    if not folder and out.suffix != f".{to}":
        raise ValueError(f"{out}: the name must end in .{to}")
    model = run.model(average, "cpu")
    origin = {**weights_of(run, model, average), "export": {"to": to, **options}}
    origin["version"] = __version__
    with distributed.alone(out):
        if folder:
            files = target(model, run, run.average_name(average))
            return Exported(out, _put_folder(run, out, files, origin, overwrite))
        if run.artefacts.current(out, origin) and not overwrite:
            return Exported(out, False)
        if out.exists() and not overwrite:
            raise FileExistsError(f"{out} exists; --overwrite replaces it")
        run.artefacts.put(out, target(model, metadata_of(run, model)), origin)
    return Exported(out, True)


def _put_folder(
    run: Run, out: Path, files: Mapping[str, bytes], origin: Origin, overwrite: bool
) -> bool:
    """Write what is not there yet; whether anything was not.

    Raises:
        FileExistsError: a file, or other files of these names, and they may not be replaced.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; a folder is needed")
    origin = origin | {"files": {name: digest_of(content) for name, content in files.items()}}
    begun, kept = run.artefacts.begun(out, origin), run.artefacts.unchanged(out)
    if begun and (out / CARD).exists() and not overwrite:
        # It is there to be completed by hand.
        files = {name: content for name, content in files.items() if name != CARD}
    if begun and kept.issuperset(files):
        return False
    others = [n for n in files if (out / n).exists() and not (begun and n in kept)]
    if others and not overwrite:
        raise FileExistsError(f"{out / others[0]} exists; --overwrite replaces it")
    out.mkdir(parents=True, exist_ok=True)
    run.artefacts.put_folder(out, files, origin)
    return True


def metadata_of(run: Run, model: GaussianDiffusion) -> dict[str, Any]:
    """What a file carries beside the model, in terms of JSON.

    alpha and sigma are those of t = 0..T, from which a sampler takes its coefficients; estimates
    are not cut to clip, the range of the data.
    """
    return {
        "format": FORMAT,
        "version": f"denoising-diffusion {__version__}",
        "class_names": list(run.facts.class_names),
        "segments": segments_of(run.config),
        "clip": json.loads(json.dumps(model.clip)),
        "alpha": model.schedule.alpha.tolist(),
        "sigma": model.schedule.sigma.tolist(),
        "config": json.loads(to_json(run.config)),
    }
