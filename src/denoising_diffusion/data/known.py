"""Public sets of IDX files: what they are called, where their files lie, how they come here."""

import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoising_diffusion.files import cache_folder


@dataclass(frozen=True)
class KnownSet:
    """A public set of IDX files.

    Args:
        files: the names of its four files, without .gz: images and labels to train on, and to test.
        class_names: the classes in the order of their labels.
        torchvision: the folder in which torchvision keeps it.
        mirrors: addresses that the file names with .gz are appended to, tried in order.
        hashes: of each file the MD5 of the .gz on the mirrors, and of its content, or "" if that
            is unknown; anyone may pack anew, so the latter decides.
        first: the label of the first class.
        transposed: whether its images lie with rows and columns exchanged.
    """

    files: tuple[str, ...]
    class_names: tuple[str, ...]
    torchvision: str
    mirrors: tuple[str, ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()
    first: int = 0
    transposed: bool = False

    def name_of(self, label: int) -> str:
        """The name of the class with this label, or the label where none is known."""
        place = label - self.first
        return self.class_names[place] if 0 <= place < len(self.class_names) else str(label)


def _known(row: dict[str, Any]) -> KnownSet:
    prefix, labels = row.get("prefix", ""), row.get("labels", "idx1-ubyte")
    return KnownSet(
        tuple(
            f"{prefix}{part}-{what}"
            for part in ("train", row.get("test", "t10k"))
            for what in ("images-idx3-ubyte", f"labels-{labels}")
        ),
        tuple(row["classes"].split()),
        row["torchvision"],
        tuple(row.get("mirrors", ())),
        tuple((packed, unpacked) for packed, unpacked in row.get("md5", ())),
        row.get("first", 0),
        row.get("transposed", False),
    )


_ROWS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

KNOWN: dict[str, KnownSet] = {name: _known(row) for name, row in _ROWS.items()}
"""The sets that are known by name."""

PARTS: tuple[str, ...] = KNOWN["mnist"].files
"""The names of the four files of MNIST, which many sets share."""


def namesakes(name: str) -> list[str]:
    """The known sets whose files are called like those of this one, itself among them."""
    return [n for n, known in KNOWN.items() if known.files == KNOWN[name].files]


def find_files(folder: Path, name: str) -> tuple[str, list[Path]]:
    """The files of this set in a folder; its name and files.

    A set that is called like MNIST stands for any: else the only other one there is taken.

    They lie in the folder itself or as torchvision and the published archives put them: in a folder
    `raw` or `gzip`, or in MNIST/raw and the like.

    Raises:
        ValueError: no folder, files that are missing, or several other sets.
    """
    if not os.path.isdir(folder):
        expected = ", ".join(KNOWN[name].files)
        raise ValueError(f"{folder} is no folder; it should hold the IDX files {expected}")
    found: dict[tuple[Path, ...], str] = {}
    others = [n for n in KNOWN if n != name] if len(namesakes(name)) > 1 else []
    for other in (name, *others):
        for place in _within(folder, other):
            files = [spellings(place, part) for part in KNOWN[other].files]
            if all(files):
                if other == name:
                    return name, [f[0] for f in files]
                found.setdefault(tuple(f[0] for f in files), other)
    if len(found) > 1:
        names = ", ".join(found.values())
        raise ValueError(
            f"{folder} holds several sets, {names}; name the folder of one, or the set"
        )
    if not found:
        missing = [p for p in KNOWN[name].files if not spellings(folder, p)]
        raise ValueError(f"{folder} lacks {', '.join(missing[:1])} (raw or .gz)")
    files, other = next(iter(found.items()))
    return other, list(files)


def _within(folder: Path, name: str) -> list[Path]:
    kept = folder / KNOWN[name].torchvision
    return [folder, folder / "raw", folder / "gzip", kept / "raw", kept, folder / name]


def places(name: str) -> Iterator[Path]:
    """The folders where a known set may lie: those that DDPM_DATA lists, and the cache."""
    for listed in os.environ.get("DDPM_DATA", "").split(os.pathsep):
        if listed:
            yield from (Path(listed) / name, Path(listed))
    yield cache_folder() / name


def spellings(folder: Path, part: str) -> list[Path]:
    """The files that may be this one, packed or not, with a hyphen or a point before idx."""
    names = (part, part.replace("-idx", ".idx"))
    paths = [folder / (n + suffix) for n in names for suffix in ("", ".gz")]
    return [p for p in paths if os.path.isfile(p)]  # raises nothing, as p.is_file() would


class NotHere(ValueError):
    """Data that would have to be downloaded, where nothing may be."""


def download(name: str, folder: Path) -> None:
    """Fetch the files of a set that the folder lacks; each whole, checked, or not at all.

    Raises:
        ValueError: the set has no mirrors, or none of them gives what it should.
    """
    known = KNOWN[name]
    if os.environ.get("DDPM_OFFLINE"):
        raise NotHere(f"{name} is not on this machine and would be downloaded; {_remedy(name)}")
    for part, (packed, _) in zip(known.files, known.hashes, strict=False):
        _fetch([f"{base}{part}.gz" for base in known.mirrors], packed, folder, name)
    if not known.mirrors:
        raise ValueError(f"{name} is not on this machine and is not downloaded; {_remedy(name)}")


def _fetch(addresses: Sequence[str], md5: str, folder: Path, name: str) -> None:
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("ERROR")
    reasons: list[str] = []
    for address in addresses:
        file = address.rsplit("/", 1)[1]
        try:
            pooch.retrieve(address, known_hash=f"md5:{md5}", fname=file, path=folder)
            return
        except (RequestException, OSError, ValueError) as error:
            wrong = isinstance(error, ValueError) and "hash" in str(error)
            reason = "its hash does not match" if wrong else type(error).__name__
            reasons.append(f"{address}: {reason}")
    raise ValueError(
        f"{name} is not on this machine and could not be downloaded ({'; '.join(reasons)}); "
        f"{_remedy(name)}"
    )


def _remedy(name: str) -> str:
    files = ", ".join(f"{p}[.gz]" for p in KNOWN[name].files)
    return (
        f"put {files} into {cache_folder() / name}, or name their folder with --data or in "
        "DDPM_DATA"
    )
