"""From nothing to one's own pictures: `ddpm demo`."""

import shlex
import shutil
import sys

from denoising_diffusion.cli.arguments import Demo
from denoising_diffusion.cli.say import say
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run.folder import Run

RECIPE = "digits"

NEXT = """\
then try:
  {ddpm} sample {run} --num 16 --label 3 8 --guidance-scale 2   # digits that you ask for
  {ddpm} export {run}   # a page that draws, for any browser
  {ddpm} train points --data FILE.csv   # your own points; pictures: sprites --data FOLDER
look at {report}"""


def demo(command: Demo) -> None:
    """Train the recipe in a folder, or go on with the run that is there, and say what comes next.

    Raises:
        ValueError: the folder holds something else.
    """
    run = Run(command.out)
    config = run.config if run.exists else recipe(RECIPE)
    if config.recipe != RECIPE:
        raise ValueError(f"{run.path} holds a run of {config.recipe}; take another --out")
    if run.exists and run.evaluated and run.artefacts.origin(run.report_file) is not None:
        say(f"{run.path} is there already")
        table = run.read_table()
    else:
        from denoising_diffusion.run.train import train_run

        table = train_run(config, run.path, device=command.device, say=say).table
    print(f"{table}\n")
    folder = shlex.quote(str(run.path))
    print(NEXT.format(ddpm=_program(), run=folder, report=run.report_file))


def _program() -> str:
    """How the command is called here: in an environment that is not active, by its path."""
    if shutil.which("ddpm"):
        return "ddpm"
    return f"{shlex.quote(sys.executable)} -m denoising_diffusion"
