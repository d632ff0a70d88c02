"""`ddpm sample`: what a request is answered by."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from denoising_diffusion.cli.arguments import Sample
from denoising_diffusion.cli.say import say
from denoising_diffusion.config import Problem
from denoising_diffusion.run.folder import Run

if TYPE_CHECKING:
    from denoising_diffusion.run.enlarge import Source
    from denoising_diffusion.run.show import Drawn


def draw(command: Sample) -> None:
    """Draw what the command asks for, and print where it lies."""
    from denoising_diffusion import distributed
    from denoising_diffusion.run.build import pick_device
    from denoising_diffusion.run.enlarge import Source

    device = pick_device(command.device).type
    run, source = Run(command.run), Source(command.source, command.then, command.per_input)
    with distributed.processes(device):
        drawn = _drawn(run, command, source, device)
    for file in drawn.files:
        if file not in drawn.made:
            say(f"{file} is there already")
    if distributed.is_main():
        print("\n".join(map(str, drawn.files)))


def _drawn(run: Run, command: Sample, source: "Source", device: str) -> "Drawn":
    from denoising_diffusion.run.enlarge import Source, sample_from
    from denoising_diffusion.run.restore import restore_run
    from denoising_diffusion.run.show import Outputs
    from denoising_diffusion.run.single import sample_folder

    wish, problem = command.sampling, command.problem
    out = None if command.out is None else Path(command.out)
    _check_outputs(command, out)
    plain = problem == Problem()
    enlarging = source != Source() or run.config.factor is not None
    if command.fast and command.then is not None:
        raise ValueError("--fast is of one run that draws: it takes no --then")
    if not plain and enlarging:
        raise ValueError("--inpaint and --restore take no run that enlarges, no --from, no --then")
    if out is not None and (str(command.out).endswith(("/", os.sep)) or out.is_dir()):
        if command.format != "auto":
            raise ValueError("a folder takes .png pictures: it takes no --format")
        if command.gif or command.strip or command.grid or command.between:
            raise ValueError("a folder takes no --gif, --strip, --grid or --between")
        if not plain or enlarging:
            raise ValueError("a folder takes plain samples; take --out FILE.npz or FILE.png")
        return sample_folder(run, wish, out, overwrite=command.overwrite, device=device)
    outputs = Outputs(
        out=out,
        format=command.format,
        gif=command.gif,
        gif_of=command.gif_of,
        strip=command.strip,
        grid=command.grid is not None,
        between=command.between,
        overwrite=command.overwrite,
    )
    if plain:
        return sample_from(run, wish, outputs, source, device=device)
    return restore_run(run, wish, problem, outputs, device=device)


def _check_outputs(command: Sample, out: Path | None) -> None:
    """Refuse to write what is read, even where files may be replaced."""
    p = command.problem
    read = (command.source, p.inpaint, p.mask, p.restore, *(command.between or ()))
    places = {os.path.realpath(path) for path in read if path is not None}
    for path in (out, command.gif):
        if path is not None and os.path.realpath(path) in places:
            raise ValueError(f"{path} is read by this command: it cannot be written too")
