"""The tuned grids of a run: where they lie, and whether they are of its weights as they are now."""

from pathlib import Path

from denoising_diffusion.config import Sampling
from denoising_diffusion.files import read_json
from denoising_diffusion.run.folder import Run


def grid_file(run: Run, wish: Sampling) -> Path:
    """Where the grid of this sampler and number of steps lies."""
    return run.path / "grids" / f"{wish.sampler}-{wish.steps}.json"


def stored_times(run: Run, wish: Sampling) -> list[float]:
    """The tuned times of a request whose steps and average are filled in.

    Raises:
        ValueError: there are none, or they were made from other weights.
    """
    file = grid_file(run, wish)
    again = f"ddpm tune {run.path} --sampler {wish.sampler} --steps {wish.steps}"
    origin = run.artefacts.origin(file)
    if origin is None:
        raise ValueError(
            f"{run.path} has no times tuned for {wish.steps} steps of {wish.sampler}; {again}"
        )
    if origin.get("weights") != run.weights_of(run.average_name(wish.average)):
        raise ValueError(f"{file} was tuned to other weights; {again}")
    return [float(t) for t in read_json(file)["times"]]
