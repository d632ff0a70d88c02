"""Ways in which a file of a run may be damaged, each drawn by a `random.Random`."""

import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Damage = Callable[[Path, random.Random], str]
"""(file, chance) -> what was done to it."""

DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 400
TEXTS = [
    *("null", "true", "-1", "0", "1e400", "NaN", "Infinity", '""', '"x"', "[]", "{}", "[1]", "1.5"),
    *(DIGITS, "-" + DIGITS, DEEP, '{"a": 1, "a": 2}', '"\\ud800"', str(2**63), "1e308"),
]


# Any file


def flip(file: Path, chance: random.Random) -> str:
    content = bytearray(file.read_bytes())
    places = [chance.randrange(len(content) * 8) for _ in range(chance.choice([1, 1, 8]))]
    for place in places:
        content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)
    return f"bits {places} flipped"


def cut(file: Path, chance: random.Random) -> str:
    content = file.read_bytes()
    size = chance.choice([0, 1, 7, 8, 9, chance.randrange(len(content)), len(content) - 1])
    file.write_bytes(content[:size])
    return f"cut to {min(size, len(content))} of {len(content)} bytes"


def garbage(file: Path, chance: random.Random) -> str:
    content = file.read_bytes()
    noise = chance.randbytes(chance.choice([1, 16, 4096]))
    place = chance.randrange(len(content) + 1)
    how = chance.choice(["appended", "inserted", "alone", "zeros"])
    changed = {
        "appended": content + noise,
        "inserted": content[:place] + noise + content[place:],
        "alone": noise,
        "zeros": bytes(len(content)),
    }
    file.write_bytes(changed[how])
    return f"{len(noise)} bytes of garbage {how} at {place}"


def another(file: Path, chance: random.Random) -> str:
    """No file but something else under its name."""
    kinds = ["missing", "folder", "fifo", "loop", "dangling", "zero", "full", "locked"]
    kind = chance.choice(kinds)
    if kind == "locked":
        file.chmod(0)
        return "without permissions"
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind != "missing":
        target = {"loop": file.name, "dangling": "nowhere", "zero": "/dev/zero"}
        file.symlink_to(target.get(kind, "/dev/full"))
    return f"{kind} in its place"


# JSON


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All (container, key) of a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _edited(value: Any, chance: random.Random) -> tuple[str, str]:
    """The value as JSON with one place changed, and what that is."""
    holder, key = chance.choice(list(_places(value)))
    if isinstance(holder, dict) and chance.random() < 0.2:
        del holder[key]
        return json.dumps(value), f"without the key {key}"
    text, mark = chance.choice(TEXTS), "@here@"
    holder[key] = mark
    shown = text if len(text) < 40 else f"{text[:5]}... ({len(text)} characters)"
    return json.dumps(value).replace(json.dumps(mark), text), f"{key} is {shown}"


def edit_json(file: Path, chance: random.Random) -> str:
    text = file.read_text()
    if chance.random() < 0.2:
        how = chance.choice(["bom", "utf-16", "list", "deep", "twice", "null"])
        first = next(iter(json.loads(text)))
        changed = {
            "bom": b"\xef\xbb\xbf" + text.encode(),
            "utf-16": text.encode("utf-16"),
            "list": f"[{text}]".encode(),
            "deep": DEEP.encode(),
            "twice": text.replace("{", f'{{"{first}": null, ', 1).encode(),
            "null": b"null",
        }
        file.write_bytes(changed[how])
        return f"JSON {how}"
    text, what = _edited(json.loads(text), chance)
    file.write_text(text)
    return what


def edit_lines(file: Path, chance: random.Random) -> str:
    lines = file.read_text().splitlines()
    i = chance.randrange(len(lines))
    lines[i], what = _edited(json.loads(lines[i]), chance)
    file.write_text("\n".join(lines) + "\n")
    return f"line {i + 1}: {what}"


# safetensors: eight bytes of length, a JSON header, the numbers


def lie(file: Path, chance: random.Random) -> str:
    """A header that is not true of what follows it."""
    content = file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    if chance.random() < 0.15:
        wrong = chance.choice([0, 1, size - 1, size + 1, len(content), 2**40, 2**63, 2**64 - 1])
        file.write_bytes(struct.pack("<Q", wrong) + content[8:])
        return f"header of {wrong} bytes instead of {size}"
    name = chance.choice([k for k in header if k != "__metadata__"])
    entry, how = header[name], chance.choice([*_LIES, "numbers"])
    if how == "numbers":
        value = chance.choice([float("nan"), float("inf"), 3e38])
        begin, end = entry["data_offsets"]
        count = (end - begin) // 4
        body = body[:begin] + struct.pack("<f", value) * count + body[begin + count * 4 :]
        return _packed(file, header, body, f"{name} is {value}")
    _LIES[how](header, name, chance)
    return _packed(file, header, body, f"{how} of {name}")


def _dtype(header: Any, name: str, chance: random.Random) -> None:
    header[name]["dtype"] = chance.choice(["I32", "F64", "BF16", "BOOL", "U8", "F8_E4M3", "X9", 3])


def _shape(header: Any, name: str, chance: random.Random) -> None:
    shape = header[name]["shape"]
    wrong = [[], [*shape, 1], shape[::-1], [-1], [2**62, 4], [0], "x", [1.5], [2**64]]
    header[name]["shape"] = chance.choice(wrong)


def _offsets(header: Any, name: str, chance: random.Random) -> None:
    begin, end = header[name]["data_offsets"]
    wrong = [[0, end - begin], [end, begin], [begin, 2**62], [begin, end - 4], [-4, end], [], "x"]
    header[name]["data_offsets"] = chance.choice(wrong)


def _gone(header: Any, name: str, chance: random.Random) -> None:
    del header[name]


def _renamed(header: Any, name: str, chance: random.Random) -> None:
    header[chance.choice(["", "x", name[1:], name * 2, "../x", "model."])] = header.pop(name)


def _exchanged(header: Any, name: str, chance: random.Random) -> None:
    other = chance.choice([k for k in header if k != "__metadata__"])
    header[name], header[other] = header[other], header[name]


def _notes(header: Any, name: str, chance: random.Random) -> None:
    metadata = header["__metadata__"]
    if chance.random() < 0.3:
        wrong = [None, {}, {"notes": "x"}, {"notes": DEEP}, {"notes": "[]"}, {"notes": "null"}]
        header["__metadata__"] = chance.choice([*wrong, {"notes": 3}, {"a": "b"}, []])
    else:
        metadata["notes"] = _edited(json.loads(metadata["notes"]), chance)[0]


_LIES = {
    "another dtype": _dtype,
    "another shape": _shape,
    "other offsets": _offsets,
    "absence": _gone,
    "another name": _renamed,
    "exchange": _exchanged,
    "other notes": _notes,
}


def _packed(file: Path, header: Any, body: bytes, what: str) -> str:
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return what


# .npz


def edit_npz(file: Path, chance: random.Random) -> str:
    with np.load(file, allow_pickle=False) as archive:
        arrays = {k: archive[k] for k in archive.files}
    name = chance.choice(sorted(arrays))
    how = chance.choice(["gone", "dtype", "shape", "values", "object", "bomb", "claim", "extra"])
    if how in ("bomb", "claim"):
        file.write_bytes(_bomb(arrays, name, how))
        return f"{name} is a {how}"
    old = arrays.pop(name)
    wrong: dict[str, Any] = {
        "dtype": old.astype(chance.choice(["U8", "c16", "f2"])),
        "shape": chance.choice([old[:-1], old[..., None], old.ravel(), old[:0], old[None]]),
        "values": np.full(old.shape, np.nan) if old.dtype.kind == "f" else old[::-1],
        "object": np.array([_Trap()] * len(old), dtype=object),
    }
    if how in wrong:
        arrays[name] = wrong[how]
    elif how == "extra":
        arrays |= {name: old, "more": old}
    np.savez_compressed(file, allow_pickle=True, **arrays)
    return f"{name}: {how}"


def _bomb(arrays: dict[str, np.ndarray], name: str, how: str) -> bytes:
    """An archive with a member of half a gigabyte of zeros, or one that claims a terabyte."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            data = member.getvalue()
            if key == name:
                rows = 2**29 if how == "bomb" else 2**40
                head = io.BytesIO()
                described = {"descr": "|u1", "fortran_order": False, "shape": (rows,)}
                np.lib.format.write_array_header_1_0(head, described)
                data = head.getvalue()
            with archive.open(f"{key}.npy", "w") as file:
                file.write(data)
                if key == name and how == "bomb":
                    for _ in range(2**9):
                        file.write(bytes(2**20))
    return content.getvalue()


class _Trap:
    """Whoever unpickles it makes a file."""

    def __reduce__(self):
        return (os.system, ("touch unpickled",))


ANY: list[Damage] = [flip, cut, garbage, another]
OWN: dict[str, list[Damage]] = {
    ".json": [edit_json] * 4,
    ".jsonl": [edit_lines] * 4,
    ".safetensors": [lie] * 6,
    ".npz": [edit_npz] * 4,
}


def damage(folder: Path, chance: random.Random) -> tuple[str, str]:
    """Damage one file of a run: its name, and what was done."""
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    weights = [1 + 3 * (f.suffix in OWN) for f in files]
    (file,) = chance.choices(files, weights)
    done = chance.choice([*ANY, *OWN.get(file.suffix, [])])(file, chance)
    return str(file.relative_to(folder)), done
