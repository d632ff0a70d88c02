"""One run, exported: `ddpm export`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from denoising_diffusion import __version__, distributed, tables
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.run.draw import weights_of
from denoising_diffusion.run.folder import Run
from denoising_diffusion.strict_json import to_json

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
        to: a name in the table "export", which is the suffix of the file too.
        out: the file; RUN/export/model.TO without it.
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
    out = run.path / "export" / f"model.{to}" if out is None else out
    if out.suffix != f".{to}":
        raise ValueError(f"{out}: the name must end in .{to}")
    model = run.model(average, "cpu")
    origin = {**weights_of(run, model, average), "export": {"to": to, **options}}
    origin["version"] = __version__
    with distributed.alone(out):
        if run.artefacts.current(out, origin) and not overwrite:
            return Exported(out, False)
        if out.exists() and not overwrite:
            raise FileExistsError(f"{out} exists; --overwrite replaces it")
        run.artefacts.put(out, target(model, metadata_of(run, model)), origin)
    return Exported(out, True)


def metadata_of(run: Run, model: GaussianDiffusion) -> dict[str, Any]:
    """What a file carries beside the model, in terms of JSON.

    alpha and sigma are those of t = 0..T, from which a sampler takes its coefficients; estimates
    are not cut to clip, the range of the data.
    """
    return {
        "format": FORMAT,
        "version": f"denoising-diffusion {__version__}",
        "class_names": list(run.facts.class_names),
        "clip": json.loads(json.dumps(model.clip)),
        "alpha": model.schedule.alpha.tolist(),
        "sigma": model.schedule.sigma.tolist(),
        "config": json.loads(to_json(run.config)),
    }
