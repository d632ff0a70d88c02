"""Samples of a super-resolution run: from pictures in files, from another run, or as it shows."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from denoising_diffusion.checks import integer
from denoising_diffusion.config import Sampling
from denoising_diffusion.data.pictures import read_pictures
from denoising_diffusion.kinds.enlarged import PICTURES, SHOWN, Enlarged
from denoising_diffusion.run.draw import draw, origin
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.inputs import Inputs, held_out, of_pictures
from denoising_diffusion.run.request import completed, names_of
from denoising_diffusion.run.show import Drawn, Outputs, sample_run

CASCADE_LEVEL = 0.05
"""Of the noise added to pictures that a model drew, which hides where they are unlike data's."""


@dataclass(frozen=True)
class Source:
    """What samples are drawn from.

    Args:
        pictures: a folder, a picture or an .npz to enlarge.
        then: a super-resolution run which enlarges what the first run draws.
        per_input: samples of each picture.
    """

    pictures: Path | None = None
    then: Path | None = None
    per_input: int | None = None


def sample_from(
    run: Run, wish: Sampling, outputs: Outputs, source: Source, *, device: str = "auto"
) -> Drawn:
    """Draw samples from a run as `sample_run` does, and from what the source says.

    Raises:
        ValueError: as `sample_run`; a source for a run that enlarges nothing, pictures of another
            size than it enlarges, or a first run that draws such.
    """
    if source.per_input is not None:
        integer("--per-input", source.per_input, 1)
    if source.then is not None:
        run, wish, inputs = _cascade(run, Run(source.then), wish, source, device)
        return sample_run(run, wish, outputs, device=device, given=inputs)
    kind = run.kind
    if not isinstance(kind, Enlarged):
        if source != Source():
            raise ValueError(f"{run.path} enlarges no pictures: it takes no --from, no --per-input")
        return sample_run(run, wish, outputs, device=device)
    if outputs.strip == "guidance" or outputs.grid:
        raise ValueError(f"{run.path} enlarges pictures: it takes no --strip guidance, no --grid")
    if outputs.strip == "forward":
        return sample_run(run, wish, outputs, device=device)
    inputs = _from_files(kind, wish, source) if source.pictures else _own(run, wish, source)
    return sample_run(run, replace(wish, num=inputs.num), outputs, device=device, given=inputs)


def _from_files(kind: Enlarged, wish: Sampling, source: Source) -> Inputs:
    if wish.num is not None:
        raise ValueError("--from decides how many samples there are: it takes no --num")
    assert source.pictures is not None
    c, h, w = kind.low_shape
    stored, names = read_pictures(source.pictures, (c, h, w))
    return of_pictures(kind, kind.decode(stored), source.per_input or 1, names=names)


def _own(run: Run, wish: Sampling, source: Source) -> Inputs:
    """Images of the run's own data that it never saw, made smaller."""
    per_input = source.per_input or SHOWN
    num = wish.num or PICTURES * per_input
    if num % per_input:
        raise ValueError(f"num must be {per_input} samples for each of some pictures, got {num}")
    found = held_out(run, run.data, num, per_input)
    assert found is not None
    if found.num < num:
        raise ValueError(f"num must be at most {found.num}, for {found.count} pictures, got {num}")
    return found


def _cascade(
    first: Run, run: Run, wish: Sampling, source: Source, device: str
) -> tuple[Run, Sampling, Inputs]:
    """The second run, its request, and as inputs what the first draws when it is needed."""
    kind, per_input = run.kind, source.per_input or 1
    if source.pictures is not None:
        raise ValueError("--then enlarges what the first run draws: it takes no --from")
    if not isinstance(kind, Enlarged):
        raise ValueError(f"{run.path} enlarges no pictures, so it cannot follow with --then")
    if isinstance(first.kind, Enlarged) or (first.facts.kind, first.facts.shape) != (
        run.facts.kind,
        kind.low_shape,
    ):
        drawn, wanted = (" × ".join(map(str, s)) for s in (first.facts.shape, kind.low_shape))
        raise ValueError(
            f"{first.path} draws {first.facts.kind} of {drawn}, but {run.path} enlarges "
            f"{run.facts.kind} of {wanted}"
        )
    wish = completed(first, wish)
    model = first.model(wish.average, device)

    def pictures() -> Tensor:
        return first.kind.decode(first.kind.encode(draw(first, model, wish)))

    of = {"drawn": origin(first, model, wish)}
    count = wish.num or 0
    inputs = Inputs(kind, count, per_input, of, pictures, level=CASCADE_LEVEL)
    known = set(run.facts.class_names)
    names = names_of(first, wish) or []
    labels = tuple(names) if names and known.issuperset(names) else ()
    own = replace(run.config.sampling, num=inputs.num, seed=wish.seed, label=labels)
    return run, own, inputs
