"""Samples as single pictures in a folder, and pictures in a folder as samples."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from denoising_diffusion import distributed
from denoising_diffusion.config import NONE, Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.exact import read_exact
from denoising_diffusion.data.listing import list_pictures, readable
from denoising_diffusion.files import as_png
from denoising_diffusion.kinds import Kind
from denoising_diffusion.report.encoding import as_texts
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import draw_file, origin
from denoising_diffusion.run.figures import notes_of
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.pieces import parts_of
from denoising_diffusion.run.preflight import check_room
from denoising_diffusion.run.request import completed, names_of
from denoising_diffusion.run.show import Drawn

_LONGEST = 240
"""The most bytes of a file's name, with room for what a writer adds to it."""
_NAMED = re.compile(r"\d+-s\d+-(.+)")


def sample_folder(
    run: Run, wish: Sampling, out: Path, *, overwrite: bool = False, device: str = "auto"
) -> Drawn:
    """Draw samples and write each as a .png in a folder; what is there already, of the same, stays.

    They are called NUMBER-sSEED-LABEL.png. One command may be killed and given again: it goes on.
    Files of other origin stay: without `overwrite` they are a reason to refuse; with it, those of
    the same names are replaced, and those of another request that were written here are removed.

    Raises:
        ValueError: bad options, no run, data that are no images, or another command that is
            writing.
        FileExistsError: the folder holds something else.
    """
    if not run.kind.compares:
        raise ValueError(f"single pictures are of images; this run has {run.facts.kind}")
    out = Path(os.path.realpath(out)) if out.name in ("", "..") else out
    wish = completed(run, wish)
    check_room(run.facts.shape, wish.num or 0)
    model = run.model(wish.average, device)
    names = picture_names(names_of(run, wish), wish)
    of = {**origin(run, model, wish), "picture": "single"}
    with distributed.alone(out):
        made = distributed.broadcast_object(_to_make(run, out, names, of, overwrite))
        if made:
            draw_file(run, model, wish, out, put=lambda x: _write(run, out, names, x, of))
        elif distributed.is_main():
            shutil.rmtree(parts_of(out), ignore_errors=True)
    return Drawn([out], [out] if made else [])


def picture_names(labels: Sequence[str] | None, wish: Sampling) -> list[str]:
    """The names of the files of all samples, which sort in their order.

    Raises:
        ValueError: a label too long for one.
    """
    count = wish.num or 0
    width = len(str(max(count - 1, 0)))
    ends = [""] * count if labels is None else [f"-{_escaped(label)}" for label in labels]
    names = [f"{i:0{width}d}-s{wish.seed}{end}.png" for i, end in enumerate(ends)]
    for name in names:
        if len(os.fsencode(name)) > _LONGEST:
            raise ValueError(f"a label is too long for the name of a file, {name[:60]}...; take "
                             "--out FILE.npz")  # fmt: skip
    return names


def _escaped(label: str) -> str:
    """The label as part of a file's name on any system."""
    return "".join(c if c.isalnum() or c in " -_.,()'" else f"%{ord(c):x}%" for c in label)


def _label(stem: str) -> str | None:
    found = _NAMED.fullmatch(stem)
    return found and re.sub("%([0-9a-f]{1,5})%", lambda code: chr(int(code[1], 16)), found[1])


def _to_make(run: Run, out: Path, names: list[str], of: Origin, overwrite: bool) -> bool:
    """Whether anything has to be written.

    Raises:
        FileExistsError: it may not be.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise FileExistsError(f"{out} is a file; a folder is needed for single pictures")
    there = set(os.listdir(out)) if out.is_dir() else set[str]()
    kept = run.artefacts.unchanged(out)
    begun = run.artefacts.begun(out, of)
    if not overwrite:
        if begun and kept.issuperset(names):
            return False
        kept = kept if begun else set()
        others = sorted(n for n in there - kept if not n.startswith("."))
        if others:
            raise FileExistsError(
                f"{out} holds other files ({len(others):,}), such as {readable(others[0])}; "
                "--overwrite writes beside them, and over those of the same names"
            )
    elif distributed.is_main():
        for name in kept - set(names):
            (out / name).unlink()
    return True


def _write(run: Run, out: Path, names: list[str], x: Tensor, of: Origin) -> None:
    from PIL import Image

    pixels = run.kind.encode(x)
    grey = pixels.shape[-1] == 1
    images = (Image.fromarray(p[..., 0] if grey else p) for p in pixels)
    out.mkdir(exist_ok=True)
    texts = as_texts(notes_of(run, of, "a sample"))
    files = {name: as_png(image, texts) for name, image in zip(names, images, strict=True)}
    run.artefacts.put_folder(out, files, of)


def read_folder(kind: Kind, data: Dataset, folder: Path) -> tuple[Tensor, list[str] | None]:
    """Pictures in model space, and the names of their classes: of sub-folders, or in their names.

    Raises:
        ValueError: data that are no images, no pictures, one of another size, colour where the
            data is grey, or a sub-folder that is no class.
    """
    if not kind.compares:
        raise ValueError(f"{folder}: pictures can be compared with images, not with {data.kind}")
    listing = list_pictures(folder)
    pixels = [read_exact(folder / name, data.shape)[0] for name in listing.names]
    known = {*data.class_names, NONE}
    if listing.cells is not None:
        for cell in listing.cells:
            if cell not in known:
                shown = ", ".join(data.class_names[:20])
                raise ValueError(f"{folder}: its sub-folder {cell} is no class; known are {shown}")
        return kind.decode(np.stack(pixels)), list(listing.cells)
    named = [label for name in listing.names if (label := _label(Path(name).stem)) in known]
    return kind.decode(np.stack(pixels)), named if len(named) == len(pixels) else None
